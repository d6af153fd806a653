//! The one way to stdout and stderr. A reader that went away, as `head` does, ends no command half way:
//! what it would have read is dropped. Anything else that keeps output from being written is a failure.
//!
//! `println!` and the like are these ones below `cli`; those of std panic.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::Mutex;

/// The first thing that kept something from being written to stdout.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

macro_rules! println {
    () => { $crate::cli::output::text(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::output::text(format_args!("{}\n", format_args!($($text)*))) };
}
macro_rules! print {
    ($($text:tt)*) => { $crate::cli::output::text(format_args!($($text)*)) };
}
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::cli::output::notice(format_args!("{}\n", format_args!($($text)*))) };
}
macro_rules! eprint {
    ($($text:tt)*) => { $crate::cli::output::notice(format_args!($($text)*)) };
}

/// To stdout.
pub fn text(text: Arguments<'_>) {
    note(io::stdout().lock().write_fmt(text));
}

/// To stdout, as it is.
pub fn bytes(bytes: &[u8]) {
    note(io::stdout().lock().write_all(bytes));
}

/// To stderr. There is nobody to be told when that fails.
pub fn notice(text: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// What did not come to be written, once all is.
pub fn finish() -> io::Result<()> {
    note(io::stdout().flush());
    let failed = FAILED.lock().ok().and_then(|mut failed| failed.take());
    failed.map_or(Ok(()), Err)
}

fn note(written: io::Result<()>) {
    if let Err(e) = written
        && e.kind() != ErrorKind::BrokenPipe
        && let Ok(mut failed) = FAILED.lock()
    {
        failed.get_or_insert(e);
    }
}
