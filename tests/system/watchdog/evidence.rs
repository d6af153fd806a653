//! Evidence of processes that do their worst to it: it takes neither time nor room without end, tells
//! no secret, and shows nothing that a terminal would obey.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::support::dead_mount::DeadMount;
use crate::support::watched::{POLICY, STATE, SUSPECT, Watched, letters, processes};
use crate::support::{on_private_host, sh, wait_for};

/// One look, at most two minutes of it.
fn look(watched: &Watched) {
    let looked = Command::new("timeout")
        .args(["120", "/run/wod", "watchdog", "--once"])
        .output();
    let looked = looked.unwrap();
    assert!(looked.status.success(), "{looked:?}");
    assert_eq!(processes(watched.uid(1)), Vec::<i32>::new());
}

/// What was kept of student1's end.
fn report(watched: &Watched) -> Value {
    let id = watched.incident(1)["id"].to_string();
    let shown = watched.wod(&["watchdog", "show", &id, "--json"]);
    let mut shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    shown["report"].take()
}

fn described<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["described"].as_array().unwrap();
    let found = all.iter().find(|one| one["process"]["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {all:?}"))
}

fn kept(name: &str) -> std::path::PathBuf {
    Path::new(STATE)
        .join("private/evidence/incident-1")
        .join(name)
}

#[test]
fn a_program_that_claims_terabytes_is_kept_by_its_beginning() {
    on_private_host(|| {
        let watched = Watched::site(POLICY, "");
        let program = watched.copy(1, "xmrig");
        sh(&format!("truncate -s 4T {program}"));
        let mut child = watched.run(1, &program, &["idle"]);
        look(&watched);
        child.wait().unwrap();
        let report = report(&watched);
        let program = &report["programs"][0];
        assert_eq!(program["size"], 4u64 << 40);
        assert_eq!(program["partly"], true);
        assert_eq!(program["sha256"].as_str().unwrap().len(), 64);
        let copy = fs::read(kept("program-0")).unwrap();
        let original = fs::read(SUSPECT).unwrap();
        assert_eq!(copy.len(), 8 << 20);
        assert_eq!(copy[..original.len()], original);
        let bytes: u64 = fs::read_dir(kept(""))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512)
            .sum();
        assert!(bytes < 10 << 20, "{bytes} bytes of evidence");
    });
}

#[test]
fn what_cannot_be_read_keeps_nobody_waiting() {
    on_private_host(|| {
        let watched = Watched::site(POLICY, "");
        let program = watched.copy(1, "xmrig");
        let mut odd = watched.run(1, &program, &["odd"]);
        let cwd = format!("/proc/{}/cwd", odd.id());
        wait_for(10, "directory that is gone", || {
            let at = fs::read_link(&cwd).ok()?;
            at.to_string_lossy()
                .ends_with("/below (deleted)")
                .then_some(())
        });
        look(&watched);
        odd.wait().unwrap();
        let report = report(&watched);
        let one = described(&report, "xmrig");
        let home = watched.home(1).display().to_string();
        assert_eq!(one["process"]["cwd"], format!("{home}/below (deleted)"));
        let files: Vec<&str> = one["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file.as_str().unwrap())
            .collect();
        assert_eq!(files.len(), 64, "of more than 200 descriptors");
        for what in [
            format!("{home}/fifo"),
            format!("{home}/gone (deleted)"),
            "socket:[".into(),
        ] {
            assert!(
                files.iter().any(|file| file.contains(&what)),
                "{what}: {files:?}"
            );
        }
    });
}

#[test]
fn a_file_system_that_answers_never_keeps_nobody_waiting() {
    on_private_host(|| {
        let watched = Watched::site(POLICY, "");
        let at = watched.home(1).join("mount");
        let uid = watched.uid(1);
        sh(&format!("mkdir {0}; chown {uid} {0}", at.display()));
        let Some(mut mount) = DeadMount::new(&at, uid, &fs::read(SUSPECT).unwrap()) else {
            eprintln!("left out: there is no FUSE here");
            return;
        };
        let program = at.join("xmrig").display().to_string();
        let place = at.display().to_string();
        let mut children = [
            watched.run(1, &program, &["idle"]),
            watched.run_as(uid, &place, "/usr/bin/sleep", &["300"]),
        ];
        let exe = format!("/proc/{}/exe", children[0].id());
        wait_for(10, "program from the mount", || {
            (fs::read_link(&exe).ok()? == Path::new(&program)).then_some(())
        });
        mount.die();
        // Nobody gets an answer there any more.
        let asked = Command::new("setpriv")
            .args([
                &format!("--reuid={uid}"),
                &format!("--regid={uid}"),
                "--clear-groups",
            ])
            .args(["timeout", "-s", "KILL", "1", "stat", "-f", &place])
            .output()
            .unwrap();
        assert!(!asked.status.success(), "{asked:?}");
        look(&watched);
        for child in &mut children {
            child.wait().unwrap();
        }
        let report = report(&watched);
        let one = described(&report, "xmrig");
        assert_eq!(one["process"]["exe"]["path"], program);
        assert_eq!(one["program"], Value::Null, "it was opened");
        assert_eq!(described(&report, "sleep")["process"]["cwd"], place);
    });
}

#[test]
fn a_path_that_changes_meanwhile_is_not_what_is_kept() {
    on_private_host(|| {
        let watched = Watched::site(POLICY, "");
        let program = watched.copy(1, "xmrig");
        let mut child = watched.run(1, &program, &["idle"]);
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let path = program.clone();
        let swapping = thread::spawn(move || {
            let other = format!("{path}.new");
            let mut turn = 0u32;
            while !told.load(Ordering::Relaxed) {
                let _ = fs::remove_file(&other);
                match turn % 2 {
                    0 => std::os::unix::fs::symlink("/etc/shadow", &other).unwrap(),
                    _ => fs::write(&other, "honest").unwrap(),
                }
                fs::rename(&other, &path).unwrap();
                turn += 1;
            }
            turn
        });
        look(&watched);
        stop.store(true, Ordering::Relaxed);
        assert!(swapping.join().unwrap() > 100);
        child.wait().unwrap();
        let original = fs::read(SUSPECT).unwrap();
        assert!(
            fs::read(kept("program-0")).unwrap() == original,
            "another file was kept"
        );
        let sum = sh(&format!("sha256sum {SUSPECT}"));
        assert_eq!(report(&watched)["programs"][0]["sha256"], sum[..64]);
    });
}

/// Mode 0111: it can be run, and that is all.
#[test]
fn a_program_that_its_student_cannot_read_is_kept() {
    on_private_host(|| {
        let watched = Watched::site(POLICY, "");
        let program = watched.copy(1, "xmrig");
        sh(&format!("chmod 0111 {program}"));
        let mut child = watched.run(1, &program, &["idle"]);
        look(&watched);
        child.wait().unwrap();
        let sum = sh(&format!("sha256sum {SUSPECT}"));
        let program = &report(&watched)["programs"][0];
        assert_eq!(program["sha256"], sum[..64]);
        assert_eq!(
            fs::read(kept("program-0")).unwrap(),
            fs::read(SUSPECT).unwrap()
        );
    });
}

/// 2 MB of arguments, thousands of threads, as many open files as it may have, and its first thread
/// has ended.
#[test]
fn what_is_large_is_told_in_short() {
    on_private_host(|| {
        let watched = Watched::site(POLICY, "");
        let program = watched.copy(1, "xmrig");
        let long = "w".repeat(120_000);
        let words = [&["large", "9000"][..], &[long.as_str(); 16]].concat();
        let mut child = watched.run(
            1,
            "/bin/sh",
            &[
                &[
                    "-c",
                    "ulimit -Hn 100000; ulimit -s unlimited; exec $0 \"$@\"",
                    &program,
                ][..],
                &words,
            ]
            .concat(),
        );
        let stat = format!("/proc/{}/stat", child.id());
        wait_for(60, "end of its first thread", || {
            fs::read_to_string(&stat)
                .ok()?
                .contains("(ready) Z ")
                .then_some(())
        });
        let task = |what: &str| format!("/proc/{}/task", child.id()) + what;
        let threads = fs::read_dir(task("")).unwrap().count();
        let other = fs::read_dir(task("")).unwrap().nth(1).unwrap().unwrap();
        let files = fs::read_dir(other.path().join("fd")).unwrap().count();
        let began = std::time::Instant::now();
        look(&watched);
        let took = began.elapsed();
        child.wait().unwrap();
        let size = fs::metadata(kept("report.json")).unwrap().len();
        eprintln!("{threads} threads, {files} files: {took:?}, {size} bytes of report");
        assert!(
            threads > 5000 && files > 5000,
            "{threads} threads, {files} files"
        );
        assert!(took.as_secs() < 20, "{took:?}");
        assert!(size < 64 << 10, "{size}");
        let report = report(&watched);
        let one = described(&report, "ready");
        let argv: usize = one["process"]["argv"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap().len())
            .sum();
        assert!((4000..=4096).contains(&argv), "{argv}");
        assert_eq!(one["files"].as_array().unwrap().len(), 64);
    });
}

/// By whatever name the loader is run, and whatever is at the program's path by then.
#[test]
fn what_the_loader_runs_is_kept() {
    on_private_host(|| {
        let watched = Watched::site(POLICY, "");
        let loader = sh("ls /lib*/ld-linux*.so.* | head -1");
        let (plain, other) = (watched.copy(1, "plain"), watched.copy(1, "/tmp/s1/other"));
        let bound = watched.copy(1, "bound");
        // Not the same program twice.
        sh(&format!("echo plain >>{plain}; echo other >>{other}"));
        let line = format!(
            "mount --bind {} {bound}; exec {bound} {other} idle",
            loader.trim()
        );
        let mut children = [
            watched.run(1, loader.trim(), &[&plain, "idle"]),
            watched.run(1, "/usr/bin/unshare", &["-Urm", "/bin/sh", "-c", &line]),
        ];
        let programs = [&plain, &other];
        for (child, program) in children.iter().zip(programs) {
            let maps = format!("/proc/{}/maps", child.id());
            wait_for(20, "loaded program", || {
                fs::read_to_string(&maps)
                    .ok()?
                    .contains(program.as_str())
                    .then_some(())
            });
        }
        let sums = programs.map(|program| sh(&format!("sha256sum {program}"))[..64].to_owned());
        sh(&format!("rm {plain} {other}; ln -s /etc/shadow {plain}"));
        let miner = watched.copy(1, "xmrig");
        let mut miner = watched.run(1, &miner, &["idle"]);
        look(&watched);
        miner.wait().unwrap();
        for child in &mut children {
            child.wait().unwrap();
        }
        let report = report(&watched);
        let kept_as: Vec<u64> = report["described"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|one| one["program"].as_u64())
            .collect();
        assert_eq!(kept_as.len(), 3, "{report:#}");
        for sum in &sums {
            let all = report["programs"].as_array().unwrap();
            let place = all.iter().position(|program| program["sha256"] == *sum);
            let place = place.unwrap_or_else(|| panic!("{sum} is not in {all:?}"));
            assert!(kept_as.contains(&(place as u64)));
            let copy = kept(all[place]["copy"].as_str().unwrap());
            assert_eq!(sh(&format!("sha256sum {}", copy.display()))[..64], *sum);
        }
    });
}

/// A directory of the student's with such a name, and a program in it.
fn place(watched: &Watched, name: &[u8], file: &[u8]) -> OsString {
    let dir = watched.home(1).join(OsStr::from_bytes(name));
    let _ = fs::create_dir(&dir);
    let program = dir.join(OsStr::from_bytes(file));
    fs::copy(SUSPECT, &program).unwrap();
    std::os::unix::fs::chown(&program, Some(watched.uid(1)), None).unwrap();
    program.into_os_string()
}

#[test]
fn nothing_that_is_shown_is_obeyed_and_no_secret_is_told() {
    on_private_host(|| {
        const LONG: usize = 100_000;
        let watched = Watched::site(POLICY, "");
        let miner = place(&watched, b"a\n\x1b]0;owned\x07\xff\xe2\x80\xae", b"xmrig");
        let odd = place(&watched, b"b", b"\x1b[31m\n\x9b\xff");
        let long = place(&watched, &[b'n'; 255], &[b'm'; 255]);
        let mut children = Vec::new();
        for program in [&miner, &odd, &long] {
            let words: [&[u8]; 5] = [b"idle", b"1\n2", b"\x1b[2J", b"\xff\xfe\x9b", &[b'w'; LONG]];
            let uid = watched.uid(1);
            let mut command = Command::new("setpriv");
            command.args([
                &format!("--reuid={uid}"),
                &format!("--regid={uid}"),
                "--clear-groups",
            ]);
            command.arg(program).args(words.map(OsStr::from_bytes));
            command
                .env_clear()
                .env("TOKEN", "hunter2")
                .env("MULTI", "x\nLINE=hunter2\n");
            command
                .env("EMPTY", "")
                .env(OsStr::from_bytes(b"\x1b[5mBLINK\xff"), "hunter2");
            command.env("N".repeat(4096), "hunter2");
            children.push(command.current_dir("/").spawn().unwrap());
        }
        // A directory whose name is longer than any call can tell.
        let deep = format!(
            "cd {}; for i in $(seq 20); do mkdir {name}; cd {name}; done; exec sleep 300",
            watched.home(1).display(),
            name = "d".repeat(250)
        );
        sh(&format!(
            "chown {0}:{0} {1}",
            watched.uid(1),
            watched.home(1).display()
        ));
        children.push(watched.run(1, "/bin/bash", &["-c", &deep]));
        for child in &children {
            let stat = format!("/proc/{}/stat", child.id());
            wait_for(20, "sleep", || {
                let comm = fs::read(format!("/proc/{}/comm", child.id())).ok()?;
                let is_begun = comm != b"setpriv\n" && comm != b"bash\n";
                let text = String::from_utf8_lossy(&fs::read(&stat).ok()?).into_owned();
                (is_begun && text.contains(") S ")).then_some(())
            });
        }
        look(&watched);
        for child in &mut children {
            child.wait().unwrap();
        }

        let id = watched.incident(1)["id"].to_string();
        let shown = watched.wod(&["watchdog", "show", &id]).stdout;
        let listed = watched.wod(&["watchdog", "list"]).stdout;
        let shown = String::from_utf8(shown).unwrap();
        let letters = letters();
        let harmless = |text: &str| {
            let is_bad = |c: &char| *c != '\n' && (c.is_control() || *c == '\u{202e}');
            assert_eq!(text.chars().find(is_bad), None, "{text}");
        };
        harmless(&shown);
        harmless(&String::from_utf8(listed).unwrap());
        for letter in &letters {
            harmless(&letter.body);
            harmless(&letter.subject);
            assert!(!letter.subject.contains('\n'));
        }
        for what in ["1\\u{a}2", "\\u{1b}[2J", "TOKEN", "MULTI", "BLINK", "EMPTY"] {
            assert!(shown.contains(what), "{what} is not in {shown}");
        }
        // Long things have an end.
        assert!(!shown.contains(&"w".repeat(4097)) && !shown.contains(&"N".repeat(300)));
        assert!(shown.lines().all(|line| line.len() < 10_000));

        // No value, in nothing that was written anywhere.
        assert!(!shown.contains("hunter2") && !shown.contains("LINE"));
        let everywhere = sh(&format!(
            "grep -rla hunter2 {STATE} /run/watchdog.log 2>/dev/null || true; ls {STATE}/private/evidence/incident-1"
        ));
        assert_eq!(everywhere.lines().next(), Some("program-0"), "{everywhere}");
        assert!(everywhere.contains("report.json"));
    });
}

/// What a program with root's setuid bit does, root's program does: it is not judged, and what the
/// student started ends with the seat. What is root's altogether is root's.
#[test]
fn what_became_roots_is_not_judged_and_what_is_roots_is_not_touched() {
    on_private_host(|| {
        let watched = Watched::site(POLICY, "");
        let helper = "/run/suspect/xmrig";
        sh(&format!("cp {SUSPECT} {helper}; chmod 4755 {helper}"));
        let mut half = watched.run(1, helper, &["idle"]);
        let mut whole = watched.run(1, helper, &["ids", "0", "0", "0"]);
        let mut roots = watched.run_as(0, "/", helper, &["idle"]);
        let uids = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
            let all = line.unwrap_or_default().split_whitespace();
            all.map(|uid| uid.parse().unwrap()).collect::<Vec<u32>>()
        };
        let own = watched.uid(1);
        wait_for(10, "other uids", || {
            (uids(half.id()) == [own, 0, 0, 0] && uids(whole.id()) == [0; 4]).then_some(())
        });
        let looked = watched.wod(&["watchdog", "--once", "--json"]);
        assert!(looked.status.success());
        assert_eq!(String::from_utf8(looked.stdout).unwrap(), "");
        assert_eq!(watched.incidents(), Vec::<Value>::new());
        assert!(half.try_wait().unwrap().is_none());

        let miner = watched.copy(1, "xmrig");
        let mut miner = watched.run(1, &miner, &["idle"]);
        look(&watched);
        miner.wait().unwrap();
        half.wait().unwrap();
        for child in [&mut whole, &mut roots] {
            let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            assert!(stat.contains(") S "), "{stat}");
            child.kill().unwrap();
            child.wait().unwrap();
        }
    });
}
