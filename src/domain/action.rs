//! One action: what a mail asks for, after it was understood.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{AskedWorkshop, Invalid, Participant, StudentRange};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    Create,
    Cleanup,
    Reset,
    Purge,
}

impl Verb {
    pub const ALL: [Verb; 4] = [Verb::Create, Verb::Cleanup, Verb::Reset, Verb::Purge];

    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Create => "CREATE",
            Verb::Cleanup => "CLEANUP",
            Verb::Reset => "RESET",
            Verb::Purge => "PURGE",
        }
    }

    /// PURGE ignores the workshop, so its mail may name none.
    pub fn needs_workshop(self) -> bool {
        self != Verb::Purge
    }
}

impl FromStr for Verb {
    type Err = Invalid;

    /// Without regard to case, as frontends have always been read.
    fn from_str(text: &str) -> Result<Verb, Invalid> {
        Verb::ALL
            .into_iter()
            .find(|verb| verb.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| Invalid::new("verb", text, "expected CREATE, CLEANUP, RESET or PURGE"))
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whom an action is for, as the subject says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seat {
    /// Local student numbers.
    Students(StudentRange),
    /// The subject names no student: the seat that the registry has for the participant.
    OfParticipant,
}

/// What one mail asks for. The spool carries it, the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    pub verb: Verb,
    pub seat: Seat,
    pub participant: Participant,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// None only for PURGE, which ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workshop: Option<AskedWorkshop>,
}

/// The journal's number of an action, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionId(pub i64);

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for ActionId {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<ActionId, Invalid> {
        match text.parse() {
            Ok(id) if id > 0 => Ok(ActionId(id)),
            _ => Err(Invalid::new(
                "action",
                text,
                "expected a number as wod actions list shows it",
            )),
        }
    }
}
