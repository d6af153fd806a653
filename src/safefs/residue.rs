//! What an account left in directories that all accounts share (/tmp, /var/tmp,
//! /dev/shm): finding it, and removing it without touching what is others'.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::safefs::acl::{self, Which};
use crate::safefs::dir::Dir;
use crate::safefs::error::{Cause, Error, Result};
use crate::safefs::look::{Verdict, look};
use crate::safefs::remove::Removed;
use crate::safefs::sys::{self, Kind, Parent, Pinned, Raw, Unlink};
use crate::safefs::walk::{Event, Locked, Show, Walk};

/// Passes over a directory in which something changed during the last one.
const PASSES: usize = 8;

/// Removes everything below `root` that belongs to one of `uids`, in one walk. What
/// others have in a directory of those accounts stays, and the directory becomes
/// root's, so that nothing below `root` is the accounts' afterwards. Their processes
/// must be gone: else `Cause::KeepsFilling` or `Cause::Moved`. Mount points are
/// left alone; uid 0 is refused.
pub fn remove_owned(root: &Dir, uids: &Arc<BTreeSet<u32>>) -> Result<Removed> {
    let fail = |cause| root.error("remove residue in", Path::new(""), cause);
    if uids.contains(&0) {
        return Err(fail(Cause::Protected));
    }
    let mut removed = Removed::default();
    for _ in 0..PASSES {
        if sweep(root, uids, &mut removed)? == Pass::Calm {
            return Ok(removed);
        }
    }
    Err(fail(Cause::KeepsFilling))
}

/// The paths below `root` of what belongs to `uid`, any `limit` of them at most. What `passed_over`
/// says of a path below `root` goes for all below it.
pub fn find_owned(
    root: &Dir,
    uid: u32,
    limit: usize,
    passed_over: &(dyn Fn(&Path) -> bool + Sync),
) -> Result<Vec<PathBuf>> {
    let judge = |path: &Path, pinned: &Pinned| {
        Ok(match passed_over(path) {
            true => Verdict::Skip,
            false if pinned.stat.uid == uid => Verdict::Found,
            false => Verdict::Pass,
        })
    };
    let show = Show::OwnedBy(Arc::new([uid].into()));
    let mut tries = 1;
    loop {
        match look(root, show.clone(), limit, &judge) {
            Err(e) if matches!(e.cause(), Cause::Moved) && tries < PASSES => tries += 1,
            other => return other,
        }
    }
}

/// Accounts whose uid or gid are in these ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowd {
    pub uids: RangeInclusive<u32>,
    pub gids: RangeInclusive<u32>,
}

/// The topmost directories below `root` into which everybody, or one of these accounts by its
/// group or an ACL, may put something. What `passed_over` says of a path goes for all below it.
pub fn find_open(
    root: &Dir,
    crowd: &Crowd,
    passed_over: &(dyn Fn(&Path) -> bool + Sync),
) -> Result<Vec<PathBuf>> {
    let judge = |path: &Path, pinned: &Pinned| {
        Ok(match pinned.stat.kind == Kind::Directory {
            true if passed_over(path) => Verdict::Skip,
            true if may_write(pinned, crowd)? => Verdict::FoundWhole,
            _ => Verdict::Pass,
        })
    };
    look(root, Show::Directories, usize::MAX, &judge)
}

fn may_write(dir: &Pinned, crowd: &Crowd) -> Raw<bool> {
    let mode = dir.stat.mode;
    if mode & 0o002 != 0 || crowd.uids.contains(&dir.stat.uid) {
        return Ok(true);
    }
    // The group's bits are the most that an ACL gives.
    if mode & 0o020 == 0 {
        return Ok(false);
    }
    let writes =
        |(id, perm): &(u32, u16), of: &RangeInclusive<u32>| perm & 0o2 != 0 && of.contains(id);
    Ok(match acl::get(&dir.fd, Which::Access)? {
        None => crowd.gids.contains(&dir.stat.gid),
        Some(acl) => {
            acl.group & 0o2 != 0 && crowd.gids.contains(&dir.stat.gid)
                || acl.users.iter().any(|user| writes(user, &crowd.uids))
                || acl.groups.iter().any(|group| writes(group, &crowd.gids))
        }
    })
}

/// Removes files that a write of ours was making when the process was killed.
pub fn remove_unfinished(root: &Dir) -> Result<()> {
    let mut walk = Walk::new("remove unfinished files", root, Locked::Unlock)?;
    while let Some(event) = walk.next()? {
        if let Event::Entry(name, pinned) = event
            && pinned.stat.kind == Kind::File
            && super::dir::is_unfinished(&name)
        {
            match sys::unlink(walk.dir(), &name, Unlink::File, Parent::Unlock) {
                Err(c) if !c.is(Errno::NOENT) => return Err(walk.error(c)),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Removes from this very directory what a process was writing that is no more.
pub fn remove_abandoned(dir: &Dir) -> Result<()> {
    for entry in dir.entries()? {
        let gone = |pid| test_kill_process(pid) == Err(Errno::SRCH);
        if entry.kind == Kind::File && writer(&entry.name).is_some_and(gone) {
            dir.remove_file(Path::new(&entry.name))?;
        }
    }
    Ok(())
}

/// The process that a temporary name is of.
fn writer(name: &OsStr) -> Option<Pid> {
    let rest = name.to_str()?.strip_prefix(".wod-")?;
    let first = rest.split('-').next();
    let pid = first.filter(|_| super::dir::is_unfinished(name))?;
    Pid::from_raw(i32::from_str_radix(pid, 16).ok()?)
}

/// Whether a pass can be the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Calm,
    Disturbed,
}

fn sweep(root: &Dir, uids: &Arc<BTreeSet<u32>>, removed: &mut Removed) -> Result<Pass> {
    let show = Show::OwnedBy(Arc::clone(uids));
    let mut walk = Walk::showing(show, "remove residue", root, Locked::Fail)?;
    let mut pass = Pass::Calm;
    loop {
        let event = match walk.next() {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(pass),
            Err(e) if matches!(e.cause(), Cause::Moved) => return Ok(Pass::Disturbed),
            Err(e) => return Err(e),
        };
        let swept = match event {
            Event::Entry(name, pinned) if uids.contains(&pinned.stat.uid) => {
                remove_entry(&walk, &name, &pinned, removed)
            }
            Event::Left(name, pinned) if uids.contains(&pinned.stat.uid) => {
                remove_left(&walk, &name, &pinned, uids, removed)
            }
            _ => Ok(Pass::Calm),
        };
        if swept? == Pass::Disturbed {
            pass = Pass::Disturbed;
        }
    }
}

/// An entry of an account; a directory's turn comes when it was left.
fn remove_entry(walk: &Walk, name: &OsStr, pinned: &Pinned, removed: &mut Removed) -> Result<Pass> {
    if pinned.stat.kind == Kind::Directory {
        return Ok(Pass::Calm);
    }
    match sys::unlink(walk.dir(), name, Unlink::File, parent(walk, pinned)) {
        Ok(()) => removed.files += 1,
        Err(c) if c.is(Errno::NOENT) => {}
        Err(c) if c.is(Errno::ISDIR) => return Ok(Pass::Disturbed),
        Err(c) => return Err(walk.error(c)),
    }
    Ok(Pass::Calm)
}

/// A directory of an account whose content was swept.
fn remove_left(
    walk: &Walk,
    name: &OsStr,
    pinned: &Pinned,
    uids: &BTreeSet<u32>,
    removed: &mut Removed,
) -> Result<Pass> {
    let error = |cause: Cause| -> Error { walk.error(cause) };
    match sys::unlink(
        walk.dir(),
        name,
        Unlink::EmptyDirectory,
        parent(walk, pinned),
    ) {
        Ok(()) => removed.dirs += 1,
        Err(c) if c.is(Errno::NOTEMPTY) || c.is(Errno::EXIST) || c.is(Errno::BUSY) => {
            if has_entry_of(pinned, uids).map_err(error)? {
                return Ok(Pass::Disturbed);
            }
            give_to_root(pinned).map_err(error)?;
            removed.kept += 1;
        }
        // Moved or replaced while it was swept.
        Err(c) if c.is(Errno::NOENT) || c.is(Errno::NOTDIR) => return Ok(Pass::Disturbed),
        Err(c) => return Err(error(c)),
    }
    Ok(Pass::Calm)
}

/// Flags of a directory are lifted only where it is the account's own.
fn parent(walk: &Walk, pinned: &Pinned) -> Parent {
    match walk.dir_stat().uid == pinned.stat.uid {
        true => Parent::Unlock,
        false => Parent::Keep,
    }
}

fn has_entry_of(dir: &Pinned, uids: &BTreeSet<u32>) -> Raw<bool> {
    for (name, _) in sys::list_all(&dir.fd)? {
        match sys::try_pin(&dir.fd, Path::new(&name)) {
            Ok(Some(entry)) if uids.contains(&entry.stat.uid) => return Ok(true),
            Ok(_) | Err(Cause::Mount) => {}
            Err(c) => return Err(c),
        }
    }
    Ok(false)
}

/// The directory stays for what others have in it; nothing in its mode or ACL
/// may let the account (or who gets its uid next) change it.
fn give_to_root(dir: &Pinned) -> Raw<()> {
    sys::unlock(dir);
    sys::set_owner(&dir.fd, 0, 0)?;
    acl::set(&dir.fd, Which::Access, None)?;
    acl::set(&dir.fd, Which::Default, None)?;
    sys::set_mode(&dir.fd, dir.stat.mode & 0o1755)
}
