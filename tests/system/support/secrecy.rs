//! Beside every backend of the tests: its tokens and passwords are looked for in the arguments and
//! environment of what it starts, and at its end in the logs and in the state directory.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use super::backend::STATE;
use super::{sh, wait_for};

const PAUSE: Duration = Duration::from_millis(40);
/// Shorter ones would be found by chance.
const SHORTEST: usize = 8;
/// Where nothing of it may be.
const LOGS: [&str; 3] = ["/run/serve.log", "/run/hub.log", "/var/log"];

pub struct Guard {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    sampler: Option<JoinHandle<HashSet<Seen>>>,
    configured: Vec<String>,
}

/// A program that was seen, once, however long it ran.
#[derive(PartialEq, Eq, Hash)]
struct Seen {
    uid: u32,
    arguments: Vec<u8>,
    /// Empty where it became another program while it was looked at.
    environment: Vec<u8>,
}

impl Guard {
    /// From now on. `inventory`: the lines that a site's secrets are in.
    pub fn start(inventory: &str) -> Guard {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let looks = Arc::new(AtomicUsize::new(0));
        let looked = Arc::clone(&looks);
        let sampler = thread::spawn(move || {
            let mut seen = HashSet::new();
            while !stopped.load(Ordering::SeqCst) {
                sample(&mut seen);
                looked.fetch_add(1, Ordering::SeqCst);
                thread::sleep(PAUSE);
            }
            seen
        });
        Guard {
            stop,
            looks,
            sampler: Some(sampler),
            configured: configured(inventory),
        }
    }

    /// Waits until everything that runs now has been looked at.
    pub fn looks_on(&self) {
        // One look may be half over.
        let wanted = self.looks.load(Ordering::SeqCst) + 2;
        wait_for(20, "look at all processes", || {
            (self.looks.load(Ordering::SeqCst) >= wanted).then_some(())
        });
    }

    /// Where each secret was found that should not be there.
    pub fn end(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        let seen = self.sampler.take().unwrap().join().unwrap();
        let mut secrets = minted();
        secrets.extend(self.configured.iter().cloned());
        let holds = |bytes: &[u8]| secrets.iter().any(|secret| has(bytes, secret.as_bytes()));
        let mut found = Vec::new();
        let admin = sh("id -u wodadmin").trim().parse().unwrap();
        for seen in &seen {
            let shown = String::from_utf8_lossy(&seen.arguments).replace('\0', " ");
            if holds(&seen.arguments) {
                found.push(format!("arguments, uid {}: {shown}", seen.uid));
            }
            // Scripts are told their secrets there, and only root and WODUSER can look.
            if ![0, admin].contains(&seen.uid) && holds(&seen.environment) {
                found.push(format!("environment, uid {}: {shown}", seen.uid));
            }
        }
        for file in written() {
            let bytes = fs::read(&file).unwrap_or_default();
            if holds(&bytes) {
                found.push(format!("file {}", file.display()));
            }
        }
        found
    }
}

/// Values of the inventory that are nobody's business.
fn configured(inventory: &str) -> Vec<String> {
    let is_secret = |name: &str| {
        ["PWD", "TOKEN", "SECRET"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let pairs = inventory.lines().filter_map(|line| line.split_once(": "));
    let named = pairs.filter(|(name, _)| is_secret(name));
    let values = named.map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned());
    values.filter(|value| value.len() >= SHORTEST).collect()
}

/// Passwords that are in the journal now, read from a copy: whoever opens it changes its files.
fn minted() -> Vec<String> {
    let copy = tempfile::tempdir().unwrap();
    let from = Path::new(STATE).join("private");
    for name in ["journal.db", "journal.db-wal"] {
        let _ = fs::copy(from.join(name), copy.path().join(name));
    }
    let sql = "select password from passwords union
               select password from seats where password is not null";
    let Ok(journal) = Connection::open(copy.path().join("journal.db")) else {
        return Vec::new();
    };
    // A journal that a test damaged has none to give.
    let Ok(mut asked) = journal.prepare(sql) else {
        return Vec::new();
    };
    let rows = asked.query_map([], |row| row.get(0));
    rows.map(|rows| rows.flatten().collect())
        .unwrap_or_default()
}

/// The logs, and what is in the state directory but the journal, which has the passwords of the
/// seats that are taken.
fn written() -> Vec<PathBuf> {
    let private = format!("{STATE}/private");
    let listed = sh(&format!(
        "find {} {STATE} -xdev -type f ! -path '{private}/journal.db*' -print0 2>/dev/null \
         | tr '\\0' '\\n' || true",
        LOGS.join(" ")
    ));
    listed.lines().map(PathBuf::from).collect()
}

fn sample(seen: &mut HashSet<Seen>) {
    let ours = std::process::id();
    let parents: HashMap<u32, u32> = pids().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    for &pid in parents.keys() {
        if !is_the_tests(pid, ours, &parents) {
            seen.extend(look(pid));
        }
    }
}

/// A tool of the test program, which may be told anything, and not the backend or the hub.
fn is_the_tests(pid: u32, ours: u32, parents: &HashMap<u32, u32>) -> bool {
    let mut line = vec![pid];
    while let Some(&parent) = parents.get(line.last().unwrap()) {
        if parent == ours || parent == 0 || line.len() > parents.len() {
            break;
        }
        line.push(parent);
    }
    let first = *line.last().unwrap();
    let is_backend = |pid| {
        arguments(pid)
            .split(|b| *b == 0)
            .any(|word| word == b"serve")
    };
    pid == ours || parents.get(&first) == Some(&ours) && !is_backend(first)
}

fn look(pid: u32) -> Option<Seen> {
    let uid = || {
        fs::metadata(format!("/proc/{pid}"))
            .ok()
            .map(|dir| dir.uid())
    };
    let before = (uid()?, arguments(pid));
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let is_same = (uid()?, arguments(pid)) == before;
    let (uid, arguments) = before;
    Some(Seen {
        uid,
        arguments,
        environment: if is_same { environment } else { Vec::new() },
    })
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(") ")?;
    after.split(' ').nth(1)?.parse().ok()
}

fn arguments(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

fn has(text: &[u8], secret: &[u8]) -> bool {
    text.windows(secret.len()).any(|window| window == secret)
}
