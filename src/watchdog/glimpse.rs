//! A first look at a program that has just started. Nearly all are root's and have no listed word
//! about them; of those nothing more is read.

use std::collections::HashMap;
use std::fmt::Write;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::{AtFlags, StatxFlags, fstat, statx};

use super::mounts;
use super::process::is_loader;
use super::procfs::{MOST_ARGV, Proc};

const REMEMBERED: usize = 4096;

/// A program of root's that a student runs, in bytes as they are.
#[derive(Debug, Clone, Copy)]
pub struct Glimpse<'a> {
    /// The last part of its file's path.
    pub file: &'a [u8],
    /// Its arguments with a zero after each.
    pub argv: &'a [u8],
}

/// What is at a pid.
#[derive(Debug)]
pub enum Seen {
    Gone,
    /// Effective uid, the last part of its file's path, and its arguments with a zero after each.
    Roots(u32, Rc<[u8]>, Vec<u8>),
    /// What has to be looked at closely.
    Other,
}

/// Mount, device, inode, and when it was changed; to be renamed is a change, too.
type File = (u64, u32, u32, u64, i64, u32);

/// Root's programs, by their files.
#[derive(Default)]
pub struct Programs {
    names: HashMap<File, Rc<[u8]>>,
    path: String,
}

impl Programs {
    /// Reads more only if `is_student` says so of an effective uid. The real uid, which is dear to
    /// read, may be another one: nobody can be blamed for what is seen here.
    pub fn look(
        &mut self,
        proc: &Proc,
        pids: &[u32],
        is_student: impl Fn(u32) -> bool,
    ) -> Vec<Seen> {
        let mut names = Vec::new();
        let mut files = Vec::new();
        let mut all: Vec<Seen> = Vec::with_capacity(pids.len());
        for (place, pid) in pids.iter().copied().enumerate() {
            let Some((cmdline, uid)) = self.open(proc, pid) else {
                all.push(Seen::Gone);
                continue;
            };
            all.push(Seen::Other);
            if is_student(uid)
                && let Some(name) = self.name_of_roots(proc, pid)
            {
                names.push((place, name));
                files.push((uid, cmdline));
            }
        }
        let uids: Vec<u32> = files.iter().map(|(uid, _)| *uid).collect();
        let told = proc.memory_of_all(files, MOST_ARGV);
        for (((place, name), uid), argv) in names.into_iter().zip(uids).zip(told) {
            // There are none while a program is on its way in.
            if let Some(argv) = argv.filter(|argv| !argv.is_empty()) {
                all[place] = Seen::Roots(uid, name, argv);
            }
        }
        all
    }

    /// Its arguments, still to be read, and its effective uid.
    fn open(&mut self, proc: &Proc, pid: u32) -> Option<(OwnedFd, u32)> {
        let cmdline = proc.open_file(self.path(pid, "cmdline")).ok()?;
        let uid = match fstat(&cmdline).ok()?.st_uid {
            // A process that nobody may look into has root's files in a directory of its own.
            0 => {
                let directory = self.path(pid, "");
                let flags = AtFlags::STATX_DONT_SYNC;
                statx(proc, directory, flags, StatxFlags::UID).ok()?.stx_uid
            }
            uid => uid,
        };
        Some((cmdline, uid))
    }

    /// None when its program is not root's or loads any other, or cannot be seen. What it calls
    /// itself is for the next sample: at its start that is its file's name, a link's to it, or its
    /// script's.
    fn name_of_roots(&mut self, proc: &Proc, pid: u32) -> Option<Rc<[u8]>> {
        let file = roots(proc, self.path(pid, "exe"))?;
        if !self.names.contains_key(&file) {
            if self.names.len() > REMEMBERED {
                self.names.clear();
            }
            let path = proc.link(&self.path).ok()?;
            if roots(proc, &self.path) != Some(file) {
                // It has become another program meanwhile.
                return None;
            }
            let name = path.file_name().unwrap_or_default();
            self.names.insert(file, name.as_encoded_bytes().into());
        }
        let name = self.names.get(&file)?;
        (!is_loader(name)).then(|| Rc::clone(name))
    }

    fn path(&mut self, pid: u32, of: &str) -> &str {
        self.path.clear();
        let _ = write!(self.path, "{pid}/{of}");
        &self.path
    }
}

fn roots(proc: &Proc, exe: &str) -> Option<File> {
    let wanted = StatxFlags::BASIC_STATS | mounts::MOUNT;
    let stat = statx(proc, exe, AtFlags::STATX_DONT_SYNC, wanted).ok()?;
    let file = (
        stat.stx_mnt_id,
        stat.stx_dev_major,
        stat.stx_dev_minor,
        stat.stx_ino,
        stat.stx_ctime.tv_sec,
        stat.stx_ctime.tv_nsec,
    );
    (stat.stx_uid == 0 && proc.is_roots(exe, &stat)).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test starts what it looks at")]
    fn a_program_of_roots_is_seen_as_it_is_and_nobody_elses() {
        let proc = Proc::open().unwrap();
        let own = rustix::process::geteuid().as_raw();
        let mut programs = Programs::default();
        for _ in 0..2 {
            let mut command = Command::new("/usr/bin/sleep");
            let mut child = command.arg("60").stdin(Stdio::null()).spawn().unwrap();
            let is_own = |uid| uid == own;
            let pid = child.id();
            let mut look = |is_student: &dyn Fn(u32) -> bool| {
                let mut all = programs.look(&proc, &[pid, u32::MAX], is_student);
                assert!(matches!(all.pop(), Some(Seen::Gone)));
                all.pop().unwrap()
            };
            // The child has let go of the old program when it comes here, and may lack arguments.
            while matches!(look(&is_own), Seen::Other) {
                std::thread::yield_now();
            }
            match look(&is_own) {
                Seen::Roots(uid, name, argv) => {
                    assert_eq!((uid, &*name), (own, &b"sleep"[..]));
                    assert_eq!(argv, b"/usr/bin/sleep\x0060\0");
                }
                other => panic!("{other:?}"),
            }
            let other = look(&|uid| uid != own);
            assert!(matches!(other, Seen::Other), "{other:?}");
            child.kill().unwrap();
            child.wait().unwrap();
            let gone = look(&|_| true);
            assert!(matches!(gone, Seen::Gone), "{gone:?}");
        }
        assert_eq!(programs.names.len(), 1);
    }
}
