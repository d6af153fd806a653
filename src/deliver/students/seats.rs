//! Which seats are in use, and how one is had alone for a moment: first the lock that actions take,
//! too, then a look into the journal. An action that comes later waits for the lock, one that came
//! before is seen.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{Student, StudentRange};
use crate::journal::{self, Filter, Hold, Journal, SeatLocks};
use crate::ports::Fault;

pub struct Seats {
    journal: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    journal: Option<Journal>,
    locks: Option<SeatLocks>,
    uses: BTreeMap<Student, String>,
}

/// What became of the wish to have a seat alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    Ours,
    /// By whom.
    InUse(String),
}

impl Seats {
    /// `journal` need not be there yet: then no seat is in use.
    pub fn new(journal: PathBuf) -> Seats {
        Seats {
            journal,
            state: Mutex::default(),
        }
    }

    /// Who uses which seat, as of now; claims nothing.
    pub fn in_use(&self) -> Result<BTreeMap<Student, String>, Fault> {
        let mut state = self.state();
        state.look(&self.journal)?;
        Ok(state.uses.clone())
    }

    /// The seat is ours until it is let go, unless it is in use.
    pub fn claim(&self, student: Student) -> Result<Claim, Fault> {
        let mut state = self.state();
        let locked = |e: &std::io::Error| Fault::retry("the seats cannot be locked").because(e);
        let locks = match &state.locks {
            Some(locks) => locks,
            None => state
                .locks
                .insert(SeatLocks::beside(&self.journal).map_err(|e| locked(&e))?),
        };
        let seat = StudentRange::one(student);
        if !locks.take(seat, Hold::Alone).map_err(|e| locked(&e))? {
            return Ok(Claim::InUse("an action is at work on it".to_owned()));
        }
        let looked = state.look(&self.journal);
        let used = looked.map(|()| state.uses.get(&student).cloned());
        if matches!(used, Ok(None)) {
            return Ok(Claim::Ours);
        }
        drop(state);
        self.let_go(student);
        Ok(used?.map_or(Claim::Ours, Claim::InUse))
    }

    pub fn let_go(&self, student: Student) {
        let state = self.state();
        let freed = state
            .locks
            .as_ref()
            .map(|l| l.let_go(StudentRange::one(student)));
        if let Some(Err(e)) = freed {
            tracing::warn!("the seat of {} stays locked: {e}", student.account());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Reads again what changed since.
    fn look(&mut self, path: &std::path::Path) -> Result<(), Fault> {
        let fault = |e: &journal::Error| {
            Fault::retry("it cannot be told which seats are in use").because(e)
        };
        if self.journal.is_none() {
            match path.metadata() {
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
                // An engine is about to make it, and works on no seat before that.
                Ok(there) if there.len() == 0 => return Ok(()),
                Ok(_) => {}
                Err(e) => {
                    let line = "it cannot be told which seats are in use";
                    return Err(Fault::retry(line).because(&e));
                }
            }
            self.journal = Some(Journal::open_beside(path).map_err(|e| fault(&e))?);
        }
        let Some(journal) = &self.journal else {
            return Ok(());
        };
        if journal.written_elsewhere().map_err(|e| fault(&e))? {
            self.uses = uses(journal).map_err(|e| fault(&e))?;
        }
        Ok(())
    }
}

fn uses(journal: &Journal) -> journal::Result<BTreeMap<Student, String>> {
    let mut uses = BTreeMap::new();
    for seat in journal.seats()?.into_iter().filter(|seat| seat.assigned) {
        uses.insert(seat.student, "a participant has the seat".to_owned());
    }
    for row in journal.list(Filter::Open)? {
        for student in row.students.students() {
            uses.insert(student, format!("action {} is not over", row.id));
        }
    }
    Ok(uses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_that_cannot_be_looked_at_frees_no_seat() {
        let dir = tempfile::tempdir().unwrap();
        let in_use = |name: &str| Seats::new(dir.path().join(name)).in_use();
        assert_eq!(in_use("journal.db").unwrap(), BTreeMap::new());
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(in_use("file").unwrap(), BTreeMap::new(), "of zero bytes");
        assert!(in_use("file/journal.db").is_err());
    }
}
