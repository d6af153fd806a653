//! Seats that are in use: left alone, told, done later.

use std::time::Duration;

use super::{deliver, wod};
use crate::support::backend::{Backend, Options, SHARE, home};
use crate::support::site::{Tree, script};
use crate::support::{on_private_host, sh, wait_for};

#[test]
fn a_seat_in_use_is_left_for_the_next_run() {
    on_private_host(|| {
        let inventory = format!("WODSYSDIR: {SHARE}/sys");
        let backend = Backend::start(Options {
            inventory: &inventory,
            ..Options::default()
        });
        assert_eq!(deliver(&backend, &[]).status, 0);
        backend.act(&["CREATE", "WKSHP-API101", "13", "--participant", "77"]);
        sh("chown root /var/student/student13/.bashrc");
        for args in [&[][..], &["-e", "CLEAN=true"], &["-e", "WODUSERMAX=12"]] {
            let run = deliver(&backend, args);
            assert_eq!(run.status, 0, "{}", run.said);
            let skipped = run.all("skipped");
            assert!(!skipped.is_empty(), "{args:?}: {}", run.said);
            let told = "student13: a participant has the seat; done at the next run";
            assert!(
                skipped.iter().all(|line| line.starts_with(told)),
                "{}",
                run.said
            );
            assert_eq!(
                sh("stat -c %U /var/student/student13/.bashrc").trim(),
                "root"
            );
            assert_eq!(sh("getent passwd student13 | cut -d: -f3").trim(), "62013");
        }
        let users = wod(&backend, &["cleanup-users", "13", "13", "--json"]);
        assert_eq!(users.status, 5, "{}", users.said);
        backend.act(&["CLEANUP", "WKSHP-API101", "13", "--participant", "77"]);
        let run = deliver(&backend, &["-e", "WODUSERMAX=12"]);
        assert_eq!(run.status, 0, "{}", run.said);
        assert!(!home(13).exists());
        assert_eq!(sh("getent passwd student13 || true"), "");
    });
}

/// Actions begin all the time while students are removed and made again: none of them is hurt.
#[test]
fn actions_that_begin_meanwhile_are_not_disturbed() {
    on_private_host(|| {
        let inventory = format!("WODSYSDIR: {SHARE}/sys\nWODUSERMAX: 30");
        let backend = Backend::start(Options {
            inventory: &inventory,
            ..Options::default()
        });
        script(Tree::Public, "create-WKSHP-API101.sh", "sleep 0.2");
        assert_eq!(deliver(&backend, &[]).status, 0);
        std::thread::scope(|scope| {
            let backend = &backend;
            let cleaner = scope.spawn(move || {
                for _ in 0..6 {
                    let run = deliver(backend, &["-e", "CLEAN=true"]);
                    assert_eq!(run.status, 0, "{}", run.said);
                }
            });
            for student in 11..=20 {
                let action = backend.act(&[
                    "CREATE",
                    "WKSHP-API101",
                    &student.to_string(),
                    "--participant",
                    &(100 + student).to_string(),
                ]);
                assert_eq!(action["state"], "done", "{action}");
                std::thread::sleep(Duration::from_millis(50));
            }
            cleaner.join().unwrap();
        });
        for student in 11..=20 {
            assert!(
                home(student).join(".bashrc").exists(),
                "student{student} lost the home"
            );
            let seat = backend.seat(student).unwrap();
            assert_eq!(seat["assigned"], true, "{seat}");
        }
        wait_for(10, "end of all actions", || {
            backend
                .actions()
                .iter()
                .all(|a| a["state"] == "done")
                .then_some(())
        });
    });
}
