//! The variables a template sees: the site's, and what one action lays over them.
//!
//! Cheap to clone and to share; nothing is resolved before it is asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use minijinja::value::ValueKind;

use super::environment::{TemplateError, on_big_stack};
use super::hosts::Hosts;
use super::resolver::Resolver;
use super::{Passwords, python, values};
use crate::inventory::{HostFacts, Origin, Value, Variable, Vars};

/// Variables by name, with the passwords for the vaulted ones.
#[derive(Clone)]
pub struct Scope {
    site: Arc<Site>,
    hosts: Arc<Hosts>,
    over: Arc<Vars>,
}

pub(super) struct Site {
    vars: Vars,
    passwords: Passwords,
    /// Count where no file says otherwise.
    facts: HostFacts,
}

/// One variable as a script's environment gets it.
#[derive(Clone, PartialEq, Eq)]
pub struct Export {
    pub name: String,
    /// As Python prints it (`True`, `8000`).
    pub text: String,
    /// Came out of a vault, directly or through other variables.
    pub is_secret: bool,
}

/// The scalars of a scope, and the variables that did not resolve, each with its reason.
#[derive(Debug, Clone, Default)]
pub struct Exports {
    pub values: Vec<Export>,
    pub skipped: Vec<TemplateError>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({} variables)", self.names().len())
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.is_secret { "…" } else { &self.text };
        write!(f, "{}={shown:?}", self.name)
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

    /// A variable, resolved. `None` when it is not set; fails when it does not
    /// resolve (a missing variable, a circle, a vault that stays closed).
    pub fn get(&self, name: &str) -> Result<Option<serde_json::Value>, TemplateError> {
        let found = self.get_with_secrecy(name)?;
        Ok(found.map(|(value, _)| value))
    }

    /// As [`Scope::get`], and whether anything on the way came out of a vault.
    pub fn get_with_secrecy(
        &self,
        name: &str,
    ) -> Result<Option<(serde_json::Value, bool)>, TemplateError> {
        if self.raw(name).is_none() {
            return Ok(None);
        }
        on_big_stack(|| {
            let resolver = Resolver::new(self.clone());
            let value = self.resolved(&resolver, name, values::to_json)?;
            Ok(Some((value, resolver.opened_vault())))
        })
    }

    /// All scalars that resolve, by name, for a script's environment.
    pub fn all_resolved(&self) -> Exports {
        on_big_stack(|| {
            let mut exports = Exports::default();
            for name in self.names() {
                // One resolver each, so that `is_secret` is about this variable.
                let resolver = Resolver::new(self.clone());
                let text = self.resolved(&resolver, &name, |value| {
                    // A vault that does not open is invalid, and says why when it is read.
                    let is_read = matches!(
                        value.kind(),
                        ValueKind::Bool
                            | ValueKind::Number
                            | ValueKind::String
                            | ValueKind::Invalid
                    );
                    if is_read {
                        python::str_of(value).map(Some)
                    } else {
                        Ok(None)
                    }
                });
                match text {
                    Ok(Some(text)) => {
                        exports.values.push(Export {
                            name,
                            text,
                            is_secret: resolver.opened_vault(),
                        });
                    }
                    Ok(None) => {}
                    Err(error) => exports.skipped.push(error),
                }
            }
            exports
        })
    }

    fn resolved<T>(
        &self,
        resolver: &Arc<Resolver>,
        name: &str,
        read: impl Fn(&minijinja::Value) -> Result<T, minijinja::Error>,
    ) -> Result<T, TemplateError> {
        let missing = || {
            resolver
                .why_missing(name)
                .unwrap_or_else(|| format!("variable {name}: undefined"))
        };
        let message = match resolver.variable(name) {
            None => missing(),
            Some(value) => match read(&value) {
                Ok(read) => return Ok(read),
                Err(error) => resolver.describe(&error),
            },
        };
        let origin = self.raw(name).and_then(|(_, origin)| origin);
        Err(TemplateError {
            name: origin.map_or_else(
                || name.to_owned(),
                |origin| origin.file.display().to_string(),
            ),
            line: origin.map_or(0, |origin| origin.line),
            column: None,
            message,
        })
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
