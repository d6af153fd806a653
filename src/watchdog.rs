//! Stops abuse of seats: sees every process of a student, judges by pure rules, and stops what is
//! certain with evidence of it. What belongs to anybody else is never touched.

mod finding;
mod process;
mod snapshot;

pub use finding::{Finding, Level, Rule};
pub use process::{Exe, Process, ProcessId};
pub use snapshot::{Seat, Snapshot};
