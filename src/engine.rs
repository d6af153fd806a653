//! Carries out accepted actions: from spool to journal to lanes to steps, with retry, hold and recovery.
//!
//! Sees the outside only through `ports`; may not import `adapters`.

mod admit;
mod alert;
mod dispatch;
mod facts;
mod housekeeping;
mod lanes;
pub mod retry;
mod run_step;
mod safety;
mod worker;

pub use dispatch::{Loop, Stop};
pub use facts::plan_for;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::content::{Compiler, Homes, OwnedRender, PassFiles, Publisher, Variables};
use crate::domain::signature::{self, Keyring};
use crate::domain::{
    ActionId, AskedWorkshop, Participant, Student, StudentWindow, Workshop, WorkshopName,
};
use crate::intake::spool::Reader;
use crate::journal::{self, Journal};
use crate::ports::{Accounts, Directory, Fault, Hub, Notify, Registry, Scripts, SeatMap};

/// The outside world, as the engine knows it.
#[derive(Clone)]
pub struct Ports {
    pub accounts: Arc<dyn Accounts>,
    pub hub: Arc<dyn Hub>,
    pub registry: Arc<dyn Registry>,
    /// None when no LDAP directory is configured.
    pub directory: Option<Arc<dyn Directory>>,
    pub scripts: Arc<dyn Scripts>,
    /// None when nobody is to be told by mail.
    pub notify: Option<Arc<dyn Notify>>,
}

/// What fills the homes.
pub struct Content {
    pub homes: Homes,
    pub publisher: Publisher,
    pub pass_files: PassFiles,
    pub compiler: Compiler,
    pub variables: Variables,
}

impl Content {
    /// Renders templates with the variables of this seat as they are now.
    fn renderer(&self, asked: &AskedWorkshop, student: Student) -> Result<OwnedRender, Fault> {
        let pass_files = self.pass_files.paths(&asked.name, student);
        self.variables.renderer(asked, student, pass_files)
    }
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// WODSTATEDIR
    pub state_dir: PathBuf,
    /// WODUSERMIN..WODUSERMAX
    pub window: StudentWindow,
    /// Actions at work at the same time (WODWORKERS).
    pub workers: usize,
    /// How long RESET and PURGE wait for a CLEANUP that may be on its way (WODGUARDSECONDS).
    pub guard_wait: Duration,
    /// In which the same wish without a Message-ID is a duplicate (WODDUPLICATESECONDS).
    pub duplicate_window: Duration,
    /// How long actions are kept that are over: WODHISTORYDAYS, and no shorter than copies of
    /// their mails have to be known.
    pub history: Duration,
    /// WODSIGNATURES and WODREPLAYSECONDS
    pub signatures: signature::Rule,
    /// How long a server may take to start or to stop before that counts as a failure.
    pub hub_wait: Duration,
    pub retry: retry::Policy,
}

/// Tells the intake what it may let in, given the present workshops and seats.
pub type Publish = Box<dyn Fn(&[Workshop], &SeatMap) + Send + Sync>;

/// The keys that mails are signed with, as of now.
pub type Keys = Box<dyn Fn() -> Result<Arc<Keyring>, Fault> + Send + Sync>;

/// The engine; [`Engine::run`] is its life.
pub struct Engine {
    journal: Arc<Journal>,
    spool: Reader,
    ports: Ports,
    content: Content,
    settings: Settings,
    publish: Publish,
    keys: Keys,
    /// Since when a step is "not yet" done.
    not_yet: Mutex<HashMap<ActionId, Instant>>,
    /// Students of accepted CREATEs that are not over: known before the registry is told.
    expected: Mutex<HashMap<Participant, (ActionId, Student)>>,
    /// One publication of the gate at a time, or an older one could end on top.
    publishing: Mutex<()>,
    /// Actions whose students have back what a hold took from them.
    given_back: Mutex<HashSet<ActionId>>,
    shared_appliances: Mutex<HashSet<WorkshopName>>,
    bells: housekeeping::Bells,
}

impl Engine {
    pub fn new(
        journal: Arc<Journal>,
        spool: Reader,
        ports: Ports,
        content: Content,
        settings: Settings,
        publish: Publish,
        keys: Keys,
    ) -> Engine {
        Engine {
            journal,
            spool,
            ports,
            content,
            settings,
            publish,
            keys,
            not_yet: Mutex::default(),
            expected: Mutex::default(),
            publishing: Mutex::default(),
            given_back: Mutex::default(),
            shared_appliances: Mutex::default(),
            bells: housekeeping::Bells::default(),
        }
    }
}

/// What a lock protects here is whole at every point where a thread could panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn of_journal(e: &journal::Error) -> Fault {
    Fault::retry("the journal cannot be used").because(e)
}
