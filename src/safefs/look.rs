//! A look at everything below a directory, by several threads when there is much of it. Holds
//! what it judges like any walk, opens no locked directory, changes nothing.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::safefs::dir::Dir;
use crate::safefs::error::{Error, Result};
use crate::safefs::sys::{Kind, Pinned, Raw};
use crate::safefs::walk::{Event, Locked, Show, Walk};

/// Directories that one thread looks at before others are worth their start.
const ALONE: usize = 300;

/// More threads wait for the disk and for each other, and the host has other work.
const MOST_THREADS: usize = 4;

/// Walks that wait for a thread, and with that handles that wait.
const WAITING: usize = 8;

/// What is thought of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Only what is below it counts.
    Pass,
    Found,
    /// Found, with all that is below it.
    FoundWhole,
    /// Nothing below it counts either.
    Skip,
}

/// Judges an entry, whose path is told from the top of the look.
pub(super) type Judge<'a> = dyn Fn(&Path, &Pinned) -> Raw<Verdict> + Sync + 'a;

/// What was found below `top`, sorted; any `limit` of it when there is more. Fails with
/// `Cause::Moved` when a directory was moved away under the look.
pub(super) fn look(top: &Dir, show: Show, limit: usize, judge: &Judge<'_>) -> Result<Vec<PathBuf>> {
    let look = Look {
        judge,
        limit,
        room: AtomicUsize::new(0),
        stopped: AtomicBool::new(limit == 0),
        state: Mutex::default(),
        news: Condvar::new(),
    };
    let mut first = Walk::showing(show, "search", top, Locked::Fail)?;
    if look.go_on(&mut first, ALONE)? == Progress::Paused {
        look.go_on_together(first);
    }
    let state = look.state.into_inner();
    let state = state.unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = state.error {
        return Err(error);
    }
    let mut found = state.found;
    found.sort();
    Ok(found)
}

struct Look<'a> {
    judge: &'a Judge<'a>,
    limit: usize,
    /// How many more walks may wait.
    room: AtomicUsize,
    stopped: AtomicBool,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Walk>,
    /// Threads that are at work, and may hand over more.
    busy: usize,
    found: Vec<PathBuf>,
    error: Option<Error>,
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Paused,
    Over,
}

impl Look<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.news.notify_all();
    }

    /// Each thread goes on with a walk of its own, and hands directories over while others wait.
    fn go_on_together(&self, first: Walk) {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        self.state().waiting.push_back(first);
        thread::scope(|scope| {
            for _ in 1..threads.min(MOST_THREADS) {
                let started = thread::Builder::new().spawn_scoped(scope, || self.work());
                if started.is_ok() {
                    self.room.store(WAITING, Ordering::Relaxed);
                }
            }
            self.work();
        });
    }

    fn work(&self) {
        while let Some(mut walk) = self.next() {
            let done = self.go_on(&mut walk, usize::MAX);
            let mut state = self.state();
            state.busy -= 1;
            if let Err(error) = done {
                state.error.get_or_insert(error);
                self.stop();
            } else if state.busy == 0 && state.waiting.is_empty() {
                self.news.notify_all();
            }
        }
    }

    fn next(&self) -> Option<Walk> {
        let mut state = self.state();
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return None;
            }
            // The oldest has the most below it.
            if let Some(walk) = state.waiting.pop_front() {
                state.busy += 1;
                self.room.fetch_add(1, Ordering::Relaxed);
                return Some(walk);
            }
            if state.busy == 0 {
                return None;
            }
            let news = self.news.wait(state);
            state = news.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Until the walk is over, or has come to so many directories.
    fn go_on(&self, walk: &mut Walk, directories: usize) -> Result<Progress> {
        let mut left = directories;
        while left > 0 {
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(Progress::Over);
            }
            match walk.next() {
                Ok(Some(Event::Entry(_, pinned))) => {
                    self.entry(walk, &pinned)?;
                    left -= usize::from(pinned.stat.kind == Kind::Directory);
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Progress::Over),
                // A directory that was removed before it could be entered.
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Progress::Paused)
    }

    fn entry(&self, walk: &mut Walk, pinned: &Pinned) -> Result<()> {
        let verdict = (self.judge)(walk.rel(), pinned).map_err(|cause| walk.error(cause))?;
        if matches!(verdict, Verdict::Found | Verdict::FoundWhole) {
            self.found(walk.rel());
        }
        if matches!(verdict, Verdict::FoundWhole | Verdict::Skip) {
            walk.skip();
        } else if self.has_room()
            && let Some(below) = walk.hand_over()
        {
            self.state().waiting.push_back(below);
            self.news.notify_one();
        }
        Ok(())
    }

    fn found(&self, path: &Path) {
        let mut state = self.state();
        if state.found.len() < self.limit {
            state.found.push(path.to_owned());
        }
        if state.found.len() >= self.limit {
            self.stop();
        }
    }

    /// Takes a place among those that wait.
    fn has_room(&self) -> bool {
        let less = |room: usize| room.checked_sub(1);
        let order = Ordering::Relaxed;
        self.room.fetch_update(order, order, less).is_ok()
    }
}
