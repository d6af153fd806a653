//! What is only told of: it is an incident with evidence, nothing is stopped for it, and it is told once
//! an hour, whatever becomes of the watchdog.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use wod::domain::{Participant, Student, Time};
use wod::journal::{ALERT, Answered, Began};
use wod::watchdog::{Finding, Level, Rule};

use crate::support::watched::{POLICY, STATE, Watched, letters};
use crate::support::{among_all_processes, on_private_host, patience, sh, wait_for};

const HOUR: i64 = 3_600_000;

/// A listed name is only told of.
fn policy() -> String {
    format!("{POLICY}responses: {{rules: {{name: {{certain: alert}}}}}}\n")
}

fn suspect(watched: &Watched, student: u32) -> Child {
    let program = watched.copy(student, "xmrig");
    watched.run(student, &program, &["idle"])
}

/// Letters by the student they are about.
fn told() -> BTreeMap<u32, usize> {
    let mut all = BTreeMap::new();
    for letter in letters() {
        let about = letter.subject.strip_prefix("SUSPICIOUS: student").unwrap();
        let (student, _) = about.split_once(' ').unwrap();
        *all.entry(student.parse().unwrap()).or_default() += 1;
    }
    all
}

fn is_told(count: usize) {
    wait_for(20, "letter", || (letters().len() >= count).then_some(()));
    // Time for one too many.
    thread::sleep(Duration::from_secs(2));
    assert_eq!(letters().len(), count, "{:?}", told());
}

/// Puts an alert about a listed name into the journal, so many hours old.
fn told_before(watched: &Watched, student: u32, hours_tenths: i64, answered: Answered) -> i64 {
    let student = Student::new(student).unwrap();
    let finding = Finding {
        rule: Rule::Name,
        level: Level::Certain,
        student,
        processes: Vec::new(),
        score: 100,
        sentence: format!("{} runs `xmrig`", student.account()),
        evidence: Vec::new(),
        allowed: None,
    };
    let journal = watched.journal();
    let began = Began {
        at: Time(Time::now().0 - hours_tenths * HOUR / 10),
        student,
        participant: None,
        workshop: None,
        response: ALERT,
        findings: &serde_json::to_string(&[finding]).unwrap(),
    };
    let id = journal.begin_incident(&began).unwrap();
    let mut incident = journal.incident(id).unwrap().unwrap();
    incident.answered = answered;
    journal.note_incident(&incident).unwrap();
    id
}

fn evidence(id: i64) -> PathBuf {
    format!("{STATE}/private/evidence/incident-{id}").into()
}

#[test]
fn an_alert_is_an_incident_that_the_next_watchdog_does_not_repeat() {
    among_all_processes(|| {
        let mut watched = Watched::site(&policy(), "");
        watched.seat(1, 825);
        watched.start_watchdog();
        let mut children = vec![suspect(&watched, 1)];
        is_told(1);
        let all = watched.incidents();
        let incident = &all[0];
        assert_eq!(all.len(), 1, "{all:?}");
        for (field, value) in [
            ("response", "alert"),
            ("state", "done"),
            ("evidence", "incident-1"),
            ("workshop", "WKSHP-Test"),
        ] {
            assert_eq!(incident[field], value, "{incident}");
        }
        assert_eq!(incident["participant"], 825);
        assert_eq!(incident["done"][0], "told; nothing was stopped");
        let body = &letters()[0].body;
        assert!(body.contains("wod watchdog show 1\n"), "{body}");
        assert!(body.contains("allow name --workshop WKSHP-Test "), "{body}");
        let shown = watched.wod(&["watchdog", "show", "1", "--json"]).stdout;
        let shown: Value = serde_json::from_slice(&shown).unwrap();
        let described = &shown["report"]["described"][0]["process"];
        assert_eq!(described["id"]["pid"], children[0].id());
        assert_ne!(described["state"], "T", "it was stopped");
        assert!(evidence(1).join("program-0").exists());
        assert!(watched.journal().bans().unwrap().is_empty());

        watched.stop_watchdog();
        watched.start_watchdog();
        children.push(suspect(&watched, 2));
        is_told(2);
        watched.kill_watchdog();
        watched.start_watchdog();
        children.push(suspect(&watched, 3));
        is_told(3);
        assert_eq!(told(), BTreeMap::from([(1, 1), (2, 1), (3, 1)]));
        for child in &mut children {
            assert!(child.try_wait().unwrap().is_none(), "it was ended");
            child.kill().unwrap();
            child.wait().unwrap();
        }
    });
}

#[test]
fn it_is_told_again_after_an_hour() {
    among_all_processes(|| {
        let mut watched = Watched::site(&policy(), "");
        told_before(&watched, 1, 11, Answered::Done);
        told_before(&watched, 2, 9, Answered::Done);
        // Before the clock was set back.
        told_before(&watched, 3, -240, Answered::Done);
        watched.start_watchdog();
        let mut children = [1, 2, 3].map(|student| suspect(&watched, student));
        is_told(2);
        assert_eq!(told(), BTreeMap::from([(1, 1), (3, 1)]));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    });
}

/// Whenever a watchdog is killed, each is told of once: incident and letter are written together.
#[test]
fn a_killed_watchdog_loses_and_repeats_no_alert() {
    const STUDENTS: u32 = 30;
    among_all_processes(|| {
        let mut watched = Watched::site(&policy(), "");
        let mut children: Vec<Child> = (1..=STUDENTS).map(|s| suspect(&watched, s)).collect();
        let journal = watched.journal();
        let is_begun = || !journal.open_incidents().unwrap().is_empty();
        let mut caught = 0;
        while caught < 3 && letters().len() < STUDENTS as usize {
            watched.start_watchdog_with(&[]);
            let until = Instant::now() + patience(10);
            loop {
                assert!(Instant::now() < until, "nothing is told");
                if is_begun() && watched.kill_watchdog_while(is_begun) {
                    caught += journal.open_incidents().unwrap().len();
                    break;
                }
                if letters().len() >= STUDENTS as usize {
                    watched.kill_watchdog();
                    break;
                }
            }
        }
        watched.start_watchdog();
        is_told(STUDENTS as usize);
        assert!(told().values().all(|count| *count == 1), "{:?}", told());
        assert_eq!(watched.journal().open_incidents().unwrap(), []);
        assert!(caught > 0, "no watchdog was killed while it told of one");
        eprintln!("{caught} alerts were begun when their watchdog was killed");
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    });
}

#[test]
fn what_was_begun_about_somebody_else_is_told_without_evidence() {
    on_private_host(|| {
        let mut watched = Watched::site(&policy(), "");
        let id = told_before(&watched, 1, 0, Answered::Begun);
        let same = told_before(&watched, 2, 0, Answered::Begun);
        watched.seat(1, 826);
        // The new guest of the seat has processes, too.
        let mut sleeping = [1, 2].map(|s| watched.run(s, "/usr/bin/sleep", &["60"]));
        watched.start_watchdog_with(&[]);

        wait_for(20, "letters", || (letters().len() == 2).then_some(()));
        watched.stop_watchdog();
        let journal = watched.journal();
        let done = |id| journal.incident(id).unwrap().unwrap();
        assert_eq!(
            (done(id).answered, done(id).evidence.clone()),
            (Answered::Done, None)
        );
        let line = "no evidence was kept: the seat was given to somebody else meanwhile";
        assert_eq!(done(id).done[1], line);
        assert_eq!(done(same).evidence, Some(format!("incident-{same}")));
        for child in &mut sleeping {
            assert!(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        }
    });
}

#[test]
fn a_dry_run_writes_nothing_and_a_day_has_its_limit() {
    on_private_host(|| {
        let mut watched = Watched::site(&policy(), "");
        let mut child = suspect(&watched, 1);
        let looked = watched.wod(&["watchdog", "--once", "--dry-run", "--json"]);
        let looked = String::from_utf8(looked.stdout).unwrap();
        assert!(looked.contains("\"response\":\"alert\""), "{looked}");
        assert_eq!(watched.incidents(), Vec::<Value>::new());
        assert_eq!(letters(), vec![]);
        let kept = || fs::read_dir(format!("{STATE}/private/evidence")).map_or(0, Iterator::count);
        assert_eq!(kept(), 0);

        // What is older than the history goes, with its evidence.
        let old = told_before(&watched, 1, 10 * 24 * 400, Answered::Done);
        let journal = watched.journal();
        let mut ids = vec![old];
        ids.extend((0..8).map(|_| told_before(&watched, 1, 20, Answered::Done)));
        for id in &ids {
            let mut incident = journal.incident(*id).unwrap().unwrap();
            incident.evidence = Some(format!("incident-{id}"));
            journal.note_incident(&incident).unwrap();
            sh(&format!("mkdir -m 700 -p {}", evidence(*id).display()));
        }
        watched.start_watchdog_with(&[]);

        wait_for(20, "letter", || (letters().len() == 1).then_some(()));
        wait_for(20, "end of the oldest", || {
            (!evidence(old).exists()).then_some(())
        });
        watched.stop_watchdog();
        assert_eq!(journal.incident(old).unwrap(), None);
        assert!(evidence(ids[1]).exists());
        let newest = &watched.incidents()[0];
        assert_eq!(newest["evidence"], Value::Null);
        assert_eq!(
            newest["done"][1],
            "no evidence was kept: there is some of 8 answers to student1 within a day (alert)"
        );
        assert_eq!(newest["participant"], Value::Null);
        assert_eq!(watched.journal().ban_of(Participant::new(1)).unwrap(), None);
        child.kill().unwrap();
        child.wait().unwrap();
    });
}
