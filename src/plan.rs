//! An action as data: guards that are only read, and steps that each say "ensure this is so".
//!
//! `plan()` is pure: the same action and the same facts give the same plan. `--dry-run` prints
//! it, the journal keeps it, the tests compare it.

mod guard;
mod make;
mod step;
mod text;

pub use guard::Guard;
pub use make::{Facts, Unplannable, plan};
pub use step::{EntryWanted, Step, StepKind};
pub use text::describe;

use serde::{Deserialize, Serialize};

/// What is to be done for one action, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// All of them hold before the first step starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<Guard>,
    pub steps: Vec<Step>,
}

impl Plan {
    /// What the steps before `next` gave to students and a hold takes away: their passwords and
    /// their servers. An action that goes on after a hold gives them back.
    pub fn taken_by_a_hold(&self, next: usize) -> Vec<Step> {
        let mut given: Vec<Step> = Vec::new();
        for step in self.steps.iter().take(next) {
            match step {
                Step::AccountPassword { .. } | Step::StartServer { .. } => given.push(step.clone()),
                Step::LockAccount { student } => {
                    let student = *student;
                    given.retain(|given| *given != Step::AccountPassword { student });
                }
                Step::StopServer { student } => {
                    let student = *student;
                    given.retain(|given| *given != Step::StartServer { student });
                }
                _ => {}
            }
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Student;

    #[test]
    fn a_hold_takes_what_was_given_and_not_taken_before() {
        let student = Student::FIRST;
        let plan = Plan {
            guards: Vec::new(),
            steps: vec![
                Step::LockAccount { student },
                Step::AccountPassword { student },
                Step::StartServer { student },
                Step::StopServer { student },
                Step::ForgetSecrets,
            ],
        };
        for (next, given) in [(1, 1..1), (2, 1..2), (3, 1..3), (5, 1..2)] {
            assert_eq!(plan.taken_by_a_hold(next), plan.steps[given], "{next}");
        }
    }
}
