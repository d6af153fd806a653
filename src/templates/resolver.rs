//! Variables for one rendering: each is rendered or decrypted when a template first asks for it.
//!
//! What a lookup found is kept for the rest of the rendering, failures included.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind};

use super::engine::{self, MAX_OUTPUT, Rendered};
use super::scope::Scope;
use super::source::Kind;
use super::{python, values};
use crate::inventory::{Map, Origin, Value as Raw};

/// Variables that refer to variables that refer to …
const MAX_DEPTH: usize = 50;
const CIRCLE: &str = "variables refer to each other in a circle";
/// Filters cost no fuel, so the clock has a say too.
const MAX_TIME: Duration = Duration::from_secs(30);

/// The variables as one rendering sees them.
pub(super) struct Resolver {
    scope: Scope,
    /// Before the paths of another host's variables; empty for our own.
    prefix: String,
    /// One for all hosts that a rendering looks at.
    progress: Arc<Mutex<Progress>>,
}

struct Progress {
    /// What lookups found, by path (`NAME` or `NAME['key']`).
    found: HashMap<String, Option<Value>>,
    /// Why a path counts as undefined although it is there.
    missing: HashMap<String, String>,
    /// The paths being resolved right now, outermost first.
    path: Vec<String>,
    written: usize,
    opened_vault: bool,
    started: Instant,
}

impl Resolver {
    pub fn new(scope: Scope) -> Arc<Resolver> {
        let progress = Progress {
            found: HashMap::new(),
            missing: HashMap::new(),
            path: Vec::new(),
            written: 0,
            opened_vault: false,
            started: Instant::now(),
        };
        Arc::new(Resolver {
            scope,
            prefix: String::new(),
            progress: Arc::new(Mutex::new(progress)),
        })
    }

    /// The variables of another host, for the same rendering.
    fn beside(&self, host: &str) -> Option<Arc<Resolver>> {
        Some(Arc::new(Resolver {
            scope: self.scope.beside(host)?,
            prefix: format!("hostvars['{host}']."),
            progress: self.progress.clone(),
        }))
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress
            .lock()
            .unwrap_or_else(|held| held.into_inner())
    }

    /// The root that a template looks its names up in.
    pub fn root(self: &Arc<Self>) -> Value {
        Value::from_dyn_object(self.clone())
    }

    /// Whether any value so far came out of a vault.
    pub fn opened_vault(&self) -> bool {
        self.progress().opened_vault
    }

    /// A variable; `None` when it does not exist or refers to one that does not.
    pub fn variable(self: &Arc<Self>, name: &str) -> Option<Value> {
        match self.scope.raw(name) {
            Some((raw, origin)) => self.lookup(format!("{}{name}", self.prefix), raw, origin),
            None => match name {
                "vars" => Some(self.root()),
                "hostvars" => Some(Value::from_object(HostVars {
                    resolver: self.clone(),
                })),
                _ => None,
            },
        }
    }

    /// Why an existing variable counts as undefined.
    pub fn why_missing(&self, name: &str) -> Option<String> {
        let path = format!("{}{name}", self.prefix);
        self.progress().missing.get(&path).cloned()
    }

    fn lookup(self: &Arc<Self>, path: String, raw: &Raw, origin: Option<&Origin>) -> Option<Value> {
        if let Some(found) = self.progress().found.get(&path) {
            return found.clone();
        }
        let found = match self.resolve(&path, raw, origin) {
            Ok(value) => Some(value),
            Err(error) => {
                let mut message = self.describe(&error);
                // A circle has no outermost variable.
                if !message.starts_with(CIRCLE) {
                    message = format!("{}: {message}", label(&path, origin));
                }
                if error.kind() == ErrorKind::UndefinedError {
                    self.progress().missing.insert(path.clone(), message);
                    None
                } else {
                    Some(Value::from(Error::new(
                        ErrorKind::InvalidOperation,
                        message,
                    )))
                }
            }
        };
        self.progress().found.insert(path, found.clone());
        found
    }

    fn resolve(
        self: &Arc<Self>,
        path: &str,
        raw: &Raw,
        origin: Option<&Origin>,
    ) -> Result<Value, Error> {
        match raw {
            Raw::Vault(envelope) => {
                self.progress().opened_vault = true;
                let opened = self.scope.passwords().open(envelope);
                let text = opened
                    .map_err(|why| Error::new(ErrorKind::InvalidOperation, why.to_string()))?;
                Ok(Value::from(text.expose()))
            }
            Raw::Text(text) if values::looks_like_template(text) => {
                self.enter(path)?;
                let result = self.evaluate(path, text);
                self.progress().path.pop();
                result
            }
            Raw::List(items) if values::is_lazy(raw) => Ok(Value::from_object(LazyList {
                resolver: self.clone(),
                items: items.clone(),
                path: path.to_owned(),
                origin: origin.cloned(),
            })),
            Raw::Map(map) if values::is_lazy(raw) => Ok(Value::from_object(LazyMap {
                resolver: self.clone(),
                map: map.clone(),
                path: path.to_owned(),
                origin: origin.cloned(),
            })),
            plain => Ok(values::plain(plain)),
        }
    }

    /// Notes that `path` is being resolved, unless that can lead nowhere.
    fn enter(&self, path: &str) -> Result<(), Error> {
        let mut progress = self.progress();
        let trouble = if let Some(start) = progress.path.iter().position(|above| above == path) {
            let mut circle = progress.path[start..].to_vec();
            circle.push(path.to_owned());
            format!("{CIRCLE}: {}", circle.join(" → "))
        } else if progress.path.len() >= MAX_DEPTH {
            format!("more than {MAX_DEPTH} variables refer to one another in a row")
        } else if progress.started.elapsed() > MAX_TIME {
            format!("rendering takes longer than {} seconds", MAX_TIME.as_secs())
        } else {
            progress.path.push(path.to_owned());
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidOperation, trouble))
    }

    fn evaluate(self: &Arc<Self>, path: &str, text: &str) -> Result<Value, Error> {
        let prepared = engine::prepare(text, Kind::Variable)
            .map_err(|flaw| Error::new(ErrorKind::SyntaxError, flaw.message))?;
        if let Some((expression, value)) = prepared.expression(&self.root()) {
            let value = value?;
            if value.is_undefined() {
                return Err(Error::new(
                    ErrorKind::UndefinedError,
                    format!("`{expression}` is undefined"),
                ));
            }
            return Ok(match value.as_str() {
                Some(result) => Value::from(engine::with_newlines(text, result.to_owned())),
                None => value,
            });
        }
        let written = self.progress().written;
        let (value, len) = match prepared.render(path, text, self.root(), written, None)? {
            Rendered::Nothing => (Value::from(()), 0),
            Rendered::Value(value, text) => (value, text.len()),
            Rendered::Text(text) => (Value::from(text.as_str()), text.len()),
        };
        self.progress().written = written.saturating_add(len).min(MAX_OUTPUT);
        Ok(value)
    }

    /// An engine error as one line, with the reason why an existing name is undefined.
    pub fn describe(&self, error: &Error) -> String {
        let mut message = match (error.kind(), error.detail()) {
            (ErrorKind::UndefinedError, Some(detail)) => detail.to_owned(),
            (ErrorKind::UndefinedError, None) => "an undefined value is used".to_owned(),
            (ErrorKind::InvalidOperation | ErrorKind::WriteFailure, Some(detail)) => {
                detail.to_owned()
            }
            (ErrorKind::OutOfFuel, _) => {
                "takes too many steps; is there an endless loop?".to_owned()
            }
            (kind, Some(detail)) => format!("{kind}: {detail}"),
            (kind, None) => kind.to_string(),
        };
        if error.kind() == ErrorKind::UndefinedError
            && let Some(reason) = message
                .split('`')
                .nth(1)
                .and_then(|name| self.why_missing(name))
        {
            message = format!("{message} ({reason})");
        }
        if message.contains("% operator on unsupported types string") {
            message.push_str("; write it with the format filter: 'text %s' | format(value)");
        }
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        message
    }
}

fn label(path: &str, origin: Option<&Origin>) -> String {
    match origin {
        Some(origin) => format!("variable {path} ({origin})"),
        None => format!("variable {path}"),
    }
}

impl fmt::Debug for Resolver {
    /// No values: some came out of a vault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.scope)
    }
}

impl Object for Resolver {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.variable(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.variable(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.scope.names().into_iter().map(Value::from).collect())
    }
}

/// `hostvars[…]`: this host has the variables of the scope, others their own.
#[derive(Debug)]
struct HostVars {
    resolver: Arc<Resolver>,
}

impl Object for HostVars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if self.resolver.variable("inventory_hostname").as_ref() == Some(key) {
            return Some(self.resolver.root());
        }
        Some(self.resolver.beside(key.as_str()?)?.root())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let others = self.resolver.scope.host_names().iter();
        let mut names: Vec<Value> = others.map(|name| Value::from(name.as_str())).collect();
        if let Some(own) = self.resolver.variable("inventory_hostname")
            && !names.contains(&own)
        {
            names.push(own);
        }
        Enumerator::Values(names)
    }
}

/// A list whose items are resolved one by one.
#[derive(Debug)]
struct LazyList {
    resolver: Arc<Resolver>,
    items: Vec<Raw>,
    path: String,
    origin: Option<Origin>,
}

impl Object for LazyList {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = key.as_usize()?;
        let path = format!("{}[{at}]", self.path);
        self.resolver
            .lookup(path, self.items.get(at)?, self.origin.as_ref())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.items.len())
    }
}

/// A mapping whose values are resolved one by one.
#[derive(Debug)]
struct LazyMap {
    resolver: Arc<Resolver>,
    map: Map,
    path: String,
    origin: Option<Origin>,
}

impl Object for LazyMap {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let (_, raw) = self
            .map
            .iter()
            .find(|(have, _)| values::plain(have) == *key)?;
        let path = format!("{}[{}]", self.path, python::repr_of(key).ok()?);
        self.resolver.lookup(path, raw, self.origin.as_ref())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.map.iter().map(|(key, _)| values::plain(key)).collect())
    }
}
