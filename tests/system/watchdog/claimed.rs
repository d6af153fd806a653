//! Programs on file systems of a student's own that say the program is root's: each is judged as the
//! student's.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::support::dead_mount::{Claim, DeadMount};
use crate::support::watched::{POLICY, SUSPECT, Watched, without_windows};
use crate::support::{among_all_processes, on_private_host, sh, wait_for};

const DISGUISE: &str = "python -m ipykernel_launcher -f k.json";

fn place(watched: &Watched, student: u32, name: &str) -> PathBuf {
    let at = watched.home(student).join(name);
    sh(&format!(
        "mkdir {0}; chown {1}:{1} {0}",
        at.display(),
        watched.uid(student)
    ));
    at
}

/// The suspect, by that name, on a mount of the student's. None where there is no FUSE.
fn served(
    watched: &Watched,
    student: u32,
    name: &str,
    claim: Claim,
) -> Option<(DeadMount, PathBuf)> {
    let at = place(watched, student, "mount");
    let program = fs::read(SUSPECT).unwrap();
    let mount = DeadMount::claiming(&at, watched.uid(student), name, &program, claim);
    if mount.is_none() {
        eprintln!("left out: there is no FUSE here");
    }
    Some((mount?, at.join(name)))
}

/// Its end comes by that rule.
fn is_stopped(watched: &Watched, student: u32, rule: &str, mut child: Child) -> Value {
    watched.gone(student, Instant::now());
    child.wait().unwrap();
    let incident = watched.incident(student);
    let found = incident["findings"].as_array().unwrap();
    assert!(found.iter().any(|f| f["rule"] == rule), "{incident}");
    incident
}

fn words(program: &Path) -> String {
    program.display().to_string()
}

#[test]
fn a_program_that_only_its_server_calls_roots_is_the_students() {
    among_all_processes(|| {
        let watched = Watched::start(POLICY, "");
        // Root's own python would only be worth a line.
        let Some((_mount, program)) = served(&watched, 1, "python3", Claim::Root) else {
            return;
        };
        let claimed = sh(&format!("stat -c %u {}", program.display()));
        assert_eq!(claimed.trim(), "0", "it does not say so");
        let child = watched.run(1, &words(&program), &["burn"]);
        is_stopped(&watched, 1, "student-cpu", child);
    });
}

/// Everything is looked at once an hour: only the exec itself can tell.
#[test]
fn it_is_the_students_at_its_exec() {
    among_all_processes(|| {
        let stop = "responses: {rules: {disguise: {suspicious: stop-process}}}\n";
        let policy = format!("{}{stop}", without_windows());
        let watched = Watched::start(&policy, "WODWATCHINTERVAL: 3600");
        let Some((_mount, program)) = served(&watched, 1, "tool", Claim::Root) else {
            return;
        };
        // The first time, and when it is known.
        for turn in 1..=2 {
            let uid = watched.uid(1);
            let mut command = Command::new(&program);
            command.arg0("bash").arg("idle").uid(uid).gid(uid);
            command.stdin(Stdio::null()).current_dir("/");
            command.spawn().unwrap().wait().unwrap();
            wait_for(10, "incident", || {
                (watched.incidents().len() == turn).then_some(())
            });
        }
        assert_eq!(watched.incidents()[0]["findings"][0]["rule"], "disguise");
    });
}

/// Its path is what it likes, then; no table has its mount.
#[test]
fn a_mount_that_is_in_no_table_is_no_memory_of_the_hosts() {
    among_all_processes(|| {
        let mut watched = Watched::site(&without_windows(), "");
        let Some((mut mount, program)) = served(&watched, 1, "memfd:x", Claim::Root) else {
            return;
        };
        let child = watched.run(1, &words(&program), &["disguised", DISGUISE]);
        let exe = format!("/proc/{}/exe", child.id());
        wait_for(10, "program", || {
            (fs::read_link(&exe).ok()? == program).then_some(())
        });
        sh(&format!(
            "umount -l {}",
            watched.home(1).join("mount").display()
        ));
        mount.die();
        assert_eq!(fs::read_link(&exe).unwrap(), Path::new("/memfd:x"));
        watched.start_watchdog();
        let incident = is_stopped(&watched, 1, "disguise", child);
        let id = incident["id"].to_string();
        let shown = watched.wod(&["watchdog", "show", &id, "--json"]);
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(shown["report"]["described"][0]["program"], Value::Null);
    });
}

/// In a namespace of their own students mount overlays over what they serve: the kernel asks the
/// server in the student's name, whoever may look in.
#[test]
fn an_overlay_of_the_students_says_what_is_below_it() {
    among_all_processes(|| {
        let mut watched = Watched::site(&without_windows(), "");
        let Some((mut mount, program)) = served(&watched, 1, "tool", Claim::RootUnseen) else {
            return;
        };
        place(&watched, 1, "empty");
        let merged = place(&watched, 1, "merged");
        let line = format!(
            "stat {0}/mount; mount -t overlay -o lowerdir={0}/mount:{0}/empty none {1} && exec {1}/tool disguised '{DISGUISE}'",
            watched.home(1).display(),
            merged.display(),
        );
        let mut child = watched.run(1, "/usr/bin/unshare", &["-Urm", "sh", "-c", &line]);
        let exe = format!("/proc/{}/exe", child.id());
        let is_there = wait_for(20, "program", || {
            if child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            let at = fs::read_link(&exe).ok()?;
            (at.file_name() == program.file_name()).then_some(true)
        });
        if !is_there {
            eprintln!("left out: a student cannot mount an overlay here");
            return;
        }
        let claimed = sh(&format!("stat -Lc %u {exe}"));
        assert_eq!(claimed.trim(), "0", "it does not say so");
        mount.die();
        watched.start_watchdog();
        is_stopped(&watched, 1, "disguise", child);
    });
}

/// What the host mounted is believed, devices or not.
#[test]
fn what_root_mounted_is_still_roots() {
    on_private_host(|| {
        let watched = Watched::site(&without_windows(), "");
        sh(&format!("cp {SUSPECT} /run/tool; cp {SUSPECT} /var/tool"));
        let mut children = Vec::new();
        for program in ["/run/tool", "/var/tool"] {
            children.push(watched.run(1, program, &["disguised", DISGUISE]));
        }
        // The second as in its unit, with mounts of its own.
        for below in [&["env"][..], &["unshare", "-m"][..]] {
            let words = [below, &["/run/wod", "watchdog", "--once", "--json"]].concat();
            let looked = Command::new(words[0]).args(&words[1..]).output().unwrap();
            assert!(looked.status.success(), "{looked:?}");
            // On a busy machine they have computed for a while by then, as root's programs may.
            let said = String::from_utf8(looked.stdout).unwrap();
            let mut other = said.lines().filter(|line| !line.contains("process-cpu"));
            assert_eq!(other.next(), None, "{below:?}");
        }
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    });
}
