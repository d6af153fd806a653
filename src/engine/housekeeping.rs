//! What goes on beside the actions: emptying the trash, sending mail, telling the intake,
//! taking forgotten passwords off the disk.

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::domain::{Participant, Student, Time};
use crate::ports::{Disposition, Fault};

use super::{Engine, locked};

/// One for each housekeeping thread.
#[derive(Default)]
pub struct Bells {
    pub trash: Bell,
    pub post: Bell,
    pub gate: Bell,
    pub scrub: Bell,
    pub history: Bell,
}

impl Bells {
    pub fn ring_all(&self) {
        let all = [
            &self.trash,
            &self.post,
            &self.gate,
            &self.scrub,
            &self.history,
        ];
        for bell in all {
            bell.ring();
        }
    }
}

/// Wakes a thread before its time.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<u64>,
    ring: Condvar,
}

impl Bell {
    pub fn ring(&self) {
        *locked(&self.rung) += 1;
        self.ring.notify_all();
    }

    /// Waits for a ring that was not `heard` yet; gives back the newest.
    fn wait(&self, heard: u64, longest: Duration) -> u64 {
        let guard = locked(&self.rung);
        let waited = self
            .ring
            .wait_timeout_while(guard, longest, |rung| *rung == heard);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

const TRASH_PERIOD: Duration = Duration::from_secs(60);
const POST_PERIOD: Duration = Duration::from_secs(30);
const GATE_PERIOD: Duration = Duration::from_secs(2);
/// Actions that end within this time have one scrub in common.
const SCRUB_PERIOD: Duration = Duration::from_millis(500);
const HISTORY_PERIOD: Duration = Duration::from_secs(600);
/// Actions that leave the journal at once; others want to write to it meanwhile.
const PRUNED_AT_ONCE: u32 = 20;
const PRUNED_IN_ALL: u32 = 2000;
const ABANDONED: Duration = Duration::from_secs(3600);

type Chore = (Duration, fn(&Engine) -> &Bell, fn(&Engine));

impl Engine {
    pub(super) fn start_housekeeping(
        self: &Arc<Self>,
        stopping: &Arc<AtomicBool>,
    ) -> Vec<JoinHandle<()>> {
        self.publish_gate();
        let chores: [Chore; 5] = [
            (TRASH_PERIOD, |e| &e.bells.trash, Engine::empty_trash),
            (POST_PERIOD, |e| &e.bells.post, Engine::send_letters),
            (GATE_PERIOD, |e| &e.bells.gate, Engine::publish_gate),
            (SCRUB_PERIOD, |e| &e.bells.scrub, Engine::scrub_journal),
            (HISTORY_PERIOD, |e| &e.bells.history, Engine::prune_journal),
        ];
        chores
            .into_iter()
            .map(|(period, bell, chore)| {
                let (engine, stopping) = (Arc::clone(self), Arc::clone(stopping));
                thread::spawn(move || {
                    keep_at(&stopping, bell(&engine), period, || chore(&engine));
                })
            })
            .collect()
    }

    fn empty_trash(&self) {
        if let Err(fault) = self.content.homes.empty_trash(Time::now()) {
            tracing::warn!("{}", fault.chain());
        }
        if let Err(e) = self.spool.sweep_tmp(Time::now(), ABANDONED) {
            tracing::warn!("the spool cannot be swept: {e}");
        }
    }

    fn prune_journal(&self) {
        let kept = self.settings.history;
        let before = Time(0) + Time::now().since(Time(0)).saturating_sub(kept);
        let mut pruned = 0;
        while pruned < PRUNED_IN_ALL {
            match self.prune_some(before) {
                Ok(0) => break,
                Ok(some) => pruned += some,
                Err(fault) => {
                    tracing::warn!("old actions stay in the journal: {}", fault.chain());
                    break;
                }
            }
            thread::yield_now();
        }
        if pruned > 0 {
            tracing::info!("{pruned} actions of before {before} left the journal");
        }
    }

    fn prune_some(&self, before: Time) -> Result<u32, Fault> {
        let of_journal = |e| super::of_journal(&e);
        let ids = self
            .journal
            .outdated(before, PRUNED_AT_ONCE)
            .map_err(of_journal)?;
        // First their logs: without an action nobody would look for its log.
        for id in &ids {
            self.ports.scripts.forget(&id.to_string())?;
        }
        self.journal.prune(&ids).map_err(of_journal)?;
        Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX))
    }

    fn scrub_journal(&self) {
        match self.journal.scrub() {
            Ok(true) => {}
            Ok(false) => tracing::debug!("the journal is being read; scrubbing it later"),
            Err(e) => tracing::warn!("forgotten passwords stay in the journal's log: {e}"),
        }
    }

    /// A mail that cannot be sent stays, and is tried again.
    fn send_letters(&self) {
        let Some(notify) = &self.ports.notify else {
            return;
        };
        let letters = self.journal.letters().unwrap_or_else(|e| {
            tracing::error!("mail to the admin cannot be read: {e}");
            Vec::new()
        });
        for letter in letters {
            let kept = match notify.send(&letter.subject, &letter.body) {
                Ok(()) => self.journal.letter_sent(letter.id),
                Err(fault) => {
                    tracing::warn!("mail to the admin is kept: {}", fault.chain());
                    let kept = self.journal.letter_failed(letter.id);
                    if fault.disposition == Disposition::Retry {
                        // The others would wait for the same server.
                        return;
                    }
                    kept
                }
            };
            if let Err(e) = kept {
                tracing::error!("mail to the admin: {e}");
                return;
            }
        }
    }

    /// The intake's policy, as of now.
    pub fn publish_gate(&self) {
        let begun = Instant::now();
        let _turn = locked(&self.publishing);
        let known = self.ports.registry.workshops().and_then(|workshops| {
            let mut seats = self.ports.registry.seats()?;
            let expected = locked(&self.expected).clone();
            let newcomers: HashMap<Student, Participant> = expected
                .iter()
                .map(|(&participant, &(_, student))| (student, participant))
                .collect();
            // Whoever had a seat that somebody else was promised has it no longer.
            seats.of.retain(|participant, student| {
                newcomers.get(student).is_none_or(|new| new == participant)
            });
            let promised = expected.into_iter();
            seats.of.extend(promised.map(|(p, (_, s))| (p, s)));
            Ok((workshops, seats))
        });
        match known {
            Ok((workshops, seats)) => {
                *locked(&self.shared_appliances) = workshops
                    .iter()
                    .filter(|workshop| workshop.shares_appliance())
                    .map(|workshop| workshop.name.clone())
                    .collect();
                (self.publish)(&workshops, &seats);
            }
            Err(fault) => tracing::warn!("the gate keeps its policy: {}", fault.chain()),
        }
        tracing::trace!("gate published in {:?}", begun.elapsed());
    }
}

/// Now, at each ring and after each period, until we stop; also after a panic, which has been told
/// on stderr: nobody else would do the chore.
fn keep_at(stopping: &AtomicBool, bell: &Bell, period: Duration, chore: impl Fn()) {
    let mut heard = 0;
    while !stopping.load(Ordering::SeqCst) {
        let _ = panic::catch_unwind(AssertUnwindSafe(&chore));
        heard = bell.wait(heard, period);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn a_chore_that_panics_is_done_again() {
        let (stopping, bell, times) = (AtomicBool::new(false), Bell::default(), AtomicU32::new(0));
        keep_at(&stopping, &bell, Duration::from_millis(1), || {
            if times.fetch_add(1, Ordering::SeqCst) == 0 {
                panic!("a fault in this program");
            }
            stopping.store(true, Ordering::SeqCst);
        });
        assert_eq!(times.into_inner(), 2);
    }
}
