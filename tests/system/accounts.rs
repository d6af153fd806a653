//! One exercise for everything that calls itself `Accounts`; the sandbox's are tried here,
//! a Linux host's in `linux`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use wod::adapters::accounts_sandbox::{MARK, SandboxAccounts};
use wod::domain::{Secret, Student, StudentRange};
use wod::ports::{Accounts, Disposition};

mod hostile;
mod linux;

use crate::support::patience;

fn student(number: u32) -> Student {
    Student::new(number).unwrap()
}

fn range() -> StudentRange {
    "1,150".parse().unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + patience(20);
    while !done() {
        assert!(Instant::now() < until, "{what} did not happen");
        thread::sleep(Duration::from_millis(10));
    }
}

/// How one kind of accounts is tried from the outside.
trait Site {
    fn accounts(&self) -> &dyn Accounts;
    fn fits(&self, student: Student, password: &str) -> bool;
    /// A command that runs as the student would.
    fn as_student(&self, student: Student, argv: &[&str]) -> Command;

    fn start(&self, student: Student, argv: &[&str]) -> Child {
        let mut command = self.as_student(student, argv);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    }
}

fn exercise(site: &dyn Site) {
    an_account_is_made_once(site);
    passwords_are_set_and_locked(site);
    odd_passwords_are_refused(site);
    many_at_once(site);
    processes_of_one_student_end(site);
    strangers_are_refused(site);
}

fn an_account_is_made_once(site: &dyn Site) {
    let first = site.accounts().ensure(student(1)).unwrap();
    assert_eq!(first.name, "student1");
    assert_eq!(site.accounts().ensure(student(1)).unwrap(), first);
    site.accounts().sweep(student(1)).unwrap();
    assert_eq!(site.accounts().leftovers(student(1)).unwrap(), [""; 0]);
}

fn passwords_are_set_and_locked(site: &dyn Site) {
    let accounts = site.accounts();
    accounts.lock(student(1)).unwrap();
    accounts.lock(student(1)).unwrap();
    for nothing in ["", "!", "*"] {
        assert!(!site.fits(student(1), nothing));
    }
    for password in ["one:two three", "Grüße'\"$(id)\\", "x"] {
        accounts
            .set_password(student(1), &secret(password))
            .unwrap();
        assert!(site.fits(student(1), password), "{password}");
        assert!(!site.fits(student(1), "other"));
    }
    accounts.lock(student(1)).unwrap();
    assert!(!site.fits(student(1), "x"));
}

fn odd_passwords_are_refused(site: &dyn Site) {
    for odd in ["", "a\nstudent2:b", "a\rb", "a\0b", &"x".repeat(600)] {
        let fault = site
            .accounts()
            .set_password(student(1), &secret(odd))
            .unwrap_err();
        assert_eq!(fault.disposition, Disposition::Permanent);
        assert!(odd.is_empty() || !fault.chain().contains(odd));
    }
}

fn many_at_once(site: &dyn Site) {
    let accounts = site.accounts();
    thread::scope(|scope| {
        for n in 20..32 {
            scope.spawn(move || {
                accounts.ensure(student(n)).unwrap();
                let password = secret(&format!("pass-{n}"));
                accounts.set_password(student(n), &password).unwrap();
                if n % 3 == 0 {
                    accounts.lock(student(n)).unwrap();
                }
            });
        }
    });
    for n in 20..32 {
        assert_eq!(
            site.fits(student(n), &format!("pass-{n}")),
            n % 3 != 0,
            "{n}"
        );
    }
}

fn processes_of_one_student_end(site: &dyn Site) {
    let accounts = site.accounts();
    accounts.ensure(student(12)).unwrap();
    accounts.end_processes(student(1)).unwrap();
    let mut neighbour = site.start(student(12), &["sleep", "100"]);
    let mut own: Vec<_> = [
        vec!["sleep", "100"],
        vec![
            "sh",
            "-c",
            "trap '' TERM HUP INT; while :; do sleep 1; done",
        ],
        vec!["sh", "-c", "setsid setsid sleep 100 & sleep 100"],
        vec!["sh", "-c", "kill -STOP $$"],
    ]
    .iter()
    .map(|argv| site.start(student(1), argv))
    .collect();
    // A tool of ours on its way there is not the student's yet.
    wait_until("the start of all", || {
        let left = accounts.leftovers(student(1)).unwrap();
        let is_theirs = |child: &Child| {
            let line = format!("process {}", child.id());
            left.iter()
                .any(|left| left.split(" (").next() == Some(&line))
        };
        left.len() >= 5 && own.iter().all(is_theirs)
    });
    accounts.end_processes(student(1)).unwrap();
    own.iter_mut()
        .for_each(|child| assert!(!child.wait().unwrap().success()));
    assert_eq!(accounts.leftovers(student(1)).unwrap(), [""; 0]);
    assert_eq!(neighbour.try_wait().unwrap(), None);
    accounts.end_processes(student(12)).unwrap();
    neighbour.wait().unwrap();
}

fn strangers_are_refused(site: &dyn Site) {
    let accounts = site.accounts();
    let faults = [
        accounts.ensure(student(151)).map(drop),
        accounts.lock(student(151)),
        accounts.set_password(student(151), &secret("x")),
        accounts.end_processes(student(151)),
        accounts.sweep(student(151)),
        accounts.leftovers(student(151)).map(drop),
    ];
    for fault in faults {
        assert_eq!(fault.unwrap_err().disposition, Disposition::Violation);
    }
}

struct SandboxSite {
    accounts: SandboxAccounts,
    file: PathBuf,
}

impl Site for SandboxSite {
    fn accounts(&self) -> &dyn Accounts {
        &self.accounts
    }

    fn fits(&self, student: Student, password: &str) -> bool {
        let text = fs::read_to_string(&self.file).unwrap_or_else(|_| "{}".to_owned());
        let hashes: serde_json::Value = serde_json::from_str(&text).unwrap();
        let Some(hash) = hashes[student.account()].as_str() else {
            return false;
        };
        let [_, rounds, salt, hash] = hash.split('$').collect::<Vec<_>>()[..] else {
            panic!("{hash}");
        };
        let salt: Vec<u8> = (0..salt.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&salt[at..at + 2], 16).unwrap())
            .collect();
        let mut computed = [0; 32];
        let rounds = rounds.parse().unwrap();
        pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password.as_bytes(), &salt, rounds, &mut computed);
        hash == computed.map(|b| format!("{b:02x}")).concat()
    }

    fn as_student(&self, student: Student, argv: &[&str]) -> Command {
        let mut command = Command::new(argv[0]);
        command.args(&argv[1..]).env(MARK, student.account());
        command
    }
}

#[test]
fn sandbox_accounts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("accounts.json");
    let site = SandboxSite {
        accounts: SandboxAccounts::new(range(), file.clone()),
        file: file.clone(),
    };
    let mut unmarked = Command::new("sleep").arg("100").spawn().unwrap();
    exercise(&site);
    assert!(unmarked.try_wait().unwrap().is_none());
    unmarked.kill().unwrap();
    unmarked.wait().unwrap();
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert!(!fs::read_to_string(&file).unwrap().contains("pass-20"));
}
