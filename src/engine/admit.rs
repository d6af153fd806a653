//! From the spool into the journal. Nothing in the spool is trusted: all is checked again.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::signature::Demand;
use crate::domain::{
    Action, ActionId, Participant, Seat, Student, StudentRange, Time, Verb, WorkshopName,
};
use crate::intake::one_line;
use crate::intake::proof::proven;
use crate::intake::spool::{Name, Record, Route, Unusable};
use crate::journal::{self, Accepted, Origin};
use crate::ports::Fault;

use super::lanes::Claim;
use super::{Engine, locked, of_journal};

/// How many are looked up at once: to list the spool takes the longer the more are in it.
const LISTED: usize = 128;
/// How many are taken before the lanes get their turn, or in a storm the workers would do nothing.
const AT_ONCE: usize = 8;

/// Whether the spool may hold more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spooled {
    All,
    /// Come back at once.
    More,
    /// Something failed that may pass; come back a little later.
    Stuck,
}

/// What was listed of the spool and is not taken yet.
#[derive(Debug)]
pub struct Listed {
    names: VecDeque<Name>,
    at_the_end: Spooled,
}

impl Listed {
    pub fn new(names: Vec<Name>) -> Listed {
        // What came while these were taken was told of while nobody listed: only an empty list is
        // the end.
        let at_the_end = match names.is_empty() {
            true => Spooled::All,
            false => Spooled::More,
        };
        Listed {
            names: names.into(),
            at_the_end,
        }
    }

    pub fn is_through(&self) -> bool {
        self.names.is_empty()
    }
}

impl Engine {
    /// Takes in some of what waits in the spool. A file is removed only when the journal has it
    /// for good.
    pub(super) fn admit(
        &self,
        listed: &mut Listed,
        admitted: &mut Vec<(ActionId, Claim)>,
    ) -> Spooled {
        if listed.is_through() {
            match self.spool.pending(LISTED) {
                Ok(names) => *listed = Listed::new(names),
                Err(e) => {
                    tracing::error!("the spool cannot be read: {e}");
                    return Spooled::Stuck;
                }
            }
        }
        let first = listed.names.len().min(AT_ONCE);
        for name in listed.names.drain(..first) {
            if let Err(problem) = self.admit_one(&name, admitted) {
                tracing::error!("spooled mail {name} has to wait: {}", problem.chain());
                listed.at_the_end = Spooled::Stuck;
            }
        }
        match listed.is_through() {
            true => listed.at_the_end,
            false => Spooled::More,
        }
    }

    fn admit_one(&self, name: &Name, admitted: &mut Vec<(ActionId, Claim)>) -> Result<(), Fault> {
        let (mut record, arrived) = match self.spool.read_dated(name) {
            Ok(read) => read,
            Err(Unusable::Gone) => return Ok(()),
            Err(Unusable::Bad(why)) => {
                tracing::warn!("spooled file {name} {why}; it is put aside in the spool's bad");
                return self.spool.quarantine(name).map_err(|e| of_spool(&e));
            }
            Err(e) => return Err(of_spool(&e)),
        };
        let now = Time::now();
        let resolved = match self.proven(&record, arrived)? {
            Ok(action) => {
                record.action = action;
                let resolved = self.resolve(&record.action)?;
                match self.banned(&record.action)? {
                    Some(line) => Err(line),
                    None => resolved.and_then(|students| self.in_window(students)),
                }
            }
            Err(line) => {
                // Or the mail that really has this id would be a duplicate of a forged one, and
                // this one of a good one.
                record.message_id = Some(format!("forged {name}"));
                Err(line)
            }
        };
        let students = match (&resolved, record.action.seat) {
            (Ok(students), _) => *students,
            (Err(_), Seat::Students(students)) => students,
            (Err(_), Seat::OfParticipant) => self.settings.window.0,
        };
        let refusal = resolved.as_ref().err().map(String::as_str);
        let accepted = self
            .accept(name, &record, students, refusal, now)
            .map_err(|e| of_journal(&e))?;
        match (accepted, resolved) {
            (Accepted::Duplicate(id), _) => {
                tracing::info!(action = %id, "duplicate: {}", one_line(&record.action));
            }
            (Accepted::New(id), Ok(students)) => {
                tracing::info!(action = %id, "accepted: {}", one_line(&record.action));
                self.expect(id, &record.action, students);
                admitted.push((id, self.claim(&record.action, students)));
            }
            (Accepted::New(id), Err(line)) => tracing::warn!(action = %id, "refused: {line}"),
        }
        self.spool.remove(name).map_err(|e| of_spool(&e))
    }

    fn accept(
        &self,
        name: &Name,
        record: &Record,
        students: StudentRange,
        refusal: Option<&str>,
        now: Time,
    ) -> Result<Accepted, journal::Error> {
        let spooled = name.to_string();
        let route = match &record.reason {
            Some(reason) => format!("{}: {reason}", record.route.as_str()),
            None => record.route.as_str().to_owned(),
        };
        let origin = Origin {
            spooled: &spooled,
            message_id: record.message_id.as_deref(),
            route: &route,
        };
        let window = self.settings.duplicate_window;
        self.journal
            .accept(&record.action, students, &origin, refusal, now, window)
    }

    /// What the mail's sender really asked for. The outer error may pass; the inner one is the
    /// refusal.
    fn proven(&self, record: &Record, arrived: Time) -> Result<Result<Action, String>, Fault> {
        if record.route == Route::Watchdog {
            // The file is ours, and so nobody else wrote it: the spool looked.
            return Ok(Ok(record.action.clone()));
        }
        let rule = self.settings.signatures;
        let keys = match (&record.signed, rule.demand) {
            (None, _) | (_, Demand::Off) => Arc::default(),
            _ => (self.keys)()?,
        };
        Ok(proven(record, arrived, rule, &keys))
    }

    /// The students of an action. The outer error may pass; the inner one is the refusal.
    fn resolve(&self, action: &Action) -> Result<Result<StudentRange, String>, Fault> {
        let participant = action.participant;
        let seat = match action.seat {
            Seat::Students(students) => return Ok(Ok(students)),
            Seat::OfParticipant => self.expected(participant),
        };
        let seat = match seat {
            Some(student) => Some(student),
            None => self
                .ports
                .registry
                .participant(participant)?
                .and_then(|record| record.student),
        };
        Ok(seat.map(StudentRange::one).ok_or_else(|| {
            format!("participant {participant} has no seat; name the student in the subject")
        }))
    }

    /// Why there is no seat for the participant, when there is none.
    fn banned(&self, action: &Action) -> Result<Option<String>, Fault> {
        let participant = action.participant;
        if action.verb != Verb::Create || participant.is_nobody() {
            return Ok(None);
        }
        let ban = self
            .journal
            .ban_of(participant)
            .map_err(|e| of_journal(&e))?;
        Ok(ban.map(|ban| {
            format!(
                "participant {participant} is banned since {} ({}); to lift it: \
                 wod students unban {participant}",
                ban.since, ban.reason
            )
        }))
    }

    fn in_window(&self, students: StudentRange) -> Result<StudentRange, String> {
        match self.settings.window.check(students) {
            Ok(()) => Ok(students),
            Err(invalid) => Err(invalid.to_string()),
        }
    }

    fn expect(&self, id: ActionId, action: &Action, students: StudentRange) {
        if action.verb == Verb::Create && !action.participant.is_nobody() {
            let mut expected = locked(&self.expected);
            // Of several that want one seat the last one gets it.
            expected.retain(|_, (_, student)| *student != students.first());
            expected.insert(action.participant, (id, students.first()));
        }
    }

    fn expected(&self, participant: Participant) -> Option<Student> {
        let expected = locked(&self.expected);
        expected.get(&participant).map(|(_, student)| *student)
    }

    /// The registry knows now, or there is nothing to know: nothing was begun, or it was undone.
    pub(super) fn no_longer_expected(&self, id: ActionId) {
        locked(&self.expected).retain(|_, (create, _)| *create != id);
    }

    /// Puts back what was accepted before the engine was started.
    pub(super) fn recover(&self) -> Result<Vec<(ActionId, Claim)>, journal::Error> {
        let rows = self.journal.list(journal::Filter::Open)?;
        Ok(rows
            .into_iter()
            .map(|row| {
                self.expect(row.id, &row.action, row.students);
                (row.id, self.claim(&row.action, row.students))
            })
            .collect())
    }

    /// What the action has for itself while it runs, and what it may pass or has to wait for.
    pub(super) fn claim(&self, action: &Action, students: StudentRange) -> Claim {
        let participant = Some(action.participant).filter(|p| !p.is_nobody());
        let name = action.workshop.as_ref().map(|asked| asked.name.clone());
        Claim {
            students,
            backend: name.filter(|name| match action.verb {
                Verb::Reset => true,
                Verb::Create => self.shares_appliance(name),
                Verb::Cleanup | Verb::Purge => false,
            }),
            cleans: participant.filter(|_| action.verb == Verb::Cleanup),
            awaits: participant.filter(|_| matches!(action.verb, Verb::Reset | Verb::Purge)),
        }
    }

    fn shares_appliance(&self, name: &WorkshopName) -> bool {
        locked(&self.shared_appliances).contains(name)
    }
}

fn of_spool(e: &(dyn std::error::Error + 'static)) -> Fault {
    Fault::retry("the spool cannot be used").because(e)
}
