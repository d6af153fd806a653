//! The file of a running program, opened through the kernel's own handle on it: whatever its path
//! leads to by now, this is what runs. Nothing is opened that could keep us waiting.

use std::fs::File;
use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, OFlags, fstat, openat};

use super::procfs::Proc;

pub struct Program {
    pub file: File,
}

impl Program {
    /// None when it is gone, no plain file, or on a file system that somebody's process serves: a
    /// frozen student could not answer.
    pub fn open(proc: &Proc, pid: u32) -> Option<Program> {
        let path = format!("{}/exe", proc.teller(pid));
        let handle = openat(proc, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        if !is_local(proc, pid, &handle)? {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let own = format!("self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&handle));
        let file = openat(proc, own, flags, Mode::empty()).ok()?;
        let kind = FileType::from_raw_mode(fstat(&file).ok()?.st_mode);
        (kind == FileType::RegularFile).then(|| Program { file: file.into() })
    }
}

/// By the mount that it came from, as the process sees it. A memfd is on none that has a name.
fn is_local(proc: &Proc, pid: u32, handle: &impl AsFd) -> Option<bool> {
    let raw = std::os::fd::AsRawFd::as_raw_fd(&handle.as_fd());
    let info = proc.text(&format!("self/fdinfo/{raw}"), 4096).ok()?;
    let info = String::from_utf8_lossy(&info).into_owned();
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    let link = proc.link(&format!("{}/exe", proc.teller(pid))).ok()?;
    if link.to_string_lossy().starts_with("/memfd:") {
        return Some(true);
    }
    let table = format!("{}/mountinfo", proc.teller(pid));
    let table = proc.text(&table, 1 << 20).ok()?;
    let table = String::from_utf8_lossy(&table).into_owned();
    Some(kind_of(&table, mount.trim()).is_some_and(|kind| !is_served(kind)))
}

/// `36 35 98:0 / / rw,noatime shared:1 - ext4 /dev/root rw`
fn kind_of<'a>(table: &'a str, mount: &str) -> Option<&'a str> {
    let line = table
        .lines()
        .find(|line| line.split(' ').next() == Some(mount))?;
    line.split_once(" - ")?.1.split(' ').next()
}

fn is_served(kind: &str) -> bool {
    kind.starts_with("fuse") || kind == "autofs"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_somebody_serves_is_not_opened() {
        let table = "21 1 0:5 / / rw - ext4 /dev/root rw\n\
                     44 21 0:50 / /home/s/m rw - fuse.sshfs host: rw\n\
                     45 21 0:51 / /a\\040-\\040b rw - tmpfs t rw\n";
        assert_eq!(kind_of(table, "21"), Some("ext4"));
        assert_eq!(kind_of(table, "45"), Some("tmpfs"));
        assert!(is_served(kind_of(table, "44").unwrap()));
        assert_eq!(kind_of(table, "4"), None);
    }

    #[test]
    fn our_own_program_is_read() {
        let proc = Proc::open().unwrap();
        let program = Program::open(&proc, std::process::id()).unwrap();
        let mut start = [0; 4];
        (&program.file).read_exact(&mut start).unwrap();
        assert_eq!(&start, b"\x7fELF");
    }
}
