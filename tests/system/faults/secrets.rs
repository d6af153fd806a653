//! Scripts that tell what they should not, and too much: no password in a file or a command line.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::backend::{Backend, Options, STATE, send};
use crate::support::seats::{assert_taken, fits, home_files, password, workshop};
use crate::support::{on_private_host, sh};

/// All command lines of the host, as long as it lasts.
fn watch_command_lines(stop: &AtomicBool) -> Vec<u8> {
    let mut seen = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            if let Ok(line) = fs::read(entry.path().join("cmdline")) {
                seen.extend(line);
                seen.push(b'\n');
            }
        }
    }
    seen
}

#[test]
fn no_password_is_seen_anywhere() {
    on_private_host(|| {
        let talks = "set -x; echo \"it is $randompw\"; : \"$randompw\"; printf %s \"$randompw\" | base64 >/dev/null; env; sleep 0.3";
        workshop(
            "Talks",
            "range: [1,10]\n",
            &[("create", talks), ("cleanup", talks)],
        );
        workshop(
            "Floods",
            "range: [1,10]\n",
            &[("create", "head -c 5000000 /dev/zero | tr '\\0' x")],
        );
        workshop(
            "Fails",
            "range: [1,10]\n",
            &[("create", "echo \"no: $randompw\" >&2; exit 1")],
        );
        let stop = AtomicBool::new(false);
        let (backend, passwords, lines) = thread::scope(|scope| {
            let watch = scope.spawn(|| watch_command_lines(&stop));
            let backend = Backend::start(Options {
                inventory: "WODATTEMPTS: 2\nVAULTPWD: vault-word-of-the-test\n",
                ..Options::default()
            });
            send("CREATE 1 801", "WKSHP-Talks");
            send("CREATE 2 802", "WKSHP-Floods");
            send("CREATE 3 803", "WKSHP-Fails");
            backend.settled(3);
            let mut passwords = vec![password(1).unwrap(), password(2).unwrap()];
            passwords.push(crate::support::seats::minted(3).unwrap());
            assert_taken(&backend, 1, 801, "WKSHP-Talks");
            assert_taken(&backend, 2, 802, "WKSHP-Floods");
            assert!(fits(1, &passwords[0]));
            send("CLEANUP 1 801", "WKSHP-Talks");
            backend.settled(4);
            stop.store(true, Ordering::SeqCst);
            (backend, passwords, watch.join().unwrap())
        });
        let log = format!("{STATE}/private/log");
        assert!(fs::metadata(format!("{log}/action-2.log")).unwrap().len() < 1_100_000);
        let talked = fs::read_to_string(format!("{log}/action-1.log")).unwrap();
        assert!(talked.contains("it is "), "{talked}");
        let told = String::from_utf8(backend.wod(&["actions", "show", "3"]).stdout).unwrap();
        let lines = String::from_utf8_lossy(&lines).into_owned();
        assert!(
            lines.contains("create-WKSHP-Talks.sh"),
            "the watch saw nothing"
        );
        for secret in passwords
            .iter()
            .map(String::as_str)
            .chain(["vault-word-of-the-test"])
        {
            assert!(!lines.contains(secret), "in a command line");
            assert!(!told.contains(secret) && !talked.contains(secret));
            // The journal holds what the registry has to tell; nobody but root reads it.
            let found = sh(&format!(
                "grep -srlF -e {secret} {STATE} /run/*.log /etc/wod/inventory/hosts /var/tmp /var/student | grep -v private/journal.db || true"
            ));
            assert_eq!(found, "");
        }
        assert_eq!(
            sh(&format!(
                "stat -c %a {STATE}/private {STATE}/private/journal.db* | sort -u"
            )),
            "600\n700\n"
        );
        assert!(home_files(2) > 3);
    });
}
