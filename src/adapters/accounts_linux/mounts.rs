//! FUSE file systems that the account mounted (sshfs, fuse-overlayfs): their mount points
//! outlive its processes and would stand in the way of every clean-up.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use crate::ports::{Account, Fault};
use crate::safefs::shown;

use super::mountinfo::{Row, Table};

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
pub fn find(table: &Table, accounts: &[Account]) -> Result<Vec<Mount>, Fault> {
    Ok(made_by(accounts, &table.rows()?))
}

fn made_by(accounts: &[Account], all: &[Row]) -> Vec<Mount> {
    let is_theirs = |row: &&Row| {
        let by = maker(row);
        by.is_some_and(|uid| accounts.iter().any(|account| account.uid == uid))
    };
    let theirs = all.iter().filter(is_theirs);
    theirs
        .map(|row| Mount {
            id: row.id,
            point: row.point.clone(),
        })
        .collect()
}

fn maker(row: &Row) -> Option<u32> {
    let mut options = row.super_options.split(',');
    let user = options.find_map(|option| option.strip_prefix("user_id="))?;
    user.parse().ok().filter(|_| row.kind.starts_with("fuse"))
}

/// Takes them off; what still uses one of them loses it at its end. One that is inside another is
/// out of reach even for us, and goes with that.
pub fn remove(table: &Table, accounts: &[Account]) -> Result<(), Fault> {
    let mut left = find(table, accounts)?;
    while !left.is_empty() {
        let mut first = None;
        for mount in left.iter().rev() {
            if let Err(e) = unmount(mount) {
                let line = format!("cannot unmount {}", shown(&mount.point));
                first.get_or_insert(Fault::retry(line).because(&e));
            }
        }
        let now = find(table, accounts)?;
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
    use super::super::mountinfo;
    use super::*;

    #[test]
    fn only_the_accounts_own_fuse_mounts_count() {
        let row = |kind: &str| {
            let line = format!("77 29 0:50 / /tmp/a rw - {kind} x:/ rw,user_id=2007,group_id=1");
            mountinfo::rows(line.as_bytes())
        };
        let account = |uid: u32| Account {
            name: format!("student{}", uid - 2000),
            uid,
            gid: uid,
        };
        let made_by = |uid, rows: Vec<Row>| made_by(&[account(2001), account(uid)], &rows);
        let mounts = made_by(2007, row("fuse.sshfs"));
        assert_eq!((mounts[0].id, &*mounts[0].point), (77, Path::new("/tmp/a")));
        assert!(made_by(20_070, row("fuse.sshfs")).is_empty());
        assert!(made_by(2007, row("tmpfs")).is_empty());
    }
}
