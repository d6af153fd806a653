//! What is kept of runs.

use super::{appears, deliver, history, program, site, start, states};
use crate::deliver_students;
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
        program("10-bad", "touch /tmp/begun; sleep 32.1");
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

        // Where nothing can be kept, the work is done all the same.
        sh("rm -r /var/private/deliver.d/*; userdel -f student7
            mount -t tmpfs -o size=4k,ro none /var/lib/wod/private/deliver/runs");
        let full = deliver_students::deliver(&backend, &[]);
        assert_eq!(full.status, 0, "{}", full.said);
        assert!(
            full.said.contains("this run cannot be kept") || full.said.contains("Read-only"),
            "{}",
            full.said
        );
        sh("id student7; umount /var/lib/wod/private/deliver/runs");
    });
}
