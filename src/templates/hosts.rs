//! The hosts of the inventory as `hostvars` sees them: each one's variables when first asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::vault::Passwords;
use crate::inventory::{HostFacts, Vars};

type VarsOf = Box<dyn Fn(&str) -> Option<(Vars, HostFacts)> + Send + Sync>;

/// What is written down of one host.
pub(super) struct Site {
    pub vars: Vars,
    pub passwords: Passwords,
    /// Count where no file says otherwise.
    pub facts: HostFacts,
}

/// All hosts by name.
#[derive(Default)]
pub struct Hosts {
    names: Vec<String>,
    vars_of: Option<VarsOf>,
    known: Mutex<HashMap<String, Arc<Site>>>,
}

impl Hosts {
    pub fn new(names: Vec<String>, vars_of: VarsOf) -> Hosts {
        Hosts {
            names,
            vars_of: Some(vars_of),
            known: Mutex::default(),
        }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn site(
        &self,
        host: &str,
        make: impl FnOnce(Vars, HostFacts) -> Site,
    ) -> Option<Arc<Site>> {
        let mut known = self.known.lock().unwrap_or_else(|held| held.into_inner());
        if let Some(site) = known.get(host) {
            return Some(site.clone());
        }
        let (vars, facts) = self.vars_of.as_ref()?(host)?;
        let site = Arc::new(make(vars, facts));
        known.insert(host.to_owned(), site.clone());
        Some(site)
    }
}
