//! What a rule says: of whom, how sure it is, why, and in which words.

use serde::{Deserialize, Serialize};

use super::process::ProcessId;
use crate::domain::Student;

/// How sure a rule is; what is then done is the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Worth a line.
    Notice,
    /// Somebody should look.
    Suspicious,
    /// Nothing honest looks like this.
    Certain,
}

/// The rules by name: as in the policy, in `wod watchdog list`, in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A name or an argument is on the list.
    Name,
    /// The program's SHA-256 is on the list.
    Hash,
    /// The program is deleted, a memfd, or lies where programs do not lie.
    Place,
    /// The arguments claim to be another program than the one that runs.
    Disguise,
    /// It talks to a mining pool.
    Pool,
    /// One process computes for too long.
    ProcessCpu,
    /// All that a student started, together, computes for too long.
    StudentCpu,
    /// Too many processes, or too many new ones.
    Processes,
    Memory,
    /// Nobody has the seat.
    EmptySeat,
    /// The session is over.
    Overtime,
    /// The hub has not seen the student for long.
    Idle,
    /// A login that did not come from the hub.
    Login,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub rule: Rule,
    pub level: Level,
    pub student: Student,
    /// The processes that it is about.
    pub processes: Vec<ProcessId>,
    /// 0 to 100: how far over the line.
    pub score: u8,
    /// For people: `student12 runs xmrig, which is on the list of miners`
    pub sentence: String,
    /// What was seen, one fact a line; never the value of an environment variable.
    pub evidence: Vec<String>,
}
