//! What the program says, and nobody hears or can keep: `| head`, a terminal that is gone, a full
//! disk behind a file.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use wod::intake::gatefile::publish;

use crate::intake::{Site, policy};

fn wod(site: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wod"));
    command
        .arg("-i")
        .arg(site)
        .args(["-e", "WODHUB=none"])
        .args(words)
        .stdin(Stdio::null())
        .env_remove("RUST_BACKTRACE");
    command
}

fn site(text: &str) -> tempfile::TempDir {
    let site = tempfile::tempdir().unwrap();
    fs::create_dir(site.path().join("group_vars")).unwrap();
    fs::write(site.path().join("group_vars/all.yml"), text).unwrap();
    site
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_reader_who_leaves_early_is_no_fault() {
    let site = site("WODUSERMAX: 40\n");
    for words in [
        &["vars"][..],
        &["vars", "--json"],
        &["completions", "bash"],
        &["inventory", "list"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = wod(site.path(), words).stdout(writer).output().unwrap();
        assert_eq!(
            (output.status.code(), said(&output).as_str()),
            (Some(0), ""),
            "{words:?}"
        );
    }
}

#[test]
fn a_result_that_cannot_be_kept_is_told() {
    let site = site("WODUSERMAX: 40\n");
    for words in [&["vars"][..], &["vars", "--json"], &["completions", "bash"]] {
        let output = wod(site.path(), words).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let told =
            "wod: what was to be shown cannot be written: No space left on device (os error 28)\n";
        assert_eq!(said(&output), told, "{words:?}");
    }
}

#[test]
fn a_log_that_cannot_be_kept_ends_no_work() {
    let site = site("WODUSERMIM: 2\n");
    let words = ["vars", "--json"];
    let heard = wod(site.path(), &words).output().unwrap();
    assert!(
        said(&heard).contains("WODUSERMIM"),
        "it has something to say: {}",
        said(&heard)
    );
    let unheard = wod(site.path(), &words).stderr(full()).output().unwrap();
    assert_eq!(unheard.status.code(), heard.status.code());
    assert_eq!(unheard.stdout, heard.stdout);
}

#[test]
fn an_accepted_mail_is_accepted_whoever_hears_it() {
    let site = Site::new(policy());
    let state = site.path().parent().unwrap().to_owned();
    let public = state.join("public");
    fs::create_dir(&public).unwrap();
    publish(&public, &policy()).unwrap();
    let mut ingest = Command::new(env!("CARGO_BIN_EXE_wod"))
        .args([
            "ingest",
            "--sender",
            "api@frontend.example",
            "--peer",
            "192.0.2.7",
            "--state",
        ])
        .arg(state)
        .stdin(Stdio::piped())
        .stdout(full())
        .stderr(full())
        .spawn()
        .unwrap();
    let mail = b"Subject: CREATE 12 825\n\nWKSHP-API101\n";
    ingest.stdin.take().unwrap().write_all(mail).unwrap();
    assert_eq!(ingest.wait().unwrap().code(), Some(0));
    assert_eq!(site.take_records().len(), 1);
}
