//! Hosts files in YAML form: `all: {hosts: …, children: …, vars: …}`.
//!
//! A document in, groups and hosts out, as Ansible's own reader takes them.

use std::path::Path;

use super::files::Problem;
use super::groups::Groups;
use super::value::key_text;
use super::vars::Origin;
use super::yaml::Warning;
use super::{Document, Map, Value, range};

/// Deeper groups are a mistake, and walked by recursion.
const MAX_DEPTH: usize = 50;

struct Reader<'a> {
    groups: &'a mut Groups,
    file: &'a Path,
    document: &'a Document,
    warnings: &'a mut Vec<Warning>,
    /// The keys that lead to where we are.
    path: Vec<String>,
}

/// Reads one document into `groups`.
pub(super) fn read(
    groups: &mut Groups,
    file: &Path,
    document: &Document,
    warnings: &mut Vec<Warning>,
) -> Result<(), Problem> {
    let problem = |line: usize, what: &str| {
        Origin {
            file: file.to_owned(),
            line,
        }
        .problem(what)
    };
    let Value::Map(top) = &document.value else {
        return Err(problem(
            0,
            "expected groups: a mapping as `all: {hosts: …}`",
        ));
    };
    if top.is_empty() {
        return Err(problem(0, "it is empty"));
    }
    let plugin = top.get("plugin");
    if plugin.is_some_and(|plugin| !matches!(plugin, Value::Null | Value::Bool(false))) {
        return Err(problem(
            0,
            "a dynamic inventory plugin; only hosts files are read",
        ));
    }
    let mut reader = Reader {
        groups,
        file,
        document,
        warnings,
        path: Vec::new(),
    };
    for (name, body) in top.iter() {
        let read = reader.group(name, body);
        read.map_err(|what| problem(reader.line(), &what))?;
    }
    Ok(())
}

impl Reader<'_> {
    fn line(&self) -> usize {
        self.document.line_of(&self.path)
    }

    fn origin(&self) -> Origin {
        Origin {
            file: self.file.to_owned(),
            line: self.line(),
        }
    }

    fn warn(&mut self, message: String) {
        self.warnings.push(Warning {
            file: self.file.display().to_string(),
            line: self.line(),
            message,
        });
    }

    /// Within a key; the way there stays as it is after a failure, for the message.
    fn inside<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        self.path.push(key.to_owned());
        let value = read(self)?;
        self.path.pop();
        Ok(value)
    }

    fn group(&mut self, name: &Value, body: &Value) -> Result<(), String> {
        let Some(name) = name.as_text().filter(|name| !name.is_empty()) else {
            let shown = key_text(name);
            return Err(format!("`{shown}` is no name of a group; put it in quotes"));
        };
        self.inside(name, |reader| match body {
            Value::Null => {
                reader.groups.add_group(name);
                Ok(())
            }
            Value::Map(body) => {
                reader.groups.add_group(name);
                reader.sections(name, body)
            }
            _ => {
                reader.warn(format!("{name} is no group, and passed over"));
                Ok(())
            }
        })
    }

    fn sections(&mut self, group: &str, body: &Map) -> Result<(), String> {
        if self.path.len() > 2 * MAX_DEPTH {
            return Err(format!("groups nested deeper than {MAX_DEPTH} levels"));
        }
        for name in ["vars", "children", "hosts"] {
            if let Some(wrong) = body.get(name).filter(|value| members(value).is_none()) {
                let kind = kind_of(wrong);
                return Err(format!(
                    "{name} of group {group} is {kind}; expected a mapping"
                ));
            }
        }
        for (key, value) in body.iter() {
            let known = key
                .as_text()
                .filter(|key| matches!(*key, "vars" | "children" | "hosts"));
            let (Some(section), Some(members)) = (known, members(value)) else {
                let key = key_text(key);
                if !matches!(value, Value::Null) {
                    self.warn(format!(
                        "{key} in group {group} is passed over; expected hosts, children or vars"
                    ));
                }
                continue;
            };
            self.inside(section, |reader| {
                for (key, value) in members {
                    reader.member(group, section, &key, &value)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn member(
        &mut self,
        group: &str,
        section: &str,
        key: &Value,
        value: &Value,
    ) -> Result<(), String> {
        let name = key_text(key);
        match section {
            "children" => {
                self.group(key, value)?;
                self.inside(&name, |reader| reader.groups.add_child(group, &name))
            }
            "vars" => self.inside(&name, |reader| {
                let origin = reader.origin();
                reader.groups.set(group, key, value.clone(), origin)
            }),
            _ => self.inside(&name, |reader| reader.host(group, key, value)),
        }
    }

    fn host(&mut self, group: &str, key: &Value, value: &Value) -> Result<(), String> {
        let Some(pattern) = key.as_text() else {
            let shown = key_text(key);
            return Err(format!("host {shown} is no text; put it in quotes"));
        };
        let none = Map::default();
        let vars = match value {
            Value::Map(vars) => vars,
            value if value.is_empty() => &none,
            other => {
                let kind = kind_of(other);
                return Err(format!("host {pattern} is {kind}; expected its variables"));
            }
        };
        let hosts = range::hosts(pattern)?;
        for name in &hosts.names {
            let origin = self.origin();
            self.groups.add_host(name, group, hosts.port, &origin)?;
            for (key, value) in vars.iter() {
                self.inside(&key_text(key), |reader| {
                    let origin = reader.origin();
                    reader.groups.set(name, key, value.clone(), origin)
                })?;
            }
        }
        Ok(())
    }
}

/// What a section lists: a lone text is one name without anything.
fn members(value: &Value) -> Option<Vec<(Value, Value)>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Map(map) => Some(map.iter().cloned().collect()),
        Value::Text(_) | Value::Unsafe(_) => Some(vec![(value.clone(), Value::Null)]),
        _ => None,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::Text(_) | Value::Unsafe(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
        Value::Vault(_) => "a vault value",
    }
}
