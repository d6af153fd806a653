//! The rules, each in a file of its own: from a scene to findings, and nothing else.

mod disguise;
mod empty_seat;
mod hash;
mod idle;
mod login;
mod memory;
mod name;
mod overtime;
mod place;
mod pool;
mod process_cpu;
mod processes;
mod student_cpu;

use super::finding::{Finding, Rule};
use super::scene::Scene;

pub use disguise::lie;

/// A rule as a question.
pub type Ask = fn(&Scene) -> Vec<Finding>;

/// Those that need nothing but a process and its ancestors.
pub const AT_EXEC: [(Rule, Ask); 5] = [
    (Rule::Name, name::ask),
    (Rule::Hash, hash::ask),
    (Rule::Place, place::ask),
    (Rule::Disguise, disguise::ask),
    (Rule::Pool, pool::at_exec),
];

pub const ALL: [(Rule, Ask); 13] = [
    (Rule::Name, name::ask),
    (Rule::Hash, hash::ask),
    (Rule::Place, place::ask),
    (Rule::Disguise, disguise::ask),
    (Rule::Pool, pool::ask),
    (Rule::ProcessCpu, process_cpu::ask),
    (Rule::StudentCpu, student_cpu::ask),
    (Rule::Processes, processes::ask),
    (Rule::Memory, memory::ask),
    (Rule::EmptySeat, empty_seat::ask),
    (Rule::Overtime, overtime::ask),
    (Rule::Idle, idle::ask),
    (Rule::Login, login::ask),
];
