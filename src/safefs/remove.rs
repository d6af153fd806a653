//! Complete removal of a tree, whatever its owner did to it. Directories found
//! inside are moved up to its top, so two handles do for any depth; a live
//! student can slow this down, not send it elsewhere.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{IFlags, RenameFlags};
use rustix::io::Errno;

use crate::safefs::dir::{Dir, single, temp_name};
use crate::safefs::error::{Cause, Result};
use crate::safefs::sys::{self, Batch, Kind, Parent, Pinned, Raw, Unlink};

/// How often a directory that was emptied may be found with entries again.
const REFILLS: usize = 16;

/// Names that are read before they are removed: bounds memory, not work.
const BATCH: usize = 8192;

/// No quota lets a student have so many entries; this many were made while we
/// removed them.
const MOST: u64 = 50_000_000;

/// How much was removed: `files` are all that is no directory; `kept` counts
/// directories that `remove_owned` gave to root for what others have in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    pub files: u64,
    pub dirs: u64,
    pub kept: u64,
}

/// Removes `name` and everything below it; it may be missing. Lifts immutable
/// and append-only flags and opens locked directories. Does not follow links;
/// fails with `Cause::Mount` at a mount point and with `Cause::KeepsFilling` when
/// someone is still writing.
pub fn remove_tree(parent: &Dir, name: &OsStr) -> Result<Removed> {
    let mut done = Removed::default();
    let mut run = || -> Raw<()> {
        let name = single(name)?;
        for _ in 0..REFILLS {
            if remove_once(parent.fd(), name, &mut done)? == Outcome::Gone {
                return Ok(());
            }
        }
        Err(Cause::KeepsFilling)
    };
    run().map_err(|c| parent.error("remove tree", Path::new(name), c))?;
    Ok(done)
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Gone,
    Refilled,
}

fn remove_once(parent: BorrowedFd<'_>, name: &OsStr, done: &mut Removed) -> Raw<Outcome> {
    let Some(pinned) = sys::try_pin(parent, Path::new(name))? else {
        return Ok(Outcome::Gone);
    };
    if pinned.stat.kind != Kind::Directory {
        return unlink(parent, name, Parent::Keep, done);
    }
    sys::unlock(&pinned);
    let top = sys::open_listed(&pinned.fd)?;
    Clearing {
        top: top.as_fd(),
        waiting: VecDeque::new(),
        stalled: 0,
        done,
    }
    .run()?;
    rmdir(parent, name, Parent::Keep, done)
}

/// A directory that is being emptied.
struct Clearing<'a> {
    top: BorrowedFd<'a>,
    /// Names in `top` of directories that are still to be removed.
    waiting: VecDeque<OsString>,
    /// How many of them were put off in a row for want of space.
    stalled: usize,
    done: &'a mut Removed,
}

impl Clearing<'_> {
    fn run(&mut self) -> Raw<()> {
        let mut refills = 0;
        loop {
            let (names, batch) = sys::list(self.top, BATCH)?;
            if names.is_empty() {
                return Ok(());
            }
            refills += usize::from(batch == Batch::Whole);
            if refills > REFILLS || self.done.files + self.done.dirs > MOST {
                return Err(Cause::KeepsFilling);
            }
            for (name, kind) in names {
                if !self.remove_file(self.top, &name, kind)? {
                    self.waiting.push_back(name);
                }
            }
            // The latest first: a deep tree then keeps `top` small.
            while let Some(name) = self.waiting.pop_back() {
                self.remove_waiting(name)?;
            }
        }
    }

    fn remove_waiting(&mut self, name: OsString) -> Raw<()> {
        match self.remove_dir(&name) {
            Ok(()) => self.stalled = 0,
            // Moving up takes room in `top`; what is removed meanwhile makes some.
            Err(c) if c.is_no_space() || c.is(Errno::MLINK) => {
                self.stalled += 1;
                if self.stalled > self.waiting.len() {
                    return Err(c);
                }
                self.waiting.push_front(name);
            }
            Err(c) => return Err(c),
        }
        Ok(())
    }

    /// Empties one directory in `top`, moving those inside it up, and removes it.
    fn remove_dir(&mut self, name: &OsStr) -> Raw<()> {
        if rmdir(self.top, name, Parent::Unlock, self.done)? == Outcome::Gone {
            return Ok(());
        }
        let Some(pinned) = sys::try_pin(self.top, Path::new(name))? else {
            return Ok(());
        };
        let dir = open_unlocked(&pinned)?;
        let mut refills = 0;
        while refills < REFILLS && self.done.files + self.done.dirs <= MOST {
            let (names, batch) = sys::list(&dir, BATCH)?;
            refills += usize::from(batch == Batch::Whole);
            for (entry, kind) in names {
                if !self.remove_file(dir.as_fd(), &entry, kind)? {
                    self.remove_or_move_up(dir.as_fd(), &entry)?;
                }
            }
            if rmdir(self.top, name, Parent::Unlock, self.done)? == Outcome::Gone {
                return Ok(());
            }
        }
        Err(Cause::KeepsFilling)
    }

    /// False when the entry is a directory.
    fn remove_file(&mut self, dir: BorrowedFd<'_>, name: &OsStr, kind: Option<Kind>) -> Raw<bool> {
        if kind == Some(Kind::Directory) {
            return Ok(false);
        }
        Ok(unlink(dir, name, Parent::Unlock, self.done)? == Outcome::Gone)
    }

    fn remove_or_move_up(&mut self, dir: BorrowedFd<'_>, name: &OsStr) -> Raw<()> {
        if rmdir(dir, name, Parent::Unlock, self.done)? == Outcome::Gone {
            return Ok(());
        }
        let up = temp_name();
        let attempt = || sys::rename(dir, name, self.top, &up, RenameFlags::NOREPLACE);
        let moved = match attempt() {
            // Quota projects: a directory may only take in what is of its own.
            Err(c) if c.is(Errno::XDEV) => {
                let top = sys::pin(self.top, Path::new("."))?;
                sys::lift(&top, IFlags::PROJECT_INHERIT);
                attempt()
            }
            other => other,
        };
        match moved {
            Ok(()) => self.waiting.push_back(up),
            Err(c) if c.is(Errno::NOENT) => {}
            Err(c) if c.is(Errno::BUSY) => return Err(Cause::Mount),
            Err(c) => return Err(c),
        }
        Ok(())
    }
}

fn open_unlocked(pinned: &Pinned) -> Raw<OwnedFd> {
    if pinned.stat.kind != Kind::Directory {
        return Err(Cause::Moved);
    }
    sys::unlock(pinned);
    sys::open_listed(&pinned.fd)
}

/// `Refilled` when there is a directory under the name by now.
fn unlink(dir: BorrowedFd<'_>, name: &OsStr, parent: Parent, done: &mut Removed) -> Raw<Outcome> {
    match sys::unlink(dir, name, Unlink::File, parent) {
        Ok(()) => done.files += 1,
        Err(c) if c.is(Errno::NOENT) => {}
        Err(c) if c.is(Errno::ISDIR) => return Ok(Outcome::Refilled),
        Err(c) if c.is(Errno::BUSY) => return Err(Cause::Mount),
        Err(c) => return Err(c),
    }
    Ok(Outcome::Gone)
}

/// `Refilled` when the directory has entries, or is none by now.
fn rmdir(dir: BorrowedFd<'_>, name: &OsStr, parent: Parent, done: &mut Removed) -> Raw<Outcome> {
    match sys::unlink(dir, name, Unlink::EmptyDirectory, parent) {
        Ok(()) => done.dirs += 1,
        Err(c) if c.is(Errno::NOENT) => {}
        Err(c) if c.is(Errno::NOTEMPTY) || c.is(Errno::EXIST) || c.is(Errno::NOTDIR) => {
            return Ok(Outcome::Refilled);
        }
        Err(c) if c.is(Errno::BUSY) => return Err(Cause::Mount),
        Err(c) => return Err(c),
    }
    Ok(Outcome::Gone)
}
