//! What is missing or wrong on this host for this site, each with the command that mends it. Only
//! looks: nothing is changed, and no check waits for another.
//!
//! A check is a name and a function from a [`Look`] to what it found.

mod backend;
mod content;
mod deliver;
mod host;
mod mail;
mod programs;
mod students;

use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use super::{Misconfigured, Site};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work, or soon will not.
    Problem,
    /// It works; it would be better otherwise.
    Advice,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Problem => "problem",
            Level::Advice => "advice",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The check's name.
    pub check: &'static str,
    pub level: Level,
    pub line: String,
    /// A command, or what else to do.
    pub mend: String,
}

impl Finding {
    pub fn to_json(&self) -> Value {
        json!({
            "check": self.check, "level": self.level.as_str(), "line": self.line, "mend": self.mend,
        })
    }
}

/// What a check found, before it has the check's name.
struct Found {
    level: Level,
    line: String,
    mend: String,
}

fn problem(line: impl Into<String>, mend: impl Into<String>) -> Found {
    Found {
        level: Level::Problem,
        line: line.into(),
        mend: mend.into(),
    }
}

fn advice(line: impl Into<String>, mend: impl Into<String>) -> Found {
    Found {
        level: Level::Advice,
        ..problem(line, mend)
    }
}

/// What checks look at.
struct Look<'a> {
    site: &'a Site,
    inventory: &'a Path,
    is_root: bool,
}

type Check = fn(&Look<'_>) -> Vec<Found>;

const CHECKS: &[(&str, Check)] = &[
    ("accounts", students::accounts),
    ("homes", students::homes),
    ("disks", host::disks),
    ("clock", host::clock),
    ("kernel", host::kernel),
    ("processes", host::processes),
    ("reboot", host::reboot),
    ("programs", programs::all),
    ("jupyterhub", programs::jupyterhub),
    ("engine", backend::engine),
    ("another engine", backend::another),
    ("spool", backend::spool),
    ("actions", backend::actions),
    ("letters", backend::letters),
    ("mail port", mail::port),
    ("postfix", mail::postfix),
    ("hub", backend::hub),
    ("directory", backend::directory),
    ("variables", content::variables),
    ("vault", content::vault),
    ("workshops", content::workshops),
    ("deliver", deliver::all),
];

/// The names of all checks.
pub fn checks() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|(name, _)| *name)
}

/// Every check at the same time: what waits for a hub or a directory holds up nobody.
pub fn examine(site: &Site, inventory: &Path) -> Vec<Finding> {
    let look = Look {
        site,
        inventory,
        is_root: rustix::process::geteuid().is_root(),
    };
    let mut all: Vec<Finding> = thread::scope(|scope| {
        let running: Vec<_> = CHECKS
            .iter()
            .map(|(name, check)| (*name, scope.spawn(|| check(&look))))
            .collect();
        let found = running.into_iter().flat_map(|(name, thread)| {
            let broken = |_| vec![problem("this check itself failed", "tell who makes wod")];
            let found = thread.join().unwrap_or_else(broken);
            found.into_iter().map(move |found| named(name, found))
        });
        found.collect()
    });
    all.sort_by_key(|finding| finding.level);
    all
}

fn named(check: &'static str, found: Found) -> Finding {
    Finding {
        check,
        level: found.level,
        line: found.line,
        mend: found.mend,
    }
}

/// What is wrong with a configuration that cannot be used, as findings.
pub fn of_configuration(wrong: &Misconfigured) -> Vec<Finding> {
    let lines = wrong.problems.iter();
    let mend = match Path::new(&wrong.inventory).exists() {
        true => format!(
            "correct it in {}; wod vars NAME --origin says where a variable is set",
            wrong.inventory
        ),
        false => "run wod install for an inventory to begin with".to_owned(),
    };
    lines
        .map(|line| named("inventory", problem(line.clone(), mend.clone())))
        .collect()
}
