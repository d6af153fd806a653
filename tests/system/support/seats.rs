//! Workshops of a test's own, and looks at seats from the outside.

use std::fs;
use std::path::Path;
use std::process::Command;

use rusqlite::{Connection, OptionalExtension};

use super::backend::{Backend, SHARE, STATE, STUDENTS, UID_BASE, home};
use super::{fed, living, sh};

/// One of two code cells was executed.
const NOTEBOOK: &str = r#"{"cells": [
 {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [], "source": ["{{ STDID }}"]},
 {"cell_type": "code", "execution_count": null, "metadata": {}, "outputs": [], "source": []}],
 "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"#;

/// A workshop `WKSHP-name` whose participants are half through. Best made before the backend is
/// started: the gate's policy is up to 2 s old. `scripts` are (phase, body).
pub fn workshop(name: &str, fields: &str, scripts: &[(&str, &str)]) {
    let dir = format!("{SHARE}/workshops/WKSHP-{name}");
    sh(&format!("mkdir -p {dir} {SHARE}/workshops/scripts"));
    fs::write(format!("{dir}/wod.yml"), format!("name: {name}\n{fields}")).unwrap();
    fs::write(format!("{dir}/0-ReadMeFirst.ipynb"), NOTEBOOK).unwrap();
    for (phase, body) in scripts {
        let script = format!("{SHARE}/workshops/scripts/{phase}-WKSHP-{name}.sh");
        fs::write(&script, format!("#!/bin/bash\n{body}\n")).unwrap();
        sh(&format!("chmod 755 {script}"));
    }
}

/// The second field of the account's line in /etc/shadow.
pub fn shadow(student: u32) -> String {
    sh(&format!("getent shadow student{student} | cut -d: -f2"))
        .trim()
        .to_owned()
}

pub fn is_locked(student: u32) -> bool {
    shadow(student).starts_with(['!', '*'])
}

/// Whether that password opens the account: asks the program that PAM asks.
pub fn fits(student: u32, password: &str) -> bool {
    let mut check = Command::new("/sbin/unix_chkpwd");
    check.args([&format!("student{student}"), "nonull"]);
    fed(&mut check, &[password.as_bytes(), &[0]].concat())
        .status
        .success()
}

/// What the local registry would tell the participant.
pub fn password(student: u32) -> Option<String> {
    query(&format!(
        "select password from seats where student = {student}"
    ))
    .flatten()
}

/// The password that an action needs still.
pub fn minted(action: i64) -> Option<String> {
    query(&format!(
        "select password from passwords where action = {action}"
    ))
    .flatten()
}

/// How many events of that kind an action has.
pub fn events(action: i64, kind: &str) -> i64 {
    let sql = format!(
        "select count(*) from events where action = {action}
         and json_extract(event, '$.event') = '{kind}'"
    );
    query(&sql).unwrap()
}

/// So that the journal's next write needs room.
pub fn shrink_journal() {
    let busy: i64 = query("pragma wal_checkpoint(truncate)").unwrap();
    assert_eq!(busy, 0);
}

fn query<T: rusqlite::types::FromSql>(sql: &str) -> Option<T> {
    let journal = Connection::open(format!("{STATE}/private/journal.db")).unwrap();
    journal.busy_timeout(super::patience(10)).unwrap();
    journal
        .query_row(sql, [], |row| row.get(0))
        .optional()
        .unwrap()
}

/// Starts a process as the student, that goes on until it is ended.
pub fn linger_as(student: u32) {
    let id = UID_BASE + student;
    let before = processes(student);
    sh(&format!(
        "setsid setpriv --reuid={id} --regid={id} --clear-groups sleep 1000 >/dev/null 2>&1 &"
    ));
    super::wait_for(5, "process", || (processes(student) > before).then_some(()));
}

pub fn processes(student: u32) -> usize {
    let id = UID_BASE + student;
    living(&format!("-U {id} -u {id}")).len()
}

/// Asserts that the seat is free and that nothing of whoever had it is left.
pub fn assert_free(backend: &Backend, student: u32) {
    let seat = backend.seat(student).expect("a seat that was used");
    assert_eq!(seat["assigned"], false, "{seat}");
    assert!(!home(student).exists(), "home of student{student}");
    assert_eq!(processes(student), 0, "processes of student{student}");
    assert_eq!(password(student), None, "password of student{student}");
}

/// Asserts that this participant sits there, can log in, and finds the workshop.
pub fn assert_taken(backend: &Backend, student: u32, participant: u32, workshop: &str) {
    let seat = backend.seat(student).expect("a seat that was used");
    assert_eq!(seat["assigned"], true, "{seat}");
    assert_eq!(seat["participant"], participant, "{seat}");
    assert_eq!(seat["active"], true, "{seat}");
    let readme = home(student).join(workshop).join("0-ReadMeFirst.ipynb");
    assert!(readme.is_file(), "{}", readme.display());
    let told = password(student).expect("a password");
    assert!(fits(student, &told), "password of student{student}");
}

/// Every file of a home with owner, mode, ACL and (but for the new key pair) what is in it.
pub fn picture(student: u32) -> String {
    sh(&format!(
        "cd {}; find . -printf '%p %y %m %U:%G %l\\n' | sort
         getfacl -RPnp . 2>/dev/null | sed 's/^# file: //'
         find . -type f ! -path './.ssh/*' -print0 | sort -z | xargs -0r sha256sum",
        home(student).display()
    ))
}

pub fn home_files(student: u32) -> usize {
    sh(&format!("find {} -type f | wc -l", home(student).display()))
        .trim()
        .parse()
        .unwrap()
}

/// Waits until nothing is left that only an unfinished action needs.
pub fn assert_tidy() {
    super::wait_for(20, "tidy state", || {
        let left: Vec<_> = [
            format!("{STATE}/private/scratch"),
            format!("{STUDENTS}/.wod/trash"),
            format!("{STUDENTS}/.wod/new"),
            format!("{STATE}/spool/bad"),
        ]
        .iter()
        .filter(|dir| Path::new(dir).is_dir())
        .flat_map(|dir| fs::read_dir(dir).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
        let spool = fs::read_dir(format!("{STATE}/spool")).unwrap();
        (left.is_empty() && spool.count() == 1).then_some(())
    });
}
