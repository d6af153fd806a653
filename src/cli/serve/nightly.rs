//! Runs of `wod deliver` at the times of WODDELIVERCRON, each a process of its own, one at a time; and
//! the mail about them that is still to be sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use crate::cli::child;
use crate::deliver::post;
use crate::domain::{Cron, Time};
use crate::exec::{Service, status_text};
use crate::site::{Site, Source};

/// Between looks at the clock, which may be set, and at the letters.
const GLANCE: Duration = Duration::from_secs(30);
/// Between looks at a run that is on its way.
const STEP: Duration = Duration::from_millis(200);
/// A run stops between two changes, and one of them may be a package that is being installed.
const PATIENCE: Duration = Duration::from_secs(60);
/// After a mail server did not take a letter.
const POST_PAUSE: Duration = Duration::from_secs(300);

/// What a run needs of our environment to find the site as we do.
const PASSED_ON: [&str; 4] = [
    "ANSIBLE_VAULT_IDENTITY_LIST",
    "ANSIBLE_VAULT_PASSWORD_FILE",
    "HOME",
    "TZ",
];

/// Ends with a run that is on its way when dropped.
pub struct Nightly {
    site: Arc<Site>,
    stopping: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
}

impl Nightly {
    pub fn start(site: Site, source: &Source) -> Nightly {
        let site = Arc::new(site);
        let stopping = Arc::new(AtomicBool::new(false));
        let mut keeper = Keeper {
            site: Arc::clone(&site),
            source: source.clone(),
            stopping: Arc::clone(&stopping),
            post_not_before: None,
        };
        Nightly {
            site,
            stopping,
            keeper: Some(thread::spawn(move || keeper.run())),
        }
    }

    pub fn site(&self) -> Arc<Site> {
        Arc::clone(&self.site)
    }
}

impl Drop for Nightly {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(keeper) = self.keeper.take() {
            keeper.thread().unpark();
            let _ = keeper.join();
        }
    }
}

/// The first of all lines that comes after `now`.
fn next(lines: &[Cron], now: Time, zone: &TimeZone) -> Option<Time> {
    lines.iter().filter_map(|line| line.next(now, zone)).min()
}

struct Keeper {
    site: Arc<Site>,
    source: Source,
    stopping: Arc<AtomicBool>,
    post_not_before: Option<Instant>,
}

impl Keeper {
    fn run(&mut self) {
        let site = Arc::clone(&self.site);
        let lines = &site.settings.deliver_cron;
        let mut asked = Time::now();
        while !self.stops() {
            self.send_letters();
            // Asked for anew each time: the clock and the zone may have been set.
            let due = next(lines, asked, &TimeZone::system());
            let now = Time::now();
            match due {
                Some(due) if due <= now => {
                    self.deliver();
                    // What came up meanwhile is left out, as one run is enough.
                    asked = Time::now();
                }
                _ => {
                    // A clock that was set back must not hold up what comes until then.
                    asked = asked.min(now);
                    let wait = due.map_or(GLANCE, |due| due.since(now));
                    thread::park_timeout(wait.clamp(Duration::from_millis(1), GLANCE));
                }
            }
        }
    }

    fn stops(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// One run, to its end or to ours.
    fn deliver(&mut self) {
        tracing::info!("wod deliver is started, as WODDELIVERCRON says");
        let mut child = match self.start() {
            Ok(child) => child,
            Err(e) => return self.not_begun(&format!("{e:#}")),
        };
        while !self.stops() {
            if let Some(status) = child.ended() {
                return self.ended(status);
            }
            thread::park_timeout(STEP);
        }
        stop(&mut child);
    }

    fn start(&self) -> anyhow::Result<Service> {
        let (mut command, variables) = child::command(&self.source)?;
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command = command.env(name, value);
            }
        }
        let command = command.args(["deliver", "--by", "scheduler"]);
        Ok(command.start(Some(variables), None)?)
    }

    /// What failed in a run it has told by itself.
    fn ended(&mut self, status: std::process::ExitStatus) {
        match status.code() {
            Some(0) => tracing::info!("wod deliver is done"),
            Some(2) => tracing::warn!("wod deliver has failed items; see wod deliver history"),
            _ => self.not_begun(&status_text(status)),
        }
    }

    fn not_begun(&mut self, why: &str) {
        tracing::error!("wod deliver did not run to its end: {why}");
        if !self.site.has_monitor() {
            return;
        }
        let body = post::not_begun(&self.site.host_name(), why);
        if let Err(fault) = self.site.tell_monitor("scheduler", body) {
            tracing::error!("nobody is told of it: {}", fault.chain());
        }
        self.send_letters();
    }

    fn send_letters(&mut self) {
        if self
            .post_not_before
            .is_some_and(|until| Instant::now() < until)
        {
            return;
        }
        self.post_not_before = None;
        match self.site.send_letters() {
            Ok(0) => {}
            Ok(sent) => tracing::info!("{sent} letters about deliver were sent"),
            Err(fault) => {
                tracing::warn!("mail about deliver is kept: {}", fault.chain());
                self.post_not_before = Some(Instant::now() + POST_PAUSE);
            }
        }
    }
}

fn stop(child: &mut Service) {
    tracing::info!("stopping wod deliver");
    child.stop(PATIENCE);
}
