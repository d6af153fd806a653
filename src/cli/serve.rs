//! `wod serve`: the engine, and beside it the intake as a process of its own.

mod nightly;
mod ready;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::adapters::strays;
use crate::cli::keeper::Keeper;
use crate::cli::{Exit, NotReady, child};
use crate::content::Admin;
use crate::domain::signature::Demand;
use crate::engine::{Engine, Loop, Stop};
use crate::exec::{Cmd, Service};
use crate::intake::confine;
use crate::inventory::{AccountsKind, WatchdogBy};
use crate::journal::Journal;
use crate::site::{HostLock, KeyFile, Site, Source};

use nightly::Nightly;

#[derive(clap::Args)]
pub struct Args {
    /// Start no intake: wod-intake.service has the port, or Postfix hands all mails to wod ingest
    #[arg(long)]
    no_intake: bool,
}

const INTAKE_PATIENCE: Duration = Duration::from_secs(5);
/// It may be at work on a seat.
const WATCHDOG_PATIENCE: Duration = Duration::from_secs(15);

/// How long the intake of an engine that was killed may keep the port.
const PORT_PATIENCE: Duration = Duration::from_secs(2);

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    leave_no_core()?;
    let site = Site::load(source)?;
    site.warn();
    let ready = prepare(&site, args, source).map_err(NotReady)?;
    let nightly = Nightly::start(site, source);
    let site = nightly.site();
    ready::tell();
    let ran = ready
        .engine
        .run(ready.own, &site.state.spool(), &site.state.wake());
    drop(nightly);
    end_strays(&site, ready.scripts_run_as);
    drop(ready.intake);
    drop(ready.watchdog);
    tracing::info!("stopped");
    ran?;
    Ok(Exit::Done)
}

/// A crash must not leave our memory, and with it passwords, on the disk. The limit goes for what
/// we start as well; 1 and not 0 because core handlers (`|` in core_pattern) obey nothing else.
fn leave_no_core() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let smallest = Rlimit {
        current: Some(1),
        maximum: Some(1),
    };
    // Where it is lower already, only root may raise it, and nobody needs to.
    if rustix::process::getrlimit(Resource::Core).maximum != Some(0) {
        setrlimit(Resource::Core, smallest)?;
    }
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Everything that an engine needs before its first action.
struct Ready {
    engine: Arc<Engine>,
    own: Loop,
    intake: Option<Keeper>,
    watchdog: Option<Keeper>,
    /// WODUSER's uid, or ours in a sandbox.
    scripts_run_as: u32,
    _lock: HostLock,
}

fn own_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

fn prepare(site: &Site, args: &Args, source: &Source) -> anyhow::Result<Ready> {
    let confine = site.settings.confine;
    if confine == confine::Demand::Required && !confine::is_possible() {
        bail!("WODCONFINE is required, and this kernel has no Landlock; set it to possible");
    }
    let intake_account = site.intake_account()?;
    let admin = site.admin()?;
    let scripts_run_as = admin.as_ref().map_or_else(own_uid, |admin| admin.uid);
    let writers: Vec<Admin> = [admin, intake_account.clone()]
        .into_iter()
        .flatten()
        .collect();
    site.check_ground()?;
    site.state.prepare(&writers)?;
    let lock = site.state.lock()?;
    site.try_homes()?;
    end_strays(site, scripts_run_as);
    // Most scripts find them without.
    if let Err(fault) = site.state.offer_functions(&site.settings.scripts) {
        tracing::warn!("{}", fault.chain());
    }
    if site.settings.signatures.demand == Demand::Required
        && KeyFile::new(&site.state.keys()).read()?.0.is_empty()
    {
        tracing::warn!("WODSIGNATURES is required and there is no key: run wod keys new");
    }
    let journal = Arc::new(Journal::open(&site.state.journal())?);
    let engine = Arc::new(site.engine(&journal)?);
    // A mail that comes before the gate has a policy would be turned away.
    engine.publish_gate();
    let (own, stop) = Loop::new();
    stop_on_signals(stop)?;
    let address = site.settings.smtp_listen.filter(|_| !args.no_intake);
    let intake = match address {
        Some(address) => {
            let listener = listen(address).map_err(|e| {
                anyhow!(
                    "WODSMTPLISTEN {address} cannot be listened on: {e}; where wod-intake.socket \
                     has the port, use --no-intake"
                )
            })?;
            tracing::info!("listening for mail on {}", listener.local_addr()?);
            Some(keep_intake(listener, site, intake_account)?)
        }
        None => None,
    };
    let watchdog = keep_watchdog(site, source)?;
    Ok(Ready {
        engine,
        own,
        intake,
        watchdog,
        scripts_run_as,
        _lock: lock,
    })
}

/// No engine runs here now, so no script of one should.
fn end_strays(site: &Site, scripts_run_as: u32) {
    match strays::end(site.state.root(), scripts_run_as) {
        0 => {}
        ended => tracing::warn!("ended {ended} scripts that an engine had left running"),
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let until = Instant::now() + PORT_PATIENCE;
    loop {
        match TcpListener::bind(address) {
            Err(e) if e.kind() == ErrorKind::AddrInUse && Instant::now() < until => {
                thread::sleep(Duration::from_millis(50));
            }
            bound => return bound,
        }
    }
}

fn stop_on_signals(stop: Stop) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::spawn(move || {
        for _ in signals.forever() {
            tracing::info!("stopping");
            stop.stop();
        }
    });
    Ok(())
}

fn keep_intake(
    listener: TcpListener,
    site: &Site,
    account: Option<Admin>,
) -> anyhow::Result<Keeper> {
    let starter = Starter {
        listener,
        spool: site.state.spool(),
        public: site.state.public(),
        account,
        confine: site.settings.confine,
    };
    Keeper::start("intake", INTAKE_PATIENCE, move || starter.start())
}

/// A sandbox has no accounts to watch.
fn keep_watchdog(site: &Site, source: &Source) -> anyhow::Result<Option<Keeper>> {
    let is_ours = site.settings.watchdog.by == WatchdogBy::Serve;
    if !is_ours || site.settings.accounts == AccountsKind::Sandbox {
        return Ok(None);
    }
    site.watchdog_policy(source)?;
    let source = source.clone();
    let start = move || {
        let (command, variables) = child::command(&source)?;
        let command = command
            .arg("watchdog")
            .arg("--engine")
            .arg(std::process::id().to_string());
        Ok(command.start(Some(variables), None)?)
    };
    Keeper::start("watchdog", WATCHDOG_PATIENCE, start).map(Some)
}

/// Keeps the listening socket, so that connections wait while there is no child.
struct Starter {
    listener: TcpListener,
    spool: PathBuf,
    public: PathBuf,
    account: Option<Admin>,
    confine: confine::Demand,
}

impl Starter {
    fn start(&self) -> anyhow::Result<Service> {
        let socket = OwnedFd::from(self.listener.try_clone()?);
        let mut command = Cmd::new("/proc/self/exe")
            .arg("intake")
            .arg("--spool")
            .arg(&self.spool)
            .arg("--public")
            .arg(&self.public)
            .arg("--engine")
            .arg(std::process::id().to_string());
        if let Ok(filter) = std::env::var("WODLOG") {
            command = command.env("WODLOG", filter);
        }
        if self.confine == confine::Demand::Required {
            command = command.arg("--require-landlock");
        }
        if let Some(account) = &self.account {
            command = command
                .arg("--uid")
                .arg(account.uid.to_string())
                .arg("--gid")
                .arg(account.gid.to_string());
        }
        Ok(command.start(Some(socket), None)?)
    }
}
