//! A first look at a program that has just started. Nearly all are root's and have no listed word
//! about them; of those nothing more is read.

use std::collections::HashMap;
use std::fmt::Write;
use std::os::fd::OwnedFd;

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
pub enum Seen<'a> {
    Gone,
    /// Effective uid, and what it runs.
    Roots(u32, Glimpse<'a>),
    /// What has to be looked at closely.
    Other,
}

/// Mount, device, inode, and when it was changed; to be renamed is a change, too.
type File = (u64, u32, u32, u64, i64, u32);

/// Root's programs, by their files.
#[derive(Default)]
pub struct Programs {
    names: HashMap<File, Box<[u8]>>,
    path: String,
    argv: Vec<u8>,
}

impl Programs {
    /// Reads more only if `is_student` says so of its effective uid. Its real uid, which is dear to
    /// read, may be another one: nobody can be blamed for what is seen here.
    pub fn look(&mut self, proc: &Proc, pid: u32, is_student: impl Fn(u32) -> bool) -> Seen<'_> {
        let Ok(cmdline) = proc.open_file(self.path(pid, "cmdline")) else {
            return Seen::Gone;
        };
        let uid = match fstat(&cmdline).map(|stat| stat.st_uid) {
            // A process that nobody may look into has root's files in a directory of its own.
            Ok(0) => {
                let directory = self.path(pid, "");
                let Ok(stat) = statx(proc, directory, AtFlags::STATX_DONT_SYNC, StatxFlags::UID)
                else {
                    return Seen::Gone;
                };
                stat.stx_uid
            }
            Ok(uid) => uid,
            Err(_) => return Seen::Gone,
        };
        let glimpse = is_student(uid).then(|| self.glimpse(proc, pid, uid, cmdline));
        match glimpse.flatten() {
            Some(glimpse) => Seen::Roots(uid, glimpse),
            None => Seen::Other,
        }
    }

    /// None when its program is not root's or loads any other, or cannot be seen. What it calls
    /// itself is for the next sample: at its start that is its file's name, a link's to it, or its
    /// script's.
    fn glimpse(
        &mut self,
        proc: &Proc,
        pid: u32,
        uid: u32,
        cmdline: OwnedFd,
    ) -> Option<Glimpse<'_>> {
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
        let name = self.names.get(&file).filter(|name| !is_loader(name))?;
        let mut room = std::mem::take(&mut self.argv);
        room.resize(MOST_ARGV, 0);
        self.argv = proc.memory_of(uid, cmdline, room)?;
        // There are none while a program is on its way in.
        (!self.argv.is_empty()).then_some(Glimpse {
            file: name,
            argv: &self.argv,
        })
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
            // The child has let go of the old program when it comes here, and may lack arguments.
            while matches!(programs.look(&proc, child.id(), is_own), Seen::Other) {
                std::thread::yield_now();
            }
            match programs.look(&proc, child.id(), is_own) {
                Seen::Roots(uid, glimpse) => {
                    assert_eq!((uid, glimpse.file), (own, &b"sleep"[..]));
                    assert_eq!(glimpse.argv, b"/usr/bin/sleep\x0060\0");
                }
                other => panic!("{other:?}"),
            }
            let other = programs.look(&proc, child.id(), |uid| uid != own);
            assert!(matches!(other, Seen::Other), "{other:?}");
            child.kill().unwrap();
            child.wait().unwrap();
            let gone = programs.look(&proc, child.id(), |_| true);
            assert!(matches!(gone, Seen::Gone), "{gone:?}");
        }
        assert_eq!(programs.names.len(), 1);
    }
}
