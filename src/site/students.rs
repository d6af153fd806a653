//! The students of a site, as deliver and the commands beside it work on them.

use std::path::PathBuf;
use std::sync::Arc;

use crate::adapters::accounts_linux;
use crate::adapters::hub_jupyterhub::{self, JupyterHub};
use crate::adapters::registry_local::Shelves;
use crate::deliver::students::{self, Before, Crew, Seats};
use crate::deliver::{Item, Ledger};
use crate::inventory::{AccountsKind, HubSettings};
use crate::ports::Fault;

use super::{Misconfigured, Site, account, ground};

impl Site {
    /// A ledger of its own for what is none of deliver's runs.
    pub fn ledger_of(&self, name: &str) -> Ledger {
        Ledger::new(self.state.deliver().with_file_name(name))
    }

    /// A sandbox has no accounts, and makes its homes by itself.
    pub(super) fn student_items(&self) -> Result<Vec<Item>, Misconfigured> {
        if self.settings.accounts == AccountsKind::Sandbox {
            return Ok(Vec::new());
        }
        let before = match self.settings.clean {
            true => Before::Clean,
            false => Before::Keep,
        };
        match self.crew() {
            Ok(crew) => Ok(students::items(&Arc::new(crew), before)),
            Err(fault) => Err(Misconfigured {
                inventory: "the students".to_owned(),
                problems: vec![fault.line()],
            }),
        }
    }

    /// What deliver works on students with. Permanent in a sandbox.
    pub fn crew(&self) -> Result<Crew, Fault> {
        let settings = &self.settings;
        if settings.accounts == AccountsKind::Sandbox {
            let line = "WODACCOUNTS is sandbox: there are no accounts to work on";
            return Err(Fault::permanent(line));
        }
        let (students, state) = (settings.students_dir.clone(), self.state.root().to_owned());
        let dirs = [
            Some(settings.notebooks.clone()),
            settings.private_notebooks.clone(),
        ];
        let user = settings.user.clone();
        let dirs: Vec<PathBuf> = dirs.into_iter().flatten().collect();
        Ok(Crew {
            accounts: self.accounts_config(),
            homes: self.homes_for(None),
            admin: settings.user.clone(),
            hub: self.jupyterhub()?,
            seats: Seats::new(self.state.journal()),
            workshops: Arc::new(move || {
                let dirs = dirs.iter().filter(|dir| dir.is_dir()).cloned().collect();
                // Before there is a WODUSER there is nobody to read them as.
                let Ok(admin) = account("WODUSER", &user) else {
                    return Ok(Vec::new());
                };
                let admin = Some(admin);
                let shelves = Shelves { dirs, admin };
                Ok(shelves.list()?.0)
            }),
            ground: Box::new(move || ground::check(&students, &state)),
        })
    }

    pub(super) fn accounts_config(&self) -> accounts_linux::Config {
        let settings = &self.settings;
        accounts_linux::Config {
            uid_base: settings.uid_base,
            gid_base: settings.gid_base,
            students: settings.window.0,
            students_dir: settings.students_dir.clone(),
            shell: PathBuf::from("/bin/bash"),
            shared_dirs: accounts_linux::SHARED_DIRS.map(PathBuf::from).to_vec(),
        }
    }

    pub(super) fn jupyterhub(&self) -> Result<Option<Arc<JupyterHub>>, Fault> {
        match &self.settings.hub {
            HubSettings::None => Ok(None),
            HubSettings::JupyterHub { api, token, login } => {
                let config = hub_jupyterhub::Config::new(api, token.clone(), login);
                Ok(Some(Arc::new(JupyterHub::new(config)?)))
            }
        }
    }
}
