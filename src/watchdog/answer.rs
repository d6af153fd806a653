//! From findings to what is done about them: told once in a while and not every second, each seat
//! stopped by one at a time, beside the watching.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::choice::{Case, choose};
use super::finding::{Finding, Level, Rule};
use super::policy::{Policy, Response};
use super::process::ProcessId;
use super::reap::{Hands, one_line};
use super::snapshot::Seat;
use crate::domain::Student;
use crate::journal::Incident;

/// The same is logged again after so long, and written about again after so long.
const LOG_AGAIN: Duration = Duration::from_secs(600);
const WRITE_AGAIN: Duration = Duration::from_secs(3600);

/// Whether answers are carried out, or only said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Act,
    Say,
}

/// What somebody is doing about a student just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Ending,
    /// Nothing of the student was left; what comes later is ended, and is no new incident.
    Cleaning,
}

type Key = (Student, Rule, Level);

pub struct Answers {
    hands: Arc<Hands>,
    mode: Mode,
    busy: Arc<Mutex<HashMap<Student, Phase>>>,
    logged: HashMap<Key, Instant>,
    written: HashMap<Key, Instant>,
    /// Single processes that were ended: what cannot die is no new incident every second.
    ended: HashMap<ProcessId, Instant>,
}

impl Answers {
    pub fn new(hands: Arc<Hands>, mode: Mode) -> Answers {
        Answers {
            hands,
            mode,
            busy: Arc::default(),
            logged: HashMap::new(),
            written: HashMap::new(),
            ended: HashMap::new(),
        }
    }

    /// `seen`: when what was found was first seen.
    pub fn answer(
        &mut self,
        policy: &Policy,
        findings: Vec<Finding>,
        seats: &BTreeMap<Student, Seat>,
        seen: Instant,
    ) {
        for finding in &findings {
            self.tell(finding, policy.response(finding));
        }
        if self.mode == Mode::Say {
            return;
        }
        for (response, case) in choose(policy, findings, seats, seen) {
            if response == Response::StopSeat || self.is_new(&case) {
                self.stop(case, response);
            }
        }
    }

    fn is_new(&mut self, case: &Case) -> bool {
        self.ended.retain(|_, at| at.elapsed() < LOG_AGAIN);
        let mut is_new = false;
        for id in case.processes() {
            is_new |= self.ended.insert(id, Instant::now()).is_none();
        }
        is_new
    }

    fn tell(&mut self, finding: &Finding, response: Response) {
        let key = (finding.student, finding.rule, finding.level);
        if !is_due(&mut self.logged, key, LOG_AGAIN) {
            return;
        }
        self.hands.counters.found(finding);
        let would = match (self.mode, response) {
            (Mode::Say, _) => "would ",
            (Mode::Act, _) => "",
        };
        let line = format!(
            "{} ({}, score {}): {}; {would}{}",
            finding.rule,
            finding.level,
            finding.score,
            one_line(&finding.sentence),
            super::reap::name(response),
        );
        match (response, &finding.allowed) {
            (_, Some(comment)) => tracing::info!("{line}; allowed: {}", one_line(comment)),
            (Response::Log, None) => tracing::info!("{line}"),
            (_, None) => tracing::warn!("{line}"),
        }
        let is_act = self.mode == Mode::Act && response == Response::Alert;
        if is_act && is_due(&mut self.written, key, WRITE_AGAIN) {
            self.write(finding);
        }
    }

    fn write(&self, finding: &Finding) {
        let sentence = one_line(&finding.sentence);
        let seen: Vec<String> = finding.evidence.iter().map(|fact| one_line(fact)).collect();
        let body = format!(
            "{sentence}\n\
             rule      {} ({}, score {})\n\
             seen      {}\n\
             \n\
             Nothing was done about it. Look at the seat; to allow it for a workshop:\n\
             wod watchdog allow {} --workshop WKSHP-... --comment WHY\n",
            finding.rule,
            finding.level,
            finding.score,
            seen.join("\n          "),
            finding.rule,
        );
        self.hands.tell(&format!("SUSPICIOUS: {sentence}"), &body);
    }

    fn stop(&self, case: Case, response: Response) {
        let student = case.student;
        let mut busy = locked(&self.busy);
        let (hands, all) = (Arc::clone(&self.hands), Arc::clone(&self.busy));
        let work: Box<dyn FnOnce() + Send> = match (busy.get(&student), response) {
            (Some(Phase::Ending), _) => return,
            (Some(Phase::Cleaning), _) => Box::new(move || hands.end_again(student)),
            (None, Response::StopSeat) => {
                busy.insert(student, Phase::Ending);
                Box::new(move || {
                    let _done = Done(&all, student);
                    hands.stop_seat(&case, || {
                        locked(&all).insert(student, Phase::Cleaning);
                    });
                })
            }
            (None, _) => {
                busy.insert(student, Phase::Ending);
                Box::new(move || {
                    let _done = Done(&all, student);
                    hands.stop_processes(&case);
                })
            }
        };
        drop(busy);
        start(student, work);
    }

    /// Goes on with what a watchdog that was killed had begun.
    pub fn take_up(&self, incidents: Vec<Incident>) {
        for incident in incidents {
            let student = incident.student;
            if locked(&self.busy).insert(student, Phase::Ending).is_some() {
                // There is another one of the same seat; it ends the same processes.
                continue;
            }
            let (hands, all) = (Arc::clone(&self.hands), Arc::clone(&self.busy));
            start(
                student,
                Box::new(move || {
                    let _done = Done(&all, student);
                    hands.take_up(incident);
                }),
            );
        }
    }

    /// Waits until nothing is being done any more, at most so long.
    pub fn finish(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while !locked(&self.busy).is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Lets go of the student however the work ends.
struct Done<'a>(&'a Mutex<HashMap<Student, Phase>>, Student);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        locked(self.0).remove(&self.1);
    }
}

fn start(student: Student, work: Box<dyn FnOnce() + Send>) {
    let thread = thread::Builder::new().name(format!("stop-{student}"));
    if let Err(e) = thread.spawn(work) {
        tracing::error!("{} cannot be stopped: {e}", student.account());
    }
}

fn is_due(told: &mut HashMap<Key, Instant>, key: Key, again: Duration) -> bool {
    const REMEMBERED: usize = 10_000;
    if told.len() > REMEMBERED {
        told.retain(|_, at| at.elapsed() < again);
    }
    match told.get(&key) {
        Some(at) if at.elapsed() < again => false,
        _ => {
            told.insert(key, Instant::now());
            true
        }
    }
}

fn locked<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
