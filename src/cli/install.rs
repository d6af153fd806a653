//! `wod install`: from a fresh host to a running backend. It asks nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::deliver::{Masked, People, print_recap};
use super::{Exit, NotReady};
use crate::deliver::install::{self, Needs, Places};
use crate::deliver::{self, Item, Missing, Mode, Resource, Tag, is_here};
use crate::site::{self, Site, Source};

const EXAMPLES: &str = "\
Examples:
  wod install --check    what would be done
  wod install            do it; a second run changes nothing

In order: packages that the rest needs, this program in /usr/local/bin, its files in /usr/share/wod,
an inventory in /etc/wod/inventory with a fresh token, JupyterHub and its proxy in JPHUB, then all
that wod deliver --install does: accounts, packages, configuration, units that start at boot.
A site that has an inventory keeps it; sample workshops that are there stay as they are.

Debian, Ubuntu, Rocky and their relatives. A step that fails says why; mend it, and the next run
goes on from there.

Exit status:
  0  the backend is installed
  1  a step failed; nothing after it was done
  4  the configuration or this host is not ready";

const INVENTORY: &str = "/etc/wod/inventory";
const PROGRAM: &str = "/usr/local/bin/wod";
const SHARE: &str = "/usr/share/wod";
/// What a hub on a slow host takes to answer after its start.
const HUB_PATIENCE: Duration = Duration::from_secs(90);

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only say what would be done
    #[arg(long)]
    check: bool,
}

/// `inventory` is what the command line names, if it does.
pub fn run(
    args: &Args,
    inventory: Option<PathBuf>,
    set: Vec<(String, String)>,
) -> anyhow::Result<Exit> {
    if !rustix::process::geteuid().is_root() {
        let line = "wod install sets up the whole host; run it with sudo";
        return Err(NotReady(anyhow!(line)).into());
    }
    let needs = Needs::of(&site::family()).map_err(|e| NotReady(anyhow!(e)))?;
    let source = Source {
        inventory: inventory.unwrap_or_else(|| INVENTORY.into()),
        set,
    };
    let places = Places {
        own: std::env::current_exe()?,
        program: PROGRAM.into(),
        share: SHARE.into(),
        inventory: source.inventory.clone(),
    };
    let mode = match args.check {
        true => Mode::Check,
        false => Mode::Apply,
    };
    for step in install::before_site(&needs, &places) {
        if !done(&*step, mode) {
            return Ok(Exit::Failed);
        }
    }
    if mode == Mode::Check && !is_here(&source.inventory.display().to_string()) {
        outln!("then       JupyterHub, and what wod deliver does: told once there is an inventory");
        return Ok(Exit::Done);
    }
    let site = Site::load(&source)?;
    if site.has_hub() && !done(&*install::hub(&needs, Path::new(&site.hub_dir())), mode) {
        return Ok(Exit::Failed);
    }
    deliver_all(&site, &source, mode)
}

/// Tells what became of a step; false when it failed.
fn done(step: &dyn Resource, mode: Mode) -> bool {
    let name = step.name();
    let told = |outcome: &str, line: &str| outln!("{outcome:8}  {name}{line}");
    if let Some(why) = step.not_here() {
        told("failed", &format!(": {why}"));
        return false;
    }
    let changes = match step.diff() {
        Ok(changes) => changes,
        Err(e) => {
            told("failed", &format!(": {}", e.chain()));
            return false;
        }
    };
    if changes.is_empty() {
        told("ok", "");
    }
    for change in changes {
        let line = change.line();
        if mode == Mode::Apply
            && let Err(e) = change.apply()
        {
            told("failed", &format!(": {line}: {}", e.chain()));
            outln!("mend that and run wod install again; it goes on from here");
            return false;
        }
        told("changed", &format!(": {line}"));
    }
    true
}

/// Students come last, when the hub that has users for them runs.
fn deliver_all(site: &Site, source: &Source, mode: Mode) -> anyhow::Result<Exit> {
    let items = site.deliver_items(&source.inventory, Missing::Install)?;
    let (students, host): (Vec<Item>, Vec<Item>) = items
        .into_iter()
        .partition(|item| item.tag == Tag::Students);
    if !deliver_some(site, &host, mode)? {
        outln!("mend that and run wod install again; it goes on from here");
        return Ok(Exit::Failed);
    }
    // What they are resolved with is there only now: WODUSER, above all.
    let students = match mode {
        Mode::Check => students,
        Mode::Apply => {
            let items = site.deliver_items(&source.inventory, Missing::Install)?;
            let all = items.into_iter();
            all.filter(|item| item.tag == Tag::Students).collect()
        }
    };
    let hub = mode == Mode::Check || !site.has_hub() || hub_answers(site);
    let students: Vec<Item> = students
        .into_iter()
        .filter(|item| hub || !item.name().starts_with("hub users"))
        .collect();
    if !deliver_some(site, &students, mode)? {
        outln!("mend that and run wod install again; it goes on from here");
        return Ok(Exit::Failed);
    }
    if mode == Mode::Apply {
        tell_what_is_next(hub);
    }
    Ok(Exit::Done)
}

fn deliver_some(site: &Site, items: &[Item], mode: Mode) -> anyhow::Result<bool> {
    let _lock = match mode {
        Mode::Check => None,
        Mode::Apply => Some(site.state.lock_deliver().map_err(|e| NotReady(e.into()))?),
    };
    let mut shown = People::new(false);
    let mut masked = Masked::new(site.secrets(), &mut shown);
    let stop = AtomicBool::new(false);
    let recap = deliver::run(items, mode, &site.ledger(), &stop, &mut masked);
    drop(shown);
    print_recap(&recap);
    Ok(recap.total().failed == 0)
}

/// A hub that was started a moment ago takes its time; where nothing starts one, nobody waits.
fn hub_answers(site: &Site) -> bool {
    let until = Instant::now() + HUB_PATIENCE;
    loop {
        if site.hub().and_then(|hub| hub.check()).is_ok() {
            return true;
        }
        if !is_here("/run/systemd/system") || Instant::now() > until {
            return false;
        }
        thread::sleep(Duration::from_millis(500));
    }
}

fn tell_what_is_next(hub: bool) {
    if !is_here("/run/systemd/system") {
        outln!("no systemd here: start JupyterHub and wod serve yourself");
    } else if !hub {
        outln!("JupyterHub does not answer; look with: journalctl -u jupyterhub");
    }
    outln!("installed; try it: wod test-action CREATE WKSHP-Shell101 1 --wait");
}
