//! Programs of `deliver.d`.

use std::time::{Duration, Instant};

use super::{OVERLAY, SECRET, appears, deliver, is_running, program, site, start, states};
use crate::support::{on_private_host, sh};

#[test]
fn programs_run_as_woduser_in_the_order_of_their_names() {
    on_private_host(|| {
        let backend = site("");
        sh("mkdir -m 777 /var/out");
        program(
            "10-first",
            "id -un >>/var/out/order; tr '\\0' ' ' </proc/$$/cmdline >/var/out/argv
             echo $WODUSERMAX $GREETING $HOME $USER >/var/out/env; echo \"secret: $SITEPASSWORD\"
             test -e /var/out/mark || echo 'changed: a mark'; touch /var/out/mark
             test ! -r /var/lib/wod/private && test ! -t 0",
        );
        program(
            "20-fails",
            "echo 20 >>/var/out/order; echo \"no $SITEPASSWORD\" >&2; exit 3",
        );
        program("30-last", "echo 30 >>/var/out/order");
        sh(&format!(
            "cd {OVERLAY}/deliver.d; cp -p 30-last 40-not; chmod 644 40-not; cp -p 30-last .hidden
             cp -p 30-last 50-old~; cp -p 30-last 60-open; chmod 757 60-open
             cp -p 30-last 70-foreign; chown 62007 70-foreign; ln -s /bin/true 80-link"
        ));
        let check = deliver(&backend, &["--check", "--detailed-exitcode"]);
        assert_eq!(check.status, 0, "{}", check.said);
        assert_eq!(check.total["skipped"], 7, "{}", check.said);
        assert_eq!(sh("ls /var/out"), "");

        let run = deliver(&backend, &[]);
        assert_eq!(run.status, 2, "{}", run.said);
        assert_eq!(sh("cat /var/out/order"), "wodadmin\n20\n30\n");
        assert_eq!(
            sh("cat /var/out/env"),
            "40 good 40 day /home/wodadmin wodadmin\n"
        );
        assert!(!sh("cat /var/out/argv").contains(SECRET));
        assert_eq!(run.all("changed"), ["program 10-first: a mark"]);
        assert_eq!(
            run.all("failed"),
            [
                "program 20-fails: failed (exit 3): no ***",
                &format!(
                    "program 60-open: {OVERLAY}/deliver.d/60-open can be written by everybody, and is not run; give it to WODUSER alone"
                ),
                &format!(
                    "program 70-foreign: {OVERLAY}/deliver.d/70-foreign belongs to uid 62007, and is not run; give it to WODUSER alone"
                ),
            ]
        );
        assert!(run.said.contains("secret: ***"), "{}", run.said);
        assert!(!run.said.contains(SECRET), "{}", run.said);
        assert!(run.all("skipped")[0].contains("is not executable; chmod +x"));
        // What is kept is as masked as what was shown.
        let kept = sh("cat /var/lib/wod/private/deliver/runs/*");
        assert!(
            kept.contains("secret: ***") && !kept.contains(SECRET),
            "{kept}"
        );

        sh(&format!(
            "cd {OVERLAY}/deliver.d; rm 20-fails 60-open 70-foreign"
        ));
        deliver(&backend, &[]).changes_nothing();
        // A directory that everybody can write to is as good as such a file.
        sh(&format!("chmod 777 {OVERLAY}/deliver.d"));
        let open = deliver(&backend, &[]);
        assert_eq!(open.total["failed"], 3, "{}", open.said);
    });
}

#[test]
fn root_runs_and_follows_nothing_of_woduser() {
    on_private_host(|| {
        let mut backend = site("");
        sh(
            "mkdir -m 700 /var/only-root; printf '#!/bin/sh\\nid -u >/run/ran\\n' >/var/only-root/x
            chmod 755 /var/only-root/x",
        );
        // Neither a directory nor a program behind a link gets root's eyes or rights.
        sh(&format!(
            "cd {OVERLAY}; ln -s /var/only-root/x deliver.d/10-link; chown -h wodadmin deliver.d/10-link"
        ));
        let run = deliver(&backend, &[]);
        assert_eq!(run.status, 2, "{}", run.said);
        sh(&format!(
            "cd {OVERLAY}; rm -r deliver.d; ln -s /var/only-root deliver.d; chown -h wodadmin deliver.d"
        ));
        let run = deliver(&backend, &[]);
        assert_eq!(run.status, 2, "{}", run.said);
        assert!(
            run.all("failed")[0].starts_with("programs of"),
            "{}",
            run.said
        );
        sh("test ! -e /run/ran");
        // And nobody makes root of WODUSER.
        sh(&format!(
            "rm {OVERLAY}/deliver.d; mkdir {OVERLAY}/deliver.d"
        ));
        program("10-any", "true");
        let run = deliver(&backend, &["-e", "WODUSER=root"]);
        assert!(run.said.contains("is not run as root"), "{}", run.said);
        backend.start_engine();
    });
}

#[test]
fn a_program_that_does_not_end_is_ended() {
    on_private_host(|| {
        let backend = site("");
        program("10-long", "touch /tmp/begun; sleep 314 & sleep 315");
        program("20-next", "touch /tmp/next");
        let run = deliver(&backend, &["-e", "WODPRIVATESECONDS=3"]);
        assert_eq!(run.status, 2, "{}", run.said);
        assert!(run.all("failed")[0].contains("after 3 s"), "{}", run.said);
        assert!(!is_running("sleep 31"), "it goes on");
        sh("test -e /tmp/next; rm /tmp/next /tmp/begun");

        // SIGTERM ends what runs, and nothing comes after it.
        let mut run = start();
        appears("/tmp/begun");
        let asked = Instant::now();
        sh(&format!("kill -TERM {}", run.id()));
        assert_eq!(run.wait().unwrap().code(), Some(2));
        assert!(asked.elapsed() < Duration::from_secs(60));
        assert!(!is_running("sleep 31"), "it goes on");
        sh("test ! -e /tmp/next; rm /tmp/begun");

        // A run that is killed leaves nothing at work that the next one would meet.
        let mut run = start();
        appears("/tmp/begun");
        run.kill().unwrap();
        run.wait().unwrap();
        crate::support::wait_for(5, "end of the program", || {
            (!is_running("deliver.d/10-long")).then_some(())
        });
        assert_eq!(states(&backend), ["killed", "stopped", "failed"]);
    });
}
