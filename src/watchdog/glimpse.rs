//! A first look at a program that has just started. Nearly all are root's and have no listed word
//! about them; of those nothing more is read.

use std::collections::HashMap;
use std::fmt::Write;

use rustix::fs::{AtFlags, StatxFlags, statx};
use rustix::io::read;

use super::procfs::{MOST_ARGV, Proc};

const REMEMBERED: usize = 4096;

/// A program of root's, in bytes as they are.
#[derive(Debug, Clone, Copy)]
pub struct Glimpse<'a> {
    /// The last part of its file's path.
    pub file: &'a [u8],
    /// What it calls itself.
    pub name: &'a [u8],
    /// Its arguments with a zero after each.
    pub argv: &'a [u8],
}

/// Mount, device, inode, and when it was changed; to be renamed is a change, too.
type File = (u64, u32, u32, u64, i64, u32);

/// Root's programs, by their files.
pub struct Programs {
    names: HashMap<File, Box<[u8]>>,
    path: String,
    name: [u8; 64],
    argv: Box<[u8; MOST_ARGV]>,
}

impl Default for Programs {
    fn default() -> Programs {
        Programs {
            names: HashMap::new(),
            path: String::new(),
            name: [0; 64],
            argv: Box::new([0; MOST_ARGV]),
        }
    }
}

impl Programs {
    /// None when it is not root's, or cannot be seen.
    pub fn glimpse(&mut self, proc: &Proc, pid: u32) -> Option<Glimpse<'_>> {
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
        let opened = proc.open_file(self.path(pid, "comm")).ok()?;
        let name = read(opened, &mut self.name).ok()?;
        let opened = proc.open_file(self.path(pid, "cmdline")).ok()?;
        let argv = read(opened, &mut self.argv[..]).ok()?;
        Some(Glimpse {
            file: self.names.get(&file)?,
            name: self.name[..name].trim_ascii_end(),
            argv: &self.argv[..argv],
        })
    }

    fn path(&mut self, pid: u32, of: &str) -> &str {
        self.path.clear();
        let _ = write!(self.path, "{pid}/{of}");
        &self.path
    }
}

fn roots(proc: &Proc, exe: &str) -> Option<File> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let stat = statx(proc, exe, AtFlags::STATX_DONT_SYNC, wanted).ok()?;
    let file = (
        stat.stx_mnt_id,
        stat.stx_dev_major,
        stat.stx_dev_minor,
        stat.stx_ino,
        stat.stx_ctime.tv_sec,
        stat.stx_ctime.tv_nsec,
    );
    (stat.stx_uid == 0).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_program_of_roots_is_seen_as_it_is_and_nobody_elses() {
        let proc = Proc::open().unwrap();
        let mut programs = Programs::default();
        for _ in 0..2 {
            let mut command = Command::new("/usr/bin/sleep");
            let mut child = command.arg("60").stdin(Stdio::null()).spawn().unwrap();
            // The child has executed its program when this comes back.
            let seen = programs.glimpse(&proc, child.id()).unwrap();
            assert_eq!(seen.file, b"sleep");
            assert_eq!(seen.name, b"sleep");
            assert_eq!(seen.argv, b"/usr/bin/sleep\x0060\0");
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(programs.glimpse(&proc, child.id()).is_none());
        }
        assert_eq!(programs.names.len(), 1);
    }
}
