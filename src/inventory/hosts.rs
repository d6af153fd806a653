//! An inventory as a whole: its hosts files, merged, and what `group_vars` and `host_vars` say.
//!
//! Everything is read at once and then only looked up.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::files::{Problem, Unlock, entity_files, named_files, names, read_bytes};
use super::groups::{Group, Groups, LOCALHOST};
use super::vars::{Origin, Vars};
use super::yaml::Warning;
use super::{files, hosts_ini, hosts_yaml};

/// Names of a directory that hold no hosts.
const NOT_HOSTS: &[&str] = &["host_vars", "group_vars", "vars_plugins", "watchdog.yml"];
const NOT_HOSTS_ENDS: &[&str] = &[
    ".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry",
];
const MAX_DEPTH: usize = 16;

/// The hosts and groups of a site with all their variables, still raw.
#[derive(Debug, Clone)]
pub struct Inventory {
    pub(super) groups: Groups,
    /// Holds `group_vars/` and `host_vars/`.
    dir: PathBuf,
    group_files: HashMap<String, Vars>,
    host_files: HashMap<String, Vars>,
    /// Of the hosts files.
    warnings: Vec<Warning>,
}

impl Inventory {
    /// Reads a hosts file, or all those of a directory, which may have none.
    pub fn read(source: &Path, unlock: Option<Unlock>) -> Result<Inventory, Vec<Problem>> {
        let is_dir = source.is_dir();
        let dir = match is_dir {
            true => source,
            false => source.parent().unwrap_or(source),
        };
        let mut reader = Reader {
            groups: Groups::new(),
            warnings: Vec::new(),
            problems: Vec::new(),
            unlock,
        };
        match is_dir {
            true => reader.directory(source, 0),
            false => reader.file(source),
        }
        if reader.problems.is_empty()
            && let Err(what) = reader.groups.settle()
        {
            reader
                .problems
                .push(Problem(format!("{}: {what}", source.display())));
        }
        let named = |group: &Group| group.name.clone();
        let group_names: Vec<String> = reader.groups.groups.iter().map(named).collect();
        let hosts = &reader.groups.hosts;
        let host_names: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
        let group_files = reader.variables(&dir.join("group_vars"), group_names);
        let host_files = reader.variables(&dir.join("host_vars"), host_names);
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        Ok(Inventory {
            groups: reader.groups,
            dir: dir.to_owned(),
            group_files,
            host_files,
            warnings: reader.warnings,
        })
    }

    /// The variables of a host, lowest precedence first: hosts files for `all`, for its groups;
    /// `group_vars` for `all`, for its groups; the host's line; `host_vars`. A host that is not in
    /// the inventory has those of `all`. `group` (WODGROUP) counts as a group of the host in any
    /// case, as its strongest one where the hosts files do not say so.
    pub fn vars_of(
        &self,
        host: Option<&str>,
        group: Option<&str>,
        unlock: Option<Unlock>,
    ) -> Result<Vars, Vec<Problem>> {
        let mut vars = Vars::default();
        vars.warnings.clone_from(&self.warnings);
        let host = host.and_then(|name| self.groups.host(name));
        let mut groups = host
            .map(|host| self.groups.ordered(host))
            .unwrap_or_default();
        let named = group.and_then(|name| self.groups.group(name));
        let is_in = named.is_some_and(|named| groups.iter().any(|group| group.name == named.name));
        groups.extend(named.filter(|named| !is_in && named.name != "all"));
        groups.insert(0, self.groups.all());
        for group in &groups {
            vars.absorb(&group.vars);
        }
        for group in &groups {
            absorb_from(&mut vars, &self.group_files, &group.name);
        }
        if named.is_none()
            && let Some(name) = group
        {
            let mut problems = Vec::new();
            for path in named_files(&self.dir.join("group_vars"), name, &mut problems) {
                problems.extend(vars.read_over(&path, unlock).err());
            }
            if !problems.is_empty() {
                return Err(problems);
            }
        }
        if let Some(host) = host {
            vars.absorb(&host.vars);
            absorb_from(&mut vars, &self.host_files, &host.name);
        }
        Ok(vars)
    }

    /// The hosts in the order they are first named.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.groups.hosts.iter().map(|host| host.name.as_str())
    }

    /// Each group with the hosts in it and below it.
    pub fn groups(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        let groups = self.groups.groups.iter();
        groups.map(|group| (group.name.as_str(), self.groups.names_in(&group.name)))
    }

    /// The groups of a host in the order of their names, without `all`.
    pub fn groups_of(&self, host: &str) -> Vec<&str> {
        let host = self.groups.host(host);
        let mut groups = host
            .map(|host| self.groups.ordered(host))
            .unwrap_or_default();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        groups
            .into_iter()
            .map(|group| group.name.as_str())
            .collect()
    }

    /// The host of the inventory that is this machine: by its names, as the only one there is,
    /// or `localhost`. `fqdn` may be slow and is asked only when it matters.
    pub fn this_host(&self, hostname: &str, fqdn: impl FnOnce() -> String) -> String {
        let hosts: Vec<&str> = self.hosts().collect();
        if let [only] = hosts[..] {
            return only.to_owned();
        }
        let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
        let same = |name: &str| hosts.iter().find(|host| **host == name).copied();
        let alike: Vec<&str> = hosts
            .iter()
            .copied()
            .filter(|host| short(host) == short(hostname))
            .collect();
        let mine = same(hostname).or_else(|| match (hosts.is_empty(), &alike[..]) {
            (true, _) => None,
            (false, [one]) => Some(*one),
            (false, _) => same(&fqdn()),
        });
        let local = || LOCALHOST.iter().find_map(|name| same(name));
        mine.or_else(local).unwrap_or("localhost").to_owned()
    }
}

fn absorb_from(vars: &mut Vars, files: &HashMap<String, Vars>, name: &str) {
    if let Some(read) = files.get(name) {
        vars.absorb(read);
    }
}

struct Reader<'a> {
    groups: Groups,
    warnings: Vec<Warning>,
    problems: Vec<Problem>,
    unlock: Option<Unlock<'a>>,
}

impl Reader<'_> {
    fn directory(&mut self, dir: &Path, depth: usize) {
        let names = match names(dir) {
            Ok(names) => names,
            Err(problem) => return self.problems.push(problem),
        };
        for name in names {
            let is_passed_over = name.starts_with('.')
                || NOT_HOSTS.contains(&name.as_str())
                || NOT_HOSTS_ENDS.iter().any(|end| name.ends_with(end));
            let path = dir.join(&name);
            match fs::metadata(&path) {
                _ if is_passed_over => {}
                Ok(there) if there.is_file() => self.file(&path),
                Ok(there) if there.is_dir() && depth < MAX_DEPTH => {
                    self.directory(&path, depth + 1);
                }
                Ok(_) => self
                    .problems
                    .push(problem(&path, "neither a file nor a directory")),
                Err(error) => self.problems.push(problem(&path, &error.to_string())),
            }
        }
    }

    /// As Ansible: YAML is tried first where the name allows for it, then INI.
    fn file(&mut self, path: &Path) {
        let bytes = match read_bytes(path, "hosts", self.unlock) {
            Ok(bytes) => bytes,
            Err(problem) => return self.problems.push(problem),
        };
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_yaml = matches!(extension, Some("yml" | "yaml" | "json"));
        if extension == Some("toml") {
            let what = "a hosts file in TOML; only INI and YAML are read";
            return self.problems.push(problem(path, what));
        }
        let mut why_not_yaml = None;
        if is_yaml || extension.is_none() {
            match self.yaml(path, bytes.clone()) {
                Ok(()) => return,
                Err(problem) => why_not_yaml = Some(problem),
            }
        }
        if let Err(why_not_ini) = hosts_ini::read(&mut self.groups, path, &bytes) {
            let meant_yaml = is_yaml || looks_like_yaml(&bytes);
            let why = why_not_yaml.filter(|_| meant_yaml).unwrap_or(why_not_ini);
            self.problems.push(why);
        }
    }

    fn yaml(&mut self, path: &Path, bytes: Vec<u8>) -> Result<(), Problem> {
        let document = files::document(path, bytes)?;
        let mut warnings = document.warnings.clone();
        hosts_yaml::read(&mut self.groups, path, &document, &mut warnings)?;
        self.warnings.extend(warnings);
        Ok(())
    }

    fn variables(&mut self, dir: &Path, names: Vec<String>) -> HashMap<String, Vars> {
        let mut all = HashMap::new();
        if !dir.is_dir() {
            return all;
        }
        for name in names {
            let mut vars = Vars::default();
            for path in entity_files(dir, &name, &mut self.problems) {
                self.problems
                    .extend(vars.read_over(&path, self.unlock).err());
            }
            all.insert(name, vars);
        }
        all
    }
}

fn problem(path: &Path, what: &str) -> Problem {
    let file = path.to_owned();
    Origin { file, line: 0 }.problem(what)
}

/// Which of two errors to tell.
fn looks_like_yaml(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(str::trim_end);
    let mut told = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    told.next()
        .is_some_and(|line| line.ends_with(':') || line.starts_with(['{', '-']))
}
