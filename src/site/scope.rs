//! The variables of this host: the inventory's, the private overlay's over them, and its facts.

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Misconfigured, Source, host, vault};
use crate::domain::Secret;
use crate::inventory::{self, HostFacts, Inventory, Problem, Sources, Unlock, Vars, load_extra};
use crate::templates::{Hosts, Passwords, Scope};

const SYSTEM_FILE: &str = "/etc/wod.yml";

/// What the files say, as far as they could be opened.
struct Read {
    inventory: Inventory,
    host: String,
    vars: Vars,
}

/// The variables of this host and what is odd about the files, one line each. The private overlay
/// is named by variables of the public part, so that is read first; and the vault's password by
/// variables, too, so files that are vaulted as a whole are read last.
pub(super) fn load(source: &Source) -> Result<(Scope, Vec<String>), Vec<String>> {
    let (read, sources, passwords) = read(source)?;
    let warnings = warnings(&read.vars);
    Ok((scope(read, sources, passwords), warnings))
}

/// The variables of this host, though settings among them may be wrong.
pub fn variables(source: &Source) -> Result<Scope, Misconfigured> {
    let wrong = |problems| Misconfigured::new(source, problems);
    super::exists(source).map_err(wrong)?;
    Ok(load(source).map_err(wrong)?.0)
}

/// The inventory alone, with the command line's variables over it.
pub fn inventory(source: &Source) -> Result<(Inventory, Vars), Misconfigured> {
    let wrong = |problems| Misconfigured::new(source, problems);
    super::exists(source).map_err(wrong)?;
    let (read, sources, _) = read(source).map_err(wrong)?;
    let set = Sources {
        set: sources.set,
        ..Sources::default()
    };
    let extra = load_extra(&set, None).map_err(|all| wrong(lines(&all)))?;
    Ok((read.inventory, extra))
}

fn read(source: &Source) -> Result<(Read, Sources, Passwords), Vec<String>> {
    let mut sources = Sources {
        inventory_dir: Some(source.inventory.clone()),
        system_file: Some(PathBuf::from(SYSTEM_FILE)),
        set: source.set.clone(),
        ..Sources::default()
    };
    let is_all = Cell::new(true);
    let pass_over = |_: &str| {
        is_all.set(false);
        Ok(String::new())
    };
    let first = read_with(&sources, &pass_over)?;
    let first = Scope::new(first.vars, Passwords::default());
    let path = |name: &str| super::text(&first, name).map(PathBuf::from);
    sources.group = super::text(&first, "WODGROUP");
    sources.private_dir =
        path("WODANSIBLEPRIVDIR").or_else(|| Some(path("WODPRIVDIR")?.join("ansible")));
    let open = read_with(&sources, &pass_over)?;
    let passwords = passwords(&open.vars, sources.private_dir.as_deref())?;
    if is_all.get() {
        return Ok((open, sources, passwords));
    }
    let opened = |envelope: &str| unlock(&passwords, envelope);
    let read = read_with(&sources, &opened)?;
    Ok((read, sources, passwords))
}

fn read_with(sources: &Sources, unlock: Unlock) -> Result<Read, Vec<String>> {
    let path = sources
        .inventory_dir
        .as_deref()
        .unwrap_or("inventory".as_ref());
    let inventory = Inventory::read(path, Some(unlock)).map_err(|all| lines(&all));
    let extra = load_extra(sources, Some(unlock)).map_err(|all| lines(&all));
    let (inventory, extra) = match (inventory, extra) {
        (Ok(inventory), Ok(extra)) => (inventory, extra),
        (inventory, extra) => {
            let all = [inventory.err(), extra.err()];
            return Err(all.into_iter().flatten().flatten().collect());
        }
    };
    let host = inventory.this_host(&host::nodename(), host::fqdn);
    let own = inventory.vars_of(Some(&host), sources.group.as_deref(), Some(unlock));
    let mut vars = own.map_err(|all| lines(&all))?;
    vars.absorb(&extra);
    Ok(Read {
        inventory,
        host,
        vars,
    })
}

fn unlock(passwords: &Passwords, envelope: &str) -> Result<String, String> {
    match passwords.open(envelope) {
        Ok(text) => Ok(text.expose().to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

fn scope(read: Read, sources: Sources, passwords: Passwords) -> Scope {
    let Read {
        inventory,
        host,
        vars,
    } = read;
    let user = vars.get("WODUSER").and_then(|user| user.value.as_text());
    let user = user.unwrap_or("wodadmin").to_owned();
    let facts = HostFacts::new(
        &inventory,
        &host,
        Some(Box::new(move || host::machine(&user))),
    );
    let names = inventory.hosts().map(str::to_owned).collect();
    let ring = passwords.clone();
    let vars_of = move |name: &str| {
        inventory.hosts().find(|known| *known == name)?;
        let opened = |envelope: &str| unlock(&ring, envelope);
        // Read once already; what changed since counts at the next start.
        let mut vars = inventory.vars_of(Some(name), None, Some(&opened)).ok()?;
        vars.absorb(&load_extra(&sources, Some(&opened)).ok()?);
        Some((vars, HostFacts::new(&inventory, name, None)))
    };
    let hosts = Arc::new(Hosts::new(names, Box::new(vars_of)));
    Scope::on_host(vars, passwords, facts, hosts)
}

/// VAULTPWD, then `vault_secret`, then what Ansible's environment names. The first one seals.
fn passwords(vars: &Vars, private_dir: Option<&Path>) -> Result<Passwords, Vec<String>> {
    let wrong = |line| vec![line];
    let scope = Scope::new(vars.clone(), Passwords::default());
    let mut named: Vec<(Option<String>, Secret)> = Vec::new();
    named.extend(super::text(&scope, "VAULTPWD").map(|password| (None, Secret::new(password))));
    if let Some(dir) = private_dir {
        let password = vault::of_site(dir).map_err(wrong)?;
        named.extend(password.map(|password| (None, password)));
    }
    named.extend(vault::of_environment().map_err(wrong)?);
    let mut distinct: Vec<(Option<String>, Secret)> = Vec::new();
    for one in named {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    Ok(Passwords::new(distinct))
}

/// The vault passwords of a site, whatever else is wrong with its settings; none where there is
/// no inventory.
pub fn vault_passwords(source: &Source) -> Result<Passwords, Misconfigured> {
    match source.inventory.metadata() {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let wrong = |line| Misconfigured {
                inventory: "the environment".to_owned(),
                problems: vec![line],
            };
            Ok(Passwords::new(vault::of_environment().map_err(wrong)?))
        }
        _ => {
            let read = read(source).map_err(|problems| Misconfigured::new(source, problems));
            Ok(read?.2)
        }
    }
}

/// Repeated keys and the like, and names that are probably mistyped.
fn warnings(vars: &Vars) -> Vec<String> {
    let odd = vars.warnings.iter().map(ToString::to_string);
    let typos = vars.iter().filter_map(|(name, variable)| {
        let meant = inventory::meant(name)?;
        Some(format!(
            "{}: {name} is no setting; did you mean {meant}?",
            variable.origin
        ))
    });
    odd.chain(typos).collect()
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
