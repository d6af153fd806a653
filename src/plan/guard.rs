//! Conditions that must hold before a plan's first step.

use serde::{Deserialize, Serialize};

use crate::domain::Participant;

/// Something another action is expected to bring about. It is looked at, never slept for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// The participant's CLEANUP is done. Frontends send CLEANUP, RESET and PURGE of one seat
    /// within milliseconds and not always in that order; erasing first would lose the
    /// completion ratio. When no CLEANUP is known to be on its way, the wait ends after
    /// WODGUARDSECONDS.
    Cleaned { participant: Participant },
}
