//! Variables of a site: which files count, in which order, and where each value comes from.
//!
//! Values stay raw (templates unrendered, vault values closed).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::yaml::{self, Warning};
use super::{Document, Value};

/// Where variables are read from. Later fields beat earlier ones.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Holds `group_vars/`.
    pub inventory_dir: Option<PathBuf>,
    /// WODGROUP: read after `group_vars/all`.
    pub group: Option<String>,
    /// `/etc/wod.yml`; may be absent.
    pub system_file: Option<PathBuf>,
    /// Extra variable files in the order given; each must exist.
    pub extra_files: Vec<PathBuf>,
    /// WODANSIBLEPRIVDIR: `group_vars/all`, `generated/<group>`, `group_vars/<group>`.
    pub private_dir: Option<PathBuf>,
    /// `NAME=value` of the command line, always texts.
    pub set: Vec<(String, String)>,
}

/// Where a value was stated. `line` counts from 1; 0 means the whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub file: PathBuf,
    pub line: usize,
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
}

/// The merged variables, by name.
#[derive(Debug, Clone, Default)]
pub struct Vars {
    by_name: BTreeMap<String, Variable>,
    /// Repeated keys and the like.
    pub warnings: Vec<Warning>,
}

/// One thing that is wrong with the files, as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Problem(pub String);

/// Opens a file that is vaulted as a whole: envelope in, text out.
pub type Unlock<'a> = &'a dyn Fn(&str) -> Result<String, String>;

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
        self.by_name.insert(name.into(), Variable { value, origin });
    }

    /// Reads one more variable file over what is there, e.g. `variables_<WORKSHOP>.yml`.
    pub fn read_over(&mut self, path: &Path, unlock: Option<Unlock>) -> Result<(), Problem> {
        let document = read_document(path, unlock)?;
        self.warnings.extend(document.warnings);
        let pairs = match document.value {
            Value::Null => return Ok(()),
            Value::Map(map) => map,
            _ => return Err(not_a_mapping(path)),
        };
        for (key, value) in pairs {
            let name = key_text(&key);
            let line = document.lines.get(&name).copied().unwrap_or(0);
            self.set(
                name,
                value,
                Origin {
                    file: path.to_owned(),
                    line,
                },
            );
        }
        Ok(())
    }
}

/// Reads all sources; every problem is reported, not only the first.
pub fn load(sources: &Sources) -> Result<Vars, Vec<Problem>> {
    load_with(sources, None)
}

/// As [`load`], with a way to open files that are vaulted as a whole.
pub fn load_with(sources: &Sources, unlock: Option<Unlock>) -> Result<Vars, Vec<Problem>> {
    let mut vars = Vars::default();
    let mut problems = Vec::new();
    for path in files(sources, &mut problems) {
        if let Err(problem) = vars.read_over(&path, unlock) {
            problems.push(problem);
        }
    }
    for (name, value) in &sources.set {
        let origin = Origin {
            file: "command line".into(),
            line: 0,
        };
        vars.set(name, Value::Text(value.clone()), origin);
    }
    if problems.is_empty() {
        Ok(vars)
    } else {
        Err(problems)
    }
}

/// The files of all sources, lowest precedence first.
fn files(sources: &Sources, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let group = sources.group.as_deref();
    if let Some(dir) = &sources.inventory_dir {
        let dir = dir.join("group_vars");
        for name in [Some("all"), group].into_iter().flatten() {
            found.extend(named_files(&dir, name, problems));
        }
    }
    let mut fixed = Vec::new();
    if let Some(file) = &sources.system_file
        && look(file, problems).is_some()
    {
        fixed.push(file.clone());
    }
    fixed.extend(sources.extra_files.iter().cloned());
    let mut private = Vec::new();
    if let Some(dir) = &sources.private_dir {
        for (folder, name) in [
            ("group_vars", Some("all")),
            ("generated", group),
            ("group_vars", group),
        ] {
            if let Some(name) = name {
                private.extend(named_files(&dir.join(folder), name, problems));
            }
        }
    }
    found.append(&mut fixed);
    found.append(&mut private);
    found
}

/// The files that make up `<dir>/<name>`: a file with or without extension, or
/// a directory of files. As in Ansible the first form that exists is the only one.
fn named_files(dir: &Path, name: &str, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    if !is_plain_name(name) {
        problems.push(Problem(format!(
            "group `{name}` cannot name a file in {}; WODGROUP is one plain word",
            dir.display()
        )));
        return Vec::new();
    }
    for extension in ["", ".yml", ".yaml", ".json"] {
        let path = dir.join(format!("{name}{extension}"));
        match look(&path, problems) {
            Some(Found::Directory) => {
                let mut found = Vec::new();
                collect(&path, 0, &mut found, problems);
                return found;
            }
            Some(Found::File) => return vec![path],
            None => {}
        }
    }
    Vec::new()
}

enum Found {
    Directory,
    File,
}

/// None when nothing is there. What may not be looked at is a problem, and told once for a
/// directory: taken for nothing, it would turn up as settings that are missing.
fn look(path: &Path, problems: &mut Vec<Problem>) -> Option<Found> {
    let error = match fs::metadata(path) {
        Ok(there) if there.is_dir() => return Some(Found::Directory),
        Ok(_) => return Some(Found::File),
        Err(error) => error,
    };
    let place = path.parent().unwrap_or(path).display();
    let problem = Problem(match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => return None,
        ErrorKind::PermissionDenied => {
            format!("{place}: cannot look for variables in it: {error}; run wod with sudo")
        }
        _ => format!("{}: cannot look at it: {error}", path.display()),
    });
    if !problems.contains(&problem) {
        problems.push(problem);
    }
    None
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// The variable files of a directory in name order; hidden files, backups and
/// foreign extensions are passed over, as Ansible does.
fn collect(dir: &Path, depth: usize, found: &mut Vec<PathBuf>, problems: &mut Vec<Problem>) {
    const MAX_DEPTH: usize = 16;
    let names: BTreeSet<String> = match fs::read_dir(dir) {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect(),
        Err(error) => {
            problems.push(Problem(format!(
                "{}: cannot list it: {error}",
                dir.display()
            )));
            return;
        }
    };
    for name in names {
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let path = dir.join(&name);
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            if extension.is_none() && depth < MAX_DEPTH {
                collect(&path, depth + 1, found, problems);
            }
        } else if matches!(extension, None | Some("yml" | "yaml" | "json")) {
            found.push(path);
        }
    }
}

fn read_document(path: &Path, unlock: Option<Unlock>) -> Result<Document, Problem> {
    let shown = path.display();
    let bytes = fs::read(path)
        .map_err(|error| Problem(format!("{shown}: cannot read the variables: {error}")))?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problem(format!(
            "{shown}: not UTF-8 from byte {at} on; save it as UTF-8"
        ))
    })?;
    if text.starts_with("$ANSIBLE_VAULT;") {
        let unlock = unlock.ok_or_else(|| {
            Problem(format!(
                "{shown}: vaulted, and no vault password is configured (vault_secret)"
            ))
        })?;
        text = unlock(&text).map_err(|why| Problem(format!("{shown}: {why}")))?;
    }
    // As Ansible: what is JSON is read as JSON (`1e3` is a number there), all else as YAML.
    if text.trim_start().starts_with(['{', '['])
        && let Ok(json) = serde_json::from_str::<serde_json::Value>(&text)
    {
        return Ok(Document {
            value: Value::from(json),
            lines: Default::default(),
            warnings: Vec::new(),
        });
    }
    yaml::from_str(&shown.to_string(), &text).map_err(|error| Problem(error.to_string()))
}

fn not_a_mapping(path: &Path) -> Problem {
    Problem(format!(
        "{}: a variable file holds `NAME: value` lines, this one holds something else",
        path.display()
    ))
}

/// A key as a variable name; `1: x` names the variable `1`.
fn key_text(key: &Value) -> String {
    match key {
        Value::Text(text) | Value::Unsafe(text) | Value::Vault(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
        other => format!("{other:?}"),
    }
}
