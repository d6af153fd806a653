//! The watchdog with what its unit leaves it: it has to be able to do all that it does without.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::support::watched::{POLICY, SUSPECT, Watched};
use crate::support::{among_all_processes, root, sh, wait_for};

const CALLS: &str = "/run/calls";

fn unit() -> String {
    fs::read_to_string(root().join("sys/systemd/wod-watchdog.service.j2")).unwrap()
}

fn values<'a>(unit: &'a str, setting: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = unit
        .lines()
        .filter_map(move |line| line.strip_prefix(setting));
    lines.filter_map(|line| line.strip_prefix('='))
}

/// For setpriv: `-all,+kill,…`
fn capabilities(unit: &str) -> String {
    let all = values(unit, "CapabilityBoundingSet").flat_map(str::split_whitespace);
    all.fold("-all".to_owned(), |list, name| {
        let name = name.strip_prefix("CAP_").unwrap().to_lowercase();
        list + ",+" + &name
    })
}

/// The calls that the unit's filter lets through, line after line as systemd reads them.
fn allowed(unit: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for line in values(unit, "SystemCallFilter") {
        match line.strip_prefix('~') {
            Some(names) => all = &all - &expanded(names),
            None => all.extend(expanded(line)),
        }
    }
    // Always let through.
    all.extend(expanded("@default"));
    all
}

fn expanded(names: &str) -> BTreeSet<String> {
    let (groups, calls): (Vec<&str>, Vec<&str>) = names
        .split_whitespace()
        .partition(|name| name.starts_with('@'));
    let mut all: BTreeSet<String> = calls.into_iter().map(str::to_owned).collect();
    for group in groups {
        let output = Command::new("systemd-analyze")
            .args(["syscall-filter", group])
            .output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let inner: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
        let inner: Vec<&str> = inner.into_iter().filter(|l| !l.starts_with('#')).collect();
        all.extend(expanded(&inner.join(" ")));
    }
    all
}

/// `123 setresuid(…) = 0`, also where a line is that of a call that goes on.
fn call(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(' ')?;
    let (name, _) = rest.trim_start().split_once('(')?;
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name(name).then_some(name)
}

#[test]
fn it_can_do_its_work_with_what_its_unit_leaves_it() {
    among_all_processes(|| {
        let unit = unit();
        let mut watched = Watched::site(POLICY, "");
        let capabilities = format!("--bounding-set={}", capabilities(&unit));
        let mut starter = vec!["setpriv", &capabilities, "--no-new-privs"];
        let is_traced = ["/usr/bin/strace", "/usr/bin/systemd-analyze"]
            .iter()
            .all(|program| Path::new(program).exists());
        match is_traced {
            true => starter.extend(["strace", "-D", "-f", "-qq", "-o", CALLS]),
            false => writeln!(
                std::io::stderr(),
                "calls are left out: they need strace and systemd-analyze"
            )
            .unwrap(),
        }
        watched.seat(1, 801);
        watched.start_watchdog_below(&starter, &[]);
        watched.is_watching();
        let program = watched.copy(1, "xmrig");
        let loader = sh("ls /lib*/ld-linux*.so.* | head -1");
        let loaded = watched.copy(1, "notes");
        let mut bystander = watched.run(1, loader.trim(), &[&loaded, "idle"]);
        let mut miner = watched.run(1, &program, &["idle"]);
        miner.wait().unwrap();
        bystander.wait().unwrap();
        let incident = watched.incident(1);
        let said = watched.log();
        assert!(
            !said.contains("cannot") && !said.contains("not known"),
            "{said}"
        );
        let done = incident["done"].to_string();
        for what in ["killed 2 processes", "sent PURGE", "banned participant 801"] {
            assert!(done.contains(what), "{what} is not in {done}");
        }
        assert_eq!(incident["evidence"], "incident-1");
        // What the loader runs is kept, too, and not the loader.
        let shown = watched.wod(&["watchdog", "show", "1", "--json"]);
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
        let sum = sh(&format!("sha256sum {SUSPECT}"));
        for number in 0..2 {
            let program = &shown["report"]["programs"][number];
            assert_eq!(program["sha256"], sum[..64], "{number} of {shown:#}");
        }
        watched.stop_watchdog();
        if is_traced {
            let text = wait_for(10, "end of the trace", || {
                let text = fs::read_to_string(CALLS).unwrap();
                text.contains("exit_group").then_some(text)
            });
            let made: BTreeSet<String> = text.lines().filter_map(call).map(str::to_owned).collect();
            assert!(made.contains("setresuid"), "{made:?}");
            // SQLite gives root's files to root, and does without where it may not.
            let mut refused = &made - &allowed(&unit);
            refused.remove("fchown");
            assert_eq!(refused, BTreeSet::new());
            // Workshops are read as WODUSER.
            assert!(made.contains("setfsuid"), "{made:?}");
        }
    });
}

/// In a container, say: then each process is stopped by itself.
#[test]
fn without_other_uids_all_is_frozen_one_by_one() {
    among_all_processes(|| {
        let mut watched = Watched::site(POLICY, "");
        watched.start_watchdog_below(&["setpriv", "--bounding-set=-setuid"], &[]);
        watched.is_watching();
        let program = watched.copy(1, "xmrig");
        let mut others: Vec<_> = (0..20)
            .map(|_| watched.run(1, "/usr/bin/sleep", &["300"]))
            .collect();
        let mut miner = watched.run(1, &program, &["idle"]);
        for child in others.iter_mut().chain([&mut miner]) {
            child.wait().unwrap();
        }
        let incident = watched.incident(1);
        assert!(
            watched
                .log()
                .contains("cannot signal all processes of a uid at once")
        );
        let report = watched.wod(&["watchdog", "show", &incident["id"].to_string(), "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
        let described = report["report"]["described"].as_array().unwrap();
        assert_eq!(described.len(), 21);
        assert!(
            described.iter().all(|one| one["process"]["state"] == "T"),
            "{described:?}"
        );
    });
}
