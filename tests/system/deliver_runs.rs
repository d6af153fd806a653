//! Runs of `wod deliver`: the overlay's own part, what is kept of a run, who is told of a failure, and
//! who starts one.

mod history;
mod mail;
mod playbook;
mod programs;
mod scheduler;

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::deliver_students::{Run, quiet_site, wod};
use crate::support::backend::{Backend, PROGRAM};
use crate::support::{sh, wait_for};

pub const OVERLAY: &str = "/var/private";
/// Among the inventory's variables, by a name that says what it is.
pub const SECRET: &str = "hunter22-of-the-site";

/// Inventory of a site that has an overlay.
pub fn with_overlay(more: &str) -> String {
    format!(
        "WODPRIVDIR: {OVERLAY}\nWODGROUP: production\nSITEPASSWORD: {SECRET}\n\
         GREETING: \"good {{{{ WODUSERMAX }}}} day\"\n{more}"
    )
}

/// Without an engine.
pub fn site(more: &str) -> Backend {
    make_overlay();
    quiet_site(&with_overlay(more))
}

/// WODUSER's, and empty but for the directories.
pub fn make_overlay() {
    sh(&format!(
        "id wodadmin >/dev/null 2>&1 || useradd --system --create-home --shell /bin/bash wodadmin
         mkdir -p {OVERLAY}/deliver.d {OVERLAY}/ansible; chown -R wodadmin: {OVERLAY}"
    ));
}

/// One of `deliver.d`, as WODUSER would put it there.
pub fn program(name: &str, text: &str) {
    let path = format!("{OVERLAY}/deliver.d/{name}");
    fs::write(&path, format!("#!/bin/bash\n{text}\n")).unwrap();
    sh(&format!("chown wodadmin: {path}; chmod 755 {path}"));
}

/// The private part of a run.
pub fn deliver(backend: &Backend, more: &[&str]) -> Run {
    let words = ["deliver", "--json", "--tags", "private"];
    wod(backend, &[&words, more].concat())
}

/// Such a run, on its way.
pub fn start() -> Child {
    Command::new(PROGRAM)
        .args(["deliver", "--json", "--tags", "private"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

pub fn appears(path: &str) {
    wait_for(20, path, || fs::exists(path).unwrap().then_some(()));
}

/// Past runs, newest first.
pub fn history(backend: &Backend) -> Vec<Value> {
    let output = backend.wod(&["deliver", "history", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub fn states(backend: &Backend) -> Vec<String> {
    let all = history(backend);
    all.iter()
        .map(|run| run["state"].as_str().unwrap().to_owned())
        .collect()
}

/// Whether a process with these words in its arguments is there.
pub fn is_running(words: &str) -> bool {
    let of = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).ok();
    let all = fs::read_dir("/proc").unwrap().flatten().filter_map(of);
    let mut all = all.map(|argv| String::from_utf8_lossy(&argv).replace('\0', " "));
    all.any(|argv| argv.contains(words))
}
