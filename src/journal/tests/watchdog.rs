//! What the watchdog keeps in the journal, and journals from before there was one.

use super::*;
use crate::domain::Student;

/// As the first version wrote it, with an action in it.
fn journal_of_version_1(path: &Path) {
    let mut desk = Desk::open();
    desk.fresh(Verb::Create, 3, 7);
    for file in ["journal.db", "journal.db-wal", "journal.head"] {
        std::fs::copy(
            desk.journal.path().with_file_name(file),
            path.with_file_name(file),
        )
        .unwrap();
    }
    let old = rusqlite::Connection::open(path).unwrap();
    let drop_later = "drop table incidents; drop table bans; drop table allowances;
                      pragma user_version = 1;";
    old.execute_batch(drop_later).unwrap();
}

#[test]
fn a_journal_of_version_1_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    journal_of_version_1(&path);
    assert_eq!(check(&path).unwrap(), [], "an older one is no damaged one");
    let beside = Journal::open_beside(&path).err().unwrap().to_string();
    assert!(beside.contains("start wod serve once"), "{beside}");
    let journal = Journal::open(&path).unwrap();
    assert_eq!(journal.list(Filter::Newest(9)).unwrap().len(), 1);
    journal.ban(Participant::new(7), "mined", Time(5)).unwrap();
    drop(journal);
    assert_eq!(check(&path).unwrap(), []);
    let journal = Journal::open_beside(&path).unwrap();
    let ban = journal.ban_of(Participant::new(7)).unwrap().unwrap();
    assert_eq!((ban.since, ban.reason.as_str()), (Time(5), "mined"));
}

#[test]
fn what_came_later_under_the_old_version_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    drop(Journal::open(&path).unwrap());
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("pragma user_version = 1;").unwrap();
    drop(file);
    let told = opened(&path).unwrap_err().to_string();
    assert!(
        told.contains("its version is not what was written"),
        "{told}"
    );
}

#[test]
fn an_incident_is_found_again_until_all_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let journal = Journal::open(&path).unwrap();
    let workshop = "WKSHP-API101".parse().unwrap();
    let began = Began {
        at: Time(50),
        student: Student::new(12).unwrap(),
        participant: Some(Participant::new(825)),
        workshop: Some(&workshop),
        response: "stop-seat",
        findings: "[]",
    };
    let id = journal.begin_incident(&began).unwrap();
    drop(journal);
    let journal = Journal::open(&path).unwrap();
    let mut incident = journal.open_incidents().unwrap().remove(0);
    assert_eq!((incident.id, incident.answered), (id, Answered::Begun));
    incident.answered = Answered::Done;
    incident.done = vec!["killed 3 processes".to_owned(), "PURGE".to_owned()];
    incident.latency_us = Some(4_200);
    incident.evidence = Some("incident-1".to_owned());
    journal.note_incident(&incident).unwrap();
    assert_eq!(journal.open_incidents().unwrap(), []);
    assert_eq!(journal.incident(id).unwrap().unwrap(), incident);
    assert!(journal.forget_incidents(Time(50)).unwrap().is_empty());
    assert_eq!(journal.forget_incidents(Time(51)).unwrap(), ["incident-1"]);
    assert_eq!(check(&path).unwrap(), []);
}

/// A begun alert of student12.
fn alert(journal: &Journal, at: i64) -> Incident {
    let began = Began {
        at: Time(at),
        student: Student::new(12).unwrap(),
        participant: None,
        workshop: None,
        response: ALERT,
        findings: "[]",
    };
    let id = journal.begin_incident(&began).unwrap();
    journal.incident(id).unwrap().unwrap()
}

#[test]
fn an_incident_and_its_mail_are_written_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let journal = Journal::open(&path).unwrap();
    let mut incident = alert(&journal, 50);
    incident.answered = Answered::Done;
    let beside = rusqlite::Connection::open(&path).unwrap();
    let refuse = "create trigger no before insert on outbox begin select raise(abort, 'no'); end";
    beside.execute_batch(refuse).unwrap();
    assert!(journal.tell_incident(&incident, "a", "b").is_err());
    assert_eq!(journal.open_incidents().unwrap().len(), 1);
    beside.execute_batch("drop trigger no").unwrap();
    journal.tell_incident(&incident, "a", "b").unwrap();
    assert_eq!(journal.open_incidents().unwrap(), []);
    assert_eq!(journal.letters().unwrap().len(), 1);
    assert_eq!(check(&path).unwrap(), []);
}

#[test]
fn alerts_are_found_by_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(&dir.path().join("journal.db")).unwrap();
    let mut all: Vec<Incident> = [50, 60, 70].map(|at| alert(&journal, at)).into();
    all[1].evidence = Some("incident-2".to_owned());
    all[1].answered = Answered::Done;
    journal.note_incident(&all[1]).unwrap();
    assert_eq!(journal.alerts_since(Time(60)).unwrap(), all[1..]);
    let kept = |student, at| {
        let student = Student::new(student).unwrap();
        journal.answered_since(student, ALERT, Time(at)).unwrap().1
    };
    assert_eq!(
        (kept(12, 0), kept(12, 60), kept(12, 61), kept(13, 0)),
        (1, 1, 0, 0)
    );
    assert_eq!(journal.forget_incidents(Time(99)).unwrap(), ["incident-2"]);
    assert_eq!(
        journal.incidents(9).unwrap().len(),
        2,
        "those are still open"
    );
}

#[test]
fn allowances_and_bans_are_replaced_and_lifted() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(&dir.path().join("journal.db")).unwrap();
    let mut allowance = Allowance {
        rule: "student-cpu".to_owned(),
        workshop: "WKSHP-API101".parse().unwrap(),
        comment: "trains a model".to_owned(),
        until: Time(100),
    };
    journal.allow(&allowance).unwrap();
    allowance.until = Time(200);
    journal.allow(&allowance).unwrap();
    assert_eq!(journal.allowances().unwrap(), [allowance.clone()]);
    assert!(
        journal
            .disallow(&allowance.rule, &allowance.workshop)
            .unwrap()
    );
    assert!(
        !journal
            .disallow(&allowance.rule, &allowance.workshop)
            .unwrap()
    );
    let somebody = Participant::new(9);
    journal.ban(somebody, "mined", Time(1)).unwrap();
    journal.ban(somebody, "again", Time(2)).unwrap();
    assert_eq!(journal.bans().unwrap()[0].reason, "mined");
    assert!(journal.unban(somebody).unwrap());
    assert!(!journal.unban(somebody).unwrap());
    assert_eq!(check(journal.path()).unwrap(), []);
}
