//! FUSE file systems that the account mounted (sshfs, fuse-overlayfs): their mount points
//! outlive its processes and would stand in the way of every clean-up.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use crate::ports::{Account, Fault};
use crate::safefs::shown;

use super::mountinfo::{self, Row};

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
pub fn find(account: &Account) -> Result<Vec<Mount>, Fault> {
    Ok(made_by(account.uid, mountinfo::read()?))
}

fn made_by(uid: u32, all: Vec<Row>) -> Vec<Mount> {
    let user = format!("user_id={uid}");
    let is_theirs = |row: &Row| {
        row.kind.starts_with("fuse") && row.super_options.split(',').any(|option| option == user)
    };
    let theirs = all.into_iter().filter(is_theirs);
    theirs
        .map(|Row { id, point, .. }| Mount { id, point })
        .collect()
}

/// Takes them off; what still uses one of them loses it at its end. One that is inside another is
/// out of reach even for us, and goes with that.
pub fn remove(account: &Account) -> Result<(), Fault> {
    let mut left = find(account)?;
    while !left.is_empty() {
        let mut first = None;
        for mount in left.iter().rev() {
            if let Err(e) = unmount(mount) {
                let line = format!("cannot unmount {}", shown(&mount.point));
                first.get_or_insert(Fault::retry(line).because(&e));
            }
        }
        let now = find(account)?;
        if let Some(fault) = first.filter(|_| now.len() >= left.len()) {
            return Err(fault);
        }
        left = now;
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
        let row = |kind: &str| {
            let line = format!("77 29 0:50 / /tmp/a rw - {kind} x:/ rw,user_id=2007,group_id=1");
            mountinfo::rows(line.as_bytes())
        };
        let mounts = made_by(2007, row("fuse.sshfs"));
        assert_eq!((mounts[0].id, &*mounts[0].point), (77, Path::new("/tmp/a")));
        assert!(made_by(200, row("fuse.sshfs")).is_empty());
        assert!(made_by(2007, row("tmpfs")).is_empty());
    }
}
