//! What is kept of runs.

use std::process::Command;

use super::{appears, deliver, history, program, site, start, states};
use crate::deliver_students::{self, wod};
use crate::support::backend::PROGRAM;
use crate::support::sink::{MONITOR, Sink};
use crate::support::{on_private_host, sh};

#[test]
fn runs_are_kept_with_what_they_did() {
    on_private_host(|| {
        let backend = site("");
        let none = backend.wod(&["deliver", "history"]);
        assert_eq!(
            String::from_utf8_lossy(&none.stdout),
            "no run of wod deliver is kept here\n"
        );
        assert_eq!(deliver_students::deliver(&backend, &[]).status, 0);
        program("10-bad", "echo first; echo last; exit 1");
        assert_eq!(deliver(&backend, &[]).status, 2);
        assert_eq!(deliver(&backend, &["--check"]).status, 0);
        program("10-bad", "touch /tmp/begun; sleep 321");
        let mut run = start();
        appears("/tmp/begun");
        assert_eq!(states(&backend), ["running", "failed", "done"]);
        // One at a time, and what nobody typed does not complain.
        assert_eq!(deliver(&backend, &[]).status, 4);
        let timer = backend.wod(&["deliver", "--by", "timer"]);
        assert!(timer.status.success());
        assert!(String::from_utf8_lossy(&timer.stdout).contains("is on its way"));
        run.kill().unwrap();
        run.wait().unwrap();
        assert_eq!(states(&backend), ["killed", "failed", "done"]);

        let all = history(&backend);
        assert_eq!(all[2]["by"], "root");
        assert_eq!(all[2]["tags"], serde_json::json!(["students"]));
        assert_eq!(all[2]["recap"]["total"]["changed"], 1);
        let text = |run: &str| {
            let output = backend.wod(&["deliver", "history", "show", run]);
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(
            text("1").contains("40 accounts made: student1 to student40"),
            "{}",
            text("1")
        );
        let failed = text("2");
        assert!(
            failed.contains("program 10-bad: failed (exit 1): last\n    | first\n    | last\n"),
            "{failed}"
        );
        assert!(
            failed.contains("private   ok=0 changed=0 failed=1 skipped=0"),
            "{failed}"
        );
        assert!(text("3").contains("it was killed"), "{}", text("3"));
        assert_eq!(
            backend
                .wod(&["deliver", "history", "show", "9"])
                .status
                .code(),
            Some(1)
        );
        sh("test \"$(stat -c %a /var/lib/wod/private/deliver/runs /var/lib/wod/private/deliver/runs/1.jsonl)\" = '700
600'");
    });
}

/// `| head` of an admin who has seen enough.
#[test]
fn a_run_that_nobody_reads_comes_to_its_end() {
    on_private_host(|| {
        let backend = site("");
        program("10-first", "echo changed: a");
        program("20-second", "echo changed: b; touch /tmp/second; exit 1");
        for more in [&["--json"][..], &[]] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let words = [&["deliver", "--tags", "private"], more].concat();
            let mut run = Command::new(PROGRAM);
            let status = run.args(words).stdout(writer).status().unwrap();
            assert_eq!(status.code(), Some(2), "{more:?}");
            std::fs::remove_file("/tmp/second").unwrap();
        }
        assert_eq!(states(&backend), ["failed", "failed"]);
    });
}

#[test]
fn on_a_full_disk_the_work_is_done_and_told() {
    on_private_host(|| {
        let backend = site(MONITOR);
        let sink = Sink::open();
        assert_eq!(deliver_students::deliver(&backend, &[]).status, 0);
        program("10-bad", "exit 5");
        sh("userdel -f student7
            mkdir /run/full; mount -t tmpfs -o size=16m,mode=0700 full /run/full
            cp -a /var/lib/wod/private/. /run/full/; mount --bind /run/full /var/lib/wod/private
            head -c 16m /dev/zero >/run/full/fill 2>/dev/null || true");
        let run = wod(
            &backend,
            &["deliver", "--json", "--tags", "private,students"],
        );
        assert_eq!(run.status, 2, "{}", run.said);
        assert!(run.said.contains("this run is not kept"), "{}", run.said);
        // Who is to go cannot be told without the journal, which has no room either.
        let failed = run.all("failed");
        assert_eq!(failed.len(), 2, "{}", run.said);
        assert!(failed.contains(&"program 10-bad: failed (exit 5)".to_owned()));
        sh("id student7");
        let mails = sink.mails();
        assert_eq!(mails.len(), 1);
        assert!(
            mails[0].contains("program 10-bad: failed (exit 5)"),
            "{}",
            mails[0]
        );
        sh("rm /run/full/fill");
        assert_eq!(deliver(&backend, &[]).status, 2);
        assert_eq!(
            (states(&backend), sink.mails().len()),
            (vec!["failed".to_owned(), "done".to_owned()], 2)
        );
    });
}
