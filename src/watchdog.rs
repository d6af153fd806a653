//! Stops abuse of seats: sees every process of a student, judges by pure rules, and stops what is
//! certain with evidence of it. What belongs to anybody else is never touched.

mod activity;
mod answer;
mod cage;
mod choice;
mod connector;
mod counters;
mod evidence;
mod finding;
mod glimpse;
mod hashes;
mod history;
mod judge;
mod letters;
mod loader;
mod mapped;
mod memory;
mod mounts;
mod pace;
mod policy;
mod proc_dir;
mod process;
mod procfs;
mod program;
mod reap;
mod recording;
mod rules;
mod sampler;
mod scene;
mod snapshot;
mod sockets;
mod told;
mod watch;
mod words;

pub use activity::Activity;
pub use answer::Mode;
pub use choice::{Case, choose};
pub use counters::{Counters, Figures};
pub use evidence::{Described, Kept, Report, report as report_of};
pub use finding::{Finding, Level, Rule};
pub use glimpse::Glimpse;
pub use history::History;
pub use judge::{Exception, Judge, TooLarge};
pub use policy::{
    Cpu, Disguise, Lists, Logins, Memory, Places, Policy, Pool, Processes, Programs, Response,
    Responses, Seats, Window, Wrong,
};
pub use process::{Exe, Process, ProcessId};
pub use reap::{Hands, SeatsOf, name as response_name};
pub use recording::{Broken, Recorder, Recording};
pub use sampler::Sampler;
pub use snapshot::{Seat, Snapshot};
pub use watch::{Error, ReadPolicy, Settings, Watch, Wishes};
