//! The file of a running program, opened through the kernel's own handle on it: whatever its path
//! leads to by now, this is what runs. Nothing is opened that could keep us waiting.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat, openat};

use super::process::Process;
use super::procfs::Proc;

/// Files of a process's memory that are looked at: root's libraries are among them.
const MOST_LOADED: usize = 64;

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
        Program::behind(proc, &teller, &handle)
    }

    /// What a process runs: of root's loader what it was told to load, and it itself where nobody
    /// can tell.
    pub fn all_of(proc: &Proc, process: &Process) -> Vec<Program> {
        let pid = process.id.pid;
        let loaded = match process.exe.may_load() {
            true => Program::loaded(proc, pid, process.uid),
            false => Vec::new(),
        };
        match loaded.is_empty() {
            true => Program::open(proc, pid).into_iter().collect(),
            false => loaded,
        }
    }

    /// Those that are not root's among the files of which it has code in its memory.
    fn loaded(proc: &Proc, pid: u32, uid: u32) -> Vec<Program> {
        let teller = proc.teller(pid);
        let handles = proc.mapped(uid, &teller, MOST_LOADED).into_iter();
        let programs = handles.filter_map(|handle| Program::behind(proc, &teller, &handle));
        let is_own = |program: &Program| {
            let stat = fstat(&program.file);
            stat.is_ok_and(|stat| stat.st_uid != 0)
        };
        programs.filter(is_own).collect()
    }

    fn behind(proc: &Proc, teller: &str, handle: &OwnedFd) -> Option<Program> {
        if !proc.is_on_the_hosts(teller, handle)? {
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
