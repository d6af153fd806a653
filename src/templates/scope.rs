//! The variables a template sees: the site's, and what one action lays over them.
//!
//! Cheap to clone and to share; nothing is resolved before it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use minijinja::value::ValueKind;

use super::environment::{TemplateError, on_big_stack};
use super::resolver::Resolver;
use super::{Passwords, python, values};
use crate::inventory::{Origin, Value, Vars};

/// Variables by name, with the passwords for the vaulted ones.
#[derive(Clone)]
pub struct Scope {
    site: Arc<Site>,
    over: Arc<BTreeMap<String, Value>>,
}

struct Site {
    vars: Vars,
    passwords: Passwords,
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
        Scope {
            site: Arc::new(Site { vars, passwords }),
            over: Arc::default(),
        }
    }

    /// The same scope with values laid over it. Texts among them may be
    /// templates: hand in what a participant wrote as `Value::Unsafe`.
    pub fn with(&self, extra: impl IntoIterator<Item = (String, Value)>) -> Scope {
        let mut over = (*self.over).clone();
        over.extend(extra);
        Scope {
            site: self.site.clone(),
            over: Arc::new(over),
        }
    }

    /// A variable, resolved. `None` when it is not set; fails when it does not
    /// resolve (a missing variable, a circle, a vault that stays closed).
    pub fn get(&self, name: &str) -> Result<Option<serde_json::Value>, TemplateError> {
        if self.raw(name).is_none() {
            return Ok(None);
        }
        on_big_stack(|| {
            let resolver = Resolver::new(self.clone());
            self.resolved(&resolver, name, values::to_json).map(Some)
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
                    let is_scalar = matches!(
                        value.kind(),
                        ValueKind::Bool | ValueKind::Number | ValueKind::String
                    );
                    if is_scalar {
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
        match self.over.get(name) {
            Some(value) => Some((value, None)),
            None => {
                let variable = self.site.vars.get(name)?;
                Some((&variable.value, Some(&variable.origin)))
            }
        }
    }

    /// The names of all variables.
    pub fn names(&self) -> BTreeSet<String> {
        let stated = self.site.vars.iter().map(|(name, _)| name.to_owned());
        stated.chain(self.over.keys().cloned()).collect()
    }

    pub fn passwords(&self) -> &Passwords {
        &self.site.passwords
    }
}
