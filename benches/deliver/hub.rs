//! The students of a real JupyterHub, from nothing and away again; and how much of the time is the
//! hub's own.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::figures::Figures;
use super::support::backend::{Backend, HUB, Options, SHARE, hub_users};
use super::support::{sh, wait_for};
use super::{LEFT, WANTED, deliver, fewer};

/// Where deliver asks; what it hears is the hub's, by way of a [`Relay`].
const RELAY: &str = "127.0.0.1:8900";

pub fn run(figures: &mut Figures) {
    let relay = Relay::start();
    let mut backend = Backend::start(Options {
        inventory: &format!(
            "WODSYSDIR: {SHARE}/sys\nWODUSERMAX: {WANTED}\nWODHUB: jupyterhub\n\
             WODBEAPIURL: http://{RELAY}/hub/api"
        ),
        ..Options::default()
    });
    backend.stop_engine();
    let _hub = Hub::start();
    relay.waited();

    let first = deliver(&[]);
    let at_hub = relay.waited();
    assert_eq!(first.changed, 2, "accounts and hub users");
    assert_eq!(hub_users().len(), WANTED as usize);
    figures.note("deliver2000_hub_s", first.seconds);
    figures.note("deliver2000_hub_own_s", first.seconds - at_hub);
    let mut again: Vec<(f64, f64)> = Vec::new();
    for _ in 0..5 {
        let seen = deliver(&[]);
        assert_eq!(seen.changed, 0);
        again.push((seen.seconds, relay.waited()));
    }
    again.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (seconds, at_hub) = again[2];
    figures.note("deliver2000_hub_again_s", seconds);
    figures.note("deliver2000_hub_again_own_s", seconds - at_hub);

    let fewer = fewer();
    let at_hub = relay.waited();
    assert_eq!(hub_users().len(), LEFT as usize);
    figures.note("deliver2000_hub_away_s", fewer.seconds);
    figures.note("deliver2000_hub_away_own_s", fewer.seconds - at_hub);
}

/// JupyterHub with the files that deliver puts on a host; killed when dropped.
struct Hub(Child);

impl Hub {
    fn start() -> Hub {
        // The other items of the system are not for a benchmark: they set the kernel's values.
        sh(&format!(
            "cd {SHARE}/sys; cp host.yml whole.yml
             (echo system:; sed -n '\\#directory: /etc/wod/jupyterhub#,\\#file: /etc/fail2ban#p' whole.yml | sed '$d') >host.yml
             /run/wod deliver --tags system >/run/system.log; mv whole.yml host.yml"
        ));
        let log = fs::File::create("/run/hub.log").unwrap();
        let mut hub = Command::new("/opt/jupyterhub/bin/jupyterhub")
            .args(["-f", "/etc/wod/jupyterhub/jupyterhub_config.py"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        wait_for(120, "JupyterHub", || {
            let said = fs::read_to_string("/run/hub.log").unwrap();
            assert!(hub.try_wait().unwrap().is_none(), "{said}");
            let answer = ureq::get(format!("{HUB}/hub/api/")).call().ok()?;
            answer.status().is_success().then_some(())
        });
        Hub(hub)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Between a client and the hub: hands everything on, and adds up the time in which a question is
/// open, from its last bytes to the first ones of its answer. Where several are, it counts once.
struct Relay(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    open: usize,
    since: Option<Instant>,
    total: Duration,
}

impl Waiting {
    fn begin(&mut self) {
        self.open += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    fn end(&mut self) {
        self.open -= 1;
        if self.open == 0 {
            let since = self.since.take();
            self.total += since.map_or(Duration::ZERO, |since| since.elapsed());
        }
    }
}

/// One connection's part of it.
#[derive(Clone)]
struct Question {
    is_open: Arc<AtomicBool>,
    of_all: Arc<Mutex<Waiting>>,
}

impl Question {
    fn asked(&self) {
        self.answered();
        self.of_all.lock().unwrap().begin();
        self.is_open.store(true, Ordering::SeqCst);
    }

    fn answered(&self) {
        if self.is_open.swap(false, Ordering::SeqCst) {
            self.of_all.lock().unwrap().end();
        }
    }
}

impl Relay {
    fn start() -> Relay {
        let listener = TcpListener::bind(RELAY).unwrap();
        let of_all: Arc<Mutex<Waiting>> = Arc::default();
        let relay = Relay(Arc::clone(&of_all));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(hub) = TcpStream::connect(HUB.strip_prefix("http://").unwrap()) else {
                    continue;
                };
                let pair = (client.try_clone().unwrap(), hub.try_clone().unwrap());
                let question = Question {
                    is_open: Arc::default(),
                    of_all: Arc::clone(&of_all),
                };
                let asking = question.clone();
                thread::spawn(move || hand_on(pair.0, pair.1, || asking.asked()));
                thread::spawn(move || {
                    hand_on(hub, client, || question.answered());
                    question.answered();
                });
            }
        });
        relay
    }

    /// Seconds since the last time that this was asked.
    fn waited(&self) -> f64 {
        std::mem::take(&mut self.0.lock().unwrap().total).as_secs_f64()
    }
}

/// Until one side has no more to say, or the other does not listen.
fn hand_on(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut()) {
    let mut chunk = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut chunk) {
        note();
        if to.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
