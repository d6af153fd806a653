//! Where output goes that nobody reads, or that has no room.

use std::fs::{self, File};
use std::io::{Write as _, pipe};
use std::process::{Command, Output, Stdio};

use wod::intake::gatefile::publish;

use crate::intake::{Site, policy};

/// On the samples of the checkout.
fn wod(words: &[&str]) -> Command {
    let mut wod = Command::new(env!("CARGO_BIN_EXE_wod"));
    wod.current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("WODINVENTORY")
        .args(["--inventory", "inventory", "-e", "WODHUB=none"])
        .args(words)
        .stdin(Stdio::null());
    wod
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// Each prints more than one line.
const COMMANDS: [&[&str]; 10] = [
    &["--help"],
    &["vars"],
    &["vars", "--json"],
    &["inventory", "list"],
    &["completions", "bash"],
    &["completions", "man"],
    &["workshops", "lint", "workshops"],
    &["render", "workshops/WKSHP-API101", "--student", "12"],
    &[
        "render",
        "workshops/WKSHP-API101",
        "--student",
        "12",
        "--diff",
    ],
    &[
        "render",
        "workshops/WKSHP-API101/check.py",
        "--student",
        "12",
    ],
];

#[test]
fn a_reader_that_went_away_is_no_failure() {
    for words in COMMANDS {
        let read = wod(words).output().unwrap();
        assert!(read.status.success(), "{words:?}: {read:?}");
        assert!(!read.stdout.is_empty(), "{words:?}");
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let unread = wod(words).stdout(writer).output().unwrap();
        let told = String::from_utf8(unread.stderr).unwrap();
        assert_eq!(
            (unread.status.code(), told.as_str()),
            (Some(0), ""),
            "{words:?}"
        );
        // As after `2>&1 | head`.
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut both = wod(words);
        both.stdout(writer.try_clone().unwrap()).stderr(writer);
        assert_eq!(both.status().unwrap().code(), Some(0), "{words:?}");
    }
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let wrong = wod(&["vars", "NOSUCH"]).stderr(writer).status().unwrap();
    assert_eq!(wrong.code(), Some(1));
}

#[test]
fn a_full_disk_is_a_failure() {
    for words in &COMMANDS[1..] {
        let output = wod(words).stdout(full()).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {told}");
        assert_eq!(
            told, "wod: the output cannot be written: No space left on device (os error 28)\n",
            "{words:?}"
        );
    }
}

/// Neither a hub nor a private host is started for a name that is mistyped.
#[test]
fn a_demo_of_no_workshop_is_none() {
    let output = wod(&["demo", "--once", "--workshop", "WKSHP-Nope"]).output();
    let output = output.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.starts_with("wod: there is no workshop WKSHP-Nope in ")
            && told.ends_with("; it has WKSHP-API101, WKSHP-Git101, WKSHP-Shell101\n")
            && told.lines().count() == 1,
        "{told}"
    );
}

/// Of every command, also of those below others, and by troff without a complaint.
#[test]
fn the_man_page_is_whole() {
    let page = wod(&["completions", "man"]).output().unwrap().stdout;
    let text = String::from_utf8(page.clone()).unwrap();
    for part in [
        ".SS \"wod test\\-action\"\nSend an action mail as a frontend would.\n",
        ".SS \"wod actions retry\"\n",
        ".SS \"wod vault rekey\"\n",
        "\\fB\\-\\-new\\-vault\\-password\\-file\\fR \\fIFILE\\fR\n",
        "\n[default: /var/lib/wod]\n",
        "  65  not an action, or malformed\n",
        "\n  5  the action was refused, held or cancelled\n",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("intake \\-\\-spool"), "hidden");
    let troff = Command::new("groff")
        .args(["-man", "-Kutf8", "-Tutf8", "-ww", "-z"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    // Not part of every system.
    let Ok(mut troff) = troff else { return };
    troff.stdin.take().unwrap().write_all(&page).unwrap();
    let told = troff.wait_with_output().unwrap().stderr;
    assert_eq!(String::from_utf8_lossy(&told), "");
}

#[test]
fn a_log_that_cannot_be_kept_ends_no_work() {
    let words = ["-e", "WODUSERMIM=2", "vars", "--json"];
    let heard = wod(&words).output().unwrap();
    assert!(
        told(&heard).contains("WODUSERMIM"),
        "it has something to say: {}",
        told(&heard)
    );
    let unheard = wod(&words).stderr(full()).output().unwrap();
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
