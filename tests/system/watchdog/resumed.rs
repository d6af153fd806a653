//! A watchdog that is killed half way, told of a wrong policy, or only asked.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::watched::{POLICY, Watched};
use crate::support::{among_all_processes, patience, sh, wait_for};

fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Kills the watchdog while the student's processes are frozen; false when it was too quick.
fn killed_half_way(watched: &mut Watched, student: u32) -> bool {
    let program = watched.copy(student, "xmrig");
    let mut others: Vec<_> = (0..150)
        .map(|_| watched.run(student, "/usr/bin/sleep", &["100"]))
        .collect();
    let mut miner = watched.run(student, &program, &["idle"]);
    let first = others[0].id();
    let is_frozen = || state(first) == Some('T');
    let until = Instant::now() + patience(20);
    let frozen = loop {
        match state(first) {
            Some('T') if watched.kill_watchdog_while(is_frozen) => break true,
            Some('T' | 'S' | 'R' | 'D') => {}
            _ => break false,
        }
        assert!(Instant::now() < until, "nothing is frozen or ended");
    };
    if frozen {
        let open = watched.journal().open_incidents().unwrap();
        assert_eq!(open.len(), 1, "it was written down before: {open:?}");
        watched.start_watchdog();
    }
    let since = Instant::now();
    let took = watched.gone(student, since);
    for child in others.iter_mut().chain([&mut miner]) {
        child.wait().unwrap();
    }
    let incident = watched.incident(student);
    assert!(
        incident["done"].to_string().contains("sent PURGE"),
        "{incident}"
    );
    eprintln!("killed half way: {frozen}; finished {took:?} after the next start");
    frozen
}

#[test]
fn what_a_killed_watchdog_froze_is_finished_by_the_next() {
    among_all_processes(|| {
        let mut watched = Watched::start(POLICY, "");
        let was = (1..=20).any(|student| killed_half_way(&mut watched, student));
        assert!(was, "the watchdog was never caught half way");
    });
}

#[test]
fn a_broken_policy_changes_nothing_and_a_good_one_does() {
    among_all_processes(|| {
        let watched = Watched::start(POLICY, "");
        let again = |text: &str, told: &str| {
            watched.policy(text);
            sh(&format!("kill -HUP {}", watched.watchdog_id()));
            wait_for(10, told, || watched.log().contains(told).then_some(()));
        };
        again("cpu: {busy_percent: lots}", "the old policy stays in use");
        assert!(watched.log().contains("busy_percent"), "{}", watched.log());
        // It is in the figures a moment after it is in the log.
        let problem = |is_expected: fn(&serde_json::Value) -> bool| {
            wait_for(10, "other problem of the policy", || {
                let status = watched.wod(&["watchdog", "status", "--json"]);
                let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
                assert_eq!(status["connector"], true);
                is_expected(&status["policy_problem"]).then_some(())
            });
        };
        problem(|told| {
            told.as_str()
                .is_some_and(|told| told.contains("busy_percent"))
        });
        let miner = watched.copy(1, "xmrig");
        let since = Instant::now();
        watched.run(1, &miner, &["idle"]).wait().unwrap();
        watched.gone(1, since);
        // Until now that name is nobody's business.
        let tool = watched.copy(2, "sitespecifictool");
        let mut child = watched.run(2, &tool, &["idle"]);
        std::thread::sleep(Duration::from_secs(2));
        assert!(child.try_wait().unwrap().is_none());
        again(
            &format!("{POLICY}lists: {{programs: [sitespecifictool]}}\n"),
            "the policy was read anew",
        );
        child.wait().unwrap();
        problem(serde_json::Value::is_null);
    });
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    among_all_processes(|| {
        let watched = Watched::site(POLICY, "");
        let miner = watched.copy(4, "xmrig");
        let mut child = watched.run(4, &miner, &["idle"]);
        let output = watched.wod(&["watchdog", "--once", "--dry-run", "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let found: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&found["student"], &found["rule"]),
            (&4.into(), &"name".into()),
            "{found}"
        );
        assert_eq!(found["response"], "stop-seat");
        assert!(child.try_wait().unwrap().is_none());
        assert!(watched.incidents().is_empty());
        // What is allowed for the workshop is said, and no more.
        watched.seat(4, 77);
        let words = [
            "watchdog",
            "allow",
            "name",
            "--workshop",
            "WKSHP-Test",
            "--comment",
            "a lesson",
        ];
        assert!(watched.wod(&words).status.success());
        let output = watched.wod(&["watchdog", "--once", "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("\"allowed\":\"a lesson\"") && text.contains("\"log\""),
            "{text}"
        );
        assert!(child.try_wait().unwrap().is_none());
        assert!(
            watched
                .wod(&["watchdog", "disallow", "name", "--workshop", "WKSHP-Test"])
                .status
                .success()
        );
        assert!(watched.wod(&["watchdog", "--once"]).status.success());
        child.wait().unwrap();
        assert_eq!(watched.incident(4)["participant"], 77);
    });
}
