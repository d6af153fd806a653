//! From findings to what is done about them: told once in a while and not every second, each seat
//! stopped by one at a time, beside the watching.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::choice::{Case, choose};
use super::finding::{Finding, Level, Rule};
use super::letters::one_line;
use super::policy::{Policy, Response};
use super::process::ProcessId;
use super::reap::Hands;
use super::snapshot::Seat;
use crate::domain::{Student, Time};
use crate::journal::{ALERT, Incident};

/// The same is logged again after so long, and written about again after so long.
const LOG_AGAIN: Duration = Duration::from_secs(600);
const WRITE_AGAIN: Duration = Duration::from_secs(3600);

const REMEMBERED: usize = 10_000;

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

/// Told one after the other, however many there are: evidence takes a while.
#[derive(Default)]
struct Alerts {
    waiting: VecDeque<Alert>,
    is_at_work: bool,
}

enum Alert {
    New(Case),
    /// What a watchdog that was killed had begun.
    Begun(Incident),
}

pub struct Answers {
    hands: Arc<Hands>,
    mode: Mode,
    busy: Arc<Mutex<HashMap<Student, Phase>>>,
    alerts: Arc<Mutex<Alerts>>,
    logged: HashMap<Key, Instant>,
    /// Until when nobody is written to about it again.
    quiet: HashMap<Key, Instant>,
    /// Single processes that were ended: what cannot die is no new incident every second.
    ended: HashMap<ProcessId, Instant>,
}

impl Answers {
    pub fn new(hands: Arc<Hands>, mode: Mode) -> Answers {
        let quiet = match mode {
            Mode::Act => told_before(&hands),
            Mode::Say => HashMap::new(),
        };
        Answers {
            hands,
            mode,
            busy: Arc::default(),
            alerts: Arc::default(),
            logged: HashMap::new(),
            quiet,
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
            let response = policy.response(finding);
            self.log(finding, response);
            if self.is_to_be_told(finding, response) {
                self.alert(Alert::New(Case {
                    student: finding.student,
                    findings: vec![finding.clone()],
                    seat: seats.get(&finding.student).cloned(),
                    seen,
                }));
            }
        }
        if self.mode == Mode::Say {
            return;
        }
        for (response, case) in choose(policy, findings, seats, seen) {
            // What comes while others are being ended is found again.
            let is_ending = locked(&self.busy).get(&case.student) == Some(&Phase::Ending);
            if !is_ending && (response == Response::StopSeat || self.is_new(&case)) {
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

    fn log(&mut self, finding: &Finding, response: Response) {
        let key = key(finding);
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
    }

    fn is_to_be_told(&mut self, finding: &Finding, response: Response) -> bool {
        if self.mode == Mode::Say || response != Response::Alert {
            return false;
        }
        let now = Instant::now();
        if self.quiet.len() > REMEMBERED {
            self.quiet.retain(|_, until| *until > now);
        }
        let until = self.quiet.entry(key(finding)).or_insert(now);
        let is_due = *until <= now;
        if is_due {
            *until = now + WRITE_AGAIN;
        }
        is_due
    }

    fn alert(&self, alert: Alert) {
        let mut alerts = locked(&self.alerts);
        alerts.waiting.push_back(alert);
        if alerts.is_at_work {
            return;
        }
        let (hands, all) = (Arc::clone(&self.hands), Arc::clone(&self.alerts));
        let work = move || {
            let _resting = Resting(&all);
            while let Some(alert) = next(&all) {
                match alert {
                    Alert::New(case) => hands.alert(case),
                    Alert::Begun(incident) => hands.take_up(incident),
                }
            }
        };
        let thread = thread::Builder::new().name("alerts".to_owned());
        match thread.spawn(work) {
            Ok(_) => alerts.is_at_work = true,
            Err(e) => tracing::error!("nobody can be told of alerts just now: {e}"),
        }
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
            if incident.response == ALERT {
                self.alert(Alert::Begun(incident));
                continue;
            }
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
        let is_busy = || !locked(&self.busy).is_empty() || locked(&self.alerts).is_at_work;
        while is_busy() && Instant::now() < deadline {
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

/// The next one; where there is none, the work is over.
fn next(alerts: &Mutex<Alerts>) -> Option<Alert> {
    let mut alerts = locked(alerts);
    let next = alerts.waiting.pop_front();
    alerts.is_at_work = next.is_some();
    next
}

/// However its work ended, another one can be started.
struct Resting<'a>(&'a Mutex<Alerts>);

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            locked(self.0).is_at_work = false;
        }
    }
}

fn key(finding: &Finding) -> Key {
    (finding.student, finding.rule, finding.level)
}

/// What was written about within the hour before this watchdog began.
fn told_before(hands: &Hands) -> HashMap<Key, Instant> {
    let (began, now) = (Instant::now(), Time::now());
    let hour = i64::try_from(WRITE_AGAIN.as_millis()).unwrap_or(0);
    let told = hands.journal.alerts_since(Time(now.0 - hour));
    let told = told.unwrap_or_else(|e| {
        tracing::error!("what was told before is not known: {e}");
        Vec::new()
    });
    let mut quiet = HashMap::new();
    for incident in told {
        // One of the future was told before the clock was set back.
        let Ok(age) = u64::try_from(now.0 - incident.at.0) else {
            continue;
        };
        let until = began + WRITE_AGAIN.saturating_sub(Duration::from_millis(age));
        let findings: Vec<Finding> = serde_json::from_str(&incident.findings).unwrap_or_default();
        quiet.extend(findings.iter().map(|finding| (key(finding), until)));
    }
    quiet
}

fn is_due(told: &mut HashMap<Key, Instant>, key: Key, again: Duration) -> bool {
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
