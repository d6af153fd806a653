//! `wod vault` at a terminal: passwords that are asked for and not shown, a pager. The terminal is
//! that of script(1).

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use wod::domain::Secret;
use wod::templates::Passwords;

/// A command that has a terminal, and what that shows.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    shown: String,
}

impl Terminal {
    /// None where there is no script(1).
    fn start(dir: &Path, words: &str) -> Option<Terminal> {
        let line = format!(
            "{} --inventory none vault {words}",
            env!("CARGO_BIN_EXE_wod")
        );
        let started = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .current_dir(dir)
            .env("PAGER", dir.join("pager"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else {
            eprintln!("left out: there is no script(1) here");
            return None;
        };
        Some(Terminal {
            keys: child.stdin.take().unwrap(),
            screen: child.stdout.take().unwrap(),
            child,
            shown: String::new(),
        })
    }

    /// Types when it is asked for something, not before: that would not count.
    fn answer(&mut self, asked: &str, keys: &str) {
        let before = self.shown.len();
        while !self.shown[before..].contains(asked) {
            let mut byte = [0];
            let read = self.screen.read(&mut byte).unwrap();
            assert_eq!(read, 1, "{asked:?} was not asked: {}", self.shown);
            self.shown.push(char::from(byte[0]));
        }
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn end(mut self) -> (Option<i32>, String) {
        self.screen.read_to_string(&mut self.shown).unwrap();
        drop(self.keys);
        (self.child.wait().unwrap().code(), self.shown)
    }
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let words = "encrypt-string --name TOKEN --vault-id prod@prompt";
    let Some(mut terminal) = Terminal::start(dir.path(), words) else {
        return;
    };
    // With a mistake that is taken back, and one that takes back all.
    terminal.answer("vault password of prod: ", "sw\u{7f}wordfish\r");
    terminal.answer("again: ", "wrong\u{15}swordfish\r");
    terminal.answer("value: ", "hidden\r");
    terminal.answer("again: ", "hidden\r");
    let (exit, shown) = terminal.end();
    assert_eq!(exit, Some(0), "{shown}");
    assert!(
        !shown.contains("fish") && !shown.contains("hidden"),
        "{shown}"
    );
    let (_, sealed) = shown.split_once("TOKEN: !vault |").unwrap();
    assert!(
        sealed.contains("$ANSIBLE_VAULT;1.2;AES256;prod"),
        "{sealed}"
    );
    let word = Passwords::single(Secret::new("swordfish".to_owned()));
    assert_eq!(word.open(sealed).unwrap().expose(), "hidden");
}

#[test]
fn two_different_passwords_and_giving_up_do_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("plain"), "text").unwrap();
    for (second, said) in [
        ("other\r", "these were not the same"),
        ("\u{3}", "given up"),
    ] {
        let words = "encrypt --vault-id prompt plain";
        let Some(mut terminal) = Terminal::start(dir.path(), words) else {
            return;
        };
        terminal.answer("vault password: ", "one\r");
        terminal.answer("again: ", second);
        let (exit, shown) = terminal.end();
        assert_eq!(exit, Some(1), "{shown}");
        assert!(
            shown.contains(said) && shown.contains("nothing was done"),
            "{shown}"
        );
    }
    assert_eq!(fs::read(dir.path().join("plain")).unwrap(), b"text");
}

#[test]
fn a_terminal_has_a_pager() {
    let dir = tempfile::tempdir().unwrap();
    let pager = dir.path().join("pager");
    fs::write(&pager, "#!/bin/sh\nsed 's/^/paged: /'\n").unwrap();
    fs::set_permissions(&pager, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(dir.path().join("word"), "swordfish").unwrap();
    let word = Passwords::single(Secret::new("swordfish".to_owned()));
    let sealed = word.seal(None, b"one\ntwo\n").unwrap();
    fs::write(dir.path().join("secrets"), sealed).unwrap();
    let words = "view --vault-id word secrets";
    let Some(terminal) = Terminal::start(dir.path(), words) else {
        return;
    };
    let (exit, shown) = terminal.end();
    assert_eq!(
        (exit, shown.as_str()),
        (Some(0), "paged: one\r\npaged: two\r\n")
    );
}
