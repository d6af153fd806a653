//! `wod demo`: a whole backend of its own, with JupyterHub, that leaves nothing behind.
//!
//! As root it runs on a private copy of the host (own mounts, own processes) with real accounts;
//! else in a directory of its own, with sandbox accounts.

mod login;
mod place;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::adapters::send_action::{self, send_action};
use crate::cli::follow::{Ended, View, follow};
use crate::cli::test_action::{login, told};
use crate::cli::{Exit, journal_of, print_json};
use crate::domain::{Action, AskedWorkshop, Participant, Seat, Secret, StudentRange, Verb};
use crate::exec::{Cmd, Service};
use crate::journal::{Journal, Stage};
use crate::site::{Site, Source};

use place::{Place, Ports};

const ABOUT: &str = "\
Needs JupyterHub (in $JPHUB, /opt/jupyterhub, or where `make demo` put it) and, as root, the
packages that `make demo` installs. It listens on loopback only.

As root: real accounts student1.. on a private copy of this host: its own /etc, /home, /var and
processes, which are gone at the end. Without root: plain directories, all of them yours, so
students are not kept apart from each other.";

#[derive(clap::Args)]
#[command(after_help = ABOUT)]
pub struct Args {
    /// Make a seat, check its login, clean it up, purge it, and end
    #[arg(long)]
    once: bool,
    /// One JSON object per action and line
    #[arg(long)]
    json: bool,
    /// The workshop to give
    #[arg(long, default_value = "WKSHP-API101")]
    workshop: AskedWorkshop,
    /// Port of the hub for your browser [default: 8000, or the next one that is free]
    #[arg(long)]
    port: Option<u16>,
    /// Directory with workshops/ and sys/ [default: the checkout, else /usr/share/wod]
    #[arg(long, value_name = "DIR")]
    share: Option<PathBuf>,
    /// Set by the demo itself, on its private host
    #[arg(long, hide = true)]
    inside: bool,
}

const SENDER: &str = "frontend@demo";
const PARTICIPANT: u32 = 825;
const HUB_START: Duration = Duration::from_secs(90);
const SERVE_START: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(15);

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let is_root = rustix::process::geteuid().is_root();
    let share = share(args)?;
    is_there(&share, &args.workshop)?;
    if is_root && !args.inside {
        return on_private_host();
    }
    // Whatever ends us, the parts below are dropped, and so ended, first.
    let signals = Signals::note()?;
    let ports = Ports::find(args.port)?;
    let place = match is_root {
        true => place::private_host(&share, ports)?,
        false => place::sandbox(&share, ports)?,
    };
    let demo = Demo {
        json: args.json,
        signals,
    };
    let ended = demo.play(args, &place);
    if let Err(e) = &ended {
        errln!(
            "wod demo: what the hub and the backend said last:\n{}",
            place.last_lines()
        );
        if args.json {
            print_json(&json!({"action": "DEMO", "state": "failed", "problem": format!("{e:#}")}));
        }
    }
    place.clear();
    ended
}

/// The same program again, with namespaces of its own that end with it.
fn on_private_host() -> anyhow::Result<Exit> {
    let signals = Signals::note()?;
    let mut command = Cmd::new("setpriv").args([
        "--pdeathsig=KILL",
        "--",
        "unshare",
        "--mount",
        "--pid",
        "--ipc",
        "--fork",
        "--kill-child=KILL",
        "--mount-proc",
        "--propagation=private",
        "--",
    ]);
    command = command.arg(std::env::current_exe()?);
    command = command.args(std::env::args_os().skip(1)).arg("--inside");
    command = command.dir(std::env::current_dir()?);
    for name in ["JPHUB", "WODLOG", "TERM", "XDG_DATA_HOME", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command = command.env(name, value);
        }
    }
    let mut inside = command
        .start(None, None)
        .context("a private host needs setpriv and unshare (package util-linux)")?;
    loop {
        if let Some(status) = inside.ended() {
            return match status.code() {
                Some(0) => Ok(Exit::Done),
                Some(5) => Ok(Exit::NotDone),
                _ => Ok(Exit::Failed),
            };
        }
        if signals.came(Duration::from_millis(100)) {
            // Our child is unshare; with it ends its child, and with that the pid namespace.
            inside.stop(PATIENCE);
            return Ok(Exit::Done);
        }
    }
}

/// Whether we were asked to end. Children get their signals as usual: a blocked signal would be
/// blocked in them, too.
struct Signals(Arc<AtomicBool>);

impl Signals {
    fn note() -> anyhow::Result<Signals> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&came))?;
        }
        Ok(Signals(came))
    }

    /// Waits that long for one of them.
    fn came(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        while !self.0.load(Ordering::SeqCst) {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20).min(wait));
        }
        true
    }
}

struct Demo {
    json: bool,
    signals: Signals,
}

impl Demo {
    fn play(&self, args: &Args, place: &Place) -> anyhow::Result<Exit> {
        self.say("starting JupyterHub and wod serve on loopback …");
        let mut hub = place.start_hub()?;
        let mut serve = place.start_serve()?;
        let site = Site::load(&Source {
            inventory: place.inventory(),
            set: Vec::new(),
        })?;
        self.wait_for(&site, &mut hub, &mut serve, place)?;
        let journal = journal_of(&site)?;
        let stage = Round {
            demo: self,
            args,
            site: &site,
            journal: &journal,
            place,
        };
        let ended = stage.play(&mut [&mut hub, &mut serve]);
        self.say("taking it all down …");
        serve.stop(PATIENCE);
        hub.stop(PATIENCE);
        ended
    }

    fn wait_for(
        &self,
        site: &Site,
        hub: &mut Service,
        serve: &mut Service,
        place: &Place,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let api = site.hub()?;
        while let Err(fault) = api.check() {
            self.still_there(&mut [hub, serve])?;
            if begun.elapsed() > HUB_START {
                bail!(
                    "JupyterHub did not answer within {} s: {fault}",
                    HUB_START.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        while std::net::TcpStream::connect(place.ports.smtp()).is_err() {
            self.still_there(&mut [hub, serve])?;
            if begun.elapsed() > HUB_START + SERVE_START {
                bail!("wod serve does not listen");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn still_there(&self, parts: &mut [&mut Service]) -> anyhow::Result<()> {
        if self.signals.came(Duration::ZERO) {
            bail!("interrupted");
        }
        are_running(parts)
    }

    fn say(&self, line: &str) {
        errln!("wod demo: {line}");
    }
}

fn are_running(parts: &mut [&mut Service]) -> anyhow::Result<()> {
    for part in parts {
        if let Some(status) = part.ended() {
            bail!("{} ended ({status})", part.name());
        }
    }
    Ok(())
}

/// CREATE, a look at it, and back.
struct Round<'a> {
    demo: &'a Demo,
    args: &'a Args,
    site: &'a Site,
    journal: &'a Journal,
    place: &'a Place,
}

impl Round<'_> {
    fn play(&self, parts: &mut [&mut Service]) -> anyhow::Result<Exit> {
        let created = self.act(Verb::Create)?;
        let Some(password) = login(self.journal, &created)? else {
            return self.told(&created, None).map(|()| Exit::NotDone);
        };
        self.told(&created, Some(&password))?;
        if !self.args.once {
            self.invite(&created, &password);
            while !self.demo.signals.came(Duration::from_millis(200)) {
                are_running(parts)?;
            }
            return Ok(Exit::Done);
        }
        self.check(&created, &password)?;
        for verb in [Verb::Cleanup, Verb::Purge] {
            let ended = self.act(verb)?;
            self.told(&ended, None)?;
            if ended.state.stage != Stage::Done {
                return Ok(Exit::NotDone);
            }
        }
        Ok(Exit::Done)
    }

    /// Sends the mail and follows its action to the end.
    fn act(&self, verb: Verb) -> anyhow::Result<Ended> {
        let workshops = self.site.shelves()?.list()?.0;
        let asked = &self.args.workshop;
        let range = workshops
            .iter()
            .find(|workshop| workshop.name == asked.name)
            .with_context(|| format!("there is no workshop {} here", asked.name))?
            .range;
        let student = range.unwrap_or(self.site.settings.window.0).first();
        let action = Action {
            verb,
            seat: Seat::Students(StudentRange::one(student)),
            participant: Participant::new(PARTICIPANT),
            email: None,
            workshop: Some(asked.clone()),
        };
        let smtp = self.place.ports.smtp();
        let config = send_action::Config {
            host: smtp.ip().to_string(),
            port: smtp.port(),
            from: SENDER.to_owned(),
            to: format!("{}@localhost", self.site.settings.user),
            timeout: Duration::from_secs(30),
        };
        self.demo
            .say(&format!("sending {verb} student{student} {asked} by SMTP"));
        let message_id = send_action::message_id();
        let reply = send_action(&config, &action, &message_id, None)?;
        if !reply.accepted() {
            bail!("the mail was refused: {reply}");
        }
        let mut end = None;
        let view = if self.demo.json {
            View::Nothing
        } else {
            View::Steps
        };
        follow(self.journal, &[message_id], view, |ended| {
            end = Some(ended);
            Ok(())
        })?;
        end.context("the action has no end")
    }

    fn told(&self, ended: &Ended, password: Option<&Secret>) -> anyhow::Result<()> {
        if self.demo.json {
            let url = password.and_then(|_| self.site.hub().ok()?.login_url());
            print_json(&told(ended, password, url.as_deref()));
        } else {
            let state = ended.state.stage.as_str();
            let took: u64 = ended.state.took.iter().sum();
            outln!(
                "{} student{}: {state} ({took} ms)",
                ended.row.action.verb,
                ended.row.students
            );
            if let Some(line) = &ended.state.line {
                outln!("  {line}");
            }
        }
        Ok(())
    }

    /// The login that was told really opens the hub, and the notebooks are there.
    fn check(&self, created: &Ended, password: &Secret) -> anyhow::Result<()> {
        let student = created.row.students.first();
        let begun = Instant::now();
        let url = self
            .site
            .hub()?
            .login_url()
            .context("the demo has no hub")?;
        login::check(&url, &student.account(), password)
            .with_context(|| format!("{} cannot log in", student.account()))?;
        let notebook = self
            .site
            .settings
            .students_dir
            .join(student.account())
            .join(self.args.workshop.name.as_str())
            .join("0-ReadMeFirst.ipynb");
        let text = std::fs::read_to_string(&notebook)
            .with_context(|| format!("{} is missing", notebook.display()))?;
        if text.contains("{{ STDID }}") {
            bail!("{} was not rendered", notebook.display());
        }
        let took = begun.elapsed().as_millis();
        match self.demo.json {
            true => print_json(&json!({
                "action": "CHECK", "student": student, "state": "done", "took_ms": took,
            })),
            false => outln!("CHECK student{student}: logs in, notebooks are there ({took} ms)"),
        }
        Ok(())
    }

    fn invite(&self, created: &Ended, password: &Secret) {
        if self.demo.json {
            return;
        }
        let hub = self.site.hub().ok();
        let url = hub.and_then(|hub| hub.login_url()).unwrap_or_default();
        outln!();
        outln!("  url       {url}");
        outln!("  login     {}", created.row.students.first().account());
        outln!("  password  {}", password.expose());
        outln!();
        outln!("Press Ctrl-C to take it all down.");
    }
}

fn share(args: &Args) -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let near = std::env::current_dir()?;
    let has_all = |dir: &&Path| dir.join("workshops").is_dir() && dir.join("sys").is_dir();
    let found = match &args.share {
        Some(dir) => Some(dir.as_path()),
        None => std::iter::once(near.as_path())
            .chain(exe.ancestors())
            .chain([Path::new("/usr/share/wod")])
            .find(has_all),
    };
    match found.filter(has_all) {
        Some(dir) => Ok(dir.to_owned()),
        None => bail!(
            "no workshops/ and sys/ were found; run it in a checkout, or name one with --share"
        ),
    }
}

/// Asked before anything is started.
fn is_there(share: &Path, asked: &AskedWorkshop) -> anyhow::Result<()> {
    let all = share.join("workshops");
    if all.join(asked.name.to_string()).is_dir() {
        return Ok(());
    }
    let entries = std::fs::read_dir(&all)?.flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("WKSHP-"))
        .collect();
    names.sort_unstable();
    bail!(
        "there is no workshop {} in {}; it has {}",
        asked.name,
        all.display(),
        names.join(", ")
    )
}

/// A port on loopback that nothing listens on.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(listener.local_addr()?.port())
}
