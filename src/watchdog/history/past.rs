//! What is remembered of one student.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use super::meter::{Meter, Used};
use crate::domain::{Participant, Student, Time};
use crate::watchdog::process::Process;
use crate::watchdog::snapshot::Snapshot;

/// How long an address that a student talked to counts, in milliseconds.
const DESTINATION: u64 = 30_000;
/// More addresses than this are not told apart.
const MOST_DESTINATIONS: usize = 4096;
/// How long counts of processes are kept, in milliseconds, and how many of them.
const CROWD: u64 = 60_000;
const MOST_CROWDS: usize = 128;

#[derive(Debug, Default)]
pub struct Past {
    pub seen_at: u64,
    /// Who has the seat, and since when: what was used before is another session's.
    session: Option<(Option<Participant>, Option<Time>)>,
    meter: Meter,
    session_used: Used,
    destinations: HashMap<IpAddr, u64>,
    crowds: VecDeque<Crowd>,
    /// Since when nobody has the seat.
    pub empty_since: Option<u64>,
}

/// How many processes there were at a time.
#[derive(Debug, Clone, Copy)]
struct Crowd {
    at: u64,
    processes: u32,
    /// Of them new since the time before, or more where the kernel told of more.
    new: u32,
}

impl Past {
    /// `before` is when the last snapshot was taken.
    pub(super) fn observe(
        &mut self,
        snapshot: &Snapshot,
        student: Student,
        processes: &[&Process],
        before: Option<u64>,
    ) {
        self.seen_at = snapshot.at;
        self.seat(snapshot, student);
        self.talk(snapshot.at, processes);
        let is_new = |process: &&&Process| before.is_some_and(|at| process.id.start > at);
        let new = processes.iter().filter(is_new).count();
        let told = snapshot.started.get(&student).copied().unwrap_or(0);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.crowds.push_back(Crowd {
            at: snapshot.at,
            processes: count(processes.len()),
            new: count(new).max(told),
        });
        while self.crowds.len() > MOST_CROWDS
            || self
                .crowds
                .front()
                .is_some_and(|crowd| crowd.at + CROWD < snapshot.at)
        {
            self.crowds.pop_front();
        }
    }

    fn seat(&mut self, snapshot: &Snapshot, student: Student) {
        let Some(seat) = snapshot.seats.get(&student) else {
            // Nobody knows: that is not the same as nobody has it.
            self.empty_since = None;
            return;
        };
        match seat.taken {
            true => self.empty_since = None,
            false => drop(self.empty_since.get_or_insert(snapshot.at)),
        }
        let session = (seat.participant, seat.since);
        if session != (None, None) && self.session != Some(session) {
            if self.session.is_some() {
                self.meter = Meter::default();
                self.session_used = Used::default();
            }
            self.session = Some(session);
        }
    }

    fn talk(&mut self, at: u64, processes: &[&Process]) {
        self.destinations
            .retain(|_, seen| *seen + DESTINATION >= at);
        for peer in processes.iter().flat_map(|process| &process.peers) {
            let ip = peer.ip().to_canonical();
            if !ip.is_loopback()
                && (self.destinations.len() < MOST_DESTINATIONS
                    || self.destinations.contains_key(&ip))
            {
                self.destinations.insert(ip, at);
            }
        }
    }

    pub(super) fn add(&mut self, at: u64, used: super::cpu::Account) {
        self.session_used += used.before;
        self.session_used += used.now;
        self.meter.add(at, used.now);
    }

    /// Milliseconds on processors within the last `span` milliseconds.
    pub fn used_within(&self, at: u64, span: u64) -> Used {
        self.meter.within(at, span)
    }

    /// Since the session began, as far as it was seen.
    pub fn session_used(&self) -> Used {
        self.session_used
    }

    /// Different addresses within the last half minute.
    pub fn destinations(&self) -> usize {
        self.destinations.len()
    }

    /// The fewest processes within the last `span` milliseconds; None when not watched for so long.
    pub fn fewest_processes(&self, at: u64, span: u64) -> Option<u32> {
        let begin = at.saturating_sub(span);
        let first = self.crowds.front()?;
        if first.at > begin {
            return None;
        }
        let recent = self.crowds.iter().filter(|crowd| crowd.at >= begin);
        recent.map(|crowd| crowd.processes).min()
    }

    /// New processes within the last `span` milliseconds.
    pub fn new_processes(&self, at: u64, span: u64) -> u32 {
        let begin = at.saturating_sub(span);
        let recent = self.crowds.iter().filter(|crowd| crowd.at > begin);
        recent.fold(0, |sum, crowd| sum.saturating_add(crowd.new))
    }

    pub fn figures(&self) -> usize {
        self.meter.len() + self.destinations.len() + self.crowds.len()
    }
}
