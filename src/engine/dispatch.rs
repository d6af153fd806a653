//! The engine's one loop: what came in, what may run, what became of it.

use std::collections::HashSet;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::domain::{ActionId, Time};
use crate::journal::{self, Event, Stage};
use crate::ports::Fault;

use super::admit::{Listed, Spooled};
use super::lanes::{Claim, Lanes};
use super::worker::Verdict;
use super::{Engine, locked, of_journal};

/// Something for the loop to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poke {
    /// A mail was spooled.
    Spool,
    /// The admin wrote a wish into the journal.
    Journal,
    Worked(ActionId, Verdict),
    Stop,
}

/// Ends [`Engine::run`] from elsewhere.
#[derive(Clone)]
pub struct Stop(Sender<Poke>, Arc<AtomicBool>);

impl Stop {
    /// Running steps are waited for a while; what is not finished goes on at the next start.
    pub fn stop(&self) {
        self.1.store(true, Ordering::SeqCst);
        let _ = self.0.send(Poke::Stop);
    }
}

/// Even without a poke.
const LOOK_AROUND: Duration = Duration::from_secs(5);
/// What a clock may be set back by without anybody having to care.
const CLOCK_SLIPS: Duration = Duration::from_secs(1);
const STUCK: Duration = Duration::from_secs(1);
const PANICKED: Duration = Duration::from_secs(30);
const LAST_STEPS: Duration = Duration::from_secs(10);

struct Job {
    id: ActionId,
    /// The CLEANUP that the action may have to wait for is in the lanes.
    cleaner_here: bool,
}

/// The loop's own things.
pub struct Loop {
    pokes: Receiver<Poke>,
    sender: Sender<Poke>,
    stopping: Arc<AtomicBool>,
}

impl Loop {
    pub fn new() -> (Loop, Stop) {
        let (sender, pokes) = mpsc::channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Stop(sender.clone(), Arc::clone(&stopping));
        let new = Loop {
            pokes,
            sender,
            stopping,
        };
        (new, stop)
    }
}

impl Engine {
    /// Works until it is stopped. `spool` and `wake` are watched for new files.
    pub fn run(self: &Arc<Self>, own: Loop, spool: &Path, wake: &Path) -> Result<(), Fault> {
        watch(spool, wake, own.sender.clone())?;
        if let Err(e) = self.content.pass_files.remove_unfinished() {
            tracing::warn!("an unfinished pass file may be left: {e}");
        }
        let helpers = self.start_housekeeping(&own.stopping);
        let (jobs, workers) = self.start_workers(&own);
        let mut turn = Turn {
            engine: self,
            lanes: Lanes::default(),
            listed: Listed::new(Vec::new()),
            has_news: false,
            running: 0,
            jobs,
            clock: Time::now(),
        };
        turn.look_at_wishes().map_err(|e| of_journal(&e))?;
        turn.keep_safe().map_err(|e| of_journal(&e))?;
        tracing::info!("ready; {} actions to carry on with", turn.lanes.count());
        turn.go_on(&own);
        drop(turn);
        self.bells.ring_all();
        let until = Instant::now() + LAST_STEPS;
        for thread in workers.into_iter().chain(helpers) {
            while !thread.is_finished() && Instant::now() < until {
                thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    fn start_workers(self: &Arc<Self>, own: &Loop) -> (Sender<Job>, Vec<JoinHandle<()>>) {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..self.settings.workers.max(1)).map(|_| {
            let (engine, queue) = (Arc::clone(self), Arc::clone(&queue));
            let (sender, stopping) = (own.sender.clone(), Arc::clone(&own.stopping));
            thread::spawn(move || {
                loop {
                    let job = locked(&queue).recv();
                    let Ok(job) = job else { return };
                    let work = || engine.work(job.id, job.cleaner_here, &stopping);
                    // A panic has been told on stderr; the seat must not wait for ever.
                    let verdict = panic::catch_unwind(AssertUnwindSafe(work))
                        .unwrap_or_else(|_| Verdict::Again(Time::now() + PANICKED));
                    let _ = sender.send(Poke::Worked(job.id, verdict));
                }
            })
        });
        (jobs, threads.collect())
    }
}

struct Turn<'a> {
    engine: &'a Arc<Engine>,
    lanes: Lanes,
    listed: Listed,
    /// The gate does not know yet of all that were admitted.
    has_news: bool,
    running: usize,
    jobs: Sender<Job>,
    /// As it was in the last turn.
    clock: Time,
}

impl Turn<'_> {
    fn go_on(&mut self, own: &Loop) {
        let mut look_at_spool = true;
        loop {
            let mut wait = LOOK_AROUND;
            self.look_at_clock();
            self.look_for_wishes();
            if look_at_spool {
                (look_at_spool, wait) = match self.admit() {
                    Spooled::All => (false, wait),
                    Spooled::More => (true, Duration::ZERO),
                    Spooled::Stuck => (true, STUCK),
                };
            }
            self.start();
            if let Some(at) = self.lanes.next_timer() {
                wait = wait.min(at.since(Time::now()));
            }
            let first = match own.pokes.recv_timeout(wait) {
                Ok(poke) => Some(poke),
                Err(RecvTimeoutError::Timeout) => {
                    look_at_spool = true;
                    None
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            for poke in first.into_iter().chain(own.pokes.try_iter()) {
                match poke {
                    Poke::Spool => look_at_spool = true,
                    // Looked for in each turn anyhow: a command may fail to wake us.
                    Poke::Journal => {}
                    Poke::Worked(id, verdict) => self.worked(id, verdict),
                    Poke::Stop => return,
                }
            }
        }
    }

    /// What is due at a time would wait for that time to come again.
    fn look_at_clock(&mut self) {
        let now = Time::now();
        let back = self.clock.since(now);
        if back > CLOCK_SLIPS {
            tracing::warn!("the clock was set back by {} s", back.as_secs());
            self.lanes.set_back(back);
        }
        self.clock = now;
    }

    fn admit(&mut self) -> Spooled {
        let mut admitted = Vec::new();
        let spooled = self.engine.admit(&mut self.listed, &mut admitted);
        self.has_news |= !admitted.is_empty();
        if self.has_news && self.listed.is_through() {
            self.has_news = false;
            // Not here: a registry may take its time.
            self.engine.bells.gate.ring();
        }
        // An older action that the admin let go on takes its place before newer ones start.
        self.look_for_wishes();
        for (id, claim) in admitted {
            self.lanes.add(id, claim);
        }
        spooled
    }

    fn start(&mut self) {
        while self.running < self.engine.settings.workers.max(1) {
            let Some(id) = self.lanes.start(Time::now()) else {
                return;
            };
            let job = Job {
                id,
                cleaner_here: self.lanes.cleaner_of(id),
            };
            if self.jobs.send(job).is_err() {
                return;
            }
            self.running += 1;
        }
    }

    fn worked(&mut self, id: ActionId, verdict: Verdict) {
        self.running -= 1;
        match verdict {
            Verdict::Over => {
                self.lanes.remove(id);
                self.engine.no_longer_expected(id);
            }
            Verdict::Held => {
                self.lanes.remove(id);
                // The admin may have been faster than this message.
                if let Err(e) = self.take_up_one(id) {
                    tracing::error!(action = %id, "its state cannot be read: {e}");
                }
            }
            Verdict::Again(at) => self.lanes.delay(id, at),
            Verdict::Guarded(at) => self.lanes.guard(id, at),
            Verdict::Interrupted => {}
        }
    }

    fn look_for_wishes(&mut self) {
        let looked = match self.engine.journal.written_elsewhere() {
            Ok(false) => Ok(()),
            Ok(true) => self.look_at_wishes(),
            Err(e) => Err(e),
        };
        if let Err(e) = looked {
            tracing::error!("the admin's wishes cannot be read: {e}");
        }
    }

    /// Actions that the admin wants to go on, or to end; at the start, all that are open.
    fn look_at_wishes(&mut self) -> Result<(), journal::Error> {
        // Before the list: what begins in between is in the lanes already.
        let begun: HashSet<ActionId> = self.engine.journal.begun()?.into_iter().collect();
        for (id, claim) in self.engine.recover()? {
            if !begun.contains(&id) {
                self.take_up_new(id, claim);
            } else if let Err(e) = self.take_up(id, claim) {
                // One that cannot be understood must not keep the others.
                tracing::error!(action = %id, "left alone: {}", of_journal(&e).chain());
            }
        }
        Ok(())
    }

    /// Whether the seats of held actions were safe when the engine stopped is not known. A seat
    /// that has a later action is that one's.
    fn keep_safe(&mut self) -> Result<(), journal::Error> {
        let journal = &self.engine.journal;
        for id in journal.begun()? {
            // One that cannot be understood was told of before, and must not keep the others.
            let Ok(cursor) = journal.follow(id) else {
                continue;
            };
            let row = journal.action(id)?;
            let state = cursor.state;
            let begun = state.next > 0 || state.broken;
            let begun = begun && state.stage == Stage::Held && !state.cancel_asked;
            if begun && !journal.has_successor(&row)? {
                let claim = self.engine.claim(&row.action, row.students);
                self.lanes.add(row.id, claim);
            }
        }
        Ok(())
    }

    fn take_up_one(&mut self, id: ActionId) -> Result<(), journal::Error> {
        let row = self.engine.journal.action(id)?;
        let claim = self.engine.claim(&row.action, row.students);
        self.take_up(id, claim)
    }

    /// Of thousands that wait, as after a storm, most have no event to be read.
    fn take_up_new(&mut self, id: ActionId, claim: Claim) {
        match self.lanes.contains(id) {
            true => self.lanes.hurry(id),
            false => self.lanes.add(id, claim),
        }
    }

    /// Puts an open action where its state says; one that is held waits outside the lanes.
    fn take_up(&mut self, id: ActionId, mut claim: Claim) -> Result<(), journal::Error> {
        let mut cursor = self.engine.journal.follow(id)?;
        let in_lanes = self.lanes.contains(id);
        if cursor.state.next > 0 {
            // Past its guard: nobody may pass it any more.
            claim.awaits = None;
        }
        match cursor.state.stage {
            Stage::Held if cursor.state.cancel_asked => {
                let now = Time::now();
                let event = Event::Cancelled;
                self.engine.journal.record(
                    &mut cursor,
                    &event,
                    now,
                    journal::Durability::Process,
                )?;
                self.engine.no_longer_expected(id);
            }
            // Enrolled when it was begun; before that the seat is still whose it was.
            Stage::Held => self.engine.no_longer_expected(id),
            stage if stage.is_over() => {}
            Stage::Retrying if !in_lanes && !cursor.state.cancel_asked => {
                self.lanes.add(id, claim);
                if let Some(at) = cursor.state.retry {
                    // Later only when the clock was set back since.
                    let failures = cursor.state.failures.saturating_sub(1);
                    let latest = Time::now() + self.engine.settings.retry.delay(failures);
                    self.lanes.delay(id, at.min(latest));
                }
            }
            Stage::Retrying if !cursor.state.cancel_asked => {}
            _ => self.take_up_new(id, claim),
        }
        Ok(())
    }
}

/// A thread that turns new files into pokes.
fn watch(spool: &Path, wake: &Path, sender: Sender<Poke>) -> Result<(), Fault> {
    let unwatched = |e: Errno| Fault::permanent("the spool cannot be watched").because(&e);
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC).map_err(unwatched)?;
    let new = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE;
    let of_spool = inotify
        .add_watch(spool, AddWatchFlags::IN_MOVED_TO)
        .map_err(unwatched)?;
    inotify.add_watch(wake, new).map_err(unwatched)?;
    thread::spawn(move || {
        loop {
            let Ok(events) = inotify.read_events() else {
                // The loop looks around by itself; without events it is only slower.
                tracing::error!("the spool cannot be watched any more");
                return;
            };
            let (spooled, woken) = events
                .iter()
                .fold((false, false), |(spooled, woken), event| {
                    match event.wd == of_spool {
                        true => (true, woken),
                        false => (spooled, true),
                    }
                });
            let pokes = [(spooled, Poke::Spool), (woken, Poke::Journal)];
            for (_, poke) in pokes.into_iter().filter(|(is, _)| *is) {
                if sender.send(poke).is_err() {
                    return;
                }
            }
        }
    });
    Ok(())
}
