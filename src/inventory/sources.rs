//! All variables of a site: the inventory's for one host, and what is laid over them, in order.

use std::path::PathBuf;

use super::files::{Problem, Unlock, look, named_files};
use super::vars::{Origin, Vars};
use super::{Inventory, Value};

/// Where variables are read from. Later fields beat earlier ones.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A hosts file, or a directory of them; `group_vars/` and `host_vars/` are beside or in it.
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

/// Reads all sources for a host that is in no hosts file; every problem is reported, not only
/// the first.
pub fn load(sources: &Sources) -> Result<Vars, Vec<Problem>> {
    load_with(sources, None)
}

/// As [`load`], with a way to open files that are vaulted as a whole.
pub fn load_with(sources: &Sources, unlock: Option<Unlock>) -> Result<Vars, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut sure = |read: Result<Vars, Vec<Problem>>| {
        read.unwrap_or_else(|all| {
            problems.extend(all);
            Vars::default()
        })
    };
    let group = sources.group.as_deref();
    let mut vars = match &sources.inventory_dir {
        None => Vars::default(),
        Some(dir) => match Inventory::read(dir, unlock) {
            Ok(inventory) => sure(inventory.vars_of(None, group, unlock)),
            Err(mut all) => {
                let name = group.unwrap_or("all");
                named_files(&dir.join("group_vars"), name, &mut all);
                sure(Err(all))
            }
        },
    };
    vars.absorb(&sure(load_extra(sources, unlock)));
    if problems.is_empty() {
        Ok(vars)
    } else {
        Err(problems)
    }
}

/// Only what beats the inventory: Ansible's extra vars.
pub fn load_extra(sources: &Sources, unlock: Option<Unlock>) -> Result<Vars, Vec<Problem>> {
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

/// The files of the extra sources, lowest precedence first.
fn files(sources: &Sources, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let group = sources.group.as_deref();
    let mut found = Vec::new();
    if let Some(file) = &sources.system_file
        && look(file, problems).is_some()
    {
        found.push(file.clone());
    }
    found.extend(sources.extra_files.iter().cloned());
    if let Some(dir) = &sources.private_dir {
        for (folder, name) in [
            ("group_vars", Some("all")),
            ("generated", group),
            ("group_vars", group),
        ] {
            if let Some(name) = name {
                found.extend(named_files(&dir.join(folder), name, problems));
            }
        }
    }
    found
}
