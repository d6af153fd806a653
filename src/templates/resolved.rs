//! Variables of a scope to their end: rendered and decrypted, for whoever is no template.

use std::fmt;
use std::sync::Arc;

use minijinja::value::ValueKind;

use super::environment::{TemplateError, on_big_stack};
use super::resolver::Resolver;
use super::scope::Scope;
use super::{python, values};

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

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.is_secret { "…" } else { &self.text };
        write!(f, "{}={shown:?}", self.name)
    }
}

impl Scope {
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
}
