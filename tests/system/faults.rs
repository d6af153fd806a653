//! What goes wrong with an action: it is tried, held with one line that says what to do, its seat
//! is safe, the admin is told, and it goes on from where it was.

pub mod disks;
mod secrets;
mod wishes;

use std::fs;

use serde_json::Value;

use crate::support::backend::{Backend, Options, SHARE, home, send};
use crate::support::seats::{
    assert_free, assert_taken, assert_tidy, events, fits, is_locked, linger_as, password,
    processes, workshop,
};
use crate::support::sink::{MONITOR, Sink};
use crate::support::{living, on_private_host, sh, wait_for};

fn last_line(output: &std::process::Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().last().unwrap_or_default().to_owned()
}

fn problem(action: &Value) -> &str {
    action["problem"].as_str().unwrap_or_default()
}

/// Asserts that nobody can use the seat, whatever they knew or left running.
fn assert_safe(student: u32, old_password: &str) {
    assert!(is_locked(student), "student{student} is locked");
    assert!(!fits(student, old_password));
    assert_eq!(processes(student), 0);
}

#[test]
fn a_script_that_fails_holds_its_action() {
    on_private_host(|| {
        const NEEDS: &str = "[ -e /tmp/mended ] || { echo 'the gadget is missing'; exit 3; }";
        workshop("Half", "range: [1,10]\n", &[]);
        workshop("Create", "range: [1,10]\n", &[("create", NEEDS)]);
        workshop("Clean", "range: [1,10]\n", &[("cleanup", NEEDS)]);
        workshop(
            "Hang",
            "range: [1,10]\n",
            &[("create", "sleep 1001 & (sleep 1002)& sleep 1003")],
        );
        let sink = Sink::open();
        let backend = Backend::start(Options {
            inventory: &format!("{MONITOR}WODATTEMPTS: 3\nWODSCRIPTSECONDS: 3\n"),
            ..Options::default()
        });
        for n in 1..=4 {
            send(
                &format!("CREATE {n} {}", 800 + n),
                if n == 2 { "WKSHP-Clean" } else { "WKSHP-Half" },
            );
        }
        backend.settled(4);
        let old: Vec<String> = (1..=4).map(|n| password(n).unwrap()).collect();
        (1..=4).for_each(linger_as);
        send("CREATE 1 901", "WKSHP-Create");
        send("CLEANUP 2 802", "WKSHP-Clean");
        send("CREATE 3 903", "WKSHP-Hang");
        send("CREATE 4 904", "WKSHP-Create");
        let all = backend.settled(8);
        for (action, said) in all[4..].iter().zip([
            "create-WKSHP-Create.sh failed (exit 3): the gadget is missing; log /var/lib/wod/private/log/action-5.log",
            "cleanup-WKSHP-Clean.sh failed (exit 3): the gadget is missing; log ",
            "create-WKSHP-Hang.sh failed (stopped after 3 s); log ",
            "create-WKSHP-Create.sh failed (exit 3)",
        ]) {
            assert_eq!(action["state"], "held", "{action}");
            assert!(problem(action).starts_with(said), "{action}");
            let id = action["id"].as_i64().unwrap();
            assert_eq!((events(id, "failed"), events(id, "held")), (2, 1));
        }
        (1..=4).for_each(|n| assert_safe(n, &old[n as usize - 1]));
        assert_eq!(living("-C sleep"), [""; 0], "of the hanging script");
        let listed = String::from_utf8(backend.wod(&["actions"]).stdout).unwrap();
        assert!(
            listed.contains("held") && listed.contains("the gadget is missing"),
            "{listed}"
        );
        let shown = String::from_utf8(backend.wod(&["actions", "show", "5"]).stdout).unwrap();
        assert!(
            shown.contains("go on     wod actions retry 5")
                && shown.contains("give up   wod actions cancel 5"),
            "{shown}"
        );
        assert_eq!(backend.wod(&["status"]).status.code(), Some(1));
        the_admin_is_told_once(&sink);
        going_on_and_giving_up(&backend);
    });
}

fn the_admin_is_told_once(sink: &Sink) {
    let mails = wait_for(10, "mail to the admin", || {
        Some(sink.mails()).filter(|mails| mails.len() >= 4)
    });
    let of = |id: i64| {
        mails
            .iter()
            .filter(|mail| mail.contains(&format!("wod actions retry {id}\n")))
            .collect::<Vec<_>>()
    };
    for id in 5..=8 {
        let [mail] = of(id)[..] else {
            panic!("action {id}: {mails:#?}")
        };
        assert!(
            mail.contains("To: ops@test\n")
                && mail.contains(&format!("Subject: HELD action {id}: ")),
            "{mail}"
        );
        assert!(mail.contains("The seat is safe meanwhile"), "{mail}");
    }
    assert!(of(5)[0].contains("the gadget is missing"), "{mails:#?}");
}

fn going_on_and_giving_up(backend: &Backend) {
    sh("touch /tmp/mended");
    let before: Vec<Value> = [5, 6].iter().map(|id| backend.action(*id)).collect();
    let steps_done = [events(5, "step-done"), events(6, "step-done")];
    for id in ["5", "6"] {
        let output = backend.wod(&["actions", "retry", id]);
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            format!("action {id} goes on\n")
        );
    }
    assert!(backend.wod(&["actions", "cancel", "7"]).status.success());
    let all = wait_for(20, "end", || {
        let all = backend.actions();
        (all[4]["state"] == "done" && all[5]["state"] == "done" && all[6]["state"] == "cancelled")
            .then_some(all)
    });
    for (place, action) in all[4..6].iter().enumerate() {
        let id = action["id"].as_i64().unwrap();
        let steps = action["steps"].as_i64().unwrap();
        assert_eq!(
            before[place]["step"], steps_done[place],
            "held at the step after those"
        );
        assert_eq!(events(id, "step-done"), steps, "each step was done once");
        assert_eq!((events(id, "planned"), events(id, "retried")), (1, 1));
    }
    assert_taken(backend, 1, 901, "WKSHP-Create");
    assert_free(backend, 2);
    assert!(!is_locked(2), "as after a CLEANUP that was never held");
    assert_safe(3, "");
    assert_eq!(backend.seat(3).unwrap()["active"], false);
    // A later action makes the old one stale.
    send("PURGE 4 904", "VOID");
    backend.settled(9);
    let output = backend.wod(&["actions", "retry", "8"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        last_line(&output).contains(
            "action 8 is not retried: action 9 has been accepted for the same seat since"
        ),
        "{output:?}"
    );
    assert!(backend.wod(&["actions", "cancel", "8"]).status.success());
    send("CREATE 3 993", "WKSHP-Half");
    let all = backend.settled(10);
    assert_eq!(all[7]["state"], "cancelled");
    wait_for(5, "cancelled", || {
        (backend.actions()[7]["state"] == "cancelled").then_some(())
    });
    assert_free(backend, 4);
    assert_taken(backend, 3, 993, "WKSHP-Half");
    for (id, said) in [
        ("8", "action 8 is cancelled"),
        ("1", "action 1 is done"),
        ("99", "there is no action 99"),
    ] {
        for verb in ["retry", "cancel"] {
            let output = backend.wod(&["actions", verb, id]);
            assert_eq!(output.status.code(), Some(1));
            assert!(last_line(&output).contains(said), "{output:?}");
        }
    }
    assert_eq!(backend.wod(&["status"]).status.code(), Some(0));
    assert_tidy();
}

/// Without a mail server the mail waits; an action that waits can be ended, and leaves alone
/// whoever has the seat.
#[test]
fn the_admins_mail_is_kept_until_somebody_takes_it() {
    on_private_host(|| {
        workshop("Half", "range: [1,10]\n", &[]);
        let until = "while [ ! -e /tmp/go ]; do sleep 0.1; done";
        workshop("Slow", "range: [1,10]\n", &[("create", until)]);
        workshop("Fail", "range: [1,10]\n", &[("create", "exit 1")]);
        let mut backend = Backend::start(Options {
            inventory: &format!("{MONITOR}WODATTEMPTS: 1\n"),
            ..Options::default()
        });
        send("CREATE 1 801", "WKSHP-Fail");
        backend.settled(1);
        wait_for(10, "failed attempt", || {
            backend
                .log()
                .contains("mail to the admin is kept")
                .then_some(())
        });
        let status: Value =
            serde_json::from_slice(&backend.wod(&["status", "--json"]).stdout).unwrap();
        assert_eq!(status["unsent_mail"], 1, "{status}");
        backend.kill_engine();
        let sink = Sink::open();
        backend.start_engine();
        let mails = wait_for(10, "kept mail", || {
            Some(sink.mails()).filter(|mails| !mails.is_empty())
        });
        assert_eq!(mails.len(), 1);
        // Cancelled before its turn, and while it runs.
        send("CREATE 2 802", "WKSHP-Slow");
        send("PURGE 2 802", "VOID");
        send("CREATE 3 803", "WKSHP-Slow");
        wait_for(5, "scripts", || (events(4, "step-done") > 5).then_some(()));
        for id in ["3", "4"] {
            assert!(backend.wod(&["actions", "cancel", id]).status.success());
        }
        sh("touch /tmp/go");
        let all = backend.settled(4);
        let states: Vec<_> = all.iter().map(|a| a["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["held", "done", "cancelled", "cancelled"]);
        assert_taken(&backend, 2, 802, "WKSHP-Slow");
        assert!(is_locked(3));
        assert_eq!(sink.mails().len(), 1, "once");
    });
}

/// The seat must come free although the CLEANUP that comes first is held.
#[test]
fn a_held_cleanup_does_not_keep_the_seat() {
    on_private_host(|| {
        workshop(
            "Clean",
            "range: [1,10]\nreset: true\n",
            &[("cleanup", "exit 1"), ("reset", "exit 0")],
        );
        let backend = Backend::start(Options {
            inventory: "WODATTEMPTS: 2\n",
            ..Options::default()
        });
        send("CREATE 1 801", "WKSHP-Clean");
        backend.settled(1);
        for verb in ["PURGE", "RESET", "CLEANUP"] {
            send(&format!("{verb} 1 801"), "WKSHP-Clean");
        }
        let all = backend.settled(4);
        let states: Vec<_> = all.iter().map(|a| a["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["done", "done", "done", "held"]);
        assert_free(&backend, 1);
        assert_eq!(events(4, "failed"), 1, "it went first all the same");
        // Its turn is over, but it may still be ended.
        assert!(backend.wod(&["actions", "cancel", "4"]).status.success());
        wait_for(5, "cancelled", || {
            (backend.action(4)["state"] == "cancelled").then_some(())
        });
        assert_free(&backend, 1);
    });
}

#[test]
fn what_never_passes_is_held_at_once() {
    on_private_host(|| {
        workshop("Half", "range: [1,10]\n", &[]);
        workshop("Gone", "range: [1,10]\n", &[]);
        workshop("Reset", "range: [1,10]\nreset: true\n", &[]);
        workshop(
            "Mono",
            "range: [1,10]\nmonoappliance: true\n",
            &[("create", "exit 0")],
        );
        workshop("Ldap", "range: [1,10]\nldap: true\n", &[]);
        let sink = Sink::open();
        let mut backend = Backend::start(Options {
            inventory: &format!("{MONITOR}IP-WKSHP-Mono: x.y.z.t\n"),
            ..Options::default()
        });
        send("CREATE 3 803", "WKSHP-Half");
        backend.settled(1);
        // Known when the mail came in, gone when it is its turn.
        backend.stop_engine();
        let ingest = sh(
            "printf 'Subject: CREATE 1 801\\n\\nWKSHP-Gone\\n' | runuser -u wodadmin -- /run/wod ingest --sender frontend@test",
        );
        assert!(ingest.starts_with("accepted: CREATE student1 "), "{ingest}");
        sh(&format!("rm -r {SHARE}/workshops/WKSHP-Gone"));
        backend.start_engine();
        backend.settled(2);
        send("RESET 2 0", "WKSHP-Reset");
        send("CREATE 3 903", "WKSHP-Mono");
        send("CREATE 4 904", "WKSHP-Ldap");
        send("RESET 9,11 0", "WKSHP-Reset");
        let all = backend.settled(6);
        for (action, said) in all[1..].iter().zip([
            "workshop WKSHP-Gone is not known to the registry; run wod workshops list",
            "workshop WKSHP-Reset has reset: true but no script reset-WKSHP-Reset.sh; write one (an empty one will do) or set reset: false",
            "workshop WKSHP-Mono needs an appliance but IP-WKSHP-Mono is not configured; set it in the inventory",
            "workshop WKSHP-Ldap needs the directory (ldap: true) but WODLDAPSRVNAME is not set",
            "workshop WKSHP-Reset has students 1,10, so 9,11 would erase seats of others; send RESET for its own range",
        ]) {
            assert_eq!(action["state"], "held", "{action}");
            assert_eq!(problem(action), said);
            assert_eq!(events(action["id"].as_i64().unwrap(), "failed"), 0);
        }
        assert_taken(&backend, 3, 803, "WKSHP-Half");
        assert!(!home(1).exists());
        let mails = wait_for(10, "mail to the admin", || {
            Some(sink.mails()).filter(|mails| mails.len() == 5)
        });
        for mail in mails {
            assert!(
                mail.contains("Nothing was begun; the seat is as it was."),
                "{mail}"
            );
        }
        // Mended, it goes on.
        let script = format!("{SHARE}/workshops/scripts/reset-WKSHP-Reset.sh");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        sh(&format!("chmod 755 {script}"));
        assert!(backend.wod(&["actions", "retry", "3"]).status.success());
        wait_for(10, "mended action", || {
            (backend.action(3)["state"] == "done").then_some(())
        });
    });
}
