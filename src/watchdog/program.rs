//! The file of a running program, opened through the kernel's own handle on it: whatever its path
//! leads to by now, this is what runs. Nothing is opened that could keep us waiting.

use std::fs::File;
use std::os::fd::AsRawFd;

use rustix::fs::{FileType, Mode, OFlags, fstat, openat};

use super::procfs::Proc;

pub struct Program {
    pub file: File,
}

impl Program {
    /// None when it is gone, no plain file, or on a file system that may be somebody's process: a
    /// frozen student could not answer.
    pub fn open(proc: &Proc, pid: u32) -> Option<Program> {
        let teller = proc.teller(pid);
        let path = format!("{teller}/exe");
        let handle = openat(proc, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        if !proc.is_on_the_hosts(&teller, &handle)? {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let own = format!("self/fd/{}", handle.as_raw_fd());
        let file = openat(proc, own, flags, Mode::empty()).ok()?;
        let kind = FileType::from_raw_mode(fstat(&file).ok()?.st_mode);
        (kind == FileType::RegularFile).then(|| Program { file: file.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn our_own_program_is_read() {
        let proc = Proc::open().unwrap();
        let program = Program::open(&proc, std::process::id()).unwrap();
        let mut start = [0; 4];
        (&program.file).read_exact(&mut start).unwrap();
        assert_eq!(&start, b"\x7fELF");
    }
}
