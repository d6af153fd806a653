//! Stops abuse of seats: sees every process of a student, judges by pure rules, and stops what is
//! certain with evidence of it. What belongs to anybody else is never touched.

mod finding;
mod history;
mod judge;
mod policy;
mod process;
mod recording;
mod rules;
mod scene;
mod snapshot;
mod told;
mod words;

pub use finding::{Finding, Level, Rule};
pub use history::History;
pub use judge::{Exception, Judge, TooLarge};
pub use policy::{
    Cpu, Disguise, Lists, Logins, Memory, Places, Policy, Pool, Processes, Programs, Response,
    Responses, Seats, Window, Wrong,
};
pub use process::{Exe, Process, ProcessId};
pub use recording::{Broken, Recorder, Recording};
pub use snapshot::{Seat, Snapshot};
