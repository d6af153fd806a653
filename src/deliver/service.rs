//! A unit of systemd that is started at boot, and runs.

use std::time::Duration;

use crate::exec::Cmd;
use crate::ports::Fault;

use super::item::{Change, Resource};
use super::place::is_here;

/// A service that takes longer than this to start has a problem of its own.
const TIME: Duration = Duration::from_secs(90);

#[derive(Clone)]
pub struct Service {
    /// The first one that is installed counts: distributions name it differently.
    pub names: Vec<String>,
}

/// Whether systemd is the one that starts services here.
pub fn systemd_runs() -> bool {
    is_here("/run/systemd/system")
}

impl Resource for Service {
    fn name(&self) -> String {
        format!("service {}", self.names.join(" or "))
    }

    fn not_here(&self) -> Option<String> {
        (!systemd_runs()).then(|| "no systemd here".to_owned())
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let mut seen = Vec::new();
        for name in &self.names {
            seen.push(State::of(name)?);
        }
        let installed = seen.iter().find(|state| state.load != "not-found");
        let Some(state) = installed.or(seen.first()) else {
            return Ok(Vec::new());
        };
        let mut changes: Vec<Box<dyn Change>> = Vec::new();
        let mut verb = |line: &'static str, verb: &'static str| {
            changes.push(Box::new(Tell {
                line,
                verb,
                unit: state.name.clone(),
            }));
        };
        if matches!(state.file.as_str(), "disabled" | "") {
            verb("enabled", "enable");
        }
        if !matches!(state.active.as_str(), "active" | "activating" | "reloading") {
            verb("started", "start");
        }
        Ok(changes)
    }
}

struct State {
    name: String,
    load: String,
    active: String,
    file: String,
}

impl State {
    fn of(name: &str) -> Result<State, Fault> {
        let shown = Cmd::new("systemctl")
            .args(["show", "--property=LoadState,ActiveState,UnitFileState"])
            .arg(name)
            .run()
            .map_err(|e| Fault::permanent(format!("{name} cannot be looked at")).because(&e))?;
        let text = String::from_utf8_lossy(&shown.stdout);
        let value = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            lines
                .find(|(name, _)| *name == key)
                .map_or_else(String::new, |(_, value)| value.to_owned())
        };
        Ok(State {
            name: name.to_owned(),
            load: value("LoadState"),
            active: value("ActiveState"),
            file: value("UnitFileState"),
        })
    }
}

struct Tell {
    line: &'static str,
    verb: &'static str,
    unit: String,
}

impl Change for Tell {
    fn line(&self) -> String {
        self.line.to_owned()
    }

    fn apply(&self) -> Result<(), Fault> {
        let Tell { verb, unit, .. } = self;
        let told = Cmd::new("systemctl")
            .args([*verb, unit])
            .timeout(TIME)
            .run();
        told.map(drop).map_err(|e| {
            let line = format!("{unit} does not {verb}; look with: journalctl -u {unit}");
            Fault::permanent(line).because(&e)
        })
    }
}
