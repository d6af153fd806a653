//! `plan()`: from an action and the facts to guards and steps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{
    Action, AskedWorkshop, Participant, Student, StudentRange, Verb, Workshop, WorkshopName,
};
use crate::ports::{Overlay, Phase};

use super::{EntryWanted, Guard, Plan, Step};

/// What was looked up before planning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The students of the action, resolved.
    pub students: StudentRange,
    /// What the registry says of the workshop; may be None for PURGE only.
    #[serde(default)]
    pub workshop: Option<Workshop>,
    /// The workshop's scripts, in the order in which they run.
    #[serde(default)]
    pub scripts: BTreeMap<Phase, Vec<Overlay>>,
    /// An LDAP directory is configured.
    #[serde(default)]
    pub directory: bool,
    /// The participant sits on one of these seats and has not been cleaned up yet.
    #[serde(default)]
    pub awaits_cleanup: bool,
}

/// Why there is no plan: one line for the admin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unplannable {
    #[error("{verb} needs a workshop; the mail named none")]
    NoWorkshop { verb: Verb },
    #[error(
        "workshop {0} has reset: true but no script reset-{0}.sh; write one (an empty one will do) \
         or set reset: false"
    )]
    NoResetScript(WorkshopName),
    #[error("workshop {0} needs the directory (ldap: true) but WODLDAPSRVNAME is not set")]
    NoDirectory(WorkshopName),
    #[error(
        "workshop {workshop} has students {range}, so {students} would erase seats of others; \
         send RESET for its own range"
    )]
    OutOfWorkshopRange {
        workshop: WorkshopName,
        range: StudentRange,
        students: StudentRange,
    },
}

pub fn plan(action: &Action, facts: &Facts) -> Result<Plan, Unplannable> {
    let make = Make {
        facts,
        participant: action.participant,
    };
    if action.verb == Verb::Purge {
        return Ok(make.purge());
    }
    let (Some(asked), Some(workshop)) = (&action.workshop, &facts.workshop) else {
        return Err(Unplannable::NoWorkshop { verb: action.verb });
    };
    if workshop.ldap && !facts.directory {
        return Err(Unplannable::NoDirectory(workshop.name.clone()));
    }
    match action.verb {
        Verb::Create => Ok(make.create(asked, workshop)),
        Verb::Cleanup => Ok(make.cleanup(asked, workshop)),
        Verb::Reset => make.reset(asked, workshop),
        Verb::Purge => Ok(make.purge()),
    }
}

struct Make<'a> {
    facts: &'a Facts,
    participant: Participant,
}

impl Make<'_> {
    fn create(&self, asked: &AskedWorkshop, workshop: &Workshop) -> Plan {
        let student = self.facts.students.first();
        let mut steps = vec![
            Step::EnsureAccount { student },
            Step::MintPassword { student },
        ];
        steps.extend(lock_out(student));
        steps.extend(clear(student));
        steps.push(Step::FreshHome { student });
        steps.extend(told_elsewhere(student, workshop));
        if !workshop.compile.is_empty() {
            steps.push(Step::CompileScripts {
                student,
                workshop: asked.clone(),
                scripts: workshop.compile.clone(),
            });
        }
        steps.extend(self.scripts(Phase::Create, student, asked));
        steps.push(Step::PublishContent {
            student,
            workshop: asked.clone(),
        });
        steps.push(Step::OwnHome { student });
        let after = self.scripts(Phase::PostCopy, student, asked);
        if !after.is_empty() {
            steps.extend(after);
            // What those wrote belongs to WODUSER; without this the student could not read it.
            steps.push(Step::OwnHome { student });
        }
        steps.extend(drop_pass_file(student, workshop));
        steps.extend([
            Step::AccountPassword { student },
            Step::ReportPassword { student },
            Step::StartServer { student },
        ]);
        steps.extend(self.of_participant(|participant| Step::ReportActive {
            participant,
            active: true,
        }));
        steps.push(Step::ForgetSecrets);
        Plan {
            guards: Vec::new(),
            steps,
        }
    }

    fn cleanup(&self, asked: &AskedWorkshop, workshop: &Workshop) -> Plan {
        let student = self.facts.students.first();
        let mut steps = vec![
            Step::EnsureAccount { student },
            Step::MintPassword { student },
            Step::AccountPassword { student },
        ];
        steps.extend(told_elsewhere(student, workshop));
        steps.extend(self.scripts(Phase::Cleanup, student, asked));
        steps.extend(drop_pass_file(student, workshop));
        steps.push(Step::MeasureCompletion {
            student,
            workshop: workshop.name.clone(),
        });
        steps.push(Step::StopServer { student });
        if !workshop.reset {
            steps.push(Step::EndProcesses { student });
            steps.extend(clear(student));
            steps.push(Step::VerifySeat { student });
        }
        steps.push(Step::ReportPassword { student });
        steps.extend(self.of_participant(|participant| Step::ReportCompletion { participant }));
        steps.push(Step::ReportAssigned {
            student,
            assigned: workshop.reset,
        });
        if workshop.reset {
            steps.extend(self.of_participant(|participant| Step::ReportActive {
                participant,
                active: false,
            }));
        }
        steps.extend(self.of_participant(|participant| Step::ReportCleaned { participant }));
        steps.push(Step::ForgetSecrets);
        Plan {
            guards: Vec::new(),
            steps,
        }
    }

    fn reset(&self, asked: &AskedWorkshop, workshop: &Workshop) -> Result<Plan, Unplannable> {
        if !workshop.reset {
            return Ok(Plan {
                guards: Vec::new(),
                steps: Vec::new(),
            });
        }
        let students = self.facts.students;
        self.check_range(workshop)?;
        let scripts = self.scripts(Phase::Reset, students.first(), asked);
        if scripts.is_empty() {
            return Err(Unplannable::NoResetScript(workshop.name.clone()));
        }
        let mut steps = Vec::new();
        for student in students.students() {
            steps.push(Step::EnsureAccount { student });
            steps.push(Step::MintPassword { student });
            steps.push(Step::AccountPassword { student });
            steps.extend(told_elsewhere(student, workshop));
        }
        steps.extend(scripts);
        for student in students.students() {
            steps.extend(drop_pass_file(student, workshop));
            steps.push(Step::StopServer { student });
            steps.push(Step::EndProcesses { student });
            steps.extend(clear(student));
            steps.push(Step::VerifySeat { student });
            steps.push(Step::ReportPassword { student });
        }
        if students.count() > 1 {
            steps.push(Step::ReportCapacity {
                workshop: workshop.name.clone(),
                seats: students.count(),
            });
        }
        steps.extend(students.students().map(|student| Step::ReportAssigned {
            student,
            assigned: false,
        }));
        steps.push(Step::ForgetSecrets);
        Ok(Plan {
            guards: self.after_cleanup(),
            steps,
        })
    }

    fn purge(&self) -> Plan {
        let mut steps = Vec::new();
        for student in self.facts.students.students() {
            steps.push(Step::EnsureAccount { student });
            steps.push(Step::MintPassword { student });
            steps.extend(lock_out(student));
            steps.extend(clear(student));
            // Of a CREATE that was held half way; whatever workshop that was for.
            steps.push(Step::DropPassFiles { student });
            steps.push(Step::AccountPassword { student });
            if self.facts.directory {
                steps.push(Step::DirectoryPassword {
                    student,
                    entry: EntryWanted::IfThere,
                });
            }
            steps.push(Step::VerifySeat { student });
            steps.push(Step::ReportPassword { student });
            steps.push(Step::ReportAssigned {
                student,
                assigned: false,
            });
        }
        steps.push(Step::ForgetSecrets);
        Plan {
            guards: self.after_cleanup(),
            steps,
        }
    }

    /// A range is erased as one, so none of it may be another workshop's. A single seat is the
    /// registry's to choose, whatever range the workshop has by now.
    fn check_range(&self, workshop: &Workshop) -> Result<(), Unplannable> {
        let students = self.facts.students;
        match workshop.range {
            Some(range)
                if students.count() > 1
                    && !(range.contains(students.first()) && range.contains(students.last())) =>
            {
                Err(Unplannable::OutOfWorkshopRange {
                    workshop: workshop.name.clone(),
                    range,
                    students,
                })
            }
            _ => Ok(()),
        }
    }

    fn after_cleanup(&self) -> Vec<Guard> {
        match self.facts.awaits_cleanup && !self.participant.is_nobody() {
            true => vec![Guard::Cleaned {
                participant: self.participant,
            }],
            false => Vec::new(),
        }
    }

    fn scripts(&self, phase: Phase, student: Student, asked: &AskedWorkshop) -> Vec<Step> {
        let overlays = self.facts.scripts.get(&phase);
        overlays
            .into_iter()
            .flatten()
            .map(|&overlay| Step::RunScript {
                student,
                workshop: asked.clone(),
                phase,
                overlay,
            })
            .collect()
    }

    fn of_participant(&self, step: impl FnOnce(Participant) -> Step) -> Option<Step> {
        (!self.participant.is_nobody()).then(|| step(self.participant))
    }
}

/// Whoever still has the seat is out, before anything is made or taken away.
fn lock_out(student: Student) -> [Step; 3] {
    [
        Step::LockAccount { student },
        Step::StopServer { student },
        Step::EndProcesses { student },
    ]
}

fn clear(student: Student) -> [Step; 2] {
    [
        Step::EraseHome { student },
        Step::SweepLeftovers { student },
    ]
}

/// Where else the minted password has to be before the workshop's scripts run.
fn told_elsewhere(student: Student, workshop: &Workshop) -> Vec<Step> {
    let mut steps = Vec::new();
    if workshop.ldap {
        steps.push(Step::DirectoryPassword {
            student,
            entry: EntryWanted::Needed,
        });
    }
    if has_pass_file(workshop) {
        steps.push(Step::WritePassFile {
            student,
            workshop: workshop.name.clone(),
        });
    }
    steps
}

fn drop_pass_file(student: Student, workshop: &Workshop) -> [Step; 1] {
    // Create scripts may write one for a workshop that has neither flag.
    [Step::DropPassFile {
        student,
        workshop: workshop.name.clone(),
    }]
}

fn has_pass_file(workshop: &Workshop) -> bool {
    workshop.ldap || workshop.varpass
}
