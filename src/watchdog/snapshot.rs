//! Everything that is judged at once: processes, whose they are, and what is known of the seats.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::process::Process;
use crate::domain::{Participant, Student, Time, WorkshopName};

/// The host at one moment. It can be recorded and judged again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Milliseconds since the host's start, time asleep included; what `ProcessId::start` counts.
    pub at: u64,
    /// For what lasts longer than a host runs: the ends of sessions and of exceptions.
    pub now: Time,
    /// Processors of the host.
    pub cores: u32,
    /// Processes of students, and all of their ancestors, whoever they belong to.
    pub processes: Vec<Process>,
    /// The uids that are students': whose account has exactly the name `student<N>` and the uid
    /// UIDBASE + N, with N in WODUSERMIN..WODUSERMAX. Nobody else is ever judged.
    pub students: BTreeMap<u32, Student>,
    /// Of students that have processes. Who is missing here is not judged by rules about seats.
    pub seats: BTreeMap<Student, Seat>,
    /// Programs started since the snapshot before, as the kernel told them: those that were gone
    /// before anybody could look at them are counted here only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub started: BTreeMap<Student, u32>,
}

/// What journal, registry and hub say of one seat.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Somebody has it, or an action is at work on it.
    pub taken: bool,
    pub participant: Option<Participant>,
    pub workshop: Option<WorkshopName>,
    pub since: Option<Time>,
    /// When the session is over.
    pub until: Option<Time>,
    /// When the hub last saw the student do something; None when it has not been asked.
    pub last_activity: Option<Time>,
    /// Minutes on processors that `wod.yml` allows (`cpu_minutes`).
    pub cpu_minutes: Option<u32>,
}

impl Snapshot {
    /// Whose a process is: by its real uid, which no program can change to that of another.
    pub fn student(&self, process: &Process) -> Option<Student> {
        self.students.get(&process.uid).copied()
    }
}
