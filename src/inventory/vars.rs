//! Variables by name: their values, and where each one comes from.
//!
//! Values stay raw (templates unrendered, vault values closed).

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::files::{self, Problem, Unlock};
use super::value::{Value, key_text};
use super::yaml::{Document, Warning};

/// Where a value was stated. `line` counts from 1; 0 means the whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub file: PathBuf,
    pub line: usize,
}

impl Origin {
    /// Of a value that no file states.
    pub fn none() -> Origin {
        Origin {
            file: PathBuf::new(),
            line: 0,
        }
    }

    pub fn is_some(&self) -> bool {
        !self.file.as_os_str().is_empty()
    }

    /// A problem at this place.
    pub(super) fn problem(&self, what: &str) -> Problem {
        Problem(format!("{self}: {what}"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

/// A raw value and the place that won.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    pub value: Value,
    pub origin: Origin,
    /// Where it was stated, too, and did not count; the strongest first.
    pub beaten: Vec<Origin>,
}

/// The merged variables, by name.
#[derive(Debug, Clone, Default)]
pub struct Vars {
    by_name: BTreeMap<String, Variable>,
    /// Repeated keys and the like.
    pub warnings: Vec<Warning>,
}

impl Vars {
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.by_name.get(name)
    }

    /// All variables in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.by_name
            .iter()
            .map(|(name, variable)| (name.as_str(), variable))
    }

    /// Sets a variable over whatever was there.
    pub fn set(&mut self, name: impl Into<String>, value: Value, origin: Origin) {
        let new = Variable {
            value,
            origin,
            beaten: Vec::new(),
        };
        self.put(name.into(), new);
    }

    /// Lays all of `other` over what is there.
    pub fn absorb(&mut self, other: &Vars) {
        for (name, variable) in &other.by_name {
            self.put(name.clone(), variable.clone());
        }
        for warning in &other.warnings {
            if !self.warnings.contains(warning) {
                self.warnings.push(warning.clone());
            }
        }
    }

    fn put(&mut self, name: String, mut new: Variable) {
        if let Some(old) = self.by_name.remove(&name) {
            let beaten = std::iter::once(old.origin).chain(old.beaten);
            new.beaten.extend(beaten.filter(Origin::is_some));
        }
        self.by_name.insert(name, new);
    }

    /// Reads one more variable file over what is there, e.g. `variables_<WORKSHOP>.yml`.
    pub fn read_over(&mut self, path: &Path, unlock: Option<Unlock>) -> Result<(), Problem> {
        let document = files::read_document(path, unlock)?;
        self.take(path, document)
    }

    fn take(&mut self, path: &Path, document: Document) -> Result<(), Problem> {
        self.warnings.extend(document.warnings);
        let pairs = match document.value {
            Value::Map(map) => map,
            empty if empty.is_empty() => return Ok(()),
            _ => return Err(not_a_mapping(path)),
        };
        for (key, value) in pairs {
            let name = key_text(&key);
            let line = document.lines.get(&name).copied().unwrap_or(0);
            let file = path.to_owned();
            self.set(name, value, Origin { file, line });
        }
        Ok(())
    }
}

fn not_a_mapping(path: &Path) -> Problem {
    Problem(format!(
        "{}: a variable file holds `NAME: value` lines, this one holds something else",
        path.display()
    ))
}
