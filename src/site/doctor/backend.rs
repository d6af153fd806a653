//! The backend itself: engine, spool, journal, and what it speaks to.

use crate::adapters::directory_ldap;
use crate::journal::{Filter, Journal, Stage};

use super::{Found, Look, problem};

/// More mails than this wait only when nobody takes them.
const MANY: usize = 1000;

pub fn engine(look: &Look<'_>) -> Vec<Found> {
    // Others may not open its lock.
    match !look.is_root || look.site.state.is_engine_running() {
        true => Vec::new(),
        false => vec![problem(
            "no engine runs: mails wait in the spool",
            "systemctl enable --now wod; journalctl -u wod",
        )],
    }
}

pub fn another(look: &Look<'_>) -> Vec<Found> {
    let engines = super::content::engines();
    match engines.len() {
        0 | 1 => Vec::new(),
        _ => vec![problem(
            format!(
                "several engines run on this host (processes {}); they work on the same accounts",
                engines.join(", ")
            ),
            format!(
                "stop all but the one of {}: ps -fp {}",
                look.site.state.root().display(),
                engines.join(",")
            ),
        )],
    }
}

pub fn spool(look: &Look<'_>) -> Vec<Found> {
    let spool = look.site.state.spool();
    let count = |path: &std::path::Path, ending: &[u8]| {
        let entries = crate::safefs::Dir::open_root(path).and_then(|dir| dir.entries());
        let entries = entries.unwrap_or_default().into_iter();
        entries
            .filter(|entry| entry.name.as_encoded_bytes().ends_with(ending))
            .count()
    };
    let mut found = Vec::new();
    let waiting = count(&spool, b".action");
    if waiting > MANY {
        found.push(problem(
            format!("{waiting} mails wait in the spool {}", spool.display()),
            "wod status; journalctl -u wod",
        ));
    }
    let bad = count(&spool.join("bad"), b"");
    if bad > 0 {
        found.push(super::advice(
            format!("{bad} files in the spool could not be used"),
            format!("look at {}, then remove them", spool.join("bad").display()),
        ));
    }
    found
}

fn journal(look: &Look<'_>) -> Option<Journal> {
    match look.site.state.journal().metadata() {
        Ok(_) => Journal::open_beside(&look.site.state.journal()).ok(),
        Err(_) => None,
    }
}

pub fn actions(look: &Look<'_>) -> Vec<Found> {
    let path = look.site.state.journal();
    if look.is_root
        && path.metadata().is_ok()
        && let Err(e) = Journal::open_beside(&path)
    {
        let line = format!("the journal cannot be read: {e}");
        return vec![problem(line, "systemctl stop wod; wod journal check")];
    }
    let Some(journal) = journal(look) else {
        return Vec::new();
    };
    let open = journal.list(Filter::Open).unwrap_or_default();
    let held = open.into_iter().filter(|row| {
        let cursor = journal.follow(row.id);
        cursor.is_ok_and(|cursor| cursor.state.stage == Stage::Held)
    });
    held.map(|row| {
        problem(
            format!("action {} is held", row.id),
            format!("wod actions show {0}, then wod actions retry {0}", row.id),
        )
    })
    .collect()
}

pub fn letters(look: &Look<'_>) -> Vec<Found> {
    let letters = journal(look).and_then(|journal| journal.letters().ok());
    let unsent = letters.unwrap_or_default();
    let unsent = unsent.iter().filter(|letter| letter.tries > 0).count();
    let settings = &look.site.settings;
    match unsent {
        0 => Vec::new(),
        _ => vec![problem(
            format!("{unsent} letters to WODMONITOR could not be sent"),
            format!(
                "see that mail is taken at {}:{} (WODMAILHOST, WODPOSTPORT)",
                settings.mail_host, settings.mail_port
            ),
        )],
    }
}

/// Whether it answers, takes our token, and gives it all that we need.
pub fn hub(look: &Look<'_>) -> Vec<Found> {
    match look.site.hub().and_then(|hub| hub.check()) {
        Ok(()) => Vec::new(),
        Err(fault) => vec![problem(
            fault.chain(),
            "systemctl restart jupyterhub; journalctl -u jupyterhub; wod deliver --tags system",
        )],
    }
}

pub fn directory(look: &Look<'_>) -> Vec<Found> {
    let Some(ldap) = &look.site.settings.ldap else {
        return Vec::new();
    };
    let password = ldap.password.clone();
    let config = directory_ldap::Config::new(&ldap.server, ldap.port, &ldap.domain, password);
    match directory_ldap::Ldap::new(config).and_then(|ldap| ldap.check()) {
        Ok(()) => Vec::new(),
        Err(fault) => vec![problem(fault.chain(), "wod vars WODLDAPSRVNAME --origin")],
    }
}
