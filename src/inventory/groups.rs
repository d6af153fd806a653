//! Groups and hosts of an inventory, and who is in what: the rules by which Ansible merges files.
//!
//! Nothing is read here. Names are looked up among groups first, then among hosts.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::range::whole;
use super::value::{Value, key_text};
use super::vars::{Origin, Vars};

/// Names that mean this very machine.
pub(super) const LOCALHOST: [&str; 3] = ["127.0.0.1", "localhost", "::1"];

const ALL: usize = 0;
const UNGROUPED: usize = 1;

#[derive(Debug, Clone)]
pub(super) struct Group {
    pub name: String,
    pub vars: Vars,
    /// In the order they came.
    pub hosts: Vec<usize>,
    /// The same, for a quick look.
    direct: HashSet<usize>,
    pub children: Vec<usize>,
    parents: Vec<usize>,
    depth: usize,
    priority: i128,
}

#[derive(Debug, Clone)]
pub(super) struct Host {
    pub name: String,
    pub vars: Vars,
    /// Direct ones and their ancestors.
    pub groups: BTreeSet<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Groups {
    pub groups: Vec<Group>,
    pub hosts: Vec<Host>,
    group_places: HashMap<String, usize>,
    host_places: HashMap<String, usize>,
}

impl Groups {
    /// `all` and its child `ungrouped`.
    pub fn new() -> Groups {
        let mut new = Groups {
            groups: Vec::new(),
            hosts: Vec::new(),
            group_places: HashMap::new(),
            host_places: HashMap::new(),
        };
        new.add_group("all");
        new.add_group("ungrouped");
        new.link(ALL, UNGROUPED);
        new
    }

    pub fn group(&self, name: &str) -> Option<&Group> {
        self.group_places.get(name).map(|&at| &self.groups[at])
    }

    pub fn host(&self, name: &str) -> Option<&Host> {
        self.host_places.get(name).map(|&at| &self.hosts[at])
    }

    pub fn add_group(&mut self, name: &str) {
        if self.group_places.contains_key(name) {
            return;
        }
        self.group_places.insert(name.to_owned(), self.groups.len());
        self.groups.push(Group {
            name: name.to_owned(),
            vars: Vars::default(),
            hosts: Vec::new(),
            direct: HashSet::new(),
            children: Vec::new(),
            parents: Vec::new(),
            depth: 0,
            priority: 1,
        });
    }

    /// Puts a host into a group that exists; the port counts where the host is first named.
    pub fn add_host(
        &mut self,
        name: &str,
        group: &str,
        port: Option<i128>,
        origin: &Origin,
    ) -> Result<(), String> {
        if name.is_empty() {
            return Err("a host without a name".to_owned());
        }
        let at = match self.host_places.get(name) {
            Some(&at) => at,
            None => self.new_host(name, port, origin),
        };
        if let Some(&group) = self.group_places.get(group) {
            self.put(at, group);
        }
        Ok(())
    }

    fn new_host(&mut self, name: &str, port: Option<i128>, origin: &Origin) -> usize {
        let at = self.hosts.len();
        let mut host_vars = Vars::default();
        if let Some(port) = port.filter(|port| *port != 0) {
            host_vars.set("ansible_port", Value::Int(port), origin.clone());
        }
        self.host_places.insert(name.to_owned(), at);
        self.hosts.push(Host {
            name: name.to_owned(),
            vars: host_vars,
            groups: BTreeSet::new(),
        });
        at
    }

    fn put(&mut self, host: usize, group: usize) {
        if !self.groups[group].direct.insert(host) {
            return;
        }
        self.groups[group].hosts.push(host);
        let above = self.ancestors(group);
        self.hosts[host].groups.extend(above);
        self.hosts[host].groups.insert(group);
    }

    /// Sets a variable of the group of that name, else of the host.
    pub fn set(
        &mut self,
        entity: &str,
        key: &Value,
        value: Value,
        origin: Origin,
    ) -> Result<(), String> {
        let name = key_text(key);
        if let Some(&at) = self.group_places.get(entity) {
            let group = &mut self.groups[at];
            if name == "ansible_group_priority" {
                group.priority = priority(&value)
                    .ok_or_else(|| format!("ansible_group_priority of {entity} is no number"))?;
            } else {
                group.vars.set(name, value, origin);
            }
        } else if let Some(&at) = self.host_places.get(entity) {
            self.hosts[at].vars.set(name, value, origin);
        }
        Ok(())
    }

    /// Makes a group, or a host, part of a group.
    pub fn add_child(&mut self, group: &str, child: &str) -> Result<(), String> {
        let Some(&group) = self.group_places.get(group) else {
            return Err(format!("{group} is no group"));
        };
        if let Some(&child) = self.group_places.get(child) {
            return self.add_subgroup(group, child);
        }
        let Some(&host) = self.host_places.get(child) else {
            return Err(format!("{child} is neither a group nor a host"));
        };
        self.put(host, group);
        Ok(())
    }

    fn add_subgroup(&mut self, group: usize, child: usize) -> Result<(), String> {
        if group == child {
            return Err(format!(
                "group {} is its own child",
                self.groups[group].name
            ));
        }
        if self.groups[group].children.contains(&child) {
            return Ok(());
        }
        if self.ancestors(group).contains(&child) {
            return Err(format!(
                "groups contain each other in a circle: {} is to be a child of {}, which is in it",
                self.groups[child].name, self.groups[group].name
            ));
        }
        self.link(group, child);
        Ok(())
    }

    fn link(&mut self, group: usize, child: usize) {
        let known = self.ancestors(child);
        let mut new = self.ancestors(group);
        new.insert(group);
        self.groups[group].children.push(child);
        self.groups[child].parents.push(group);
        self.sink(child, self.groups[group].depth + 1);
        for host in self.members(child) {
            let added = new.difference(&known);
            self.hosts[host].groups.extend(added);
        }
    }

    /// A group is deeper than the deepest of its parents.
    fn sink(&mut self, group: usize, depth: usize) {
        let mut below = vec![(group, depth)];
        while let Some((group, depth)) = below.pop() {
            if self.groups[group].depth < depth {
                self.groups[group].depth = depth;
                let children = self.groups[group].children.iter();
                below.extend(children.map(|&child| (child, depth + 1)));
            }
        }
    }

    fn ancestors(&self, group: usize) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut next = self.groups[group].parents.clone();
        while let Some(parent) = next.pop() {
            if seen.insert(parent) {
                next.extend(&self.groups[parent].parents);
            }
        }
        seen
    }

    /// The hosts of a group and of all below it, nearest first.
    fn members(&self, group: usize) -> Vec<usize> {
        let mut groups = vec![group];
        let mut at = 0;
        while at < groups.len() {
            for child in &self.groups[groups[at]].children {
                if !groups.contains(child) {
                    groups.push(*child);
                }
            }
            at += 1;
        }
        let mut seen = BTreeSet::new();
        let hosts = groups.iter().flat_map(|&group| &self.groups[group].hosts);
        hosts.copied().filter(|&host| seen.insert(host)).collect()
    }

    /// The names of all hosts that are in a group, directly or further down.
    pub fn names_in(&self, group: &str) -> Vec<&str> {
        let at = self.group_places.get(group).copied();
        let hosts = at.map(|at| self.members(at)).unwrap_or_default();
        hosts
            .into_iter()
            .map(|host| self.hosts[host].name.as_str())
            .collect()
    }

    /// After all files: what has no parent belongs to `all`, who is in no group is `ungrouped`.
    pub fn settle(&mut self) -> Result<(), String> {
        for at in 0..self.groups.len() {
            if at != ALL && self.groups[at].parents.is_empty() {
                self.add_subgroup(ALL, at)?;
            }
        }
        for at in 0..self.hosts.len() {
            let mine = &self.hosts[at].groups;
            let elsewhere = mine.iter().any(|&group| group != ALL && group != UNGROUPED);
            if !mine.contains(&UNGROUPED) {
                if !elsewhere {
                    let name = self.hosts[at].name.clone();
                    self.add_child("ungrouped", &name)?;
                }
            } else if elsewhere && self.groups[UNGROUPED].direct.remove(&at) {
                self.groups[UNGROUPED].hosts.retain(|&host| host != at);
                self.leave(at, UNGROUPED);
            }
        }
        Ok(())
    }

    /// Out of a group, and out of those above it that the host has no other way into.
    fn leave(&mut self, host: usize, group: usize) {
        if !self.hosts[host].groups.remove(&group) {
            return;
        }
        for above in self.ancestors(group) {
            let mut rest = self.hosts[host].groups.iter();
            let still_in = rest.any(|&other| self.ancestors(other).contains(&above));
            if above != ALL && !still_in {
                self.leave(host, above);
            }
        }
    }

    /// The groups of a host but `all`, the one that counts least first.
    pub fn ordered(&self, host: &Host) -> Vec<&Group> {
        let groups = host.groups.iter().filter(|&&at| at != ALL);
        let mut groups: Vec<&Group> = groups.map(|&at| &self.groups[at]).collect();
        groups.sort_by(|a, b| (a.depth, a.priority, &a.name).cmp(&(b.depth, b.priority, &b.name)));
        groups
    }

    pub fn all(&self) -> &Group {
        &self.groups[ALL]
    }
}

/// As Python's `int` makes one.
fn priority(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Bool(flag) => Some(i128::from(*flag)),
        Value::Float(number) if number.is_finite() => Some(number.trunc() as i128),
        Value::Text(text) | Value::Unsafe(text) => whole(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            file: "hosts".into(),
            line: 1,
        }
    }

    #[test]
    fn circles_are_refused() {
        let mut groups = Groups::new();
        for name in ["a", "b", "c"] {
            groups.add_group(name);
        }
        groups.add_child("a", "b").unwrap();
        groups.add_child("b", "c").unwrap();
        assert!(groups.add_child("c", "a").is_err());
        assert!(groups.add_child("a", "a").is_err());
        assert!(groups.add_child("a", "nobody").is_err());
    }

    #[test]
    fn depth_then_priority_then_name() {
        let mut groups = Groups::new();
        for name in ["z", "a", "m", "deep"] {
            groups.add_group(name);
        }
        groups.add_child("a", "deep").unwrap();
        let key = Value::Text("ansible_group_priority".to_owned());
        groups
            .set("a", &key, Value::Text("10".to_owned()), origin())
            .unwrap();
        for group in ["deep", "a", "m", "z"] {
            groups.add_host("h", group, None, &origin()).unwrap();
        }
        groups.settle().unwrap();
        let host = groups.host("h").unwrap();
        let names: Vec<&str> = groups
            .ordered(host)
            .iter()
            .map(|g| g.name.as_str())
            .collect();
        assert_eq!(names, ["m", "z", "a", "deep"]);
    }
}
