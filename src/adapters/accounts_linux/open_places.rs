//! Where students can leave files beyond the directories that every host has for that: found by
//! looking over the whole host, which takes too long to do it for each seat.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::safefs::Crowd;

use super::machine;

/// A place that was opened up since the last look is found by the first look after this time.
const FRESH: Duration = Duration::from_secs(300);

/// Of a host whose disks hang.
const LONGEST: Duration = Duration::from_secs(60);

pub struct OpenPlaces {
    shared: Arc<Shared>,
}

struct Shared {
    crowd: Crowd,
    /// Searched otherwise, or not at all.
    known: Vec<PathBuf>,
    state: Mutex<State>,
    looked: Condvar,
}

#[derive(Default)]
struct State {
    places: Vec<PathBuf>,
    /// When the last look began.
    at: Option<Instant>,
    looking: bool,
}

impl OpenPlaces {
    pub fn new(crowd: Crowd, known: Vec<PathBuf>) -> OpenPlaces {
        let shared = Shared {
            crowd,
            known,
            state: Mutex::default(),
            looked: Condvar::new(),
        };
        OpenPlaces {
            shared: Arc::new(shared),
        }
    }

    /// Has somebody look when what is known is old: a second or two for 50,000 directories.
    pub fn prepare(&self) {
        self.look(&mut self.shared.state());
    }

    /// As far as known.
    pub fn known(&self) -> Vec<PathBuf> {
        let mut state = self.shared.state();
        self.look(&mut state);
        state.places.clone()
    }

    /// Waits for the look when what is known is old.
    pub fn fresh(&self) -> Vec<PathBuf> {
        let mut state = self.shared.state();
        self.look(&mut state);
        let shared = &self.shared;
        let waited = shared
            .looked
            .wait_timeout_while(state, LONGEST, |state| state.looking);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.places.clone()
    }

    fn look(&self, state: &mut State) {
        if state.looking || state.at.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new().spawn(move || shared.look());
        state.looking = started.is_ok();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let begun = Instant::now();
        let found = machine::open_places(&self.crowd, &self.known);
        let mut state = self.state();
        match found {
            Ok(places) => {
                tracing::debug!(?places, took = ?begun.elapsed(), "open to students");
                state.places = places;
            }
            Err(fault) => tracing::warn!("{}", fault.chain()),
        }
        state.at = Some(begun);
        state.looking = false;
        self.looked.notify_all();
    }
}
