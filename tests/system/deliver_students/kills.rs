//! A run that is killed right before each of its effects on the account files.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{checked, deliver, proper_accounts, quiet_site};
use crate::support::tracer::{Point, Tracer};
use crate::support::{on_private_host, patience, sh};

const FILES: [&str; 4] = ["passwd", "shadow", "group", "gshadow"];

/// A run under the tracer, killed at that point if it comes to it; how many effects it had.
fn run(args: &[&str], before: usize) -> (bool, usize) {
    let words = args.join(" ");
    let mut deliver = Command::new("/bin/sh")
        .args([
            "-c",
            &format!("kill -STOP $$; exec /run/wod deliver --tags students {words}"),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stat = format!("/proc/{}/stat", deliver.id());
    while !fs::read_to_string(&stat).unwrap().contains(") T ") {
        std::thread::sleep(Duration::from_millis(2));
    }
    let point = Point { thread: 0, before };
    let tracer = Tracer::attach(deliver.id(), Some(point));
    assert!(tracer.has_ended(patience(60)), "deliver does not end");
    let effects = tracer
        .finish()
        .into_iter()
        .filter(|e| e.point.thread == 0)
        .count();
    let status = deliver.wait().unwrap();
    (status.code().is_none(), effects)
}

/// Nobody is in passwd without a locked entry in shadow, and all others are as they were.
fn sound(foreign: &[String]) {
    for (file, foreign) in FILES.iter().zip(foreign) {
        let text = fs::read_to_string(format!("/etc/{file}")).unwrap();
        let others: String = text
            .lines()
            .filter(|l| !l.starts_with("student"))
            .map(|l| format!("{l}\n"))
            .collect();
        assert_eq!(&others, foreign, "/etc/{file}");
        assert!(text.ends_with('\n'));
    }
    let shadow = fs::read_to_string("/etc/shadow").unwrap();
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    for line in passwd.lines().filter(|line| line.starts_with("student")) {
        let name = line.split(':').next().unwrap();
        let locked = format!("{name}:!*:");
        assert!(
            shadow.lines().any(|line| line.starts_with(&locked)),
            "{name} is in passwd only"
        );
    }
    assert!(sh("getent passwd root").starts_with("root:x:0:0:"));
}

fn foreign() -> Vec<String> {
    FILES
        .map(|file| fs::read_to_string(format!("/etc/{file}")).unwrap())
        .to_vec()
}

fn each_kill(args: &[&str], again: &dyn Fn(), foreign: &[String], ends: &dyn Fn()) -> usize {
    let mut kills = 0;
    // All of them take ten minutes: see `make matrix`.
    let step = if std::env::var_os("WOD_MATRIX").is_some() {
        1
    } else {
        6
    };
    for before in (0..).step_by(step) {
        again();
        let (killed, effects) = run(args, before);
        sound(foreign);
        ends();
        if !killed {
            assert!(effects > 10, "only {effects} effects were seen");
            return kills;
        }
        kills += 1;
    }
    kills
}

#[test]
fn the_account_files_are_whole_whenever_a_run_is_killed() {
    on_private_host(|| {
        let backend = quiet_site("WODUSERMAX: 12");
        let (foreign, before) = (foreign(), checked());
        // As on a host without it: what is killed is our own change of the files.
        sh("mount --bind /dev/null \"$(command -v systemd-sysusers)\"");
        sh("mkdir /run/old; cp -p /etc/passwd /etc/shadow /etc/group /etc/gshadow /run/old");
        let none = || drop(sh("cp -p /run/old/* /etc/"));
        let all = || {
            let run = deliver(&backend, &[]);
            assert_eq!(run.status, 0, "{}", run.said);
            assert_eq!(proper_accounts(), 12);
            assert_eq!(checked(), before);
        };
        let made = each_kill(&[], &none, &foreign, &all);
        let fewer = ["-e", "WODUSERMAX=3"];
        let three = || {
            let run = deliver(&backend, &fewer);
            assert_eq!(run.status, 0, "{}", run.said);
            assert_eq!(proper_accounts(), 3);
            assert_eq!(checked(), before);
        };
        all();
        let removed = each_kill(
            &fewer,
            &|| {
                let run = deliver(&backend, &["-e", "WODUSERMAX=6"]);
                assert_eq!(run.status, 0, "{}", run.said);
            },
            &foreign,
            &three,
        );
        println!(
            "killed {made} times while accounts were made, {removed} times while some were removed"
        );
        assert!(made > 15 && removed > 15, "{made}, {removed}");
    });
}
