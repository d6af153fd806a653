//! What the backend itself costs, on a private host: real accounts, a registry that answers at once,
//! no hub or (for its share) a real one. Prints a table, writes target/bench.json. BENCHMARKS.md has
//! the method.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark starts what it measures"
)]

#[path = "../tests/system/support/mod.rs"]
mod support;

#[path = "shared/figures.rs"]
mod figures;

#[path = "backend/render.rs"]
mod render;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use figures::Figures;

use support::backend::{Backend, Options, SENDER, SMTP, STATE, STUDENTS};
use support::{root, wait_for};
use wod::domain::{ActionId, Time};
use wod::journal::{Event, Filter, Journal};

const INSIDE: &str = "WOD_BENCH_INSIDE";
const INTAKE: &str = "/var/intake-bench";
const WORKSHOP: &str = "WKSHP-Any101";

fn main() {
    // WOD_BENCH=render: that part alone, which needs neither root nor a private host.
    let only = std::env::var("WOD_BENCH").ok();
    if std::env::var_os(INSIDE).is_none() {
        let mut figures = Figures::default();
        render::run(&mut figures);
        figures.tell();
    }
    if only.is_some_and(|part| part == "render") {
        return;
    }
    if std::env::var_os(INSIDE).is_none() {
        return on_private_host();
    }
    on_the_real_disk();
    let mut figures = Figures::default();
    without_a_hub(&mut figures);
    watched(&mut figures);
    intake_alone(&mut figures);
    with_a_hub(&mut figures);
    figures.tell();
    let _ = fs::remove_dir_all(root().join("target/bench"));
}

fn on_private_host() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("the benchmark is left out: it needs root for real accounts on a private host");
        return;
    }
    let status = Command::new(support::support("private-host.sh"))
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "the benchmark failed: {status}");
}

/// A private host's /var is in memory, where an fsync costs nothing: state, homes and spool are put
/// on the disk that the project is on.
fn on_the_real_disk() {
    let disk = root().join("target/bench");
    let _ = fs::remove_dir_all(&disk);
    for (dir, place) in [("state", STATE), ("student", STUDENTS), ("intake", INTAKE)] {
        support::sh(&format!(
            "mkdir -p {disk}/{dir} {place}; mount --bind {disk}/{dir} {place}",
            disk = disk.display()
        ));
    }
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// The journal beside the engine.
struct Watcher(Journal);

/// When an action was planned and done, as the engine wrote it down.
struct Ended {
    planned: Time,
    done: Time,
    /// Milliseconds in steps that wait for the hub.
    at_hub: u64,
}

impl Watcher {
    fn new() -> Watcher {
        let path = Path::new(STATE).join("private/journal.db");
        Watcher(Journal::open_beside(&path).unwrap())
    }

    fn newest(&self) -> i64 {
        let rows = self.0.list(Filter::Newest(1)).unwrap();
        rows.first().map_or(0, |row| row.id.0)
    }

    /// Waits for this action's end.
    fn ended(&self, id: i64) -> Ended {
        let id = ActionId(id);
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            if self
                .0
                .follow(id)
                .is_ok_and(|cursor| cursor.state.stage.is_over())
            {
                break;
            }
            assert!(Instant::now() < until, "action {id} does not end");
            thread::sleep(Duration::from_millis(2));
        }
        let all = self.0.happenings(id).unwrap();
        let at = |wanted: fn(&Event) -> bool| {
            all.iter().find(|h| wanted(&h.event)).map(|h| h.at).unwrap()
        };
        let plan = all.iter().find_map(|h| match &h.event {
            Event::Planned { plan } => Some(plan),
            _ => None,
        });
        let steps = &plan.unwrap().steps;
        let at_hub = all.iter().filter_map(|h| match &h.event {
            Event::StepDone { step, took }
                if steps[*step].to_string().contains("the server of") =>
            {
                Some(*took)
            }
            _ => None,
        });
        Ended {
            planned: at(|e| matches!(e, Event::Planned { .. })),
            done: at(|e| matches!(e, Event::Done)),
            at_hub: at_hub.sum(),
        }
    }
}

/// One session that sends one mail after the other.
struct Sender(TcpStream);

impl Sender {
    fn connect(address: &str) -> Sender {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut sender = Sender(stream);
        sender.reply();
        sender.say("HELO bench\r\n");
        sender
    }

    fn say(&mut self, line: &str) -> String {
        self.0.write_all(line.as_bytes()).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> String {
        let mut line = Vec::new();
        let mut chunk = [0; 512];
        while !line.ends_with(b"\n") {
            let read = self.0.read(&mut chunk).unwrap();
            assert!(read > 0, "the listener hung up");
            line.extend_from_slice(&chunk[..read]);
        }
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Gives back when the last byte was on its way.
    fn mail(&mut self, subject: &str) -> Time {
        self.say(&format!("MAIL FROM:<{SENDER}>\r\n"));
        self.say("RCPT TO:<wodadmin@localhost>\r\n");
        self.say("DATA\r\n");
        let sent = Time::now();
        let answer = self.say(&format!("Subject: {subject}\r\n\r\n{WORKSHOP}\r\n.\r\n"));
        assert!(answer.starts_with("250"), "{answer}");
        sent
    }
}

/// A workshop of three notebooks for every student, so that one range fits all rounds.
fn add_workshop() {
    support::sh(&format!(
        "cd /var/share/workshops; cp -R WKSHP-API101 {WORKSHOP}
         sed -i 's/^range:.*/range: [1,1000]/' {WORKSHOP}/wod.yml; chown -R wodadmin {WORKSHOP}"
    ));
}

fn without_a_hub(figures: &mut Figures) {
    let backend = Backend::start(Options {
        inventory: "WODUSERMAX: 1000\nWODWORKERS: 8\nWODDUPLICATESECONDS: 0",
        ..Options::default()
    });
    add_workshop();
    wait_for(10, "workshop at the gate", || {
        let gate = fs::read_to_string(format!("{STATE}/public/gate.json")).unwrap();
        gate.contains(WORKSHOP).then_some(())
    });
    let watcher = Watcher::new();
    let mut sender = Sender::connect(SMTP);
    let names = [
        "serve_idle_rss_mb",
        "serve_idle_pss_mb",
        "serve_idle_core_pct",
    ];
    idle(figures, names, backend.engine_id());
    // The first ones make their accounts; those are not counted.
    one_by_one(&watcher, &mut sender, "CREATE", 5);
    let created = one_by_one(&watcher, &mut sender, "CREATE", 100);
    figures.note("create_p50_ms", percentile(&created.whole, 50));
    figures.note("create_p99_ms", percentile(&created.whole, 99));
    figures.note("mail_to_step_ms", percentile(&created.to_plan, 50));
    let cleaned = one_by_one(&watcher, &mut sender, "CLEANUP", 100);
    figures.note("cleanup_p50_ms", percentile(&cleaned.whole, 50));
    let purged = one_by_one(&watcher, &mut sender, "PURGE", 100);
    figures.note("purge_p50_ms", percentile(&purged.whole, 50));
    let (first, total) = at_once(&watcher, 200, 20);
    figures.note("create20_first_ms", first);
    figures.note("create20_total_s", total / 1000.0);
    let (_, total) = at_once(&watcher, 300, 100);
    figures.note("create100_total_s", total / 1000.0);
    figures.note("serve_peak_rss_mb", peak_mb(backend.engine_id()));
}

/// With the watchdog as one more child.
fn watched(figures: &mut Figures) {
    let backend = Backend::start(Options {
        inventory: "WODUSERMAX: 1000\nWODWATCHDOG: serve",
        ..Options::default()
    });
    let names = [
        "serve_watched_idle_rss_mb",
        "serve_watched_idle_pss_mb",
        "serve_watched_idle_core_pct",
    ];
    idle(figures, names, backend.engine_id());
}

struct Times {
    whole: Vec<f64>,
    to_plan: Vec<f64>,
}

/// Students 1 to `count`, each mail after the end of the one before.
fn one_by_one(watcher: &Watcher, sender: &mut Sender, verb: &str, count: u32) -> Times {
    let mut times = Times {
        whole: Vec::new(),
        to_plan: Vec::new(),
    };
    for student in 1..=count {
        let id = watcher.newest() + 1;
        let sent = sender.mail(&format!("{verb} {student} 0"));
        let ended = watcher.ended(id);
        times.whole.push(milliseconds(sent, ended.done));
        times.to_plan.push(milliseconds(sent, ended.planned));
    }
    times.whole.sort_by(f64::total_cmp);
    times.to_plan.sort_by(f64::total_cmp);
    times
}

/// When the first and the last of so many was done, from the first mail on, in milliseconds.
fn at_once(watcher: &Watcher, first: u32, count: u32) -> (f64, f64) {
    let before = watcher.newest();
    let mut senders: Vec<Sender> = (0..count.min(16)).map(|_| Sender::connect(SMTP)).collect();
    let begun = Time::now();
    let lanes = senders.len() as u32;
    thread::scope(|scope| {
        for (lane, sender) in (0..).zip(&mut senders) {
            scope.spawn(move || {
                for student in (first + lane..first + count).step_by(lanes as usize) {
                    sender.mail(&format!("CREATE {student} 0"));
                }
            });
        }
    });
    let ended = (1..=i64::from(count)).map(|n| watcher.ended(before + n));
    let mut done: Vec<f64> = ended.map(|e| milliseconds(begun, e.done)).collect();
    done.sort_by(f64::total_cmp);
    (done[0], done[done.len() - 1])
}

fn milliseconds(from: Time, to: Time) -> f64 {
    to.since(from).as_secs_f64() * 1000.0
}

/// The engine and its children while nothing comes in.
fn idle(figures: &mut Figures, names: [&'static str; 3], engine: u32) {
    const WATCHED: Duration = Duration::from_secs(20);
    thread::sleep(Duration::from_secs(2));
    let children = support::sh(&format!("pgrep -P {engine}"));
    let children = children.lines().map(|pid| pid.parse().unwrap());
    let all: Vec<u32> = children.chain([engine]).collect();
    let sum = |of: fn(u32) -> u64| all.iter().map(|&pid| of(pid)).sum::<u64>();
    let before = sum(cpu_ticks);
    thread::sleep(WATCHED);
    let used = sum(cpu_ticks) - before;
    let rss = sum(|pid| kb(&format!("/proc/{pid}/status"), "VmRSS:"));
    let pss = sum(|pid| kb(&format!("/proc/{pid}/smaps_rollup"), "Pss:"));
    figures.note(names[0], rss as f64 / 1024.0);
    figures.note(names[1], pss as f64 / 1024.0);
    // 100 ticks are a second of one core.
    figures.note(names[2], used as f64 / WATCHED.as_secs_f64());
}

fn cpu_ticks(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn kb(path: &str, field: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn peak_mb(pid: u32) -> f64 {
    kb(&format!("/proc/{pid}/status"), "VmHWM:") as f64 / 1024.0
}

/// The listener with 16 senders and nobody behind the spool.
fn intake_alone(figures: &mut Figures) {
    const SENDERS: u32 = 16;
    const EACH: u32 = 200;
    let dir = Path::new(INTAKE);
    fs::create_dir_all(dir.join("spool")).unwrap();
    fs::create_dir_all(dir.join("public")).unwrap();
    let gate = fs::read(format!("{STATE}/public/gate.json")).unwrap();
    fs::write(dir.join("public/gate.json"), gate).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut intake = Command::new(env!("CARGO_BIN_EXE_wod"))
        .args(["intake", "--spool", "/var/intake-bench/spool"])
        .args(["--public", "/var/intake-bench/public"])
        .env("WODLOG", "error")
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
        .spawn()
        .unwrap();
    let mut senders: Vec<Sender> = (0..SENDERS).map(|_| Sender::connect(&address)).collect();
    let begun = Instant::now();
    thread::scope(|scope| {
        for (lane, sender) in (0..).zip(&mut senders) {
            scope.spawn(move || {
                for n in 0..EACH {
                    sender.mail(&format!("CREATE {} {}", 1 + lane * 50 + n % 50, n));
                }
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let spooled = fs::read_dir(dir.join("spool")).unwrap().count();
    assert_eq!(spooled, (SENDERS * EACH) as usize);
    figures.note("intake_mails_per_s", f64::from(SENDERS * EACH) / seconds);
    intake.kill().unwrap();
    intake.wait().unwrap();
}

/// Our own part of the time from a mail to a server that answers.
fn with_a_hub(figures: &mut Figures) {
    support::sh(&format!("rm -rf {STATE}/*"));
    let _backend = Backend::start(Options {
        hub: true,
        inventory: "WODUSERMAX: 1000\nWODWORKERS: 8",
        ..Options::default()
    });
    add_workshop_again();
    let watcher = Watcher::new();
    let mut sender = Sender::connect(SMTP);
    let mut shares = Vec::new();
    for student in 1..=3 {
        let id = watcher.newest() + 1;
        let sent = sender.mail(&format!("CREATE {student} 0"));
        let ended = watcher.ended(id);
        let whole = milliseconds(sent, ended.done);
        shares.push(100.0 * (whole - ended.at_hub as f64) / whole);
    }
    shares.sort_by(f64::total_cmp);
    figures.note("hub_own_share_pct", percentile(&shares, 50));
}

fn add_workshop_again() {
    support::sh(&format!("rm -rf /var/share/workshops/{WORKSHOP}"));
    add_workshop();
    wait_for(10, "workshop at the gate", || {
        let gate = fs::read_to_string(format!("{STATE}/public/gate.json")).unwrap();
        gate.contains(WORKSHOP).then_some(())
    });
}
