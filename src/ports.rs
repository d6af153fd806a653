//! What the engine needs of the outside world, as small traits, and the one kind of fault they share.
//!
//! Their implementations are in `adapters`; the engine sees only this file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::{AskedWorkshop, Participant, Secret, Student, Time, Workshop, WorkshopName};

/// What to do about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// May pass by itself: tried again with backoff. Unknown faults are of this kind.
    Retry,
    /// Will not pass by itself: held for the admin at once.
    Permanent,
    /// Somebody tries to reach what is not theirs: held at once, and told as such.
    Violation,
}

/// A fault with two faces: one line for the operator, a chain of causes for the log.
#[derive(Debug, Clone)]
pub struct Fault {
    pub disposition: Disposition,
    line: String,
    causes: Vec<String>,
}

impl Fault {
    /// `line` says what was being done, to what, and where it helps what to do next.
    pub fn retry(line: impl Into<String>) -> Fault {
        Fault::new(Disposition::Retry, line.into())
    }

    pub fn permanent(line: impl Into<String>) -> Fault {
        Fault::new(Disposition::Permanent, line.into())
    }

    pub fn violation(line: impl Into<String>) -> Fault {
        Fault::new(Disposition::Violation, line.into())
    }

    fn new(disposition: Disposition, line: String) -> Fault {
        Fault {
            disposition,
            line,
            causes: Vec::new(),
        }
    }

    /// A fault below a directory handle: planted things are violations, the rest may pass.
    pub fn of_files(line: impl Into<String>, error: &crate::safefs::Error) -> Fault {
        let line = line.into();
        match error.is_violation() {
            true => Fault::violation(line),
            false => Fault::retry(line),
        }
        .because(error)
    }

    /// Adds the error behind it, with all its sources.
    pub fn because(mut self, error: &(dyn std::error::Error + 'static)) -> Fault {
        let mut next = Some(error);
        while let Some(cause) = next {
            self.causes.push(cause.to_string());
            next = cause.source();
        }
        self
    }

    /// The operator's line: what was being done, and the nearest cause.
    pub fn line(&self) -> String {
        match self.causes.first() {
            Some(cause) => format!("{}: {cause}", self.line),
            None => self.line.clone(),
        }
    }

    /// Every cause, for the log.
    pub fn chain(&self) -> String {
        let mut parts = vec![self.line.as_str()];
        parts.extend(self.causes.iter().map(String::as_str));
        parts.dedup();
        parts.join(": ")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

impl std::error::Error for Fault {}

/// How far something is that takes its time. `NotYet` is no failure and costs no attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Done,
    /// Look again after this long.
    NotYet(Duration),
}

/// The account of one student, as files and processes see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `student121`
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// The accounts of the host. Everything here converges: it may be called again at any time.
pub trait Accounts: Send + Sync {
    /// Makes sure that the account is there and is what the inventory says (name, uid, gid,
    /// home, shell). Permanent when another account has its name or uid.
    fn ensure(&self, student: Student) -> Result<Account, Fault>;

    /// Nobody can log in with a password any more.
    fn lock(&self, student: Student) -> Result<(), Fault>;

    fn set_password(&self, student: Student, password: &Secret) -> Result<(), Fault>;

    /// Ends every process of the account, whatever it is called, and takes off the file systems
    /// that they mounted; Retry while some are left.
    fn end_processes(&self, student: Student) -> Result<(), Fault>;

    /// Removes what the account has outside its home: files in shared directories, crontab,
    /// at jobs, mail, IPC objects, linger.
    fn sweep(&self, student: Student) -> Result<(), Fault>;

    /// What is still there of the account outside its home, in the places where accounts can
    /// leave something; one line each, empty is clean.
    fn leftovers(&self, student: Student) -> Result<Vec<String>, Fault>;

    /// Every file of the account on this host, but those at and below `known`. Takes seconds.
    fn search(&self, student: Student, known: &[PathBuf]) -> Result<Search, Fault>;

    /// Whether no password opens the account.
    fn is_locked(&self, student: Student) -> Result<bool, Fault>;
}

/// Files of one account, all over the host.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Search {
    /// The first so many, at least.
    pub found: Vec<PathBuf>,
    /// File systems that are not this host's own, so that nobody looked into them.
    pub left_out: Vec<PathBuf>,
}

/// Where students work.
pub trait Hub: Send + Sync {
    /// Asks for the student's server (and hub user), and says whether it answers.
    fn start(&self, student: Student) -> Result<Progress, Fault>;

    /// Asks for the end of the student's server and of the hub's tokens and sessions of the
    /// student, and says whether it is gone. A student that the hub does not know has none.
    fn stop(&self, student: Student) -> Result<Progress, Fault>;

    /// What the hub still has of the student, one line each: servers and tokens.
    fn leftovers(&self, student: Student) -> Result<Vec<String>, Fault>;

    /// When each student that has a server was last seen to use one; None when there is no hub.
    fn last_activity(&self) -> Result<Option<BTreeMap<Student, Time>>, Fault>;

    /// Whether the hub answers at all; for `wod status`.
    fn check(&self) -> Result<(), Fault>;

    /// Where the student logs in; None when there is no hub.
    fn login_url(&self) -> Option<String>;
}

/// What a registry says of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantRecord {
    pub id: Participant,
    /// Local number.
    pub student: Option<Student>,
    pub workshop: Option<AskedWorkshop>,
    pub active: bool,
    pub cleaned: bool,
    /// Percent of code cells executed.
    pub completion: Option<u8>,
}

/// What changes at a seat; None leaves a field as it is.
#[derive(Debug, Default, Clone)]
pub struct SeatReport {
    pub password: Option<Secret>,
    pub assigned: Option<bool>,
}

/// What changes at a participant; None leaves a field as it is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ParticipantReport {
    pub active: Option<bool>,
    pub cleaned: Option<bool>,
    pub completion: Option<u8>,
}

/// Who knows the workshops, the seats and the participants, and is told how actions went.
pub trait Registry: Send + Sync {
    fn workshops(&self) -> Result<Vec<Workshop>, Fault>;

    fn workshop(&self, name: &WorkshopName) -> Result<Option<Workshop>, Fault>;

    fn participant(&self, id: Participant) -> Result<Option<ParticipantRecord>, Fault>;

    /// Notes who takes the seat; a registry that assigns seats itself has nothing to do.
    fn enrol(
        &self,
        id: Participant,
        student: Student,
        workshop: &AskedWorkshop,
        email: Option<&str>,
    ) -> Result<(), Fault>;

    fn report_seat(&self, student: Student, report: &SeatReport) -> Result<(), Fault>;

    /// Reporting on nobody (participant 0) does nothing.
    fn report_participant(&self, id: Participant, report: &ParticipantReport) -> Result<(), Fault>;

    fn report_capacity(&self, workshop: &WorkshopName, seats: u32) -> Result<(), Fault>;

    /// What a script has to show to the registry (`accessToken`); None where it asks for nothing.
    fn access_token(&self) -> Result<Option<Secret>, Fault>;

    /// Which seats the participants have, and whether that is the whole truth.
    fn seats(&self) -> Result<SeatMap, Fault>;
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SeatMap {
    pub of: BTreeMap<Participant, Student>,
    /// False when the registry must be asked for participants that are not in `of`.
    pub complete: bool,
    /// Those of them who were cleaned up.
    pub cleaned: BTreeSet<Participant>,
}

/// Whether a directory knows the student.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Set,
    /// There is none, so no password opens anything.
    Missing,
}

/// An LDAP directory that appliances ask for students' passwords.
pub trait Directory: Send + Sync {
    fn set_password(&self, student: Student, password: &Secret) -> Result<Entry, Fault>;
}

/// The moments at which a workshop's own scripts run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Create,
    PostCopy,
    Cleanup,
    Reset,
}

impl Phase {
    pub const ALL: [Phase; 4] = [Phase::Create, Phase::PostCopy, Phase::Cleanup, Phase::Reset];

    /// The first part of the script's name: `create` of `create-WKSHP-X.sh`.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Create => "create",
            Phase::PostCopy => "post-copy",
            Phase::Cleanup => "cleanup",
            Phase::Reset => "reset",
        }
    }
}

/// Which of a site's two trees something comes from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Overlay {
    Public,
    Private,
}

/// One run of one workshop script.
#[derive(Debug)]
pub struct ScriptCall<'a> {
    /// For the name of its log, e.g. `17`.
    pub action: String,
    pub phase: Phase,
    pub overlay: Overlay,
    pub workshop: &'a WorkshopName,
    /// Beyond the inventory's variables, which the adapter adds.
    pub environment: Vec<(String, String)>,
    /// `randompw` in the environment; masked in the log.
    pub password: Option<&'a Secret>,
    /// `accessToken` in the environment, for a registry that asks for one; masked in the log.
    pub token: Option<&'a Secret>,
}

/// Workshop scripts, run as WODUSER.
pub trait Scripts: Send + Sync {
    /// Which of the two overlays have a script for this moment, in the order in which they run.
    fn find(&self, phase: Phase, workshop: &WorkshopName) -> Vec<Overlay>;

    /// Retry when it fails or runs too long; the fault names its log.
    fn run(&self, call: &ScriptCall<'_>) -> Result<(), Fault>;

    /// Removes the log of an action, named as in its calls; one that has none is fine.
    fn forget(&self, action: &str) -> Result<(), Fault>;
}

/// How the admin is told.
pub trait Notify: Send + Sync {
    fn send(&self, subject: &str, body: &str) -> Result<(), Fault>;
}
