//! What was seen to happen to the backend of old, one test for each: it must not happen here.
//! Bad mails and forged spool files have tests of their own in `bad_input`.

mod early;
mod mails;
mod secrets;
mod students;

use serde_json::Value;

use crate::support::backend::{Backend, Options, STUDENTS};
use crate::support::canary::plant;
use crate::support::{living, sh, wait_for};

const API: &str = "WKSHP-API101";
const CANARY: &str = "/var/canary";
const SCRIPTS: &str = "/var/share/workshops/scripts";

/// A site with a canary tree beside it, and student 12 at work.
fn occupied(inventory: &str) -> (Backend, Value) {
    plant(CANARY, 62_039);
    let backend = Backend::start(Options {
        inventory,
        ..Options::default()
    });
    let created = done(backend.act(&["CREATE", API, "12", "--participant", "825"]));
    (backend, created)
}

#[track_caller]
fn done(action: Value) -> Value {
    assert_eq!(action["state"], "done", "{action}");
    action
}

/// Takes the action of every kind that takes a seat from its participant.
fn takers() -> [Vec<&'static str>; 3] {
    [
        vec!["CREATE", API, "12", "--participant", "826"],
        vec!["CLEANUP", API, "12", "--participant", "826"],
        vec!["PURGE", API, "12", "--participant", "825"],
    ]
}

/// The admin lets a held action go on, and it gets to its end.
fn retry(backend: &Backend, id: &serde_json::Value) {
    let output = backend.wod(&["actions", "retry", &id.to_string()]);
    assert!(output.status.success(), "{output:?}");
    let wanted = id.as_i64().unwrap();
    wait_for(20, "end of the retried action", || {
        (backend.action(wanted)["state"] == "done").then_some(())
    });
}

fn home_is_gone(student: u32) -> bool {
    !std::path::Path::new(STUDENTS)
        .join(format!("student{student}"))
        .exists()
}

fn processes(student: u32) -> String {
    living(&format!("-U student{student}")).join("\n")
}

/// The trash is emptied soon after; then nothing that was there is anywhere.
fn trash_is_empty() {
    wait_for(60, "empty trash", || {
        let left = sh(&format!("ls -A {STUDENTS}/.wod/trash 2>/dev/null || true"));
        left.trim().is_empty().then_some(())
    });
}
