//! Carries one action on, from its first unfinished step as far as it goes.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::domain::{ActionId, Participant, Time};
use crate::intake::one_line;
use crate::journal::{self, ActionRow, Cursor, Durability, Event, Stage};
use crate::plan::{Guard, Step, StepKind};
use crate::ports::{Fault, Progress};

use super::retry::{self, Decision};
use super::safety::Safety;
use super::{Engine, alert, facts, locked, of_journal};

/// Where an action stands after a worker has had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Over,
    Held,
    /// Due again then.
    Again(Time),
    /// Waits for a CLEANUP; looks again then at the latest.
    Guarded(Time),
    /// The engine is being stopped.
    Interrupted,
}

/// A journal that cannot be written is not the action's fault: no attempt is counted.
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);
/// How often it is tried again to make the seat of a held action safe.
const SAFETY_PAUSE: Duration = Duration::from_secs(10);
/// How often a guard is looked at while what it waits for is on its way.
const GUARD_PAUSE: Duration = Duration::from_secs(30);

impl Engine {
    pub(super) fn work(&self, id: ActionId, cleaner_here: bool, stopping: &AtomicBool) -> Verdict {
        match self.carry_on(id, cleaner_here, stopping) {
            Ok(verdict) => {
                if matches!(verdict, Verdict::Over | Verdict::Held) {
                    locked(&self.not_yet).remove(&id);
                    locked(&self.given_back).remove(&id);
                }
                verdict
            }
            // The admin's command ended it between two of our looks.
            Err(journal::Error::Illegal { source, .. }) if source.stage.is_over() => Verdict::Over,
            Err(e) => {
                tracing::error!(action = %id, "trying again: {}", of_journal(&e).chain());
                Verdict::Again(Time::now() + JOURNAL_PAUSE)
            }
        }
    }

    fn carry_on(
        &self,
        id: ActionId,
        cleaner_here: bool,
        stopping: &AtomicBool,
    ) -> journal::Result<Verdict> {
        let row = self.journal.action(id)?;
        let mut cursor = self.journal.follow(id)?;
        if cursor.state.stage == Stage::Held && !cursor.state.cancel_asked {
            return Ok(held(&self.make_safe(&row)));
        }
        if cursor.state.plan.is_none() && !cursor.state.cancel_asked {
            if let Some((create, owner)) = self.journal.superseded(&row)? {
                return self.refused_as_late(&row, &mut cursor, create, owner);
            }
            let planned = facts::plan_for(&self.ports, &row.action, row.students);
            let planned = planned.and_then(|plan| self.check_plan(&plan).map(|()| plan));
            match planned {
                Ok(plan) => self.note(&mut cursor, &Event::Planned { plan })?,
                Err(fault) => return self.failed(&row, &mut cursor, None, &fault),
            }
        }
        if cursor.state.next == 0
            && !cursor.state.cancel_asked
            && let Some(at) = self.guarded(&row, &cursor, cleaner_here)
        {
            return Ok(Verdict::Guarded(at));
        }
        loop {
            if cursor.state.cancel_asked {
                // One that has not begun has done nothing to whoever has the seat now.
                if cursor.state.next > 0 || cursor.state.broken {
                    self.make_safe(&row);
                }
                self.note(&mut cursor, &Event::Cancelled)?;
                tracing::info!(action = %id, "cancelled: {}", one_line(&row.action));
                return Ok(Verdict::Over);
            }
            let Some(step) = next_step(&cursor) else {
                self.journal
                    .record(&mut cursor, &Event::Done, Time::now(), Durability::Power)?;
                tracing::info!(action = %id, "done: {}", one_line(&row.action));
                return Ok(Verdict::Over);
            };
            if stopping.load(Ordering::SeqCst) {
                return Ok(Verdict::Interrupted);
            }
            if let Some(verdict) = self.take_step(&row, &mut cursor, &step, stopping)? {
                return Ok(verdict);
            }
        }
    }

    /// Frontends repeat themselves, and do not always keep the order: whoever has the seat now
    /// would pay for it.
    fn refused_as_late(
        &self,
        row: &ActionRow,
        cursor: &mut Cursor,
        create: ActionId,
        owner: Participant,
    ) -> journal::Result<Verdict> {
        let (student, participant) = (row.students.first(), row.action.participant);
        let owner = match owner.is_nobody() {
            true => "nobody's".to_owned(),
            false => format!("participant {owner}'s"),
        };
        let line = format!(
            "student{student} is {owner} since action {create}, no longer participant \
             {participant}'s; to free it all the same, name who has it"
        );
        tracing::warn!(action = %row.id, "refused: {line}");
        self.note(cursor, &Event::Refused { line })?;
        Ok(Verdict::Over)
    }

    /// None when the next step can follow at once.
    fn take_step(
        &self,
        row: &ActionRow,
        cursor: &mut Cursor,
        step: &Step,
        stopping: &AtomicBool,
    ) -> journal::Result<Option<Verdict>> {
        let begun = Instant::now();
        if step.kind() == StepKind::Report {
            self.journal.flush()?;
        }
        let work = || match self.give_back(row, cursor)? {
            Progress::Done => self.run_step(row, cursor, step),
            not_yet => Ok(not_yet),
        };
        let outcome = panic::catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(Fault::retry("a fault in this program; its log says more")));
        let progress = match outcome {
            Ok(progress) => progress,
            Err(fault) if stopping.load(Ordering::SeqCst) => {
                // Whoever stops us may have ended what the step was waiting for, too.
                tracing::info!(action = %row.id, "{step}: interrupted: {}", fault.chain());
                return Ok(Some(Verdict::Interrupted));
            }
            Err(fault) => {
                locked(&self.not_yet).remove(&row.id);
                return self.failed(row, cursor, Some(step), &fault).map(Some);
            }
        };
        if let Progress::NotYet(pause) = progress {
            return self.wait_for(row, cursor, step, pause).map(Some);
        }
        let since = locked(&self.not_yet).remove(&cursor.id);
        let took = since.unwrap_or(begun).elapsed();
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let done = Event::StepDone {
            step: cursor.state.next,
            took,
        };
        self.note(cursor, &done)?;
        Ok(None)
    }

    /// "Not yet" costs no attempt, but it may not go on for ever.
    fn wait_for(
        &self,
        row: &ActionRow,
        cursor: &mut Cursor,
        step: &Step,
        pause: Duration,
    ) -> journal::Result<Verdict> {
        let mut not_yet = locked(&self.not_yet);
        let since = *not_yet.entry(cursor.id).or_insert_with(Instant::now);
        drop(not_yet);
        if since.elapsed() < self.settings.hub_wait {
            return Ok(Verdict::Again(Time::now() + pause));
        }
        locked(&self.not_yet).remove(&cursor.id);
        let seconds = self.settings.hub_wait.as_secs();
        let fault = Fault::retry(format!("{step}: not done after {seconds} s"));
        self.failed(row, cursor, Some(step), &fault)
    }

    fn failed(
        &self,
        row: &ActionRow,
        cursor: &mut Cursor,
        step: Option<&Step>,
        fault: &Fault,
    ) -> journal::Result<Verdict> {
        let doing = step.map_or_else(|| "planning".to_owned(), Step::to_string);
        tracing::warn!(action = %row.id, "{doing}: {}", fault.chain());
        let line = fault.line();
        let now = Time::now();
        let decision = retry::decide(
            &self.settings.retry,
            fault.disposition,
            cursor.state.failures,
        );
        if let Decision::After(delay) = decision {
            let retry = now + delay;
            self.note(cursor, &Event::Failed { line, retry })?;
            return Ok(Verdict::Again(retry));
        }
        let safety = match step {
            None => Safety::Untouched,
            Some(_) => self.make_safe(row),
        };
        let (subject, body) = alert::held(row, &doing, fault, &safety);
        self.journal.hold(cursor, &line, (&subject, &body), now)?;
        self.bells.post.ring();
        tracing::error!(action = %row.id, "held: {doing}: {line}; mend it, then: wod actions retry {}", row.id);
        Ok(held(&safety))
    }

    /// When the action has to look again, if it has to wait for a CLEANUP.
    fn guarded(&self, row: &ActionRow, cursor: &Cursor, cleaner_here: bool) -> Option<Time> {
        let guards = cursor.state.plan.iter().flat_map(|plan| &plan.guards);
        let waits = guards.into_iter().any(|Guard::Cleaned { .. }| {
            // Where the registry cannot say, erasing has to wait, too.
            facts::awaits_cleanup(&self.ports, &row.action, row.students).unwrap_or(true)
        });
        let now = Time::now();
        let longest = self.settings.guard_wait;
        let deadline = row.accepted + longest;
        // When it was accepted later than now, the clock was set back since.
        let in_time = now < deadline && deadline.since(now) <= longest * 2;
        match waits {
            true if cleaner_here => Some(now + GUARD_PAUSE),
            true if in_time => Some(deadline),
            _ => None,
        }
    }

    /// After a hold, what it took from the student although the steps for it are done.
    fn give_back(&self, row: &ActionRow, cursor: &mut Cursor) -> Result<Progress, Fault> {
        let plan = cursor.state.plan.as_ref();
        let Some(plan) = plan.filter(|_| cursor.state.made_safe) else {
            return Ok(Progress::Done);
        };
        if locked(&self.given_back).contains(&row.id) {
            return Ok(Progress::Done);
        }
        for step in plan.taken_by_a_hold(cursor.state.next) {
            if let Progress::NotYet(pause) = self.run_step(row, cursor, &step)? {
                return Ok(Progress::NotYet(pause));
            }
        }
        locked(&self.given_back).insert(row.id);
        Ok(Progress::Done)
    }

    fn note(&self, cursor: &mut Cursor, event: &Event) -> journal::Result<()> {
        self.journal
            .record(cursor, event, Time::now(), Durability::Process)
    }
}

fn next_step(cursor: &Cursor) -> Option<Step> {
    let plan = cursor.state.plan.as_ref()?;
    plan.steps.get(cursor.state.next).cloned()
}

/// Until its seat is safe, a held action keeps it from those that come after.
fn held(safety: &Safety) -> Verdict {
    match safety {
        Safety::NotYet(_) => Verdict::Again(Time::now() + SAFETY_PAUSE),
        Safety::Untouched | Safety::Safe | Safety::Never(_) => Verdict::Held,
    }
}
