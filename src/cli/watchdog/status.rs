//! `wod watchdog status`: the figures that a running watchdog leaves every few seconds.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use crate::cli::{Exit, print_json};
use crate::domain::Time;
use crate::safefs::{self, Dir};
use crate::site::Site;
use crate::watchdog::Figures;

#[derive(clap::Args)]
pub struct Args {
    /// One JSON object
    #[arg(long, conflicts_with = "metrics")]
    json: bool,
    /// As a text file for Prometheus
    #[arg(long)]
    metrics: bool,
}

const LARGEST: u64 = 1 << 20;
/// Figures that are older are those of one that does not run.
const FRESH: Duration = Duration::from_secs(30);

pub fn run(args: &Args, site: &Site) -> anyhow::Result<Exit> {
    let figures = read(&site.state.watchdog_figures())?;
    let is_fresh = figures.at.is_some_and(|at| Time::now().since(at) < FRESH);
    let runs = is_fresh && site.state.is_watchdog_running();
    if args.metrics {
        outln!(
            "{}wod_watchdog_up {}",
            figures.to_prometheus(),
            u8::from(runs)
        );
    } else if args.json {
        let mut object = json!(figures);
        object["running"] = json!(runs);
        print_json(&object);
    } else {
        text(&figures, runs);
    }
    Ok(if runs { Exit::Done } else { Exit::Failed })
}

fn read(path: &Path) -> anyhow::Result<Figures> {
    let context = || {
        format!(
            "there are no figures in {}; does the watchdog run?",
            path.display()
        )
    };
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        anyhow::bail!(context());
    };
    let bytes = Dir::open_root(dir).and_then(|dir| dir.read(name.as_ref(), LARGEST));
    if bytes.as_ref().is_err_and(safefs::Error::is_not_found) {
        anyhow::bail!(
            "the watchdog has not run here yet; wod serve starts it, or its unit, as WODWATCHDOG says"
        );
    }
    serde_json::from_slice(&bytes.with_context(context)?).with_context(context)
}

fn text(f: &Figures, runs: bool) {
    let state = match (runs, f.connector) {
        (false, _) => "does not run",
        (true, true) => "runs, and sees each exec as it happens",
        (true, false) => "runs, and only samples: there is no process connector",
    };
    outln!("watchdog   {state}");
    outln!(
        "checked    {} of {} execs, {} missed",
        f.checked,
        f.execs,
        f.missed
    );
    outln!(
        "samples    {}, the last one of {} processes",
        f.samples,
        f.processes
    );
    for (key, count) in &f.found {
        outln!("found      {key}: {count}");
    }
    outln!("allowed    {}", f.allowed);
    outln!(
        "stopped    {} seats, {} times single processes",
        f.stopped_seats,
        f.stopped_processes
    );
    outln!(
        "cost       {:.1} s on processors, {} MB",
        f.cpu_seconds,
        f.resident_bytes >> 20
    );
    if let Some(problem) = &f.policy_problem {
        outln!("policy     the one in use is an old one: {problem}");
    }
}
