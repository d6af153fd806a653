//! Packages that must be there: looked for, and installed only when that is asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::exec::Cmd;
use crate::ports::Fault;

use super::item::{Change, Resource};
use super::place::is_here;

const TIME: Duration = Duration::from_secs(3600);

/// What becomes of packages that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Tell,
    Install,
}

#[derive(Clone)]
pub struct Packages {
    /// Each a name, or several with ` | ` in between of which one is enough.
    pub names: Vec<String>,
    pub missing: Missing,
}

impl Resource for Packages {
    fn name(&self) -> String {
        "packages".to_owned()
    }

    fn not_here(&self) -> Option<String> {
        let known = is_here("dpkg-query") || is_here("rpm");
        (!known).then(|| "neither dpkg nor rpm here".to_owned())
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let all: Vec<&str> = self.names.iter().flat_map(|names| either(names)).collect();
        let there = installed(&all)?;
        let missing = self
            .names
            .iter()
            .filter(|names| !either(names).any(|name| there.contains(name)))
            .filter_map(|names| either(names).next().map(str::to_owned));
        let missing: Vec<String> = missing.collect();
        match (missing.is_empty(), self.missing) {
            (true, _) => Ok(Vec::new()),
            (false, Missing::Install) => Ok(vec![Box::new(Install { names: missing })]),
            (false, Missing::Tell) => Err(Fault::permanent(format!(
                "missing: {}; wod deliver --install installs them",
                missing.join(", ")
            ))),
        }
    }
}

fn either(names: &str) -> impl Iterator<Item = &str> {
    names.split('|').map(str::trim)
}

fn installed(names: &[&str]) -> Result<BTreeSet<String>, Fault> {
    let (program, args) = match is_here("dpkg-query") {
        true => (
            "dpkg-query",
            ["-W", "-f", "${Package} ${db:Status-Status}\n"],
        ),
        false => ("rpm", ["-q", "--qf", "%{NAME} installed\n"]),
    };
    // Fails when one of them is not known, and tells of all others.
    let (_, output) = Cmd::new(program)
        .args(args)
        .args(names)
        .run_any()
        .map_err(|e| Fault::permanent("the packages cannot be looked for").because(&e))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    Ok(lines
        .filter(|(_, status)| *status == "installed")
        .map(|(name, _)| name.to_owned())
        .collect())
}

struct Install {
    names: Vec<String>,
}

impl Change for Install {
    fn line(&self) -> String {
        format!("installed: {}", self.names.join(", "))
    }

    fn apply(&self) -> Result<(), Fault> {
        let installed = match is_here("apt-get") {
            // Old or empty lists are the usual reason for a first failure.
            true => apt_get(&["--no-install-recommends", "install"], &self.names)
                .or_else(|_| apt_get(&["update"], &[]))
                .and_then(|()| apt_get(&["--no-install-recommends", "install"], &self.names)),
            false => run(Cmd::new("dnf")
                .args(["-q", "-y", "install"])
                .args(&self.names)),
        };
        installed.map_err(|e| Fault::permanent("packages cannot be installed").because(&e))
    }
}

fn apt_get(words: &[&str], names: &[String]) -> Result<(), crate::exec::Error> {
    run(Cmd::new("apt-get")
        .args(["-qq", "-y"])
        .args(words)
        .args(names)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

fn run(command: Cmd) -> Result<(), crate::exec::Error> {
    command.timeout(TIME).run().map(drop)
}
