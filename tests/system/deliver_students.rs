//! `wod deliver` on a host with real accounts, homes and hub users.

mod accounts;
mod cleanup;
mod hostile;
mod hub;
mod kills;
mod seats;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::backend::{Backend, Options, SHARE, UID_BASE};
use crate::support::sh;

/// What a run said.
pub struct Run {
    pub status: i32,
    /// tag, item, outcome, line
    pub events: Vec<Value>,
    pub total: Value,
    pub said: String,
}

impl Run {
    fn of(output: &Output) -> Run {
        let text = String::from_utf8_lossy(&output.stdout);
        let mut events: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let recap = events.pop().unwrap_or_default();
        Run {
            status: output.status.code().unwrap_or(-1),
            events,
            total: recap["total"].clone(),
            said: format!("{text}{}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Items and lines with that outcome.
    pub fn all(&self, outcome: &str) -> Vec<String> {
        let of = self
            .events
            .iter()
            .filter(|event| event["outcome"] == outcome);
        let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
        of.map(|event| format!("{}: {}", text(event, "item"), text(event, "line")))
            .collect()
    }

    #[track_caller]
    pub fn changes_nothing(&self) -> &Run {
        assert_eq!(self.status, 0, "{}", self.said);
        assert_eq!(self.total["changed"], 0, "{}", self.said);
        self
    }
}

/// A site whose engine is not running.
pub fn quiet_site(inventory: &str) -> Backend {
    let inventory = format!("WODSYSDIR: {SHARE}/sys\n{inventory}");
    let mut backend = Backend::start(Options {
        inventory: &inventory,
        ..Options::default()
    });
    backend.stop_engine();
    backend
}

pub fn wod(backend: &Backend, words: &[&str]) -> Run {
    Run::of(&backend.wod(words))
}

/// The students' part of a run.
pub fn deliver(backend: &Backend, more: &[&str]) -> Run {
    let words = ["deliver", "--json", "--tags", "students"];
    wod(backend, &[&words, more].concat())
}

/// Those of the accounts with the right numbers and a locked password.
pub fn proper_accounts() -> usize {
    let proper = |line: &&str| {
        let fields: Vec<&str> = line.split(':').collect();
        let number = fields[0].strip_prefix("student");
        let Some(number) = number.and_then(|n| n.parse::<u32>().ok()) else {
            return false;
        };
        let id = (UID_BASE + number).to_string();
        let home = format!("/var/student/student{number}");
        fields[1..] == ["x", &id, &id, fields[0], &home, "/bin/bash"]
    };
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let group = fs::read_to_string("/etc/group").unwrap();
    let groups = group.lines().filter(|line| {
        let (name, rest) = line.split_once(':').unwrap();
        let number = name
            .strip_prefix("student")
            .and_then(|n| n.parse::<u32>().ok());
        number.is_some_and(|n| rest == format!("x:{}:", UID_BASE + n))
    });
    let found = passwd.lines().filter(proper).count();
    assert_eq!(found, groups.count());
    found
}

/// What pwck and grpck have to say, and whether that is all right.
pub fn checked() -> String {
    sh("pwck -r -q 2>&1; grpck -r 2>&1; true")
}

/// Inode and time: both are others after any write.
pub fn stamp(path: &str) -> (u64, i64, i64) {
    let there = Path::new(path).metadata().unwrap();
    (there.ino(), there.mtime_nsec(), there.ctime_nsec())
}
