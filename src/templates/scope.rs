//! The variables a template sees: the site's, and what one action lays over them.
//!
//! Cheap to clone and to share; nothing is resolved before it is asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::hosts::{Hosts, Site};
use super::vault::Passwords;
use crate::inventory::{HostFacts, Origin, Value, Variable, Vars};

/// Variables by name, with the passwords for the vaulted ones.
#[derive(Clone)]
pub struct Scope {
    site: Arc<Site>,
    hosts: Arc<Hosts>,
    over: Arc<Vars>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({} variables)", self.names().len())
    }
}

impl Scope {
    pub fn new(vars: Vars, passwords: Passwords) -> Scope {
        Scope::on_host(vars, passwords, HostFacts::default(), Arc::default())
    }

    /// The variables of a host that knows of others.
    pub fn on_host(vars: Vars, passwords: Passwords, facts: HostFacts, hosts: Arc<Hosts>) -> Scope {
        Scope {
            site: Arc::new(Site {
                vars,
                passwords,
                facts,
            }),
            hosts,
            over: Arc::default(),
        }
    }

    /// The scope of another host of the inventory.
    pub(super) fn beside(&self, host: &str) -> Option<Scope> {
        let site = self.hosts.site(host, |vars, facts| Site {
            vars,
            passwords: self.site.passwords.clone(),
            facts,
        })?;
        Some(Scope {
            site,
            hosts: self.hosts.clone(),
            over: Arc::default(),
        })
    }

    pub(super) fn host_names(&self) -> &[String] {
        self.hosts.names()
    }

    /// A variable as the files state it; None for a fact, and for what has no file.
    pub fn stated(&self, name: &str) -> Option<&Variable> {
        self.over.get(name).or_else(|| self.site.vars.get(name))
    }

    /// The same scope with the variables of more files laid over it.
    pub fn with_vars(&self, vars: &Vars) -> Scope {
        let mut over = (*self.over).clone();
        over.absorb(vars);
        Scope {
            over: Arc::new(over),
            ..self.clone()
        }
    }

    /// The same scope with values laid over it. Texts among them may be
    /// templates: hand in what a participant wrote as `Value::Unsafe`.
    pub fn with(&self, extra: impl IntoIterator<Item = (String, Value)>) -> Scope {
        let mut over = Vars::default();
        for (name, value) in extra {
            over.set(name, value, Origin::none());
        }
        self.with_vars(&over)
    }

    /// A variable as it is stated, and where.
    pub(super) fn raw(&self, name: &str) -> Option<(&Value, Option<&Origin>)> {
        match self.stated(name) {
            Some(variable) => {
                let origin = &variable.origin;
                Some((
                    &variable.value,
                    Some(origin).filter(|origin| origin.is_some()),
                ))
            }
            None => Some((self.site.facts.get(name)?, None)),
        }
    }

    /// The names of all variables that are stated somewhere; facts are none of them.
    pub fn names(&self) -> BTreeSet<String> {
        let stated = self.site.vars.iter().chain(self.over.iter());
        stated.map(|(name, _)| name.to_owned()).collect()
    }

    pub fn passwords(&self) -> &Passwords {
        &self.site.passwords
    }
}
