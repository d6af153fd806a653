//! Ownership, modes and ACLs of a whole tree, brought to what a student's home
//! is to have. Compares first: a second run touches nothing.

use std::path::Path;

use crate::safefs::acl::{self, Acl, Which};
use crate::safefs::dir::{Dir, refuse_planted};
use crate::safefs::error::{Cause, Result};
use crate::safefs::sys::{self, Kind, Pinned, Raw, Stat};
use crate::safefs::walk::{Event, Locked, Walk};

const OP: &str = "set ownership of";

/// Who is to own a tree. `also` is an account that gets an ACL of its own: rwx
/// on directories, their default too; rw on files, and x where the owner has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    pub uid: u32,
    pub gid: u32,
    pub also: Option<u32>,
}

/// How many entries `own_tree` looked at, the top included, and how many it changed (or would).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owned {
    pub entries: u64,
    pub changed: u64,
}

/// Gives `dir` and everything below it to an account: the owner gets rw (rwx on
/// directories), setuid and setgid and writing by group and others go, others
/// get nothing on `dir` itself, ACLs are exactly those of `Ownership`.
///
/// Nothing is given away that the student cannot have made or been given: a
/// file of someone else with a second name is `Cause::HardLink`, a device
/// `Cause::Device`. Those are left as they are, the rest of the tree is done,
/// and the first of them is the error. Mount points are errors too.
pub fn own_tree(dir: &Dir, to: &Ownership) -> Result<Owned> {
    go_through(dir, to, Act::Mend)
}

/// What `own_tree` would do and fail with; changes nothing, and opens no locked directory.
pub fn look_through(dir: &Dir, to: &Ownership) -> Result<Owned> {
    go_through(dir, to, Act::Look)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Look,
    Mend,
}

fn go_through(dir: &Dir, to: &Ownership, act: Act) -> Result<Owned> {
    let locked = match act {
        Act::Look => Locked::Fail,
        Act::Mend => Locked::Unlock,
    };
    let mut walk = Walk::new(OP, dir, locked)?;
    let mut owned = Owned::default();
    let mut first = None;
    while let Some(event) = walk.next()? {
        let pinned = match event {
            // A directory comes last, when its content is done: nobody gets in before.
            Event::Entry(_, pinned) if pinned.stat.kind == Kind::Directory => continue,
            Event::Entry(_, pinned) | Event::Left(_, pinned) => pinned,
            Event::Mount => {
                first.get_or_insert(walk.error(Cause::Mount));
                continue;
            }
        };
        match own(&pinned, to, Place::Below, act) {
            Ok(change) => owned.count(change),
            Err(cause) => {
                first.get_or_insert(walk.error(cause));
            }
        }
    }
    let top = sys::pin(dir.fd(), Path::new("."));
    let top = top.and_then(|pinned| own(&pinned, to, Place::Top, act));
    owned.count(top.map_err(|cause| dir.error(OP, Path::new(""), cause))?);
    match first {
        Some(error) => Err(error),
        None => Ok(owned),
    }
}

impl Owned {
    fn count(&mut self, change: Change) {
        self.entries += 1;
        self.changed += u64::from(change == Change::Made);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Below,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Made,
}

fn own(pinned: &Pinned, to: &Ownership, place: Place, act: Act) -> Raw<Change> {
    // The walk may have opened a locked directory since it was held.
    let stat = sys::stat(&pinned.fd)?;
    if stat.kind == Kind::Device {
        return Err(Cause::Device);
    }
    refuse_planted(&stat, to.uid)?;
    if act == Act::Look {
        return look(pinned, &stat, to, place);
    }
    match mend(pinned, &stat, to, place) {
        Err(cause) if cause.is_locked() => {
            sys::unlock(pinned);
            mend(pinned, &sys::stat(&pinned.fd)?, to, place)?;
            Ok(Change::Made)
        }
        other => other,
    }
}

/// What `mend` would say.
fn look(pinned: &Pinned, stat: &Stat, to: &Ownership, place: Place) -> Raw<Change> {
    let owned = (stat.uid, stat.gid) == (to.uid, to.gid);
    if !owned || stat.kind == Kind::Link {
        return Ok(if owned { Change::None } else { Change::Made });
    }
    let found = Found::read(pinned, stat)?;
    let wanted = Wanted::of(stat, found.access.as_ref(), to, place);
    let directory = stat.kind == Kind::Directory;
    let right = stat.mode == wanted.mode
        && found.access == wanted.acl
        && found.default == wanted.acl.filter(|_| directory);
    Ok(if right { Change::None } else { Change::Made })
}

fn mend(pinned: &Pinned, stat: &Stat, to: &Ownership, place: Place) -> Raw<Change> {
    let fd = &pinned.fd;
    let mut change = Change::None;
    // What is wanted follows from the ACL as found: a change of owner or mode
    // also changes its mask.
    let found = Found::read(pinned, stat)?;
    if (stat.uid, stat.gid) != (to.uid, to.gid) {
        sys::set_owner(fd, to.uid, to.gid)?;
        change = Change::Made;
    }
    if stat.kind == Kind::Link {
        return Ok(change);
    }
    let wanted = Wanted::of(stat, found.access.as_ref(), to, place);
    if found.access != wanted.acl {
        acl::set(fd, Which::Access, wanted.acl.as_ref())?;
        change = Change::Made;
    }
    // What the ACL did to the mode is part of `wanted.mode`, the special bits are not.
    if sys::stat(fd)?.mode != wanted.mode {
        sys::set_mode(fd, wanted.mode)?;
        change = Change::Made;
    }
    let default = wanted.acl.filter(|_| stat.kind == Kind::Directory);
    if found.default != default {
        acl::set(fd, Which::Default, default.as_ref())?;
        change = Change::Made;
    }
    Ok(change)
}

/// The ACLs an inode has.
struct Found {
    access: Option<Acl>,
    default: Option<Acl>,
}

impl Found {
    fn read(pinned: &Pinned, stat: &Stat) -> Raw<Found> {
        let read = |which| match (stat.kind, which) {
            (Kind::Link, _) => Ok(None),
            (Kind::Directory, _) | (_, Which::Access) => acl::get(&pinned.fd, which),
            _ => Ok(None),
        };
        Ok(Found {
            access: read(Which::Access)?,
            default: read(Which::Default)?,
        })
    }
}

/// The mode an inode is to have (the group bits are the ACL's mask when there is
/// one), and its ACL.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    mode: u32,
    acl: Option<Acl>,
}

impl Wanted {
    fn of(stat: &Stat, acl: Option<&Acl>, to: &Ownership, place: Place) -> Wanted {
        let bits = |shift: u32| (stat.mode >> shift & 0o7) as u16;
        let directory = stat.kind == Kind::Directory;
        let owner = bits(6) | if directory { 0o7 } else { 0o6 };
        let group = acl.map_or(bits(3), |acl| acl.group) & 0o5;
        let other = match place {
            Place::Top => 0,
            Place::Below => bits(0) & 0o5,
        };
        let also = to
            .also
            .filter(|&also| also != to.uid && matches!(stat.kind, Kind::File | Kind::Directory));
        let acl = also.map(|also| {
            let perm = 0o6 | owner & 0o1;
            let users = vec![(also, perm)];
            Acl {
                owner,
                users,
                group,
                groups: Vec::new(),
                mask: Some(group | perm),
                other,
            }
        });
        let middle = acl.as_ref().and_then(|acl| acl.mask).unwrap_or(group);
        let sticky = if directory { stat.mode & 0o1000 } else { 0 };
        let mode = sticky | u32::from(owner) << 6 | u32::from(middle) << 3 | u32::from(other);
        Wanted { mode, acl }
    }
}
