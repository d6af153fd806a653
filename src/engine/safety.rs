//! The seat of an action that cannot go on: nobody can use it, nothing runs on it.

use crate::journal::ActionRow;
use crate::ports::{Disposition, Fault, Progress};

use super::Engine;

/// What is known of the seat of a held action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Safety {
    /// The action had not begun: the seat is as it was.
    Untouched,
    Safe,
    /// Is tried again; what stood in the way.
    NotYet(Vec<String>),
    /// Somebody has to see to it; what stands in the way.
    Never(Vec<String>),
}

impl Safety {
    fn after(faults: &[Fault]) -> Safety {
        let lines = faults.iter().map(Fault::line).collect();
        let passes = |fault: &Fault| fault.disposition == Disposition::Retry;
        match faults {
            [] => Safety::Safe,
            _ if faults.iter().all(passes) => Safety::NotYet(lines),
            _ => Safety::Never(lines),
        }
    }
}

impl Engine {
    pub(super) fn make_safe(&self, row: &ActionRow) -> Safety {
        let mut faults = Vec::new();
        for student in row.students.students() {
            let accounts = &self.ports.accounts;
            let stopped = self
                .ports
                .hub
                .stop(student)
                .and_then(|progress| match progress {
                    Progress::Done => Ok(()),
                    Progress::NotYet(_) => Err(Fault::retry(format!(
                        "the server of student{student} has not ended yet"
                    ))),
                });
            let tries = [
                accounts.lock(student),
                stopped,
                accounts.end_processes(student),
            ];
            faults.extend(tries.into_iter().filter_map(Result::err));
        }
        for fault in &faults {
            tracing::warn!(action = %row.id, "making the seat safe: {}", fault.chain());
        }
        Safety::after(&faults)
    }
}
