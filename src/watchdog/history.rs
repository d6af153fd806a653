//! What was seen before: enough for windows that slide along, and no more, however long it runs.
//! It knows no policy, so that a new one can be used without forgetting.

mod cpu;
mod meter;
mod past;

use std::collections::{BTreeMap, HashMap};

use super::process::{Process, ProcessId};
use super::snapshot::Snapshot;
use crate::domain::Student;

use cpu::Seen;
pub(super) use past::Past;

/// Milliseconds after which a student who was not seen is forgotten: a day.
const MEMORY: u64 = 86_400_000;

/// Grows with the processes of a snapshot and the students of a day, not with time.
#[derive(Debug, Default)]
pub struct History {
    /// When the last snapshot was taken.
    at: Option<u64>,
    /// By pid: the processes of the last snapshot.
    processes: HashMap<u32, Seen>,
    students: BTreeMap<Student, Past>,
}

impl History {
    /// Takes note of a snapshot. One that is older than the last was taken on a host that has been
    /// started anew: then nothing of before counts.
    pub fn observe(&mut self, snapshot: &Snapshot) {
        if self.at.is_some_and(|at| snapshot.at < at) {
            *self = History::default();
        }
        let used = cpu::account(self.at, &mut self.processes, snapshot);
        let mut groups: BTreeMap<Student, Vec<&Process>> = BTreeMap::new();
        for process in &snapshot.processes {
            if let Some(student) = snapshot.student(process) {
                groups.entry(student).or_default().push(process);
            }
        }
        for (student, processes) in groups {
            let past = self.students.entry(student).or_default();
            past.observe(snapshot, student, &processes, self.at);
        }
        for (student, used) in used {
            if let Some(past) = self.students.get_mut(&student) {
                past.add(snapshot.at, used);
            }
        }
        self.students
            .retain(|_, past| snapshot.at.saturating_sub(past.seen_at) <= MEMORY);
        self.at = Some(snapshot.at);
    }

    pub(super) fn past(&self, student: Student) -> Option<&Past> {
        self.students.get(&student)
    }

    fn seen(&self, id: ProcessId) -> Option<&Seen> {
        self.processes
            .get(&id.pid)
            .filter(|seen| seen.start == id.start)
    }

    /// Milliseconds on processors since the process runs its present program.
    pub(super) fn cpu_ms(&self, process: &Process) -> u64 {
        let before = self.seen(process.id).map_or(0, |seen| seen.before_exec);
        process.cpu_ms.saturating_sub(before)
    }

    /// Hundredths of one processor that the process used of late, about the last half minute.
    pub(super) fn rate_percent(&self, process: &Process) -> u32 {
        self.seen(process.id).map_or(0, Seen::rate_percent)
    }

    /// Hundredths of the looks of late at which the process ran, or waited for a processor.
    pub(super) fn runnable_percent(&self, process: &Process) -> u32 {
        self.seen(process.id).map_or(0, Seen::runnable_percent)
    }

    /// How many processes and students are remembered.
    pub fn size(&self) -> (usize, usize) {
        (self.processes.len(), self.students.len())
    }

    /// Single figures that are remembered of all students: what memory grows with.
    pub fn figures(&self) -> usize {
        self.students.values().map(Past::figures).sum()
    }
}
