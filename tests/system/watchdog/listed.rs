//! Programs on the list: from the exec to the end.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::among_all_processes;
use crate::support::measured::note_evasion;
use crate::support::wait_for;
use crate::support::watched::{BRIEF, POLICY, SUSPECT, Watched};

#[test]
fn a_listed_program_is_ended_at_once_and_the_seat_is_given_to_the_engine() {
    among_all_processes(|| {
        let watched = Watched::start(POLICY, "");
        watched.seat(3, 825);
        std::thread::sleep(Duration::from_secs(3));
        let program = watched.copy(3, "xmrig");
        let mut bystander = watched.run(3, "/usr/bin/sleep", &["300"]);
        let began = Instant::now();
        let mut miner = watched.run(3, &program, &["idle", "\u{1b}[2Jx\ny"]);
        miner.wait().unwrap();
        eprintln!("dead after {:?}", began.elapsed());
        note_evasion("a listed name", began.elapsed());
        bystander.wait().unwrap();
        let incident = watched.incident(3);
        assert_eq!(incident["participant"], 825, "{incident}");
        assert_eq!(incident["findings"][0]["rule"], "name");
        assert_eq!(incident["workshop"], "WKSHP-Test");
        let done = incident["done"].to_string();
        for what in ["sent PURGE", "banned participant 825", "killed 2 processes"] {
            assert!(done.contains(what), "{what} is not in {done}");
        }
        let spooled = std::fs::read_dir("/var/lib/wod/spool").unwrap().flatten();
        let spooled: Vec<_> = spooled.filter(|e| e.path().is_file()).collect();
        assert_eq!(spooled.len(), 1);
        let text = std::fs::read_to_string(spooled[0].path()).unwrap();
        assert!(
            text.contains("\"PURGE\"") && text.contains("incident 1: student3 runs"),
            "{text}"
        );
        shown_harmless(&watched, &incident);
    });
}

/// The evidence is complete, has no value of the environment, and does nothing to a terminal.
fn shown_harmless(watched: &Watched, incident: &serde_json::Value) {
    let id = incident["id"].to_string();
    let shown = watched.wod(&["watchdog", "show", &id]);
    let text = String::from_utf8(shown.stdout).unwrap();
    for what in [
        "xmrig",
        "SECRET_TOKEN",
        "sha256",
        "program-0",
        "/var/student/student3",
        "ancestors",
    ] {
        assert!(text.contains(what), "{what} is not in {text}");
    }
    assert!(
        !text.contains("hunter2") && !text.contains('\u{1b}'),
        "{text}"
    );
    assert!(text.contains("\\u{1b}[2Jx\\u{a}y"), "{text}");
    let dir = format!("/var/lib/wod/private/evidence/incident-{id}");
    let kept = std::fs::read(format!("{dir}/program-0")).unwrap();
    assert_eq!(
        kept,
        std::fs::read(crate::support::watched::SUSPECT).unwrap()
    );
    let mode = crate::support::sh(&format!(
        "stat -c %a {dir} {dir}/program-0 {dir}/report.json"
    ));
    assert_eq!(mode, "700\n400\n400\n");
    let listed = watched.wod(&["watchdog", "list"]);
    assert!(!String::from_utf8_lossy(&listed.stdout).contains('\u{1b}'));
}

#[test]
fn two_hundred_listed_programs_at_once_are_all_dead_within_a_second() {
    among_all_processes(|| {
        let watched = Watched::start(POLICY, "");
        let mut miners = Vec::new();
        let programs: Vec<String> = (1..=20).map(|s| watched.copy(s, "xmrig")).collect();
        let began = Instant::now();
        for turn in 0..200u32 {
            let student = turn % 20 + 1;
            miners.push(watched.run(student, &programs[student as usize - 1], &["idle"]));
        }
        let started = began.elapsed();
        let since = Instant::now();
        for miner in &mut miners {
            miner.wait().unwrap();
        }
        eprintln!(
            "200 started within {started:?}, all dead {:?} after that",
            since.elapsed()
        );
        assert!(since.elapsed() < Duration::from_secs(20));
    });
}

/// How many processes this machine has started.
fn started() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let line = stat
        .lines()
        .find_map(|line| line.strip_prefix("processes "));
    line.unwrap().parse().unwrap()
}

/// Where programs start by the thousand, several are looked at together. Everything is looked at once an
/// hour: only the exec itself can tell.
#[test]
fn in_a_crowd_of_programs_a_listed_one_is_ended_all_the_same() {
    among_all_processes(|| {
        // On a machine that does not keep up, many are there at a time.
        let policy = POLICY.replace("bomb: 300", "bomb: 100000");
        let mut watched = Watched::start(&policy, "WODWATCHINTERVAL: 3600");
        let before = started();
        let mut crowds: Vec<_> = (2..=5)
            .map(|student| watched.run(student, SUSPECT, &["storm", "400", BRIEF]))
            .collect();
        wait_for(30, "a crowd", || (started() > before + 1000).then_some(()));
        let mut took = Vec::new();
        for student in 10..20 {
            let program = watched.copy(student, "xmrig");
            let mut miner = watched.run(student, &program, &["idle"]);
            let began = Instant::now();
            miner.wait().unwrap();
            took.push(began.elapsed());
            watched.incident(student);
        }
        took.sort();
        eprintln!(
            "median {:?}, slowest {:?}",
            took[took.len() / 2],
            took[took.len() - 1]
        );
        for crowd in &mut crowds {
            assert!(crowd.try_wait().unwrap().is_none(), "the crowd had ended");
            crowd.kill().unwrap();
            crowd.wait().unwrap();
        }
        watched.stop_watchdog();
        let output = watched.wod(&["watchdog", "status", "--json"]);
        let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
        // Others on this machine start programs, too.
        eprintln!(
            "{} of {} were looked at",
            figures["checked"], figures["execs"]
        );
        assert!(figures["checked"].as_u64() >= Some(10), "{figures}");
    });
}

/// Prints what a site can rely on; the benchmark has the figures.
#[test]
fn from_exec_to_end_it_takes_milliseconds() {
    among_all_processes(|| {
        let watched = Watched::start(POLICY, "");
        let programs: Vec<String> = (1..=40).map(|s| watched.copy(s, "xmrig")).collect();
        let mut took = Vec::new();
        for turn in 0..40u32 {
            let student = turn % 40 + 1;
            let mut miner = watched.run(student, &programs[student as usize - 1], &["idle"]);
            let began = Instant::now();
            miner.wait().unwrap();
            took.push(began.elapsed());
            std::thread::sleep(Duration::from_millis(30));
        }
        took.sort();
        eprintln!(
            "median {:?}, slowest {:?}",
            took[took.len() / 2],
            took[took.len() - 1]
        );
        assert!(took[took.len() - 1] < Duration::from_secs(20));
    });
}
