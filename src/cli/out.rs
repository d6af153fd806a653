//! What the commands say, on stdout and stderr. Nobody may hear it any more (`| head`, a terminal
//! that is gone, a full disk behind a file): that must not end what they are doing. The macros of
//! the standard library panic then.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

/// Why the first part of stdout that was lost is lost.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// A line on stdout.
macro_rules! outln {
    () => {
        $crate::cli::out::say(format_args!("\n"))
    };
    ($($text:tt)*) => {
        $crate::cli::out::say(format_args!("{}\n", format_args!($($text)*)))
    };
}

/// Text on stdout, without a line's end.
macro_rules! out {
    ($($text:tt)*) => {
        $crate::cli::out::say(format_args!($($text)*))
    };
}

/// A line on stderr.
macro_rules! errln {
    ($($text:tt)*) => {
        $crate::cli::out::complain(format_args!("{}\n", format_args!($($text)*)))
    };
}

/// Behind the macros: text on stdout. What is lost is remembered.
pub fn say(text: Arguments<'_>) {
    note(io::stdout().write_fmt(text));
}

/// Bytes on stdout, as `say`.
pub fn bytes(bytes: &[u8]) {
    note(io::stdout().write_all(bytes));
}

/// Behind the macros: text on stderr. There is nobody left to be told when that is lost.
pub fn complain(text: Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}

/// Why stdout did not get all that was said, and whoever asked for it does not know. None for a
/// reader who had enough.
pub fn lost() -> Option<io::Error> {
    note(io::stdout().flush());
    let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    lost.take().filter(|e| e.kind() != ErrorKind::BrokenPipe)
}

fn note(written: io::Result<()>) {
    if let Err(e) = written {
        let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
        lost.get_or_insert(e);
    }
}
