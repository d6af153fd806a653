//! FUSE file systems that the account mounted (sshfs, fuse-overlayfs): their mount points
//! outlive its processes and would stand in the way of every clean-up.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use crate::ports::{Account, Fault};
use crate::safefs::shown;

pub struct Mount {
    id: u64,
    point: PathBuf,
}

impl Mount {
    pub fn line(&self) -> String {
        format!("mount {}", shown(&self.point))
    }
}

/// Innermost last, as the kernel lists them. Of mounts, an ordinary account can only make
/// these (through fusermount); the kernel notes its uid.
pub fn find(account: &Account) -> Vec<Mount> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let table = String::from_utf8_lossy(&table);
    let user = format!("user_id={}", account.uid);
    table
        .lines()
        .filter_map(|line| parse(line, &user))
        .collect()
}

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS … - TYPE SOURCE SUPER-OPTIONS`
fn parse(line: &str, user: &str) -> Option<Mount> {
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    if !kind.next()?.starts_with("fuse") || !kind.nth(1)?.split(',').any(|o| o == user) {
        return None;
    }
    let mut place = place.split(' ');
    Some(Mount {
        id: place.next()?.parse().ok()?,
        point: unescaped(place.nth(3)?),
    })
}

/// `\040` and the like stand for blanks.
pub fn unescaped(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes
            .get(at + 1..at + 4)
            .filter(|_| bytes[at] == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(octal.unwrap_or(bytes[at]));
        at += if octal.is_some() { 4 } else { 1 };
    }
    std::ffi::OsString::from_vec(plain).into()
}

/// Takes them off, innermost first; what still uses one of them loses it at its end.
pub fn remove(account: &Account) -> Result<(), Fault> {
    for mount in find(account).iter().rev() {
        unmount(mount).map_err(|e| {
            Fault::retry(format!("cannot unmount {}", shown(&mount.point))).because(&e)
        })?;
    }
    Ok(())
}

/// The path is in the hands of students: it may lead elsewhere by now, so the mount is held
/// without following a link and told by its id before it is taken off.
fn unmount(mount: &Mount) -> std::io::Result<()> {
    let held = hold(&mount.point)?;
    match mount_id(&held) {
        Some(id) if id == mount.id => {
            let path = format!("/proc/self/fd/{}", held.as_raw_fd());
            Ok(umount2(Path::new(&path), MntFlags::MNT_DETACH)?)
        }
        _ => Err(std::io::Error::other("its mount point was moved")),
    }
}

fn hold(path: &Path) -> std::io::Result<OwnedFd> {
    Ok(openat2(
        CWD,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )?)
}

fn mount_id(fd: &OwnedFd) -> Option<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_accounts_own_fuse_mounts_count() {
        let line =
            "77 29 0:50 / /tmp/a\\040b rw,nosuid - fuse.sshfs x:/ rw,user_id=2007,group_id=1";
        let mount = parse(line, "user_id=2007").unwrap();
        assert_eq!((mount.id, mount.point), (77, PathBuf::from("/tmp/a b")));
        assert!(parse(line, "user_id=200").is_none());
        let other = "78 29 0:51 / /tmp/c rw - tmpfs tmpfs rw,user_id=2007";
        assert!(parse(other, "user_id=2007").is_none());
    }
}
