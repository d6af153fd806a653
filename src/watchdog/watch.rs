//! The watching itself: execs as the kernel tells of them, everything once per interval, one thread.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::activity::Activity;
use super::answer::{Answers, Mode};
use super::connector::{Connector, Heard, WAIT};
use super::counters::Counters;
use super::evidence;
use super::finding::Finding;
use super::glimpse::Seen;
use super::history::History;
use super::judge::{Exception, Judge};
use super::pace::{Looks, NAP, Pace};
use super::policy::Policy;
use super::procfs::Proc;
use super::reap::Hands;
use super::sampler::Sampler;
use super::snapshot::{Seat, Snapshot};
use crate::domain::{Student, Time};
use crate::safefs::Dir;

/// Execs that are looked at before anything else gets its turn.
const AT_ONCE: usize = 1024;
/// So many are looked at together: what is found in the first one waits for the last.
const TOGETHER: usize = 64;
const SEATS_AGAIN: Duration = Duration::from_secs(2);
const TELL_AGAIN: Duration = Duration::from_secs(5);
const TIDY_AGAIN: Duration = Duration::from_secs(3600);
/// How long answers that are on their way may take at the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives the policy as it is on disk now.
pub type ReadPolicy = Box<dyn Fn() -> Result<Policy, String>>;

pub struct Settings {
    /// WODWATCHINTERVAL
    pub interval: Duration,
    /// How long incidents are kept.
    pub history: Duration,
    pub mode: Mode,
    /// Where the figures go, for `wod watchdog status`.
    pub figures: Option<PathBuf>,
}

/// Set by whoever wants something of a running watch.
#[derive(Debug, Default)]
pub struct Wishes {
    pub stop: AtomicBool,
    pub reload: AtomicBool,
}

pub struct Watch {
    settings: Settings,
    read_policy: ReadPolicy,
    judge: Judge,
    exceptions: Vec<Exception>,
    history: History,
    sampler: Sampler,
    connector: Option<Connector>,
    pace: Pace,
    hands: Arc<Hands>,
    answers: Answers,
    activity: Activity,
    counters: Arc<Counters>,
    proc: Proc,
    seats: BTreeMap<Student, Seat>,
    seats_at: Option<Instant>,
    started: BTreeMap<Student, u32>,
    told_at: Instant,
    tidied_at: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the watchdog's policy cannot be used: {0}")]
    Policy(String),
    #[error("processes cannot be watched")]
    Proc(#[from] io::Error),
}

impl Watch {
    pub fn new(
        settings: Settings,
        hands: Arc<Hands>,
        read_policy: ReadPolicy,
    ) -> Result<Watch, Error> {
        let policy = read_policy().map_err(Error::Policy)?;
        let mut sampler = Sampler::new(hands.uids)?;
        sampler.want_hashes(!policy.lists.sha256.is_empty());
        let exceptions = exceptions(&hands);
        let judge = Judge::new(policy, exceptions.clone());
        let counters = Arc::clone(&hands.counters);
        counters.add(|f| {
            f.pid = std::process::id();
            f.since = Some(Time::now());
        });
        Ok(Watch {
            judge: judge.map_err(|e| Error::Policy(e.to_string()))?,
            answers: Answers::new(Arc::clone(&hands), settings.mode),
            activity: Activity::new(Arc::clone(&hands.hub)),
            proc: Proc::open()?,
            settings,
            read_policy,
            exceptions,
            history: History::default(),
            sampler,
            connector: None,
            pace: Pace::new(Instant::now()),
            hands,
            counters,
            seats: BTreeMap::new(),
            seats_at: None,
            started: BTreeMap::new(),
            told_at: Instant::now(),
            tidied_at: None,
        })
    }

    /// Watches until it is told to stop.
    pub fn run(&mut self, wishes: &Wishes) -> Result<(), Error> {
        self.listen();
        self.take_up();
        self.activity.go_on();
        let mut looks = Looks::new(self.settings.interval, Instant::now());
        while !wishes.stop.load(Ordering::SeqCst) {
            if wishes.reload.swap(false, Ordering::SeqCst) {
                self.reload();
            }
            if self.hear_some(looks.due())? {
                looks.missed();
            }
            if Instant::now() >= looks.due() {
                self.look_at_all()?;
                looks.looked(Instant::now());
            }
        }
        self.answers.finish(PATIENCE);
        self.tell_figures();
        Ok(())
    }

    fn listen(&mut self) {
        match Connector::open() {
            Ok(connector) => {
                self.connector = Some(connector);
                tracing::info!(
                    "watching: each exec as it happens, everything every {:?}",
                    self.settings.interval
                );
            }
            Err(e) => tracing::warn!(
                "the kernel's process connector is not to be had ({e}): what runs shorter than {:?} \
                 may not be seen",
                self.settings.interval
            ),
        }
        let is_there = self.connector.is_some();
        self.counters.add(|f| f.connector = is_there);
    }

    fn take_up(&self) {
        if self.settings.mode == Mode::Say {
            return;
        }
        match self.hands.journal.open_incidents() {
            Ok(open) => self.answers.take_up(open),
            Err(e) => tracing::error!("what was begun before cannot be taken up: {e}"),
        }
    }

    /// A broken policy changes nothing.
    fn reload(&mut self) {
        let fresh = (self.read_policy)().and_then(|policy| {
            Judge::new(policy, self.exceptions.clone()).map_err(|e| e.to_string())
        });
        match fresh {
            Ok(judge) => {
                let wanted = !judge.policy().lists.sha256.is_empty();
                self.sampler.want_hashes(wanted);
                self.judge = judge;
                self.counters.add(|f| f.policy_problem = None);
                tracing::info!("the policy was read anew");
            }
            Err(problem) => {
                tracing::error!("the old policy stays in use; the new one is wrong: {problem}");
                self.counters.add(|f| f.policy_problem = Some(problem));
            }
        }
        self.tell_figures();
    }

    /// Waits for execs until `until`, and looks at those that came. True when some were missed.
    fn hear_some(&mut self, until: Instant) -> io::Result<bool> {
        let pause = until.saturating_duration_since(Instant::now());
        let Some(connector) = &mut self.connector else {
            std::thread::sleep(pause.min(Duration::from_millis(100)));
            return Ok(false);
        };
        let is_crowd = self.pace.is_crowd(Instant::now());
        let (mut heard, most) = if pause < WAIT {
            // What is late already is not to keep all execs waiting.
            (hear_within(connector, pause)?, AT_ONCE)
        } else if is_crowd {
            std::thread::sleep(NAP);
            (connector.hear()?, AT_ONCE)
        } else {
            (connector.wait()?, 1)
        };
        let (mut started, mut missed) = (Vec::new(), false);
        for left in (0..most).rev() {
            match heard {
                Heard::Exec(pid) => {
                    let seen = Instant::now();
                    self.pace.note(seen);
                    started.push((pid, seen));
                }
                Heard::Other => {}
                Heard::Missed(count) => {
                    missed = true;
                    self.counters.add(|f| f.missed += count);
                    tracing::warn!("{count} events were missed; looking at everything");
                }
                Heard::Nothing => break,
            }
            match &mut self.connector {
                Some(connector) if left > 0 => heard = connector.hear()?,
                _ => break,
            }
        }
        for some in started.chunks(TOGETHER) {
            let pids: Vec<u32> = some.iter().map(|(pid, _)| *pid).collect();
            let glances = self.sampler.glance(&pids);
            for ((pid, seen), glance) in some.iter().zip(glances) {
                self.look_at(*pid, *seen, &glance);
            }
        }
        Ok(missed)
    }

    fn look_at(&mut self, pid: u32, seen: Instant, glance: &Seen) {
        let judge = &self.judge;
        let found = self
            .sampler
            .at_exec(pid, glance, |glimpse| judge.is_plain(&glimpse));
        self.counters.add(|f| {
            f.execs += 1;
            f.checked += u64::from(found.is_some());
        });
        let Some((student, snapshot)) = found else {
            return;
        };
        *self.started.entry(student).or_default() += 1;
        if let Some(mut snapshot) = snapshot {
            Sampler::take_seats(&mut snapshot, &self.seats);
            let findings = self.judge.at_exec(&snapshot);
            self.answer(findings, seen);
        }
    }

    /// Everything that runs now, and what the rules say of it.
    fn look_at_all(&mut self) -> io::Result<()> {
        let seen = Instant::now();
        self.ask_for_seats();
        let findings = self.judge_now()?;
        self.answer(findings, seen);
        if self.told_at.elapsed() >= TELL_AGAIN {
            self.tell_figures();
            self.told_at = Instant::now();
        }
        self.tidy();
        Ok(())
    }

    fn judge_now(&mut self) -> io::Result<Vec<Finding>> {
        let started = std::mem::take(&mut self.started);
        let (history, judge) = (&mut self.history, &self.judge);
        let (seats, counters) = (&self.seats, &self.counters);
        self.sampler.sample(|snapshot| {
            snapshot.started = started;
            Sampler::take_seats(snapshot, seats);
            history.observe(snapshot);
            note_sample(counters, snapshot);
            judge.judge(snapshot, history)
        })
    }

    fn answer(&mut self, findings: Vec<Finding>, seen: Instant) {
        if !findings.is_empty() {
            self.answers
                .answer(self.judge.policy(), findings, &self.seats, seen);
        }
    }

    fn ask_for_seats(&mut self) {
        if self.seats_at.is_some_and(|at| at.elapsed() < SEATS_AGAIN) {
            return;
        }
        self.seats_at = Some(Instant::now());
        match (self.hands.seats)() {
            Ok(mut seats) => {
                self.activity.note_in(&mut seats);
                self.seats = seats;
            }
            Err(fault) => tracing::error!("who has which seat is not known: {}", fault.chain()),
        }
        let now = exceptions(&self.hands);
        if now != self.exceptions {
            let policy = self.judge.policy().clone();
            if let Ok(judge) = Judge::new(policy, now.clone()) {
                self.judge = judge;
                self.exceptions = now;
            }
        }
    }

    /// What was over long ago goes, with its evidence.
    fn tidy(&mut self) {
        if self.settings.mode == Mode::Say
            || self.tidied_at.is_some_and(|at| at.elapsed() < TIDY_AGAIN)
        {
            return;
        }
        self.tidied_at = Some(Instant::now());
        let before =
            Time(Time::now().0 - i64::try_from(self.settings.history.as_millis()).unwrap_or(0));
        match self.hands.journal.forget_incidents(before) {
            Ok(gone) => {
                for name in gone {
                    if let Err(e) = evidence::forget(&self.hands.evidence, &name) {
                        tracing::warn!("evidence {name} stays: {e}");
                    }
                }
            }
            Err(e) => tracing::warn!("old incidents stay: {e}"),
        }
    }

    fn tell_figures(&self) {
        let Some(path) = &self.settings.figures else {
            return;
        };
        let stat = self.proc.open_stat(std::process::id()).ok();
        let own = stat.and_then(|file| self.proc.read_stat(file.as_fd()));
        self.counters.add(|f| {
            f.at = Some(Time::now());
            if let Some(own) = own {
                f.cpu_seconds = own.cpu_ms as f64 / 1000.0;
                f.resident_bytes = own.resident;
            }
        });
        let text = serde_json::to_vec(&self.counters.now()).unwrap_or_default();
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        let written = Dir::open_root(dir).and_then(|dir| dir.write(name.as_ref(), &text, 0o600));
        if let Err(e) = written {
            tracing::warn!("the figures in {} stay old: {e}", path.display());
        }
    }

    /// One look for people, and one before it that shows what computes.
    pub fn once(&mut self) -> Result<(Vec<Finding>, Policy), Error> {
        self.activity.ask();
        self.ask_for_seats();
        self.judge_now()?;
        std::thread::sleep(self.settings.interval);
        let findings = self.judge_now()?;
        self.answer(findings.clone(), Instant::now());
        self.answers.finish(PATIENCE * 6);
        Ok((findings, self.judge.policy().clone()))
    }
}

/// One event, if it comes before the pause is over.
fn hear_within(connector: &mut Connector, pause: Duration) -> io::Result<Heard> {
    let timeout = Timespec {
        tv_sec: i64::try_from(pause.as_secs()).unwrap_or(1),
        tv_nsec: pause.subsec_nanos().into(),
    };
    let mut ready = [PollFd::from_borrowed_fd(connector.as_fd(), PollFlags::IN)];
    match poll(&mut ready, Some(&timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(Heard::Nothing),
        Ok(_) => connector.hear(),
        Err(e) => Err(e.into()),
    }
}

fn note_sample(counters: &Counters, snapshot: &Snapshot) {
    let students = snapshot.processes.iter();
    let students = students.filter(|process| snapshot.student(process).is_some());
    let count = students.count() as u64;
    counters.add(|f| {
        f.samples += 1;
        f.processes = count;
    });
}

fn exceptions(hands: &Hands) -> Vec<Exception> {
    let all = hands.journal.allowances().unwrap_or_else(|e| {
        tracing::error!("what is allowed is not known: {e}");
        Vec::new()
    });
    let known = all.into_iter().filter_map(|allowance| {
        Some(Exception {
            rule: allowance.rule.parse().ok()?,
            workshop: allowance.workshop,
            comment: allowance.comment,
            until: allowance.until,
        })
    });
    known.collect()
}
