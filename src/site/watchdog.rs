//! The watchdog of a site: its policy, and what it works with.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::adapters::accounts_linux::StudentUids;
use crate::adapters::registry_local::Shelves;
use crate::domain::WorkshopName;
use crate::intake::spool::Spool;
use crate::inventory::AccountsKind;
use crate::journal::{Journal, Session};
use crate::ports::Fault;
use crate::watchdog::{Counters, Hands, Policy, Seat, SeatsOf};

use super::{Misconfigured, Site, Source};

const POLICY: &str = "watchdog.yml";
/// A policy is lists and limits.
const LARGEST: u64 = 8 << 20;

impl Site {
    /// `watchdog.yml` beside the hosts; without it the product's own policy holds.
    pub fn watchdog_policy(&self, source: &Source) -> Result<Policy, Misconfigured> {
        let path = policy_file(source);
        let told = |line: String| format!("{}: {line}", path.display());
        let wrong = |problems: Vec<String>| Misconfigured::new(source, problems);
        let mut policy = match small_file(&path) {
            Ok(None) => Policy::default(),
            Ok(Some(text)) => Policy::parse(&text)
                .map_err(|all| wrong(all.iter().map(|one| told(one.to_string())).collect()))?,
            Err(e) => return Err(wrong(vec![told(e.to_string())])),
        };
        if let Some(grace) = self.settings.watchdog.grace {
            policy.cpu.grace = grace;
        }
        if let Some(longest) = self.settings.watchdog.longest_session {
            policy.seats.longest = longest;
        }
        Ok(policy)
    }

    /// Which uids are students'. Permanent in a sandbox, where students have no accounts.
    pub fn student_uids(&self) -> Result<StudentUids, Fault> {
        if self.settings.accounts == AccountsKind::Sandbox {
            let line = "WODACCOUNTS is sandbox: students have no accounts to watch";
            return Err(Fault::permanent(line));
        }
        Ok(StudentUids {
            base: self.settings.uid_base,
            students: self.settings.window.0,
        })
    }

    pub fn watchdog_hands(&self, journal: &Arc<Journal>) -> Result<Hands, Fault> {
        let spool = Spool::open(&self.state.spool()).map_err(|e| {
            let at = self.state.spool();
            Fault::permanent(format!("the spool {} cannot be opened", at.display())).because(&e)
        })?;
        self.state.prepare_evidence()?;
        Ok(Hands {
            uids: self.student_uids()?,
            journal: Arc::clone(journal),
            hub: self.hub()?,
            spool,
            seats: self.seats_of(journal)?,
            evidence: self.state.evidence(),
            counters: Arc::new(Counters::default()),
        })
    }

    /// From the journal; minutes on processors from the workshops.
    pub fn seats_of(&self, journal: &Arc<Journal>) -> Result<SeatsOf, Fault> {
        let (journal, shelves) = (Arc::clone(journal), self.shelves()?);
        let longest = self.settings.watchdog.longest_session;
        let limits = Limits::default();
        Ok(Arc::new(move || {
            let sessions = journal
                .sessions()
                .map_err(|e| Fault::retry("the journal cannot be asked for seats").because(&e))?;
            let limits = limits.of(&shelves);
            let seat = |session: Session| {
                let stated = session.workshop.as_ref().and_then(|name| limits.get(name));
                let (minutes, hours) = stated.copied().unwrap_or_default();
                let hours = hours.map(|hours| Duration::from_secs(u64::from(hours) * 3600));
                Seat {
                    taken: session.taken,
                    participant: session.participant,
                    workshop: session.workshop,
                    until: session
                        .since
                        .zip(hours.or(longest))
                        .map(|(from, long)| from + long),
                    since: session.since,
                    last_activity: None,
                    cpu_minutes: minutes,
                }
            };
            let all = sessions.into_iter();
            Ok(all
                .map(|(student, session)| (student, seat(session)))
                .collect())
        }))
    }
}

/// Minutes on processors and hours of a session, by workshop.
type OfWorkshops = BTreeMap<WorkshopName, (Option<u32>, Option<u32>)>;

/// Workshops change seldom, and reading them all takes a while.
#[derive(Default)]
struct Limits(Mutex<Option<(Instant, Arc<OfWorkshops>)>>);

impl Limits {
    fn of(&self, shelves: &Shelves) -> Arc<OfWorkshops> {
        const AGAIN: Duration = Duration::from_secs(60);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((at, known)) if at.elapsed() < AGAIN => Arc::clone(known),
            _ => {
                let fresh = Arc::new(limits(shelves));
                *kept = Some((Instant::now(), Arc::clone(&fresh)));
                fresh
            }
        }
    }
}

/// By workshop; one that cannot be read has none of its own.
fn limits(shelves: &Shelves) -> OfWorkshops {
    let workshops = shelves.list().map_or_else(
        |fault| {
            tracing::error!("what workshops may use is not known: {}", fault.chain());
            Vec::new()
        },
        |(workshops, _)| workshops,
    );
    let all = workshops.into_iter();
    all.map(|w| (w.name, (w.cpu_minutes, w.duration))).collect()
}

fn small_file(path: &Path) -> std::io::Result<Option<String>> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file
            .take(LARGEST)
            .read_to_string(&mut text)
            .map(|_| Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

pub fn policy_file(source: &Source) -> PathBuf {
    match source.inventory.is_dir() {
        true => source.inventory.join(POLICY),
        false => source.inventory.with_file_name(POLICY),
    }
}
