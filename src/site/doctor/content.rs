//! Variables that cannot be had, and workshops that want what is not here.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::domain::Workshop;
use crate::ports::Fault;

use super::super::Site;
use super::{Found, Look, advice, problem};

pub fn variables(look: &Look<'_>) -> Vec<Found> {
    let errors = look.site.variables().all_resolved().skipped;
    errors
        .iter()
        .map(|error| {
            let line = error.to_string();
            let mend = match line.contains("vault") {
                true => "see VAULTPWD, vault_secret and wod vault --help",
                false => "wod vars NAME --origin says where it is set",
            };
            problem(format!("a variable has no value: {line}"), mend)
        })
        .collect()
}

/// Who reads it, reads every secret of the site.
pub fn vault(look: &Look<'_>) -> Vec<Found> {
    let Some(dir) = &look.site.settings.private_variables else {
        return Vec::new();
    };
    let path = dir.join(super::super::vault::SITE_FILE);
    match fs::metadata(&path).map(|meta| meta.mode() & 0o777) {
        Ok(mode) if mode & 0o077 != 0 => vec![problem(
            format!(
                "the vault's password in {} is for others, too (mode {mode:04o})",
                path.display()
            ),
            format!(
                "chmod 600 {}, and think about wod vault rekey",
                path.display()
            ),
        )],
        _ => Vec::new(),
    }
}

/// The workshops of all shelves that can be used.
pub fn listed(site: &Site) -> Result<Vec<Workshop>, Fault> {
    let (workshops, _) = site.shelves()?.list()?;
    Ok(workshops)
}

pub fn workshops(look: &Look<'_>) -> Vec<Found> {
    let site = look.site;
    let listed = site.shelves().and_then(|shelves| shelves.list());
    let (all, unusable) = match listed {
        Ok(listed) => listed,
        Err(fault) => return vec![problem(fault.chain(), "wod workshops lint")],
    };
    let mut found: Vec<Found> = unusable
        .iter()
        .map(|one| {
            let line = format!(
                "a workshop is left out: {}: {}",
                one.path.display(),
                one.problem
            );
            problem(line, "wod workshops lint")
        })
        .collect();
    if all.is_empty() {
        let dir = site.settings.notebooks.display();
        found.push(problem(
            format!("there is no workshop in WODNOBO {dir}"),
            "put one there, or set WODNOBO; wod workshops lint",
        ));
    }
    for workshop in &all {
        let name = &workshop.name;
        if workshop.ldap && site.settings.ldap.is_none() {
            found.push(problem(
                format!("workshop {name} wants a directory, and there is none"),
                "set WODLDAPSRVNAME, WODLDAPDMN and WODLDAPPWD",
            ));
        }
        if workshop.varpass && site.settings.pass_dir.is_none() {
            found.push(problem(
                format!("workshop {name} wants a pass file, and there is no place for one"),
                "set WODGROUP and WODANSIBLEPRIVDIR",
            ));
        }
        let window = site.settings.window;
        if let Some(range) = workshop.range
            && window.check(range).is_err()
        {
            found.push(advice(
                format!("the range of workshop {name} leaves WODUSERMIN..WODUSERMAX"),
                "wod workshops lint",
            ));
        }
    }
    found
}

/// Processes of root that are engines. Whose process it is says the kernel; its name, anybody.
pub fn engines() -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_roots = entry.metadata().is_ok_and(|meta| meta.uid() == 0);
        if !is_roots || !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let is_wod = words.first().is_some_and(|word| {
            let program = word.rsplit(|byte| *byte == b'/').next();
            program == Some(b"wod")
        });
        if is_wod && words.contains(&&b"serve"[..]) {
            found.push(name);
        }
    }
    found
}
