//! An inventory as JSON, the way `ansible-inventory` prints it.

use std::collections::HashSet;

use serde_json::{Map, Value as Json, json};

use super::files::Problem;
use super::groups::Group;
use super::value::key_text;
use super::vars::Vars;
use super::{Inventory, Value};

/// Names that Ansible gives values of its own; what a file says of them is not listed.
const INTERNAL: &[&str] = &[
    "ansible_async_path",
    "ansible_collection_name",
    "ansible_config_file",
    "ansible_dependent_role_names",
    "ansible_diff_mode",
    "ansible_facts",
    "ansible_forks",
    "ansible_inventory_sources",
    "ansible_limit",
    "ansible_play_batch",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "ansible_play_role_names",
    "ansible_playbook_python",
    "ansible_role_name",
    "ansible_role_names",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_verbosity",
    "ansible_version",
    "group_names",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "play_hosts",
    "playbook_dir",
    "role_name",
    "role_names",
    "role_path",
    "role_uuid",
];

/// What becomes of `!unsafe` texts: the list marks them, one host's variables do not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unsafe {
    Marked,
    Plain,
}

impl Inventory {
    /// All groups, hosts and variables. `extra` beats every host's own.
    pub fn listing(&self, extra: &Vars) -> Result<Json, Vec<Problem>> {
        let mut groups = Map::new();
        let mut seen = Vec::new();
        // Who slipped out of all groups is not listed; nor are others where a host is called all.
        let listed = match self.groups.host("all") {
            Some(host) => vec![host.name.as_str()],
            None => self.groups.names_in("all"),
        };
        let listed: HashSet<&str> = listed.into_iter().collect();
        self.list(self.groups.all(), &listed, &mut groups, &mut seen);
        let mut hosts = Map::new();
        for host in self.hosts().filter(|host| listed.contains(host)) {
            let vars = self.with_extra(host, extra)?;
            let vars = json_of_vars(&vars, Unsafe::Marked);
            if !vars.is_empty() {
                hosts.insert(host.to_owned(), Json::Object(vars));
            }
        }
        let meta = json!({"hostvars": hosts, "profile": "inventory_legacy"});
        groups.insert("_meta".to_owned(), meta);
        Ok(Json::Object(groups))
    }

    /// The variables of one host; None when there is no such host.
    pub fn host_listing(&self, host: &str, extra: &Vars) -> Result<Option<Json>, Vec<Problem>> {
        if self.groups.host(host).is_none() {
            return Ok(None);
        }
        let vars = self.with_extra(host, extra)?;
        Ok(Some(Json::Object(json_of_vars(&vars, Unsafe::Plain))))
    }

    fn with_extra(&self, host: &str, extra: &Vars) -> Result<Vars, Vec<Problem>> {
        let mut vars = self.vars_of(Some(host), None, None)?;
        vars.absorb(extra);
        Ok(vars)
    }

    /// A group and those below it; empty ones have no entry of their own.
    fn list(
        &self,
        group: &Group,
        listed: &HashSet<&str>,
        out: &mut Map<String, Json>,
        seen: &mut Vec<String>,
    ) {
        let mut entry = Map::new();
        let hosts = group.hosts.iter().map(|&at| &self.groups.hosts[at].name);
        let hosts = hosts.filter(|name| listed.contains(name.as_str()));
        let hosts: Vec<Json> = hosts.map(|name| json!(name)).collect();
        if group.name != "all" && !hosts.is_empty() {
            entry.insert("hosts".to_owned(), Json::Array(hosts));
        }
        let children = || group.children.iter().map(|&at| &self.groups.groups[at]);
        let names: Vec<Json> = children().map(|child| json!(child.name)).collect();
        if !names.is_empty() {
            entry.insert("children".to_owned(), Json::Array(names));
        }
        if !entry.is_empty() {
            out.insert(group.name.clone(), Json::Object(entry));
        }
        for child in children() {
            if !seen.contains(&child.name) {
                seen.push(child.name.clone());
                self.list(child, listed, out, seen);
            }
        }
    }
}

fn json_of_vars(vars: &Vars, texts: Unsafe) -> Map<String, Json> {
    let listed = vars.iter().filter(|(name, _)| !INTERNAL.contains(name));
    let pairs = listed.map(|(name, variable)| (name.to_owned(), json_of(&variable.value, texts)));
    pairs.collect()
}

fn json_of(value: &Value, texts: Unsafe) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Int(number) => match (i64::try_from(*number), u64::try_from(*number)) {
            (Ok(small), _) => json!(small),
            (_, Ok(large)) => json!(large),
            // JSON readers would round it.
            _ => json!(number.to_string()),
        },
        Value::Float(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Unsafe(text) if texts == Unsafe::Plain => json!(text),
        Value::Unsafe(text) => json!({"__ansible_unsafe": text}),
        Value::Vault(envelope) => json!({"__ansible_vault": envelope}),
        Value::List(items) => items.iter().map(|item| json_of(item, texts)).collect(),
        Value::Map(map) => {
            let pairs = map.iter();
            let pairs = pairs.map(|(key, item)| (key_text(key), json_of(item, texts)));
            Json::Object(pairs.collect())
        }
    }
}
