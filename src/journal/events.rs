//! What can happen to an action, and the fold from happenings to its state. No I/O.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{Student, Time};
use crate::plan::Plan;

/// One thing that happened to an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    Planned {
        plan: Plan,
    },
    StepDone {
        step: usize,
        /// Milliseconds that it took.
        took: u64,
    },
    /// A result that later steps need.
    Measured {
        student: Student,
        /// Percent.
        completion: u8,
    },
    /// The current step (or the planning, before there is a plan) failed and will be tried again.
    Failed {
        line: String,
        retry: Time,
    },
    /// It waits for the admin.
    Held {
        line: String,
    },
    /// The admin wants it to go on where it was held.
    Retried,
    /// The admin wants it to end.
    CancelAsked,
    Cancelled,
    /// It cannot be carried out at all; nothing was done.
    Refused {
        line: String,
    },
    Done,
    /// Part of what happened to it was lost with the journal's file. It waits for the admin,
    /// unless it is known to be over.
    Broken {
        line: String,
        ended: Option<Stage>,
    },
}

/// An event and when it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    pub at: Time,
    pub event: Event,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Accepted, not begun.
    Waiting,
    /// Has a plan and goes through it.
    Running,
    /// Will be tried again later.
    Retrying,
    Held,
    Done,
    Cancelled,
    Refused,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Waiting => "waiting",
            Stage::Running => "running",
            Stage::Retrying => "retrying",
            Stage::Held => "held",
            Stage::Done => "done",
            Stage::Cancelled => "cancelled",
            Stage::Refused => "refused",
        }
    }

    /// Nothing more will happen to it.
    pub fn is_over(self) -> bool {
        matches!(self, Stage::Done | Stage::Cancelled | Stage::Refused)
    }
}

/// How far an action is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub stage: Stage,
    pub plan: Option<Plan>,
    /// Index of the first step that is not done.
    pub next: usize,
    /// Failures in a row at the current step.
    pub failures: u32,
    /// Not before this, when retrying.
    pub retry: Option<Time>,
    /// What the last failure, hold or refusal said.
    pub line: Option<String>,
    pub cancel_asked: bool,
    /// It was held, and no step was done since: the seat lacks what a hold takes away.
    pub made_safe: bool,
    /// How far it really came is not known.
    pub broken: bool,
    pub completion: BTreeMap<Student, u8>,
    /// Milliseconds each finished step took.
    pub took: Vec<u64>,
}

/// What an applied event changed, for whoever counts or shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progressed {
    Same(Stage),
    To(Stage),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot be {what} while {}", .stage.as_str())]
pub struct Illegal {
    pub stage: Stage,
    pub what: &'static str,
}

impl Default for State {
    fn default() -> State {
        State {
            stage: Stage::Waiting,
            plan: None,
            next: 0,
            failures: 0,
            retry: None,
            line: None,
            cancel_asked: false,
            made_safe: false,
            broken: false,
            completion: BTreeMap::new(),
            took: Vec::new(),
        }
    }
}

impl State {
    /// The state after all of these, oldest first.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<State, Illegal> {
        let mut state = State::default();
        for event in events {
            state.apply(event)?;
        }
        Ok(state)
    }

    pub fn apply(&mut self, event: &Event) -> Result<Progressed, Illegal> {
        let before = self.stage;
        if before.is_over() {
            return Err(self.illegal("changed"));
        }
        match event {
            Event::Planned { plan } => self.planned(plan)?,
            Event::StepDone { step, took } => self.step_done(*step, *took)?,
            Event::Measured {
                student,
                completion,
            } => {
                self.completion.insert(*student, *completion);
            }
            Event::Failed { line, retry } => {
                self.no_longer_held("tried")?;
                self.stage = Stage::Retrying;
                self.failures += 1;
                self.retry = Some(*retry);
                self.line = Some(line.clone());
            }
            Event::Held { line } => {
                self.no_longer_held("held again")?;
                self.stage = Stage::Held;
                self.made_safe = self.plan.is_some();
                self.line = Some(line.clone());
            }
            Event::Retried => self.retried()?,
            Event::CancelAsked => self.cancel_asked = true,
            Event::Cancelled => self.stage = Stage::Cancelled,
            Event::Refused { line } => {
                if self.plan.is_some() {
                    return Err(self.illegal("refused"));
                }
                self.stage = Stage::Refused;
                self.line = Some(line.clone());
            }
            Event::Done => self.done()?,
            Event::Broken { line, ended } => {
                self.stage = ended.unwrap_or(Stage::Held);
                self.made_safe = true;
                self.broken = true;
                self.line = Some(line.clone());
            }
        }
        Ok(match self.stage == before {
            true => Progressed::Same(before),
            false => Progressed::To(self.stage),
        })
    }

    fn planned(&mut self, plan: &Plan) -> Result<(), Illegal> {
        self.no_longer_held("planned")?;
        if self.plan.is_some() {
            return Err(self.illegal("planned twice"));
        }
        self.plan = Some(plan.clone());
        self.begin_step();
        Ok(())
    }

    fn step_done(&mut self, step: usize, took: u64) -> Result<(), Illegal> {
        self.no_longer_held("carried on")?;
        let steps = self.plan.as_ref().map_or(0, |plan| plan.steps.len());
        if step != self.next || step >= steps {
            return Err(self.illegal("moved out of its plan's order"));
        }
        self.next += 1;
        self.took.push(took);
        self.begin_step();
        Ok(())
    }

    fn begin_step(&mut self) {
        self.stage = Stage::Running;
        self.failures = 0;
        self.retry = None;
        self.line = None;
        self.made_safe = false;
        self.broken = false;
    }

    fn retried(&mut self) -> Result<(), Illegal> {
        match self.stage {
            Stage::Held | Stage::Retrying => {
                self.stage = match self.plan {
                    Some(_) => Stage::Running,
                    None => Stage::Waiting,
                };
                self.failures = 0;
                self.retry = None;
                Ok(())
            }
            _ => Err(self.illegal("retried")),
        }
    }

    fn done(&mut self) -> Result<(), Illegal> {
        match &self.plan {
            Some(plan) if plan.steps.len() == self.next => {
                self.stage = Stage::Done;
                self.line = None;
                Ok(())
            }
            _ => Err(self.illegal("done")),
        }
    }

    fn no_longer_held(&self, what: &'static str) -> Result<(), Illegal> {
        match self.stage {
            Stage::Held => Err(self.illegal(what)),
            _ => Ok(()),
        }
    }

    fn illegal(&self, what: &'static str) -> Illegal {
        Illegal {
            stage: self.stage,
            what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Step;

    fn planned() -> Event {
        Event::Planned {
            plan: Plan {
                guards: Vec::new(),
                steps: vec![Step::ForgetSecrets],
            },
        }
    }

    fn failed() -> Event {
        Event::Failed {
            line: "no".to_owned(),
            retry: Time(9),
        }
    }

    #[test]
    fn a_step_that_failed_is_the_next_one() {
        let state = State::fold(&[planned(), failed(), failed()]).unwrap();
        assert_eq!((state.stage, state.next), (Stage::Retrying, 0));
        assert_eq!((state.failures, state.retry), (2, Some(Time(9))));
    }

    #[test]
    fn a_retry_goes_on_from_the_held_step() {
        let held = Event::Held {
            line: "no".to_owned(),
        };
        let state = State::fold(&[planned(), failed(), held, Event::Retried]).unwrap();
        assert_eq!((state.stage, state.next), (Stage::Running, 0));
        assert_eq!(state.failures, 0);
    }

    #[test]
    fn what_cannot_happen_is_an_error() {
        let step = Event::StepDone { step: 0, took: 1 };
        let far = Event::StepDone { step: 1, took: 1 };
        let refused = Event::Refused {
            line: "no".to_owned(),
        };
        for events in [
            vec![step.clone()],
            vec![planned(), planned()],
            vec![planned(), far],
            vec![planned(), Event::Done],
            vec![planned(), refused],
            vec![planned(), step.clone(), step.clone()],
            vec![planned(), step.clone(), Event::Done, Event::Retried],
            vec![planned(), Event::Retried],
        ] {
            assert!(State::fold(&events).is_err(), "{events:?}");
        }
        assert!(State::fold(&[planned(), step, Event::Done]).is_ok());
    }
}
