//! Vault files and values, both directions, with the real `ansible-vault`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use serde_json::{Value, json};
use wod::domain::Secret;
use wod::templates::Passwords;

use crate::ansible;

const CASES: u64 = 100;

/// Said past the test program, which keeps what a passing test prints to itself.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Ansible's own code in one process, so that a thousand envelopes cost no thousand starts.
struct Real {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Real {
    fn start(venv: &Path) -> Real {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/vault.py");
        let mut child = Command::new(venv.join("bin/python"))
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Real {
            requests: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.requests, "{request}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn seal(&mut self, passwords: &Value, plain: &[u8]) -> String {
        let answer = self.ask(&json!({"passwords": passwords, "plain": base64(plain)}));
        answer["sealed"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    }

    fn open(&mut self, passwords: &Value, sealed: &str) -> Value {
        self.ask(&json!({"passwords": passwords, "sealed": sealed}))
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let all = part
            .iter()
            .fold(0u32, |all, &byte| all << 8 | u32::from(byte));
        let all = all << (8 * (3 - part.len()));
        for at in 0..4 {
            let digit = DIGITS[(all >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= part.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

/// xorshift: the same cases in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> usize {
        (self.next() % end) as usize
    }

    fn text(&mut self, longest: u64) -> String {
        const LETTERS: &str = "abcXYZ019 _-'\"\\{}%$#:&*!|>@`\t\n\rßé€日本🎉\u{301}\u{feff}\0";
        let letters: Vec<char> = LETTERS.chars().collect();
        let length = self.below(longest);
        (0..length)
            .map(|_| letters[self.below(letters.len() as u64)])
            .collect()
    }

    fn password(&mut self) -> String {
        let text = self.text(40).replace(['\n', '\r', '\t', '\0'], "x");
        format!("{}p", text.trim())
    }

    fn plain(&mut self, case: u64) -> Vec<u8> {
        match case % 10 {
            0 => Vec::new(),
            1 if case == 1 => (0..1 << 20).map(|_| self.next() as u8).collect(),
            1 => (0..self.below(5000)).map(|_| self.next() as u8).collect(),
            2 => format!("{}\n", self.text(200)).into_bytes(),
            3 => format!("{}\r\n\n", self.text(200)).into_bytes(),
            // Whole blocks, and one byte beside them.
            4 => vec![b'x'; 16 * self.below(20)],
            5 => vec![b'\n'; 15 + self.below(3)],
            6 => vec![16; 1 + self.below(64)],
            _ => self.text(400).into_bytes(),
        }
    }
}

#[test]
fn what_one_seals_the_other_opens() {
    let Some(venv) = ansible::venv() else { return };
    let mut real = Real::start(&venv);
    let mut random = Random(0x5eed_0001_5eed_0001);
    let mut equal = 0;
    for case in 0..CASES {
        let (password, other) = (random.password(), format!("{}2", random.password()));
        let id = ["default", "prod", "dev-1", "x.y/z_"][random.below(4)];
        let label = Some(id).filter(|id| *id != "default").map(str::to_owned);
        let ours = Passwords::new([
            (label, Secret::new(password.clone())),
            (Some("other".to_owned()), Secret::new(other.clone())),
        ]);
        let theirs = json!([[id, password], ["other", other]]);
        let plain = random.plain(case);

        let sealed = ours.seal(None, &plain).unwrap();
        let opened = real.open(&theirs, &sealed);
        let there = opened["plain"] == base64(&plain);
        let sealed = real.seal(&theirs, &plain);
        let opened = ours.open_bytes(sealed.as_bytes());
        let back = opened.is_ok_and(|opened| opened.plain.expose() == plain);
        if there && back {
            equal += 1;
        } else {
            say(&format!(
                "case {case}, {} bytes, id {id}: {there} {back}",
                plain.len()
            ));
        }

        // Neither opens what the other sealed with a password that it does not have.
        if case < 5 {
            let wrong = Passwords::single(Secret::new(other.clone()));
            assert!(wrong.open_bytes(sealed.as_bytes()).is_err(), "case {case}");
            let refused = real.open(&json!([["other", other]]), &sealed);
            assert!(refused["error"].is_string(), "{refused}");
        }
    }
    say(&format!("vault: {CASES} values, {equal} equal both ways"));
    assert_eq!(equal, CASES);
}

/// A directory with two password files, and both commands in it.
struct Desk {
    dir: tempfile::TempDir,
    venv: PathBuf,
}

impl Desk {
    fn new(venv: PathBuf) -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let desk = Desk { dir, venv };
        desk.put("one", "the first one's pässword\n".as_bytes());
        desk.put("two", b"the second\n");
        desk
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
    }

    fn get(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.path().join(name)).unwrap()
    }

    fn run(&self, program: &Path, words: &str, stdin: &[u8]) -> Output {
        let mut child = Command::new(program)
            .args(words.split(' '))
            .current_dir(self.dir.path())
            .env("ANSIBLE_NOCOLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{} {words}: {said}",
            program.display()
        );
        output
    }

    fn ours(&self, words: &str) -> Output {
        self.run(
            env!("CARGO_BIN_EXE_wod").as_ref(),
            &format!("vault {words}"),
            b"",
        )
    }

    fn theirs(&self, words: &str) -> Output {
        self.run(&self.venv.join("bin/ansible-vault"), words, b"")
    }
}

#[test]
fn the_commands_read_each_others_files() {
    let Some(venv) = ansible::venv() else { return };
    let desk = Desk::new(venv);
    let binary: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let texts: [(&str, &[u8]); 4] = [
        ("binary", &binary),
        ("empty", b""),
        ("text.yml", "a: ü\nb: [1]\n".as_bytes()),
        ("no-newline", b"x"),
    ];
    for (name, plain) in texts {
        desk.put(name, plain);
        desk.ours(&format!("encrypt --vault-id prod@one {name}"));
        assert!(
            desk.get(name)
                .starts_with(b"$ANSIBLE_VAULT;1.2;AES256;prod\n")
        );
        desk.theirs(&format!(
            "rekey --vault-id prod@one --new-vault-id next@two {name}"
        ));
        assert!(
            desk.get(name)
                .starts_with(b"$ANSIBLE_VAULT;1.2;AES256;next\n")
        );
        let seen = desk.ours(&format!("view --vault-password-file two {name}"));
        assert!(seen.stdout == plain, "{name}");
        desk.ours(&format!(
            "rekey --vault-password-file two --new-vault-password-file one {name}"
        ));
        assert!(desk.get(name).starts_with(b"$ANSIBLE_VAULT;1.1;AES256\n"));
        desk.theirs(&format!("decrypt --vault-password-file one {name}"));
        assert!(desk.get(name) == plain, "{name}");
        desk.theirs(&format!("encrypt --vault-id prod@one {name}"));
        desk.ours(&format!("decrypt --vault-id prod@one {name}"));
        assert!(desk.get(name) == plain, "{name}");
    }
    say("vault: 4 files, 6 times each from command to command, 4 equal");
}

#[test]
fn ansible_reads_our_values_in_a_vars_file() {
    let Some(venv) = ansible::venv() else { return };
    let desk = Desk::new(venv);
    let values = [
        ("PLAIN", "hunter2"),
        ("UNICODE", "pässwörd 🎉"),
        ("LINES", "one\n  two: {{ no }}\n\nthree\n"),
        ("YAMLISH", "- 'a': \"b\" #c"),
        ("EMPTY", ""),
    ];
    let mut vars = String::from("# Ours.\nBEFORE: 1\n");
    for (at, (name, value)) in values.into_iter().enumerate() {
        let id = ["one", "prod@two"][at % 2];
        let sealed = desk.run(
            env!("CARGO_BIN_EXE_wod").as_ref(),
            &format!("vault encrypt-string --vault-id {id} --name {name}"),
            value.as_bytes(),
        );
        vars += &String::from_utf8(sealed.stdout).unwrap();
    }
    vars += "AFTER: 2\n";
    desk.put("vars.yml", vars.as_bytes());
    let asked: Vec<String> = values
        .iter()
        .map(|(name, _)| format!("{{{{{name}|string|b64encode}}}}"))
        .collect();
    let output = desk.run(
        &desk.venv.join("bin/ansible"),
        &format!(
            "localhost -i localhost, -c local -e @vars.yml --vault-id one --vault-id prod@two \
             -m debug -a msg=<{}>{{{{BEFORE}}}}{{{{AFTER}}}}",
            asked.join("|").replace(' ', "")
        ),
        b"",
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let wanted: Vec<String> = values
        .iter()
        .map(|(_, value)| base64(value.as_bytes()))
        .collect();
    assert!(
        text.contains(&format!("<{}>12", wanted.join("|"))),
        "{text}"
    );
    say(&format!(
        "vault: {0} values in a vars file, {0} equal",
        values.len()
    ));
}
