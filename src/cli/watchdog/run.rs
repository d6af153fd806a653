//! The watching itself, until a signal ends it; or one look.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::{Exit, NotReady, journal_of, print_json};
use crate::site::{Site, Source};
use crate::watchdog::{self, Finding, Mode, Policy, Watch, Wishes, response_name};

#[derive(clap::Args)]
pub struct RunArgs {
    /// Look once and say what was found
    #[arg(long)]
    once: bool,
    /// With --once: one JSON object per finding
    #[arg(long, requires = "once")]
    json: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// The process id of the engine that started us; we do not outlive it
    #[arg(long, hide = true)]
    engine: Option<u32>,
}

impl RunArgs {
    pub fn is_once(&self) -> bool {
        self.once
    }
}

pub fn run(args: &RunArgs, site: &Site, source: &Source) -> anyhow::Result<Exit> {
    if let Some(engine) = args.engine {
        prctl::set_pdeathsig(Signal::SIGTERM)?;
        if nix::unistd::getppid().as_raw().unsigned_abs() != engine {
            // It ended before we asked to be told of that.
            return Ok(Exit::Failed);
        }
    }
    if !nix::unistd::geteuid().is_root() {
        let line = "only root sees, and may end, what others run; use sudo";
        return Err(NotReady(anyhow::anyhow!(line)).into());
    }
    // A policy that is wrong is told with all that is wrong with it.
    site.watchdog_policy(source)?;
    let journal = journal_of(site)?;
    let hands = site
        .watchdog_hands(&journal)
        .map_err(|e| NotReady(e.into()))?;
    let mode = match args.dry_run {
        true => Mode::Say,
        false => Mode::Act,
    };
    let lock = match mode {
        Mode::Act => Some(site.state.lock_watchdog().map_err(|e| NotReady(e.into()))?),
        Mode::Say => None,
    };
    let settings = watchdog::Settings {
        interval: site.settings.watchdog.interval,
        history: site.settings.history,
        mode,
        figures: lock.is_some().then(|| site.state.watchdog_figures()),
    };
    let again = source.clone();
    let read = move || {
        let site = Site::load(&again).map_err(|e| e.to_string())?;
        site.watchdog_policy(&again).map_err(|e| e.to_string())
    };
    let mut watch =
        Watch::new(settings, Arc::new(hands), Box::new(read)).map_err(|e| NotReady(e.into()))?;
    if args.once {
        let (findings, policy) = watch.once()?;
        for finding in &findings {
            show(finding, &policy, args);
        }
        if findings.is_empty() && !args.json {
            outln!("nothing to say of any student");
        }
        return Ok(Exit::Done);
    }
    come_first();
    watch.run(&*wishes()?)?;
    tracing::info!("stopped");
    Ok(Exit::Done)
}

/// A host that its students keep busy does not keep its watchdog waiting.
fn come_first() {
    const NICE: i32 = -10;
    if let Err(e) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!("the watchdog runs with everybody else's priority: {e}");
    }
}

fn wishes() -> anyhow::Result<Arc<Wishes>> {
    let wishes = Arc::new(Wishes::default());
    let told = Arc::clone(&wishes);
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::spawn(move || {
        for signal in signals.forever() {
            match signal {
                SIGHUP => told.reload.store(true, Ordering::SeqCst),
                _ => told.stop.store(true, Ordering::SeqCst),
            }
        }
    });
    Ok(wishes)
}

fn show(finding: &Finding, policy: &Policy, args: &RunArgs) {
    let response = response_name(policy.response(finding));
    if args.json {
        let mut object = json!(finding);
        object["response"] = json!(response);
        return print_json(&object);
    }
    let would = if args.dry_run { "would " } else { "" };
    outln!(
        "{} {} ({}, score {}): {}; {would}{response}",
        finding.student.account(),
        finding.rule,
        finding.level,
        finding.score,
        finding.sentence.escape_debug(),
    );
}
