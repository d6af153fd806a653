//! The log of one action: what its scripts printed, masked, each run under a header line.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, fchmod, openat};

use crate::adapters::mask::Masker;
use crate::domain::{Time, quoted};
use crate::ports::{Fault, Overlay};

/// For one run; the rest is dropped, and said so.
const LIMIT: usize = 1024 * 1024;

/// Of the output's end, to quote its last line.
const TAIL: usize = 4096;

/// Characters of that line.
const QUOTED: usize = 200;

pub struct Log {
    path: PathBuf,
    file: File,
    masker: Masker,
    written: usize,
    dropped: usize,
    tail: Vec<u8>,
}

impl Log {
    /// Permanent when the action's name would not be a plain file name.
    pub fn open(dir: &Path, action: &str, masker: Masker) -> Result<Log, Fault> {
        let path = path(dir, action)?;
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW;
        let owner_only = Mode::RUSR | Mode::WUSR;
        let file = openat(CWD, &path, flags | OFlags::CLOEXEC, owner_only)
            .and_then(|file| fchmod(&file, owner_only).map(|()| file))
            .map_err(|e| Fault::retry(format!("cannot write {}", path.display())).because(&e))?;
        Ok(Log {
            path,
            file: file.into(),
            masker,
            written: 0,
            dropped: 0,
            tail: Vec::new(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn begin(&mut self, script: &str, overlay: Overlay) {
        let overlay = match overlay {
            Overlay::Public => "public",
            Overlay::Private => "private",
        };
        self.line(&format!("== {} {script} ({overlay})", Time::now()));
    }

    pub fn push(&mut self, bytes: &[u8]) {
        let clean = self.masker.push(bytes);
        self.keep(&clean);
    }

    /// Writes how it ended; gives the last line that was printed, fit for a message.
    pub fn end(&mut self, how: &str, took: Duration) -> Option<String> {
        let rest = self.masker.finish();
        self.keep(&rest);
        if self.tail.last().is_some_and(|&b| b != b'\n') {
            self.line("");
        }
        if self.dropped > 0 {
            self.line(&format!("== {} more bytes were not kept", self.dropped));
        }
        self.line(&format!("== {how} after {:.1} s", took.as_secs_f64()));
        let tail = String::from_utf8_lossy(&self.tail);
        let last = tail.lines().rev().find(|line| !line.trim().is_empty())?;
        Some(one_line(last.trim()))
    }

    fn keep(&mut self, clean: &[u8]) {
        let room = LIMIT.saturating_sub(self.written).min(clean.len());
        self.written += room;
        self.dropped += clean.len() - room;
        self.write(&clean[..room]);
        self.tail.extend_from_slice(clean);
        let old = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..old);
    }

    fn line(&mut self, text: &str) {
        self.write(format!("{text}\n").as_bytes());
    }

    /// A full disk must not fail a script that went well.
    fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.file.write_all(bytes) {
            tracing::warn!(log = %self.path.display(), %error, "cannot write the log of a script");
        }
    }
}

/// There is none any more.
pub fn remove(dir: &Path, action: &str) -> Result<(), Fault> {
    let path = path(dir, action)?;
    match rustix::fs::unlink(&path) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(e) => Err(Fault::retry(format!("cannot remove {}", path.display())).because(&e)),
    }
}

fn path(dir: &Path, action: &str) -> Result<PathBuf, Fault> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if action.is_empty() || action.len() > 64 || !action.bytes().all(plain) {
        return Err(Fault::permanent(format!(
            "no log can be named after action {}: expected letters, digits and -_",
            quoted(action)
        )));
    }
    Ok(dir.join(format!("action-{action}.log")))
}

/// Control characters escaped: a script's output must not steer a terminal or split a log line.
fn one_line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(QUOTED)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    if text.chars().nth(QUOTED).is_some() {
        line.push('…');
    }
    line
}
