//! Plans and steps in words, for people.

use std::fmt;

use super::{EntryWanted, Guard, Plan, Step};
use crate::ports::Overlay;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::EnsureAccount { student } => write!(f, "account student{student} exists"),
            Step::MintPassword { student } => write!(f, "new password for student{student}"),
            Step::LockAccount { student } => write!(f, "lock student{student}"),
            Step::StopServer { student } => write!(f, "stop the server of student{student}"),
            Step::EndProcesses { student } => write!(f, "end all processes of student{student}"),
            Step::EraseHome { student } => write!(f, "erase the home of student{student}"),
            Step::SweepLeftovers { student } => {
                write!(f, "remove what student{student} left elsewhere")
            }
            Step::VerifySeat { student } => {
                write!(f, "verify that nothing of student{student} is left")
            }
            Step::FreshHome { student } => write!(f, "fresh home for student{student}"),
            Step::DirectoryPassword { student, entry } => {
                let condition = match entry {
                    EntryWanted::Needed => "",
                    EntryWanted::IfThere => ", if it has an entry",
                };
                write!(
                    f,
                    "set the directory password of student{student}{condition}"
                )
            }
            Step::WritePassFile { student, workshop } => {
                write!(f, "write the pass file of student{student} for {workshop}")
            }
            Step::DropPassFile { student, workshop } => {
                write!(f, "drop the pass file of student{student} for {workshop}")
            }
            Step::DropPassFiles { student } => {
                write!(f, "drop all pass files of student{student}")
            }
            Step::CompileScripts {
                student, scripts, ..
            } => write!(f, "compile {} for student{student}", scripts.join(", ")),
            Step::RunScript {
                workshop,
                phase,
                overlay,
                ..
            } => {
                let whose = match overlay {
                    Overlay::Public => "",
                    Overlay::Private => "private ",
                };
                write!(f, "run {whose}{}-{}.sh", phase.as_str(), workshop.name)
            }
            Step::PublishContent { student, workshop } => {
                write!(f, "publish {workshop} to student{student}")
            }
            Step::OwnHome { student } => write!(f, "give the home to student{student}"),
            Step::AccountPassword { student } => {
                write!(f, "set the password of student{student}")
            }
            Step::StartServer { student } => write!(f, "start the server of student{student}"),
            Step::MeasureCompletion { student, workshop } => {
                write!(f, "measure how far student{student} came in {workshop}")
            }
            Step::ReportPassword { student } => {
                write!(f, "report the password of student{student}")
            }
            Step::ReportAssigned { student, assigned } => match assigned {
                true => write!(f, "report student{student} as assigned"),
                false => write!(f, "report student{student} as free"),
            },
            Step::ReportActive {
                participant,
                active,
            } => match active {
                true => write!(f, "report participant {participant} as active"),
                false => write!(f, "report participant {participant} as no longer active"),
            },
            Step::ReportCompletion { participant } => {
                write!(f, "report how far participant {participant} came")
            }
            Step::ReportCleaned { participant } => {
                write!(f, "report participant {participant} as cleaned up")
            }
            Step::ReportCapacity { workshop, seats } => {
                write!(f, "report {seats} free seats of {workshop}")
            }
            Step::ForgetSecrets => f.write_str("forget the passwords of this action"),
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guard::Cleaned { participant } => {
                write!(f, "wait for the CLEANUP of participant {participant}")
            }
        }
    }
}

/// A plan as numbered lines.
pub fn describe(plan: &Plan) -> String {
    let guards = plan.guards.iter().map(|guard| format!("  if  {guard}\n"));
    let steps = (1..)
        .zip(&plan.steps)
        .map(|(number, step)| format!("{number:>4}  {step}\n"));
    guards.chain(steps).collect()
}
