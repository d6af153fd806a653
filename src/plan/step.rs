//! The steps. Each converges: run again after a crash, it looks at what is and mends the rest.

use serde::{Deserialize, Serialize};

use crate::domain::{AskedWorkshop, Participant, Student, WorkshopName};
use crate::ports::{Overlay, Phase};

/// "Ensure this is so", for one student or one report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// The Linux account exists as the inventory says.
    EnsureAccount {
        student: Student,
    },
    /// A new random password is in the journal.
    MintPassword {
        student: Student,
    },
    /// No password opens the account.
    LockAccount {
        student: Student,
    },
    /// The hub runs no server for the student and knows no session of theirs.
    StopServer {
        student: Student,
    },
    /// No process of the account runs.
    EndProcesses {
        student: Student,
    },
    /// The home is in the root-only trash.
    EraseHome {
        student: Student,
    },
    /// Nothing of the account is outside its home, nor any process that a crontab started meanwhile.
    SweepLeftovers {
        student: Student,
    },
    /// A look at all of the above before the seat is given on.
    VerifySeat {
        student: Student,
    },
    /// A home from the skeletons, with a new key pair.
    FreshHome {
        student: Student,
    },
    /// The directory has the minted password.
    DirectoryPassword {
        student: Student,
        entry: EntryWanted,
    },
    /// The pass file has the minted password, vault-encrypted.
    WritePassFile {
        student: Student,
        workshop: WorkshopName,
    },
    /// There is no pass file.
    DropPassFile {
        student: Student,
        workshop: WorkshopName,
    },
    /// There is no pass file of the student for any workshop.
    DropPassFiles {
        student: Student,
    },
    /// The named scripts are in the home, as executables only.
    CompileScripts {
        student: Student,
        workshop: AskedWorkshop,
        scripts: Vec<String>,
    },
    /// One of the workshop's own scripts ran to a good end.
    RunScript {
        student: Student,
        workshop: AskedWorkshop,
        phase: Phase,
        overlay: Overlay,
    },
    /// The workshop's files are in the home, rendered.
    PublishContent {
        student: Student,
        workshop: AskedWorkshop,
    },
    /// Everything in the home is the student's, and WODUSER may reach it.
    OwnHome {
        student: Student,
    },
    /// The account has the minted password.
    AccountPassword {
        student: Student,
    },
    /// The student's server answers.
    StartServer {
        student: Student,
    },
    /// The share of code cells that were executed is in the journal.
    MeasureCompletion {
        student: Student,
        workshop: WorkshopName,
    },
    /// The registry knows the minted password of the seat.
    ReportPassword {
        student: Student,
    },
    ReportAssigned {
        student: Student,
        assigned: bool,
    },
    ReportActive {
        participant: Participant,
        active: bool,
    },
    /// The registry knows the measured completion ratio.
    ReportCompletion {
        participant: Participant,
    },
    ReportCleaned {
        participant: Participant,
    },
    ReportCapacity {
        workshop: WorkshopName,
        seats: u32,
    },
    /// The journal holds no password of this action any more.
    ForgetSecrets,
}

/// Whether the directory has to know the student.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryWanted {
    /// The workshop works with it.
    Needed,
    /// Where there is one, the last participant's password in it is to be dead.
    IfThere,
}

/// How a step is to be treated by the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// Changes the host; if the record of its completion is lost, it is simply done again.
    Host,
    /// Tells the outside something: what came before it must be on disk first.
    Report,
}

impl Step {
    pub fn kind(&self) -> StepKind {
        match self {
            Step::ReportPassword { .. }
            | Step::ReportAssigned { .. }
            | Step::ReportActive { .. }
            | Step::ReportCompletion { .. }
            | Step::ReportCleaned { .. }
            | Step::ReportCapacity { .. }
            | Step::DirectoryPassword { .. } => StepKind::Report,
            _ => StepKind::Host,
        }
    }
}
