//! A walk over everything below a directory with a bounded number of handles,
//! however deep the tree is. It holds each entry before it is shown, so that a
//! caller acts on what it saw, and finds out when a directory was moved away.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use crate::safefs::dir::Dir;
use crate::safefs::error::{Cause, Error, Result};
use crate::safefs::sys::{self, Kind, Pinned, Raw, Stat};

/// Directories above the current one that stay open; those further up are
/// opened again by ".." and must prove to be the same.
const KEEP_OPEN: usize = 32;

/// What the walk came to. For all but `Left`, a directory is entered next unless
/// the caller says `skip`.
#[derive(Debug)]
pub(super) enum Event {
    Entry(OsString, Pinned),
    /// A directory whose content has all been shown.
    Left(OsString, Pinned),
    /// A mount point: nothing is known about it, not even its kind.
    Mount,
}

/// What to do with a directory that its owner made unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locked {
    Fail,
    Unlock,
}

/// Which entries are shown at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Show {
    All,
    /// Looks at nothing else, which is many times faster.
    Directories,
    /// Directories, and of the rest what belongs to one of these uids.
    OwnedBy(Arc<BTreeSet<u32>>),
}

#[derive(Debug)]
struct Frame {
    name: OsString,
    fd: Option<OwnedFd>,
    stat: Stat,
    todo: Vec<OsString>,
}

#[derive(Debug)]
pub(super) struct Walk {
    op: &'static str,
    base: PathBuf,
    locked: Locked,
    show: Show,
    frames: Vec<Frame>,
    enter: Option<(OsString, Pinned)>,
    rel: PathBuf,
    named: bool,
}

impl Walk {
    pub(super) fn new(op: &'static str, dir: &Dir, locked: Locked) -> Result<Walk> {
        Walk::showing(Show::All, op, dir, locked)
    }

    pub(super) fn showing(show: Show, op: &'static str, dir: &Dir, locked: Locked) -> Result<Walk> {
        let mut walk = Walk {
            op,
            base: dir.path().to_owned(),
            locked,
            show,
            frames: Vec::new(),
            enter: None,
            rel: PathBuf::new(),
            named: false,
        };
        let top = sys::pin(dir.fd(), Path::new("."));
        let entered = top.and_then(|pinned| walk.descend(OsString::new(), pinned));
        entered.map_err(|cause| walk.error(cause))?;
        Ok(walk)
    }

    /// The next event, `None` at the end. Fails with `Cause::Moved` when a
    /// directory is no longer where the walk came from.
    pub(super) fn next(&mut self) -> Result<Option<Event>> {
        self.step().map_err(|cause| self.error(cause))
    }

    /// Stays out of the directory that was just shown, and gives it back.
    pub(super) fn skip(&mut self) {
        self.enter = None;
    }

    /// Stays out of the directory that was just shown: what is below it is left to a walk of its
    /// own, which tells the same paths.
    pub(super) fn hand_over(&mut self) -> Option<Walk> {
        let (_, pinned) = self.enter.take()?;
        Some(Walk {
            op: self.op,
            base: self.base.clone(),
            locked: self.locked,
            show: self.show.clone(),
            frames: Vec::new(),
            enter: Some((OsString::new(), pinned)),
            rel: self.rel.clone(),
            named: false,
        })
    }

    /// The directory that holds the entry of the last event.
    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        self.frames
            .last()
            .and_then(|f| f.fd.as_ref())
            .expect("the last frame is open")
            .as_fd()
    }

    /// What that directory looked like when it was entered.
    pub(super) fn dir_stat(&self) -> Stat {
        self.frames.last().expect("the last frame is open").stat
    }

    /// The path of the last event's entry, below the directory of the walk.
    pub(super) fn rel(&self) -> &Path {
        &self.rel
    }

    /// An error about the entry of the last event.
    pub(super) fn error(&self, cause: impl Into<Cause>) -> Error {
        Error::new(self.op, &self.base.join(&self.rel), cause)
    }

    fn step(&mut self) -> Raw<Option<Event>> {
        match self.enter.take() {
            Some((name, pinned)) => self.descend(name, pinned)?,
            None if self.named => {
                self.rel.pop();
            }
            None => {}
        }
        self.named = false;
        while let Some(name) = self.frames.last_mut().and_then(|f| f.todo.pop()) {
            self.rel.push(&name);
            match sys::pin(self.dir(), Path::new(&name)) {
                Ok(pinned) => return Ok(Some(self.shown(name, pinned)?)),
                Err(Cause::Mount) => {
                    self.named = true;
                    return Ok(Some(Event::Mount));
                }
                Err(cause) if cause.is(rustix::io::Errno::NOENT) => {
                    self.rel.pop();
                }
                Err(cause) => return Err(cause),
            }
        }
        self.ascend()
    }

    fn shown(&mut self, name: OsString, pinned: Pinned) -> Raw<Event> {
        self.named = true;
        if pinned.stat.kind == Kind::Directory {
            self.enter = Some((name.clone(), pinned.clone()));
        }
        Ok(Event::Entry(name, pinned))
    }

    fn descend(&mut self, name: OsString, pinned: Pinned) -> Raw<()> {
        let fd = match sys::open_listed(&pinned.fd) {
            Err(cause) if cause.is_locked() && self.locked == Locked::Unlock => {
                sys::unlock(&pinned);
                sys::open_listed(&pinned.fd)?
            }
            other => other?,
        };
        let mut todo = sys::list_wanted(&fd, |name, kind| {
            let directory = kind.is_none_or(|kind| kind == Kind::Directory);
            match &self.show {
                Show::All => true,
                Show::Directories => directory,
                Show::OwnedBy(uids) => directory || sys::is_owned_by(&fd, name, uids),
            }
        })?;
        // The last one is next.
        todo.reverse();
        self.frames.push(Frame {
            name,
            fd: Some(fd),
            stat: pinned.stat,
            todo,
        });
        // The top stays open in any case: it is what the caller gave us.
        if let Some(old) = self
            .frames
            .len()
            .checked_sub(KEEP_OPEN + 1)
            .filter(|&old| old > 0)
        {
            self.frames[old].fd = None;
        }
        Ok(())
    }

    fn ascend(&mut self) -> Raw<Option<Event>> {
        if self.frames.len() < 2 {
            return Ok(None);
        }
        let done = self.frames.pop().expect("two frames");
        let fd = done.fd.expect("the last frame is open");
        let above = self.frames.last_mut().expect("one frame");
        if above.fd.is_none() {
            above.fd = Some(reopen_above(&fd, &above.stat)?);
        }
        self.named = true;
        Ok(Some(Event::Left(
            done.name,
            Pinned {
                fd: Arc::new(fd),
                stat: done.stat,
            },
        )))
    }
}

/// ".." leads wherever the directory is now; a student may have moved it.
fn reopen_above(fd: &OwnedFd, expected: &Stat) -> Raw<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let above = match rustix::fs::openat(fd, "..", flags, Mode::empty()) {
        // It was removed meanwhile, and is nowhere any more.
        Err(rustix::io::Errno::NOENT) => return Err(Cause::Moved),
        above => above?,
    };
    match sys::stat(&above)?.id() == expected.id() {
        true => Ok(above),
        false => Err(Cause::Moved),
    }
}
