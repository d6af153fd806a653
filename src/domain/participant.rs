//! The person behind a seat, as the registry numbers them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Invalid;

/// The registry's customer id; 0 means nobody (a test).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Participant(u32);

impl Participant {
    pub const NOBODY: Participant = Participant(0);

    pub fn new(id: u32) -> Participant {
        Participant(id)
    }

    pub fn id(self) -> u32 {
        self.0
    }

    pub fn is_nobody(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Participant {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Participant, Invalid> {
        let plain = text == "0"
            || (!text.is_empty()
                && !text.starts_with('0')
                && text.bytes().all(|b| b.is_ascii_digit()));
        // The registry's ids are 32 bit signed.
        plain
            .then(|| text.parse::<i32>().ok())
            .flatten()
            .and_then(|id| u32::try_from(id).ok())
            .map(Participant)
            .ok_or_else(|| {
                Invalid::new(
                    "participant",
                    text,
                    "expected the registry's customer id, digits only (0 for nobody)",
                )
            })
    }
}

impl fmt::Display for Participant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
