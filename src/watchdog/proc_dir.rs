//! The open /proc of this host: files and links in it. What they mean is read elsewhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
use rustix::io::read;

/// Most files of /proc are smaller.
const SMALL: usize = 4096;

#[derive(Debug)]
pub struct ProcDir(OwnedFd);

impl AsFd for ProcDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl ProcDir {
    pub fn open() -> io::Result<ProcDir> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(ProcDir(openat(CWD, "/proc", flags, Mode::empty())?))
    }

    pub fn open_file(&self, path: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(openat(&self.0, path, flags, Mode::empty())?)
    }

    /// All of a small file.
    pub fn text(&self, path: &str, most: usize) -> io::Result<Vec<u8>> {
        let file = self.open_file(path)?;
        // Room for all that may come would be mapped anew each time, or kept for ever.
        let mut bytes = vec![0; most.min(SMALL)];
        let mut length = 0;
        while length < most {
            if length == bytes.len() {
                bytes.resize(most.min(length * 2), 0);
            }
            match read(&file, &mut bytes[length..])? {
                0 => break,
                more => length += more,
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Where it leads to, for rules and people: what is no text is replaced, so that a name of any
    /// bytes is judged and told like every other.
    pub fn link(&self, path: &str) -> io::Result<PathBuf> {
        let target = readlinkat(&self.0, path, Vec::new())?.into_bytes();
        Ok(PathBuf::from(String::from_utf8_lossy(&target).into_owned()))
    }
}
