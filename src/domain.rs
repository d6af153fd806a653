//! The words of the house: actions, students, participants, workshops, secrets, time.
//!
//! Plain values, parsed once at the border and passed on as types. No I/O here.

mod action;
mod cron;
pub mod near;
mod participant;
mod secret;
pub mod signature;
mod student;
mod time;
mod workshop;

pub use action::{Action, ActionId, Seat, Verb};
pub use cron::Cron;
pub use participant::Participant;
pub use secret::Secret;
pub use student::{Student, StudentRange, StudentWindow};
pub use time::Time;
pub use workshop::{AskedWorkshop, Variant, Workshop, WorkshopName};

/// Why a text is not the value it should be: one clear line for the sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {}: {expected}", quoted(.got))]
pub struct Invalid {
    /// The field, e.g. `student`.
    pub what: &'static str,
    /// What stood there.
    pub got: String,
    /// What was expected there.
    pub expected: String,
}

impl Invalid {
    pub fn new(what: &'static str, got: &str, expected: impl Into<String>) -> Invalid {
        Invalid {
            what,
            got: got.to_owned(),
            expected: expected.into(),
        }
    }
}

/// Untrusted text made fit for one line of a log or a reply: control and
/// non-ASCII characters escaped, at most 60 characters.
pub fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut line: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_default)
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        line.push('…');
    }
    format!("`{line}`")
}
