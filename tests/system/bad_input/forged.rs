//! Files put straight into the spool, by the two accounts that can, and by one that cannot.

use std::fs;

use serde_json::{Value, json};

use crate::support::backend::{Backend, Options, STATE, STUDENTS, send};
use crate::support::canary::{engine_has_settled, look, plant, roots_own, same};
use crate::support::client::sh_as;
use crate::support::{on_private_host, sh, wait_for};

/// Where the forgers keep what they link to.
const STORE: &str = "/tmp/forged";

/// A record as the door writes it.
fn record(change: impl FnOnce(&mut Value)) -> String {
    let mut record = json!({
        "version": 1, "received": 0, "route": "smtp", "peer": "127.0.0.1", "sender": "frontend@test",
        "action": {"verb": "PURGE", "seat": {"students": [12, 12]}, "participant": 0},
    });
    change(&mut record);
    record.to_string()
}

fn action(verb: &str, students: Value, workshop: Option<&str>) -> String {
    record(|record| {
        record["action"] = json!({"verb": verb, "seat": {"students": students}, "participant": 0});
        if let Some(workshop) = workshop {
            record["action"]["workshop"] = workshop.into();
        }
    })
}

/// How it is put there, and what the log says of it.
struct Forged {
    /// A shell line; `$f` is the spooled name, `$1` a text.
    line: &'static str,
    text: String,
    told: &'static str,
}

fn forged(line: &'static str, text: String, told: &'static str) -> Forged {
    Forged { line, text, told }
}

fn file(text: String, told: &'static str) -> Forged {
    forged(r#"printf %s "$1" >"$f""#, text, told)
}

/// Never a record: put aside.
fn unusable() -> Vec<Forged> {
    let good = || record(|_| ());
    let none = String::new;
    vec![
        forged(r#"ln -s /etc/shadow "$f""#, none(), "is a symbolic link"),
        forged(
            r#"printf %s "$1" >"$s.x"; ln -s "$s.x" "$f""#,
            good(),
            "is a symbolic link",
        ),
        forged(r#"mkfifo "$f""#, none(), "is not a regular file"),
        forged(r#"mkdir "$f""#, none(), "is not a regular file"),
        forged(
            r#"printf %s "$1" >"$d/.l$n"; ln "$d/.l$n" "$f""#,
            good(),
            "has 2 names, expected one",
        ),
        forged(
            r#"{ printf %s "$1"; head -c 2000000 /dev/zero | tr '\0' ' '; } >"$f""#,
            good(),
            "is larger than 16 KiB",
        ),
        forged(
            r#"truncate -s 1T "$f" || truncate -s 1G "$f""#,
            none(),
            "is larger than 16 KiB",
        ),
        file(good()[..60].to_owned(), "is not a record: EOF"),
        file(none(), "is not a record: EOF"),
        file("\u{1}[[[[".to_owned(), "is not a record"),
        file("[".repeat(9000), "invalid type: sequence"),
        file(
            record(|r| r["action"]["verb"] = "DELETE".into()),
            "unknown variant `DELETE`",
        ),
        file(
            action("PURGE", json!([3, 5]), None),
            "only RESET takes a range",
        ),
        file(
            action("RESET", json!([5, 3]), Some("WKSHP-API101")),
            "expected the lower number first",
        ),
        file(action("PURGE", json!([0, 0]), None), "is not a record"),
        file(action("PURGE", json!([-1, -1]), None), "is not a record"),
        file(
            action("PURGE", json!([1, 4_000_000_000_u32]), None),
            "is not a record",
        ),
        file(
            action("CREATE", json!([12, 12]), None),
            "workshop: expected one",
        ),
        file(
            action("CREATE", json!([12, 12]), Some("../../etc")),
            "is not a record",
        ),
        file(
            action("CREATE", json!([12, 12]), Some("WKSHP-X/../Y")),
            "is not a record",
        ),
        file(record(|r| r["version"] = 2.into()), "version: expected 1"),
        file(record(|r| r["sudo"] = true.into()), "unknown field `sudo`"),
        file(
            record(|r| r["sender"] = "a\nERROR b".into()),
            "without control characters",
        ),
        file(
            record(|r| r["action"]["email"] = "-oProxyCommand=id@x".into()),
            "expected name@domain",
        ),
        forged(
            r#"printf %s "$1" >"$d/$n
ERROR root is mine.action""#,
            good(),
            "has a name that the door never gives",
        ),
        forged(
            r#"printf %s "$1" >"$d/!$n""#,
            good(),
            "has a name that the door never gives",
        ),
    ]
}

/// A record, but nothing that is carried out here.
fn refused() -> Vec<Forged> {
    vec![
        file(
            action("PURGE", json!([41, 41]), None),
            "refused: student `41`: expected a number within WODUSERMIN",
        ),
        file(
            action("CREATE", json!([4000, 4000]), Some("WKSHP-API101")),
            "refused: student `4000`",
        ),
        file(
            action("RESET", json!([1, 99999]), Some("WKSHP-Git101")),
            "refused: student `1,99999`",
        ),
        file(
            action("CREATE", json!([12, 12]), Some("WKSHP-Nowhere")),
            "workshop WKSHP-Nowhere is not known to the registry",
        ),
        file(
            action("RESET", json!([36, 38]), Some("WKSHP-Git101")),
            "has students 21,30, so 36,38 would erase seats of others",
        ),
        file(
            record(|r| {
                r["action"] =
                    json!({"verb": "PURGE", "seat": "of_participant", "participant": 4711})
            }),
            "has no seat; name the student",
        ),
    ]
}

/// Puts one there, finished, as the door does: whoever looks sees it whole.
fn put(account: &str, number: usize, forged: &Forged) {
    let spool = format!("{STATE}/spool");
    let name = format!("{number:020}-{number}-{number:016x}.action");
    let script = format!(
        "set -e; cd /; d={spool}; n={number}; s={STORE}/{account}.{number}; f=$d/.new-$n; to=$d/{name}; {line}
         [ ! -e \"$f\" ] && [ ! -L \"$f\" ] || mv -T \"$f\" \"$to\"",
        line = forged.line,
    );
    let output = crate::support::client::as_account(
        account,
        &["/bin/bash", "-c", &script, "forger", &forged.text],
    )
    .output()
    .unwrap();
    assert!(
        output.status.success(),
        "{account}: {}: {output:?}",
        forged.line
    );
}

#[test]
fn nothing_forged_is_carried_out() {
    on_private_host(|| {
        sh(&format!("mkdir -m 1777 {STORE}"));
        plant("/var/canary", 62_039);
        roots_own();
        let backend = Backend::start(Options {
            inventory: "WODATTEMPTS: 2",
            ..Options::default()
        });
        let seen = || look(&["/etc", "/root/.ssh", "/var/canary", STUDENTS]);
        engine_has_settled();
        let before = seen();
        let mut wanted = Vec::new();
        let mut number = 0;
        for account in ["wodadmin", "wodmail"] {
            for forged in unusable().iter().chain(&refused()) {
                number += 1;
                // The same wish twice would be a duplicate.
                let text = forged.text.replace("4711", &format!("471{number}"));
                let text = text.replace("\"participant\":0", &format!("\"participant\":{number}"));
                put(account, number, &Forged { text, ..*forged });
                wanted.push(forged.told);
            }
        }
        wait_for(20, "empty spool", || {
            let left = sh(&format!("ls -A {STATE}/spool | grep -v '^[.]l' || true"));
            (left.trim() == "bad").then_some(())
        });
        let actions = backend.settled(2 * refused().len());
        told_once_each(&backend.log(), &wanted);
        for action in &actions {
            let state = action["state"].as_str().unwrap();
            assert!(
                ["refused", "held"].contains(&state) && action["step"] == 0,
                "{action}"
            );
        }
        assert_eq!(actions.len(), 2 * refused().len());
        same(&before, &seen(), "the host");
        let kept = fs::read_dir(format!("{STATE}/spool/bad")).unwrap().count();
        assert_eq!(kept, 2 * unusable().len());
        the_admin_is_not_hindered(&backend, &actions);
        the_next_good_mail(&backend);
    });
}

/// What was refused for a seat, or for all of them, is not in the way of one that was held.
fn the_admin_is_not_hindered(backend: &Backend, actions: &[Value]) {
    let last = actions
        .iter()
        .rfind(|a| a["state"] == "held" && a["student"] == 36);
    let output = backend.wod(&["actions", "retry", &last.unwrap()["id"].to_string()]);
    assert!(output.status.success(), "{output:?}");
}

/// Each of the lines once for each time that it was provoked, at least, and none a line of its own.
fn told_once_each(log: &str, wanted: &[&str]) {
    for told in wanted {
        let times = log.lines().filter(|line| line.contains(told)).count();
        let provoked = wanted.iter().filter(|other| *other == told).count();
        assert!(
            times >= provoked,
            "{told}: {times} of {provoked} times in\n{log}"
        );
    }
    assert!(
        !log.lines()
            .any(|line| line.starts_with("ERROR root is mine")),
        "{log}"
    );
    let inside: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("root is mine"))
        .collect();
    assert!(
        inside.len() == 2 && inside.iter().all(|line| line.contains(r"\nERROR root")),
        "{inside:?}"
    );
}

fn the_next_good_mail(backend: &Backend) {
    let before = backend.actions().len();
    assert!(send("PURGE 3 0", "VOID").starts_with("250 "));
    let actions = backend.settled(before + 1);
    assert_eq!(actions.last().unwrap()["state"], "done");
}

#[test]
fn who_may_not_write_cannot_and_is_not_believed() {
    on_private_host(|| {
        let backend = Backend::start(Options::default());
        let spool = format!("{STATE}/spool");
        for line in [
            format!("echo x >{spool}/x"),
            format!("ls {spool}"),
            format!("cd {spool}"),
            format!("ls {STATE}/private"),
            format!("cat {STATE}/private/journal.db"),
        ] {
            assert!(!sh_as("nobody", &line).status.success(), "{line}");
        }
        // The writers do not see, take or change what is there, not even the quarantine.
        for account in ["wodadmin", "wodmail"] {
            for line in [
                format!("ls {spool}"),
                format!("mv {spool}/bad {spool}/x"),
                format!("ls {STATE}/private"),
            ] {
                assert!(!sh_as(account, &line).status.success(), "{account}: {line}");
            }
        }
        let name = format!("{:020}-1-{:016x}.action", 1, 1);
        fs::write(format!("{spool}/.new"), record(|_| ())).unwrap();
        sh(&format!(
            "chown nobody {spool}/.new; mv {spool}/.new {spool}/{name}"
        ));
        wait_for(10, "word of it", || {
            backend
                .log()
                .contains("which is not the door's")
                .then_some(())
        });
        assert!(fs::exists(format!("{spool}/bad/{name}")).unwrap());
        assert!(backend.actions().is_empty());
        the_next_good_mail(&backend);
    });
}

/// The engine was down; what it finds is as bad, and the good one behind it is not kept waiting.
#[test]
fn a_spool_full_of_rubbish_hides_no_mail() {
    on_private_host(|| {
        let mut backend = Backend::start(Options::default());
        assert!(send("PURGE 4 0", "VOID").starts_with("250 "));
        backend.settled(1);
        backend.stop_engine();
        let spool = format!("{STATE}/spool");
        let made = sh_as(
            "wodmail",
            &format!("cd /; for i in $(seq 400); do mkdir -p {spool}/!$i/x; done"),
        );
        assert!(made.status.success(), "{made:?}");
        let good = record(|r| r["action"]["seat"] = json!({"students": [5, 5]}));
        put("wodmail", 7, &file(good, ""));
        backend.start_engine();
        let actions = backend.settled(2);
        assert_eq!(actions[1]["state"], "done");
        // The same names again: they are in the quarantine already.
        let made = sh_as(
            "wodmail",
            &format!("cd /; for i in $(seq 200); do mkdir {spool}/!$i; done"),
        );
        assert!(made.status.success(), "{made:?}");
        assert!(send("PURGE 6 0", "VOID").starts_with("250 "));
        assert_eq!(backend.settled(3)[2]["state"], "done");
        wait_for(10, "empty spool", || {
            (sh(&format!("ls -A {spool}")).trim() == "bad").then_some(())
        });
    });
}
