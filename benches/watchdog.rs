//! What the watchdog costs, and how soon it stops what is on the list, among all processes of this
//! machine. Prints a table, adds its keys to target/bench.json. BENCHMARKS.md has the method.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark starts what it measures"
)]

#[path = "../tests/system/support/mod.rs"]
mod support;

#[path = "shared/figures.rs"]
mod figures;

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use figures::Figures;
use serde_json::Value;
use support::sh;
use support::watched::{BRIEF, STUDENTS, SUSPECT, Watched};

const INSIDE: &str = "WOD_BENCH_INSIDE";
const PROCESSES: u32 = 2000;
const RUNS: usize = 200;
const LOOK: Duration = Duration::from_secs(20);
const PSUTIL: &str = "/opt/psutil/bin/python";

/// The same facts of the same processes, as a Python program would have them.
const LOOP: &str = "
import psutil, sys, time
first, last, rounds = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
names = ['ppid', 'name', 'exe', 'cmdline', 'cwd', 'status', 'nice', 'num_threads', 'cpu_times',
         'memory_info', 'create_time']
def sample():
    seen = []
    for process in psutil.process_iter():
        try:
            if first <= process.uids().real <= last:
                with process.oneshot():
                    seen.append(process.as_dict(names))
        except psutil.Error:
            pass
    return len(seen)
sample()
before = time.process_time()
for _ in range(rounds):
    count = sample()
print((time.process_time() - before) / rounds, count)
";

fn main() {
    if std::env::var_os(INSIDE).is_none() {
        return among_all_processes();
    }
    let mut figures = Figures::default();
    kills(&mut figures);
    costs(&mut figures);
    figures.tell();
}

fn among_all_processes() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("the benchmark is left out: it needs root for accounts of students");
        return;
    }
    let status = Command::new(support::support("private-host.sh"))
        .arg("--shared")
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "the benchmark failed: {status}");
}

/// From the exec of a listed program to its end.
fn kills(figures: &mut Figures) {
    let watched = Watched::start("", "WODWATCHINTERVAL: 1");
    sh(&format!("cp {SUSPECT} /run/suspect/xmrig"));
    let mut took: Vec<f64> = Vec::new();
    for turn in 0..RUNS {
        let student = turn as u32 % STUDENTS + 1;
        // The child has executed its program when this comes back.
        let mut miner = watched.run(student, "/run/suspect/xmrig", &["idle"]);
        let began = Instant::now();
        miner.wait().unwrap();
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        thread::sleep(Duration::from_millis(50));
    }
    took.sort_by(f64::total_cmp);
    let all = at_once(&watched);
    figures.note("watchdog_kill_p50_ms", took[RUNS / 2]);
    figures.note("watchdog_kill_p99_ms", took[RUNS * 99 / 100 - 1]);
    figures.note("watchdog_200_dead_s", all);
}

/// 200 processes wait for one line each, and then are all the same listed program.
fn at_once(watched: &Watched) -> f64 {
    thread::sleep(Duration::from_secs(5));
    let line = "read go; exec /run/suspect/xmrig idle";
    let mut waiting: Vec<Child> = (0..200)
        .map(|turn| {
            let mut command = Command::new("/bin/sh");
            let uid = watched.uid(turn % STUDENTS + 1);
            std::os::unix::process::CommandExt::uid(&mut command, uid);
            command
                .args(["-c", line])
                .stdin(Stdio::piped())
                .stderr(Stdio::null());
            command.spawn().unwrap()
        })
        .collect();
    thread::sleep(Duration::from_secs(2));
    let mut ways: Vec<_> = waiting
        .iter_mut()
        .map(|child| child.stdin.take().unwrap())
        .collect();
    let began = Instant::now();
    for way in &mut ways {
        // Some are dead already, with the first of their student's.
        let _ = way.write_all(b"go\n");
    }
    for child in &mut waiting {
        child.wait().unwrap();
    }
    began.elapsed().as_secs_f64()
}

/// What it costs to watch 2,000 processes, then 3,000 execs a second, then the first in Python.
fn costs(figures: &mut Figures) {
    let watched = Watched::start("", "WODWATCHINTERVAL: 1");
    let mut sleepers: Vec<Child> = (0..PROCESSES)
        .map(|turn| watched.run(turn % STUDENTS + 1, "/usr/bin/sleep", &["600"]))
        .collect();
    thread::sleep(Duration::from_secs(10));
    let pid = watched.watchdog_id();
    let idle = share(pid, LOOK);
    let rss = resident(pid);
    let python = python(&watched);
    for child in &mut sleepers {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    thread::sleep(Duration::from_secs(5));
    let (busy, rate, checked, missed) = storm(&watched);
    println!(
        "{rate:.0} execs a second, {checked:.0} looked at, {missed} missed, {busy:.2} % of a core"
    );
    figures.note("watchdog_core_pct_2000", idle);
    figures.note("watchdog_rss_mb", rss);
    figures.note("watchdog_core_pct_exec3000", busy * 3000.0 / rate);
    figures.note("watchdog_execs_per_s", rate);
    figures.note("watchdog_execs_checked_per_s", checked);
    figures.note("watchdog_execs_missed", missed);
    if let Some(seconds) = python {
        // One look of ours takes so many seconds.
        figures.note("watchdog_vs_psutil_ratio", seconds / (idle / 100.0));
    }
}

/// Hundredths of one processor.
fn share(pid: u32, span: Duration) -> f64 {
    let (before, began) = (used(pid), Instant::now());
    thread::sleep(span);
    (used(pid) - before) / began.elapsed().as_secs_f64() * 100.0
}

/// Seconds on processors of all of its threads that are there.
fn used(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let nanos = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e9
}

fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.split_whitespace()
        .next()
        .unwrap()
        .parse::<f64>()
        .unwrap()
        / 1024.0
}

/// Short-lived programs of ten students, at 300 a second each. Each lives long enough to be looked at.
fn storm(watched: &Watched) -> (f64, f64, f64, f64) {
    let figures = || -> Value {
        let text = fs::read("/var/lib/wod/private/watchdog.json").unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    let mut storms: Vec<Child> = (1..=10)
        .map(|student| watched.run(student, SUSPECT, &["storm", "300", BRIEF]))
        .collect();
    thread::sleep(Duration::from_secs(6));
    let (before, begun) = (figures(), Instant::now());
    let busy = share(watched.watchdog_id(), LOOK);
    let (after, span) = (figures(), begun.elapsed().as_secs_f64());
    for child in &mut storms {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let number = |of: &Value, name: &str| of[name].as_f64().unwrap();
    let at = |of: &Value| number(of, "at") / 1000.0;
    // The figures are up to five seconds old, and say how old they are.
    let told = (at(&after) - at(&before)).max(1.0);
    assert!(span > 1.0);
    let more = |name| number(&after, name) - number(&before, name);
    let (rate, checked) = (more("execs") / told, more("checked") / told);
    (busy, rate, checked, more("missed"))
}

fn python(watched: &Watched) -> Option<f64> {
    let ends = [
        watched.uid(1).to_string(),
        watched.uid(STUDENTS).to_string(),
    ];
    let output = Command::new(PSUTIL)
        .args(["-c", LOOP, &ends[0], &ends[1], "5"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut words = text.split_whitespace();
    let seconds: f64 = words.next()?.parse().ok()?;
    let count = words.next()?;
    println!("psutil: {seconds:.3} s for each look at {count} processes");
    Some(seconds)
}
