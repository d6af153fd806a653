//! From an inventory on disk to the parts of a running backend: the one place that knows every
//! adapter. Each part gets only the settings that it needs.

mod deliver;
pub mod doctor;
mod facts;
mod ground;
mod host;
mod keys;
mod lint;
mod preview;
mod private;
mod scope;
mod state;
mod students;
mod vault;
mod watchdog;

pub use deliver::family;
pub use facts::{Facts, NoFacts, Seated};
pub use keys::KeyFile;
pub use lint::{lint_defaults, shelf_of};
pub use private::{absolute, who_runs_this};
pub use scope::{inventory, variables, vault_passwords};
pub use state::{HostLock, State};
pub use vault::{PasswordSource, VaultId, of_environment as vault_environment, vault_id};

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::accounts_linux::LinuxAccounts;
use crate::adapters::accounts_sandbox::SandboxAccounts;
use crate::adapters::directory_ldap::{self, Ldap};
use crate::adapters::hub_none::NoHub;
use crate::adapters::notify_mail::{self, Mail};
use crate::adapters::registry_local::{LocalRegistry, Shelves};
use crate::adapters::scripts::{self, ScriptUser, WorkshopScripts};
use crate::content::{
    Admin, Compiler, Homes, HomesConfig, PassFiles, Publisher, PublisherConfig, Variables,
};
use crate::domain::{Secret, Workshop};
use crate::engine::{self, Content, Engine, Ports, retry};
use crate::intake::gate::{Policy, SeatsKnown};
use crate::intake::gatefile;
use crate::intake::spool::Reader;
use crate::inventory::{AccountsKind, Settings, Wrong};
use crate::journal::Journal;
use crate::ports::{Accounts, Directory, Fault, Hub, Notify, Registry, SeatMap};
use crate::templates::Scope;

/// Where a site's inventory is, and what the command line puts over it.
#[derive(Debug, Clone)]
pub struct Source {
    pub inventory: PathBuf,
    /// `NAME=VALUE`
    pub set: Vec<(String, String)>,
}

/// A site as its inventory describes it.
pub struct Site {
    pub settings: Settings,
    pub state: State,
    scope: Scope,
    /// What is odd about the inventory and stops nothing.
    warnings: Vec<String>,
}

/// Everything that is wrong with a configuration, one line each.
#[derive(Debug, thiserror::Error)]
#[error("the configuration in {inventory} cannot be used:{}", listed(.problems))]
pub struct Misconfigured {
    inventory: String,
    problems: Vec<String>,
}

impl Misconfigured {
    fn new(source: &Source, problems: Vec<String>) -> Misconfigured {
        Misconfigured {
            inventory: source.inventory.display().to_string(),
            problems,
        }
    }
}

fn listed(problems: &[String]) -> String {
    match problems {
        [one] => format!(" {one}"),
        all => all.iter().map(|line| format!("\n  {line}")).collect(),
    }
}

type Look<'a> = &'a dyn Fn(&Scope, &str) -> Result<Option<serde_json::Value>, String>;

/// What a signature's time and ours may differ by, beyond the window.
const CLOCKS_DIFFER: Duration = Duration::from_secs(30);
const LONGEST_DELAY: Duration = Duration::from_secs(60);

impl Site {
    pub fn load(source: &Source) -> Result<Site, Misconfigured> {
        Site::load_with(source, &|scope, name| {
            scope.get(name).map_err(|e| why(scope, name, &e.message))
        })
    }

    /// `look` says what a setting is.
    fn load_with(source: &Source, look: Look<'_>) -> Result<Site, Misconfigured> {
        let wrong = |problems| Misconfigured::new(source, problems);
        exists(source).map_err(wrong)?;
        let (scope, warnings) = scope::load(source).map_err(wrong)?;
        let lookup = |name: &str| look(&scope, name);
        let settings = Settings::read(&lookup)
            .map_err(|all| wrong(all.iter().map(|one| placed(&scope, one)).collect()))?;
        let state = State::new(&settings.state_dir);
        Ok(Site {
            settings,
            state,
            scope,
            warnings,
        })
    }

    /// Logs what is odd about the inventory.
    pub fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }

    /// The variables of the inventory, for this host.
    pub fn variables(&self) -> &Scope {
        &self.scope
    }

    /// WODUSER as the host knows it; None in a sandbox.
    pub fn admin(&self) -> Result<Option<Admin>, Fault> {
        match self.settings.accounts {
            AccountsKind::Sandbox => Ok(None),
            AccountsKind::System => account("WODUSER", &self.settings.user).map(Some),
        }
    }

    /// The account of the intake; None in a sandbox, where it runs as we do.
    pub fn intake_account(&self) -> Result<Option<Admin>, Fault> {
        match self.settings.accounts {
            AccountsKind::Sandbox => Ok(None),
            AccountsKind::System => account("WODINTAKEUSER", &self.settings.intake_user).map(Some),
        }
    }

    /// Where workshops are looked for, public first.
    pub fn shelves(&self) -> Result<Shelves, Fault> {
        let settings = &self.settings;
        let dirs = [
            Some(&settings.notebooks),
            settings.private_notebooks.as_ref(),
        ];
        Ok(Shelves {
            dirs: dirs.into_iter().flatten().cloned().collect(),
            admin: self.admin()?,
        })
    }

    pub fn hub(&self) -> Result<Arc<dyn Hub>, Fault> {
        Ok(match self.jupyterhub()? {
            None => Arc::new(NoHub),
            Some(hub) => hub,
        })
    }

    pub fn ports(&self, journal: &Arc<Journal>) -> Result<Ports, Fault> {
        Ok(Ports {
            accounts: self.accounts()?,
            hub: self.hub()?,
            registry: Arc::new(LocalRegistry::new(Arc::clone(journal), self.shelves()?))
                as Arc<dyn Registry>,
            directory: self.directory()?,
            scripts: Arc::new(self.scripts()?),
            notify: self.notify()?,
        })
    }

    pub fn engine(&self, journal: &Arc<Journal>) -> Result<Engine, Fault> {
        let settings = &self.settings;
        let owners = [Some(rustix::process::geteuid().as_raw())]
            .into_iter()
            .chain([self.admin()?, self.intake_account()?].map(|a| a.map(|a| a.uid)))
            .flatten()
            .collect();
        let spool = Reader::open(&self.state.spool(), owners).map_err(|e| {
            Fault::permanent(format!(
                "the spool {} cannot be opened",
                self.state.spool().display()
            ))
            .because(&e)
        })?;
        Ok(Engine::new(
            Arc::clone(journal),
            spool,
            self.ports(journal)?,
            self.content()?,
            engine::Settings {
                state_dir: self.state.root().to_owned(),
                window: settings.window,
                workers: settings.workers,
                guard_wait: settings.guard_wait,
                duplicate_window: settings.duplicate_window,
                history: settings
                    .history
                    .max(settings.duplicate_window * 2)
                    .max(settings.signatures.window * 2 + CLOCKS_DIFFER),
                signatures: settings.signatures,
                hub_wait: settings.hub_wait,
                retry: retry::Policy {
                    first: settings.retry_first,
                    longest: LONGEST_DELAY.max(settings.retry_first),
                    attempts: settings.attempts,
                },
            },
            self.publisher_of_gate(),
            self.keys(),
        ))
    }

    pub fn accounts(&self) -> Result<Arc<dyn Accounts>, Fault> {
        let settings = &self.settings;
        let students = settings.window.0;
        Ok(match settings.accounts {
            AccountsKind::Sandbox => Arc::new(SandboxAccounts::new(
                students,
                self.state.sandbox_accounts(),
            )),
            AccountsKind::System => Arc::new(LinuxAccounts::new(self.accounts_config())?),
        })
    }

    fn directory(&self) -> Result<Option<Arc<dyn Directory>>, Fault> {
        let Some(ldap) = &self.settings.ldap else {
            return Ok(None);
        };
        let config = directory_ldap::Config::new(
            &ldap.server,
            ldap.port,
            &ldap.domain,
            ldap.password.clone(),
        );
        Ok(Some(Arc::new(Ldap::new(config)?)))
    }

    fn notify(&self) -> Result<Option<Arc<dyn Notify>>, Fault> {
        let settings = &self.settings;
        let Some(to) = settings.monitor.clone() else {
            return Ok(None);
        };
        let config = notify_mail::Config {
            host: settings.mail_host.clone(),
            port: settings.mail_port,
            from: settings.senders.first().unwrap_or(&settings.user).clone(),
            to,
        };
        Ok(Some(Arc::new(Mail::new(config)?)))
    }

    fn scripts(&self) -> Result<WorkshopScripts, Fault> {
        let settings = &self.settings;
        let name = match settings.accounts {
            AccountsKind::System => settings.user.clone(),
            AccountsKind::Sandbox => our_name(),
        };
        let exports = self.scope.all_resolved();
        for error in &exports.skipped {
            tracing::warn!("scripts do not get this variable: {error}");
        }
        let (secret, plain): (Vec<_>, Vec<_>) = exports
            .values
            .into_iter()
            .partition(|value| value.is_secret);
        let pair = |export: &crate::templates::Export| (export.name.clone(), export.text.clone());
        Ok(WorkshopScripts::new(scripts::Config {
            public_dir: settings.scripts.clone(),
            private_dir: settings.private_scripts.clone(),
            user: ScriptUser::find(&name)?,
            timeout: settings.script_timeout,
            functions: Some(scripts::Functions {
                dir: self.state.lib(),
                program: std::env::current_exe().unwrap_or_else(|_| "wod".into()),
            }),
            log_dir: self.state.logs(),
            base_env: plain.iter().chain(&secret).map(pair).collect(),
            secrets: secret.iter().map(|e| Secret::new(e.text.clone())).collect(),
        }))
    }

    pub fn homes(&self) -> Result<Homes, Fault> {
        Ok(self.homes_for(self.admin()?))
    }

    fn homes_for(&self, admin: Option<Admin>) -> Homes {
        let settings = &self.settings;
        Homes::new(HomesConfig {
            students: settings.students_dir.clone(),
            skeletons: settings
                .skeletons
                .iter()
                .filter(|dir| dir.is_dir())
                .cloned()
                .collect(),
            admin,
            keep: settings.trash,
            scratch: self.state.scratch(),
        })
    }

    fn content(&self) -> Result<Content, Fault> {
        let settings = &self.settings;
        let admin = self.admin()?;
        Ok(Content {
            homes: self.homes()?,
            publisher: Publisher::new(PublisherConfig {
                public: settings.notebooks.clone(),
                private: settings.private_notebooks.clone(),
                admin: admin.clone(),
            }),
            pass_files: PassFiles::new(
                settings.pass_dir.clone(),
                self.scope.passwords().clone(),
                admin.clone(),
            ),
            compiler: Compiler::new(
                [Some(&settings.scripts), settings.private_scripts.as_ref()]
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect(),
                self.state.scratch(),
                admin,
            ),
            variables: Variables::new(self.scope.clone(), settings.variables_dirs.clone()),
        })
    }

    fn keys(&self) -> engine::Keys {
        let file = KeyFile::new(&self.state.keys());
        Box::new(move || file.read())
    }

    fn publisher_of_gate(&self) -> engine::Publish {
        let settings = self.settings.clone();
        let dir = self.state.public();
        Box::new(move |workshops, seats| {
            let policy = policy(&settings, workshops, seats);
            if let Err(e) = gatefile::publish(&dir, &policy) {
                tracing::error!("the gate's policy in {} stays old: {e}", dir.display());
            }
            if let Err(e) = Facts::new(workshops, seats).publish(&dir) {
                tracing::error!("the facts in {} stay old: {e}", dir.display());
            }
        })
    }
}

fn policy(settings: &Settings, workshops: &[Workshop], seats: &SeatMap) -> Policy {
    Policy {
        window: settings.window,
        workshops: workshops.iter().map(|w| w.name.clone()).collect(),
        peers: settings.smtp_peers.clone(),
        senders: settings.senders.clone(),
        recipients: settings.recipients.clone(),
        max_bytes: settings.largest_mail,
        seats: seats.of.clone(),
        seats_complete: SeatsKnown::from(seats.complete),
        signatures: settings.signatures.demand,
        replay_seconds: settings.signatures.window.as_secs(),
    }
}

/// Whether there is an inventory that we may look at.
fn exists(source: &Source) -> Result<(), Vec<String>> {
    let problem = match source.inventory.metadata() {
        Ok(_) => return Ok(()),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => format!("{e}; run wod with sudo"),
        Err(_) if source.inventory == Path::new(OF_CHECKOUT) => format!(
            "neither {OF_SITE} nor ./{OF_CHECKOUT} is there; run wod install, \
             or name one with --inventory"
        ),
        Err(_) => "there is no such directory; name it with --inventory".to_owned(),
    };
    Err(vec![problem])
}

/// Why a setting has no value; name and place are told with every wrong one.
fn why(scope: &Scope, name: &str, message: &str) -> String {
    let place = scope.stated(name).map(|variable| &variable.origin);
    let own = place.and_then(|place| message.strip_prefix(&format!("variable {name} ({place}): ")));
    own.unwrap_or(message).to_owned()
}

/// A wrong setting with the place that states it.
fn placed(scope: &Scope, wrong: &Wrong) -> String {
    match scope.stated(&wrong.name) {
        Some(variable) => format!("{}: {wrong}", variable.origin),
        None => wrong.to_string(),
    }
}

fn text(scope: &Scope, name: &str) -> Option<String> {
    let value = scope.get(name).ok().flatten()?;
    Some(value.as_str()?.to_owned()).filter(|text| !text.is_empty())
}

fn account(setting: &str, name: &str) -> Result<Admin, Fault> {
    let user = users::get_user_by_name(name).ok_or_else(|| {
        Fault::permanent(format!(
            "{setting} {name} has no account on this host; \
             make it with: useradd --system --no-create-home {name}"
        ))
    })?;
    let groups = user.groups().unwrap_or_default();
    Ok(Admin {
        uid: user.uid(),
        gid: user.primary_group_id(),
        groups: groups.iter().map(users::Group::gid).collect(),
    })
}

fn our_name() -> String {
    let name = users::get_current_username();
    name.map_or_else(
        || "root".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

const OF_SITE: &str = "/etc/wod/inventory";
const OF_CHECKOUT: &str = "inventory";

/// Where the inventory is when nobody says: a site's, else the one of a checkout.
pub fn usual_inventory() -> PathBuf {
    let site = Path::new(OF_SITE);
    match site.metadata() {
        Err(e) if e.kind() != ErrorKind::PermissionDenied => PathBuf::from(OF_CHECKOUT),
        _ => site.to_owned(),
    }
}
