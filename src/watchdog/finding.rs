//! What a rule says: of whom, how sure it is, why, and in which words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::process::ProcessId;
use crate::domain::{Invalid, Student, near};

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

impl Rule {
    pub const ALL: [Rule; 13] = [
        Rule::Name,
        Rule::Hash,
        Rule::Place,
        Rule::Disguise,
        Rule::Pool,
        Rule::ProcessCpu,
        Rule::StudentCpu,
        Rule::Processes,
        Rule::Memory,
        Rule::EmptySeat,
        Rule::Overtime,
        Rule::Idle,
        Rule::Login,
    ];

    /// As the policy, the commands and the metrics write it.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Name => "name",
            Rule::Hash => "hash",
            Rule::Place => "place",
            Rule::Disguise => "disguise",
            Rule::Pool => "pool",
            Rule::ProcessCpu => "process-cpu",
            Rule::StudentCpu => "student-cpu",
            Rule::Processes => "processes",
            Rule::Memory => "memory",
            Rule::EmptySeat => "empty-seat",
            Rule::Overtime => "overtime",
            Rule::Idle => "idle",
            Rule::Login => "login",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Rule {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Rule, Invalid> {
        let known = Rule::ALL.into_iter().find(|rule| rule.name() == text);
        known.ok_or_else(|| {
            let names = Rule::ALL.map(Rule::name);
            let expected = near::meant(text, names);
            let expected =
                expected.unwrap_or_else(|| format!("expected one of {}", names.join(", ")));
            Invalid::new("rule", text, expected)
        })
    }
}

impl Level {
    pub const ALL: [Level; 3] = [Level::Notice, Level::Suspicious, Level::Certain];

    pub fn name(self) -> &'static str {
        match self {
            Level::Notice => "notice",
            Level::Suspicious => "suspicious",
            Level::Certain => "certain",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
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
    /// The comment of the exception that allows it: it is counted and logged, and no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
}
