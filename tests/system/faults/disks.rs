//! Full and read-only disks: mail is put off, nothing is lost, and it goes on when there is room.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::backend::{Backend, Options, SENDER, SHARE, STATE, STUDENTS, send};
use crate::support::seats::{
    assert_free, assert_taken, assert_tidy, events, shrink_journal, workshop,
};
use crate::support::{on_private_host, sh, wait_for};

/// `wod ingest` as Postfix runs it: exit status and line.
pub fn ingest(subject: &str, workshop: &str) -> (Option<i32>, String) {
    let mut child = Command::new("runuser")
        .args([
            "-u", "wodadmin", "--", "/run/wod", "ingest", "--sender", SENDER,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mail = format!("Subject: {subject}\n\n{workshop}\n");
    // It may have said no, and be gone, before it read anything.
    let _ = child.stdin.take().unwrap().write_all(mail.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn fill(dir: &str) {
    sh(&format!(
        "dd if=/dev/zero of={dir}/.filler bs=64k 2>/dev/null || true; dd if=/dev/zero of={dir}/.filler2 bs=512 2>/dev/null || true"
    ));
}

fn make_room(dir: &str) {
    sh(&format!("rm {dir}/.filler {dir}/.filler2"));
}

#[test]
fn a_full_state_directory_puts_mail_off() {
    on_private_host(|| {
        sh(&format!(
            "mkdir -p {STATE} && mount -t tmpfs -o size=12m,mode=755 state {STATE}"
        ));
        workshop("Half", "range: [1,10]\n", &[]);
        workshop(
            "Slow",
            "range: [1,10]\n",
            &[(
                "create",
                "touch /tmp/runs; while [ ! -e /tmp/go ]; do sleep 0.1; done",
            )],
        );
        let mut backend = Backend::start(Options::default());
        send("CREATE 1 801", "WKSHP-Slow");
        send("CLEANUP 2 802", "WKSHP-Half");
        wait_for(10, "script, and the end of the other one", || {
            let all = backend.actions();
            (all.len() == 2 && all[1]["state"] == "done" && fs::metadata("/tmp/runs").is_ok())
                .then_some(())
        });
        shrink_journal();
        fill(STATE);
        assert_put_off("No space left on device");
        // What runs cannot write down how far it is: that is no fault of the action.
        sh("touch /tmp/go");
        wait_for(15, "failing journal", || {
            backend.log().contains("trying again").then_some(())
        });
        make_room(STATE);
        assert_eq!(ingest("CREATE 3 803", "WKSHP-Half").0, Some(0));
        let all = backend.settled(3);
        assert!(all.iter().all(|a| a["state"] == "done"), "{all:#?}");
        assert_eq!(events(1, "failed"), 0);
        assert_taken(&backend, 1, 801, "WKSHP-Slow");
        assert_taken(&backend, 3, 803, "WKSHP-Half");
        // Full, and killed while it is.
        fill(STATE);
        backend.kill_engine();
        make_room(STATE);
        backend.start_engine();
        send("CREATE 4 804", "WKSHP-Half");
        backend.settled(4);
        assert_taken(&backend, 4, 804, "WKSHP-Half");
        assert_tidy();
    });
}

#[test]
fn a_read_only_state_directory_puts_mail_off() {
    on_private_host(|| {
        // The journal is open for writing, so of a running backend only the spool can turn.
        sh(&format!(
            "mkdir -p {STATE} && mount -t tmpfs -o mode=711 state {STATE} && mkdir {STATE}/spool
             mount -t tmpfs -o mode=700 spool {STATE}/spool"
        ));
        workshop("Half", "range: [1,10]\n", &[]);
        let mut backend = Backend::start(Options::default());
        sh(&format!("mount -o remount,ro {STATE}/spool"));
        assert_put_off("Read-only file system");
        backend.stop_engine();
        sh(&format!("mount -o remount,ro {STATE}"));
        assert_eq!(ingest("CREATE 5 805", "WKSHP-Half").0, Some(75));
        let output = backend.wod(&["serve"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(
            said.lines()
                .last()
                .unwrap()
                .contains("Read-only file system"),
            "{said}"
        );
        sh(&format!(
            "mount -o remount,rw {STATE}; mount -o remount,rw {STATE}/spool"
        ));
        backend.start_engine();
        assert_eq!(ingest("CREATE 5 805", "WKSHP-Half").0, Some(0));
        assert_eq!(backend.settled(1)[0]["state"], "done");
        assert_taken(&backend, 5, 805, "WKSHP-Half");
    });
}

fn assert_put_off(why: &str) {
    let (status, line) = ingest("CREATE 5 805", "WKSHP-Half");
    assert_eq!(status, Some(75), "{line}");
    assert!(line.contains(why), "{line}");
    let reply = send("CREATE 5 805", "WKSHP-Half");
    assert!(
        reply.starts_with("451 ") && reply.contains("send it again"),
        "{reply}"
    );
}

#[test]
fn a_full_disk_of_homes_holds_the_action() {
    on_private_host(|| {
        sh(&format!(
            "mkdir -p {STUDENTS} && mount -t tmpfs -o size=3m,mode=711 homes {STUDENTS}"
        ));
        workshop("Half", "range: [1,10]\n", &[]);
        workshop("Big", "range: [1,10]\n", &[]);
        sh(&format!(
            "head -c 4000000 /dev/zero >{SHARE}/workshops/WKSHP-Big/data"
        ));
        let backend = Backend::start(Options {
            inventory: "WODATTEMPTS: 2\n",
            ..Options::default()
        });
        send("CREATE 1 801", "WKSHP-Half");
        backend.settled(1);
        send("CREATE 2 802", "WKSHP-Big");
        let all = backend.settled(2);
        assert_eq!(all[1]["state"], "held", "{all:#?}");
        let line = all[1]["problem"].as_str().unwrap();
        assert!(
            line.contains("WKSHP-Big") && line.contains("No space left on device"),
            "{line}"
        );
        assert_taken(&backend, 1, 801, "WKSHP-Half");
        // What frees room does not need any.
        send("PURGE 1 801", "VOID");
        assert_eq!(backend.settled(3)[2]["state"], "done");
        sh(&format!("mount -o remount,size=20m {STUDENTS}"));
        assert!(backend.wod(&["actions", "retry", "2"]).status.success());
        wait_for(10, "end of the retried action", || {
            (backend.action(2)["state"] == "done").then_some(())
        });
        assert_taken(&backend, 2, 802, "WKSHP-Big");
        assert_free(&backend, 1);
        assert_tidy();
    });
}
