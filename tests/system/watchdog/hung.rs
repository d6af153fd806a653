//! A process that waits for an answer of a file system of the student's own cannot be killed, whoever
//! serves it: the watchdog cuts the file system off, and tells what hangs where it cannot.

use std::fs;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use crate::support::dead_mount::DeadMount;
use crate::support::watched::{POLICY, SUSPECT, Watched, letters, processes};
use crate::support::{on_private_host, sh, wait_for};

/// The kernel's list is one for all private hosts: this one is no other test's.
const ALONE: u32 = 39;

/// A miner of the student's that nothing but the end of the file system ends. None where there is no
/// FUSE.
fn hang(watched: &Watched, student: u32) -> Option<(DeadMount, Child)> {
    let at = watched.home(student).join("mount");
    let uid = watched.uid(student);
    sh(&format!("mkdir {0}; chown {uid} {0}", at.display()));
    let Some(mut mount) = DeadMount::new(&at, uid, &fs::read(SUSPECT).unwrap()) else {
        eprintln!("left out: there is no FUSE here");
        return None;
    };
    let program = at.join("xmrig").display().to_string();
    // It answers at first: who waits for its greeting can be killed.
    let asked = watched.run(student, "/usr/bin/stat", &[&program]).wait();
    assert!(asked.unwrap().success());
    mount.swallow();
    let miner = watched.copy(student, "xmrig");
    sh(&format!("cp /usr/bin/cat {miner}"));
    let miner = watched.run(student, &miner, &[&program]);
    wait_for(10, "question", || (mount.swallowed() > 0).then_some(()));
    Some((mount, miner))
}

#[test]
fn what_waits_for_a_file_system_of_the_students_is_ended() {
    on_private_host(|| {
        let watched = Watched::site(POLICY, "");
        sh("mount -t fusectl none /sys/fs/fuse/connections");
        let Some((_mount, mut miner)) = hang(&watched, ALONE) else {
            return;
        };
        let looked = Command::new("timeout")
            .args(["120", "/run/wod", "watchdog", "--once"])
            .output()
            .unwrap();
        assert!(looked.status.success(), "{looked:?}");
        assert_eq!(processes(watched.uid(ALONE)), Vec::<i32>::new());
        let incident = watched.incident(ALONE);
        assert!(
            incident["latency_ms"].as_f64().unwrap() < 20_000.0,
            "{incident}"
        );
        miner.wait().unwrap();
    });
}

#[test]
fn what_cannot_be_ended_is_told_while_it_is_tried() {
    on_private_host(|| {
        let mut watched = Watched::site(POLICY, "");
        // Nobody has mounted the kernel's list.
        let Some((_mount, mut miner)) = hang(&watched, 1) else {
            return;
        };
        watched.start_watchdog_with(&[]);
        let told = wait_for(30, "line about what hangs", || {
            let open = watched.journal().open_incidents().unwrap();
            let done = open.first()?.done.iter();
            let mut told = done.filter(|line| line.contains("still has processes"));
            told.next().cloned()
        });
        let hanging = format!("process {} (xmrig), which hangs in ", miner.id());
        assert!(told.contains(&hanging), "{told}");
        let shown = watched.wod(&["watchdog", "show", "1"]).stdout;
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains("answer       stop-seat, begun"), "{shown}");
        assert!(shown.contains(&hanging), "{shown}");
        wait_for(60, "letter", || (letters().len() == 1).then_some(()));
        let body = &letters()[0].body;
        assert!(body.contains(&hanging), "{body}");
        assert!(
            body.contains("the seat stays closed until PURGE has"),
            "{body}"
        );
        // It is seen at every look, and is nothing new.
        thread::sleep(Duration::from_secs(3));
        assert_eq!((letters().len(), watched.incidents().len()), (1, 1));
        // As a job of cron's would come: it is killed, and told no more.
        let late = watched.copy(1, "late");
        let mut late = watched.run(1, &late, &["idle"]);
        wait_for(20, "end of what came later", || late.try_wait().unwrap());
        assert_eq!((letters().len(), watched.incidents().len()), (1, 1));
        sh(&format!(
            "umount -fl {}",
            watched.home(1).join("mount").display()
        ));
        assert_eq!(watched.incident(1)["state"], "done");
        assert_eq!(processes(watched.uid(1)), Vec::<i32>::new());
        miner.wait().unwrap();
    });
}

/// A process whose memory nobody can read. None where there is no FUSE.
fn lock_memory(watched: &Watched, student: u32, name: &str) -> Option<(DeadMount, Child)> {
    let home = watched.home(student);
    let (at, uid) = (home.join("mount"), watched.uid(student));
    sh(&format!("mkdir {0}; chown {uid} {0}", at.display()));
    let Some(mut mount) = DeadMount::new(&at, uid, &fs::read(SUSPECT).unwrap()) else {
        eprintln!("left out: there is no FUSE here");
        return None;
    };
    let program = watched.copy(student, name);
    let file = at.join("xmrig").display().to_string();
    let child = watched.run(student, &program, &["locked", &file]);
    wait_for(10, "mapped file", || {
        home.join("mapped").exists().then_some(())
    });
    mount.swallow();
    fs::write(home.join("go"), "").unwrap();
    wait_for(10, "question", || (mount.swallowed() > 0).then_some(()));
    wait_for(10, "locked memory", || {
        let mut asked = Command::new("timeout");
        asked.args(["-s", "KILL", "0.5", "cat"]);
        asked.arg(format!("/proc/{}/cmdline", child.id()));
        (!asked.output().unwrap().status.success()).then_some(())
    });
    Some((mount, child))
}

#[test]
fn memory_that_nobody_can_read_keeps_nobody_waiting() {
    on_private_host(|| {
        let mut watched = Watched::site(POLICY, "");
        sh("mount -t fusectl none /sys/fs/fuse/connections");
        let Some((_mount, mut locked)) = lock_memory(&watched, ALONE, "xmrig") else {
            return;
        };
        watched.start_watchdog_with(&[]);
        let miner = watched.copy(2, "xmrig");
        let mut miner = watched.run(2, &miner, &["idle"]);
        wait_for(15, "end of another student's miner", || {
            processes(watched.uid(2)).is_empty().then_some(())
        });
        miner.wait().unwrap();
        wait_for(15, "end of what hid its memory", || {
            processes(watched.uid(ALONE)).is_empty().then_some(())
        });
        locked.wait().unwrap();
    });
}
