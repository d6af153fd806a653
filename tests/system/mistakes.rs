//! What operators get wrong: directories that cannot be what they are to be, disks without what
//! a backend needs, a clock that is set back. One clear line, nothing lost, and it goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::faults::disks::ingest;
use crate::support::backend::{Backend, Options, SHARE, STATE, STUDENTS, send};
use crate::support::client::{Envelope, by_pipe, by_smtp};
use crate::support::seats::{assert_free, assert_taken, assert_tidy, events, workshop};
use crate::support::{on_private_host, sh, wait_for};

/// Exit status and last line of a `wod serve` that is not to start.
fn refused(words: &[&str]) -> String {
    let output = Command::new("timeout")
        .args(["120", "/run/wod"])
        .args(words)
        .arg("serve")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{words:?}: {text}");
    let mut lines = text.lines().filter(|line| !line.contains(" INFO "));
    let line = lines.next().unwrap_or_default().to_owned();
    assert_eq!(lines.next(), None, "{text}");
    line
}

fn problem(backend: &Backend, id: i64) -> String {
    backend.action(id)["problem"].as_str().unwrap().to_owned()
}

#[test]
fn directories_that_cannot_be_used() {
    on_private_host(|| {
        workshop("Half", "range: [1,10]\n", &[]);
        let mut backend = Backend::start(Options::default());
        send("CREATE 1 801", "WKSHP-Half");
        backend.settled(1);
        backend.stop_engine();
        sh(
            "touch /tmp/file; mkdir -m 777 /tmp/open; mkdir -m 1777 /tmp/sticky; mkdir /tmp/foreign
            chown wodadmin /tmp/foreign",
        );
        for (set, said) in [
            (
                "WODSTUDDIR=/",
                "WODSTUDDIR / is the whole machine; give the homes a directory of their own",
            ),
            (
                "WODSTUDDIR=/tmp/..",
                "WODSTUDDIR /tmp/.. is the whole machine",
            ),
            (
                "WODSTUDDIR=/tmp/file",
                "WODSTUDDIR /tmp/file is not a directory; make it, or set another one",
            ),
            (
                "WODSTUDDIR=/tmp/open",
                "WODSTUDDIR /tmp/open may be written by everybody (mode 777)",
            ),
            ("WODSTUDDIR=/tmp/sticky", "run chmod o-w /tmp/sticky"),
            (
                "WODSTATEDIR=/var/student/state/of/wod",
                "WODSTATEDIR /var/student/state/of/wod lies in WODSTUDDIR /var/student, among the homes",
            ),
            (
                "WODSTATEDIR=/tmp/foreign",
                "WODSTATEDIR /tmp/foreign belongs to uid ",
            ),
            ("WODSTATEDIR=/tmp/file", "/tmp/file"),
        ] {
            let line = refused(&["-e", set]);
            assert!(
                line.starts_with("wod: ") && line.contains(said),
                "{set}: {line}"
            );
        }
        // A link that the admin made is his, and modes of our own are mended.
        sh(&format!(
            "mv {STUDENTS} /var/homes; ln -s /var/homes {STUDENTS}; chmod -R a+rwX {STATE}"
        ));
        backend.start_engine();
        let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(STATE), 0o711);
        assert_eq!(mode(&format!("{STATE}/private")), 0o700);
        assert_eq!(mode(&format!("{STATE}/private/journal.db")), 0o600);
        send("CREATE 2 802", "WKSHP-Half");
        backend.settled(2);
        assert_taken(&backend, 1, 801, "WKSHP-Half");
        assert_taken(&backend, 2, 802, "WKSHP-Half");
    });
}

#[test]
fn notebooks_that_are_gone() {
    on_private_host(|| {
        workshop("Half", "range: [1,10]\n", &[]);
        let mut backend = Backend::start(Options::default());
        backend.stop_engine();
        sh(&format!("mv {SHARE}/workshops {SHARE}/away"));
        backend.start_engine();
        let log = backend.log();
        let said = "the workshops in WODNOBO cannot be listed: cannot open /var/share/workshops";
        assert!(
            log.lines()
                .any(|line| line.contains(" WARN ") && line.contains(said)),
            "{log}"
        );
        // The gate has its policy of before: what it lets in waits.
        let reply = send("CREATE 1 801", "WKSHP-Half");
        assert!(reply.starts_with("250"), "{reply}");
        wait_for(10, "failed attempt", || {
            (events(1, "failed") > 0).then_some(())
        });
        sh(&format!("mv {SHARE}/away {SHARE}/workshops"));
        backend.settled(1);
        assert_taken(&backend, 1, 801, "WKSHP-Half");
    });
}

#[test]
fn filesystems_without_acl_or_programs() {
    on_private_host(|| {
        workshop("Half", "range: [1,10]\n", &[]);
        let mut backend = Backend::start(Options::default());
        backend.stop_engine();
        for (dir, said) in [
            (STUDENTS, "WODSTUDDIR /var/student cannot hold homes: "),
            (STATE, "the spool cannot be opened to the intake: "),
        ] {
            sh(&format!("mount -t ramfs -o mode=711 ram {dir}"));
            let line = refused(&[]);
            assert!(
                line.contains(said)
                    && line.ends_with("the file system has no ACL support; mount it with acl"),
                "{line}"
            );
            sh(&format!("umount {dir}"));
        }
        sh(&format!(
            "mount -t tmpfs -o noexec,mode=711 homes {STUDENTS}"
        ));
        backend.start_engine();
        assert!(
            backend
                .log()
                .contains("WODSTUDDIR /var/student is mounted noexec: participants cannot"),
            "{}",
            backend.log()
        );
        send("CREATE 1 801", "WKSHP-Half");
        assert_eq!(backend.settled(1)[0]["state"], "done");
        assert_taken(&backend, 1, 801, "WKSHP-Half");
    });
}

#[test]
fn disks_that_are_out_of_inodes() {
    on_private_host(|| {
        sh(&format!(
            "mkdir -p {STUDENTS} {STATE}
             mount -t tmpfs -o nr_inodes=30,mode=711 homes {STUDENTS}
             mount -t tmpfs -o nr_inodes=400,mode=711 state {STATE}"
        ));
        workshop("Half", "range: [1,10]\n", &[]);
        workshop("Many", "range: [1,10]\n", &[]);
        sh(&format!(
            "for n in $(seq 40); do echo >{SHARE}/workshops/WKSHP-Many/$n; done"
        ));
        let backend = Backend::start(Options {
            inventory: "WODATTEMPTS: 2\n",
            ..Options::default()
        });
        send("CREATE 1 801", "WKSHP-Half");
        backend.settled(1);
        assert_taken(&backend, 1, 801, "WKSHP-Half");
        send("CREATE 2 802", "WKSHP-Many");
        assert_eq!(backend.settled(2)[1]["state"], "held");
        let line = problem(&backend, 2);
        assert!(line.contains("No space left on device"), "{line}");
        sh(&format!("mount -o remount,nr_inodes=4000 {STUDENTS}"));
        assert!(backend.wod(&["actions", "retry", "2"]).status.success());
        wait_for(10, "end of the retried action", || {
            (backend.action(2)["state"] == "done").then_some(())
        });
        // The spool's disk.
        sh(&format!(
            "mkdir {STATE}/fill; n=0; while : >{STATE}/fill/$n; do n=$((n+1)); done 2>/dev/null || true"
        ));
        let mail = b"Subject: CREATE 3 803\n\nWKSHP-Half\n";
        let answer = by_smtp(Envelope::default(), mail);
        assert_eq!(answer.code, 451, "{answer:?}");
        assert!(
            answer.line.contains("No space left on device"),
            "{answer:?}"
        );
        let (status, line) = ingest("CREATE 3 803", "WKSHP-Half");
        assert_eq!(status, Some(75), "{line}");
        assert!(line.contains("No space left on device"), "{line}");
        sh(&format!("rm -r {STATE}/fill"));
        assert_eq!(by_pipe(Envelope::default(), mail).code, 0);
        let all = backend.settled(3);
        assert_eq!(all.len(), 3);
        assert_taken(&backend, 3, 803, "WKSHP-Half");
        assert_tidy();
    });
}

const CLOCK: &str = "/run/clock";

fn library() -> Option<String> {
    let found = sh("ls /usr/lib/*/faketime/libfaketimeMT.so.1 2>/dev/null || true");
    found.lines().next().map(str::to_owned)
}

/// The kernel's clock, by which files are dated, is not the engine's here: what the intake is writing
/// can look like something that was given up long ago.
fn until_taken(subject: &str, body: &str) {
    wait_for(10, "mail that is taken", || {
        send(subject, body).starts_with("250").then_some(())
    });
}

/// Two days back, while actions wait for a moment that is two days away now.
#[test]
fn a_clock_that_is_set_back() {
    on_private_host(|| {
        let library = library().expect("libfaketime; run sys/prepare.sh test");
        fs::write(CLOCK, "+2d").unwrap();
        let until = "[ -e /tmp/mended ] || exit 1";
        workshop("Half", "range: [1,10]\n", &[]);
        workshop("Idle", "range: [1,40]\nreset: false\n", &[]);
        workshop("Fail", "range: [1,10]\n", &[("create", until)]);
        let clock = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", CLOCK),
            ("FAKETIME_NO_CACHE", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
        ];
        let mut backend = Backend::start(Options {
            inventory: "WODRETRYSECONDS: 4\nWODGUARDSECONDS: 4\nWODTRASHHOURS: 0.0005\n",
            ..Options::default()
        });
        backend.stop_engine();
        backend.start_engine_with(&clock);
        for (student, participant) in [(1, 801), (2, 802), (3, 803)] {
            until_taken(&format!("CREATE {student} {participant}"), "WKSHP-Half");
        }
        until_taken("RESET 20 0", "WKSHP-Idle");
        backend.settled(4);
        until_taken("PURGE 1 801", "VOID");
        until_taken("CREATE 5 805", "WKSHP-Fail");
        wait_for(10, "failed attempt", || {
            (events(6, "failed") >= 1).then_some(())
        });
        fs::write(CLOCK, "+0").unwrap();
        sh("touch /tmp/mended");
        let all = wait_for(20, "end of what waited", || {
            let all = backend.actions();
            let done = |id: usize| all[id - 1]["state"] == "done";
            (done(5) && done(6)).then_some(all)
        });
        assert_eq!(all.len(), 6);
        assert_taken(&backend, 5, 805, "WKSHP-Fail");
        assert_free(&backend, 1);
        assert!(
            backend.log().contains("the clock was set back by 172"),
            "{}",
            backend.log()
        );
        // The same wish is a new one after two days that nobody has seen, and a duplicate then.
        send("RESET 20 0", "WKSHP-Idle");
        send("RESET 20 0", "WKSHP-Idle");
        backend.settled(7);
        thread::sleep(Duration::from_secs(1));
        assert_eq!(backend.settled(7).len(), 7);
        // Back again while no engine looks.
        fs::write(CLOCK, "+2d").unwrap();
        sh("rm /tmp/mended");
        until_taken("CREATE 6 806", "WKSHP-Fail");
        wait_for(10, "failed attempt", || {
            (events(8, "failed") >= 1).then_some(())
        });
        backend.kill_engine();
        fs::write(CLOCK, "+0").unwrap();
        sh("touch /tmp/mended");
        backend.start_engine_with(&clock);
        wait_for(20, "end of what waited", || {
            (backend.action(8)["state"] == "done").then_some(())
        });
        // What is in the trash has a date of the future: it gets another one, and goes.
        for student in [2, 3] {
            send(&format!("CLEANUP {student} 80{student}"), "WKSHP-Half");
            thread::sleep(Duration::from_secs(3));
        }
        backend.settled(10);
        let log = backend.log();
        assert!(!log.contains("panicked"), "{log}");
        send("CLEANUP 5 805", "WKSHP-Half");
        wait_for(20, "trash without homes of the future", || {
            let trash = fs::read_dir(format!("{STUDENTS}/.wod/trash")).unwrap();
            let old = trash.filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_string_lossy().starts_with("student1.")
            });
            (old.count() == 0).then_some(())
        });
    });
}
