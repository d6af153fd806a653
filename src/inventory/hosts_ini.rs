//! Hosts files in INI form: `[group]`, `[group:children]`, `[group:vars]`, `host key=value`.
//!
//! Lines in, groups and hosts out, as Ansible's own reader takes them.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::files::Problem;
use super::groups::Groups;
use super::scalar::pattern;
use super::vars::Origin;
use super::{Value, literal, range, words};

static SECTION: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?"));
static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"([^:\]\s]+)\s*(?:#.*)?"));

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Hosts,
    Children,
    Vars,
}

/// A group that was spoken of and has no section of its own yet.
struct Pending {
    name: String,
    line: usize,
    /// Of those that want it as a child; None when only `[name:vars]` was there.
    parents: Option<Vec<String>>,
}

struct Reader<'a> {
    groups: &'a mut Groups,
    file: &'a Path,
    line: usize,
    group: String,
    section: Section,
    pending: Vec<Pending>,
}

/// Reads one file into `groups`; stops at the first line that cannot be understood.
pub(super) fn read(groups: &mut Groups, file: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let mut reader = Reader {
        groups,
        file,
        line: 0,
        group: "ungrouped".to_owned(),
        section: Section::Hosts,
        pending: Vec::new(),
    };
    for line in lines(bytes) {
        reader.line += 1;
        let taken = match line {
            Some(line) => reader.take(strip(&line)),
            None => Err("not UTF-8; save the file as UTF-8".to_owned()),
        };
        taken.map_err(|what| reader.problem(reader.line, &what))?;
    }
    reader.finish()
}

impl Reader<'_> {
    fn problem(&self, line: usize, what: &str) -> Problem {
        Problem(format!("{}:{line}: {what}", self.file.display()))
    }

    fn origin(&self) -> Origin {
        Origin {
            file: self.file.to_owned(),
            line: self.line,
        }
    }

    fn take(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with([';', '#']) {
            return Ok(());
        }
        if let Some(found) = SECTION.captures(line) {
            let name = found.get(1).map_or("", |name| name.as_str());
            return self.begin(name, found.get(2).map(|kind| kind.as_str()));
        }
        if line.starts_with('[') && line.ends_with(']') {
            return Err(format!(
                "{line} is no section; expected [group], [group:children] or [group:vars]"
            ));
        }
        match self.section {
            Section::Hosts => self.host(line),
            Section::Vars => self.variable(line),
            Section::Children => self.child(line),
        }
    }

    fn begin(&mut self, name: &str, kind: Option<&str>) -> Result<(), String> {
        self.section = match kind {
            None | Some("hosts") => Section::Hosts,
            Some("children") => Section::Children,
            Some("vars") => Section::Vars,
            Some(kind) => {
                return Err(format!(
                    "[{name}:{kind}] is unknown; expected hosts, children or vars"
                ));
            }
        };
        self.group = name.to_owned();
        let place = |pending: &[Pending]| pending.iter().position(|p| p.name == name);
        if self.groups.group(name).is_none() {
            if self.section == Section::Vars && place(&self.pending).is_none() {
                self.pending.push(Pending {
                    name: name.to_owned(),
                    line: self.line,
                    parents: None,
                });
            }
            self.groups.add_group(name);
        }
        if self.section != Section::Vars
            && let Some(at) = place(&self.pending)
        {
            let declared = self.pending.remove(at);
            for parent in declared.parents.unwrap_or_default() {
                self.groups.add_child(&parent, name)?;
            }
        }
        Ok(())
    }

    fn host(&mut self, line: &str) -> Result<(), String> {
        let words = words::split(line)?;
        let Some((pattern, assignments)) = words.split_first() else {
            return Err("expected a host".to_owned());
        };
        let hosts = range::hosts(pattern)?;
        if strip(pattern).ends_with(':') && hosts.port.is_none() {
            return Err(format!("host {pattern} ends in a colon without a port"));
        }
        if hosts.names.iter().any(|name| strip(name) == "---") {
            return Err("`---` begins a YAML file, and this is none".to_owned());
        }
        let mut vars: Vec<(&str, Value)> = Vec::new();
        for word in assignments {
            let Some((key, value)) = word.split_once('=') else {
                return Err(format!("{word} is no key=value"));
            };
            vars.push((key, value_of(key, value)?));
        }
        let origin = self.origin();
        for name in &hosts.names {
            self.groups
                .add_host(name, &self.group, hosts.port, &origin)?;
            for (key, value) in &vars {
                let key = Value::Text((*key).to_owned());
                self.groups.set(name, &key, value.clone(), origin.clone())?;
            }
        }
        Ok(())
    }

    fn variable(&mut self, line: &str) -> Result<(), String> {
        let Some((key, value)) = line.split_once('=') else {
            return Err("expected key=value".to_owned());
        };
        let key = strip(key);
        let value = value_of(key, strip(value))?;
        let origin = self.origin();
        self.groups
            .set(&self.group, &Value::Text(key.to_owned()), value, origin)
    }

    fn child(&mut self, line: &str) -> Result<(), String> {
        let found = NAME.captures(line).and_then(|found| found.get(1));
        let Some(child) = found.map(|name| name.as_str()) else {
            return Err(format!("{line} is no name of a group"));
        };
        if self.groups.group(child).is_some() {
            return self.groups.add_child(&self.group, child);
        }
        let parent = self.group.clone();
        match self
            .pending
            .iter_mut()
            .find(|pending| pending.name == child)
        {
            Some(pending) => pending.parents.get_or_insert_default().push(parent),
            None => self.pending.push(Pending {
                name: child.to_owned(),
                line: self.line,
                parents: Some(vec![parent]),
            }),
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Problem> {
        let Some(open) = self.pending.first() else {
            return Ok(());
        };
        let name = &open.name;
        let what = match &open.parents {
            None => format!("[{name}:vars], and there is no group {name}"),
            Some(parents) => format!(
                "group {name} is a child of {}, and has no section [{name}]",
                parents.join(", ")
            ),
        };
        Err(self.problem(open.line, &what))
    }
}

/// Does not quote the value: it may be a password.
fn value_of(key: &str, text: &str) -> Result<Value, String> {
    literal::value(text).map_err(|what| format!("the value of {key} cannot be read: {what}"))
}

/// The lines as Python cuts them; None where one is not UTF-8. In a file that is not, comments
/// may hold what they like.
fn lines(bytes: &[u8]) -> Vec<Option<String>> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let ends = [
            '\n', '\r', '\x0b', '\x0c', '\x1c', '\x1d', '\x1e', '\u{85}', '\u{2028}', '\u{2029}',
        ];
        let text = text.replace("\r\n", "\n");
        return text.split(ends).map(|line| Some(line.to_owned())).collect();
    }
    bytes
        .split(|byte| *byte == b'\n')
        .map(|line| match line.first() {
            Some(b';' | b'#') => Some(String::new()),
            _ => String::from_utf8(line.to_vec()).ok(),
        })
        .collect()
}

/// Without the white space around it, as Python understands that.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}
