//! What the admin types: answers, exit statuses, and one clear line for each beginner's mistake.

mod unread;
mod unready;

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::backend::{Backend, Options, home, send};
use crate::support::seats::{fits, workshop};
use crate::support::{on_private_host, sh};

/// Exit status, stdout, stderr of `wod`.
fn wod(words: &[&str]) -> (i32, String, String) {
    let output = Command::new("timeout")
        .args(["120", "/run/wod"])
        .args(words)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn commands_answer() {
    on_private_host(|| {
        workshop(
            "Fail",
            "range: [31,40]\n",
            &[("create", "echo 'no gadget'; exit 1")],
        );
        let mut backend = Backend::start(Options {
            inventory: "WODATTEMPTS: 1\n",
            ..Options::default()
        });
        status_of_a_quiet_backend();
        test_action();
        lists(&backend);
        backend.stop_engine();
        let (exit, out, _) = wod(&["status"]);
        assert_eq!(exit, 1);
        assert!(
            out.contains("engine     does not run; start wod serve"),
            "{out}"
        );
        let (exit, out, _) = wod(&["actions", "retry", "4"]);
        assert_eq!(
            (exit, out.as_str()),
            (
                0,
                "action 4 goes on as soon as wod serve runs; it does not now\n"
            )
        );
        let (exit, _, err) = wod(&["test-action", "PURGE", "WKSHP-Fail", "31"]);
        assert_eq!(exit, 1);
        assert!(
            err.lines().count() == 1 && err.contains("127.0.0.1:2525"),
            "{err}"
        );
        backend.start_engine();
        assert_eq!(
            backend.settled(6)[3]["state"],
            "held",
            "tried again, and failed again"
        );
    });
}

fn status_of_a_quiet_backend() {
    let (exit, out, _) = wod(&["status"]);
    assert_eq!(exit, 0, "{out}");
    for line in [
        "engine     runs",
        "actions    0 running, 0 waiting, 0 retrying, 0 held",
        "seats      0 of 40 taken",
        "workshops  4",
    ] {
        assert!(out.contains(line), "{line} in {out}");
    }
    let (exit, out, _) = wod(&["status", "--json"]);
    assert_eq!((exit, &json(&out)["engine"]), (0, &Value::Bool(true)));
    let (exit, out, _) = wod(&["actions"]);
    assert_eq!(
        (exit, out.as_str()),
        (0, "no actions; see wod actions list --all\n")
    );
}

fn test_action() {
    let (exit, out, _) = wod(&[
        "test-action",
        "CREATE",
        "WKSHP-API101",
        "11,12",
        "--dry-run",
    ]);
    assert_eq!(exit, 0);
    assert!(
        out.starts_with(
            "CREATE student11 participant 0 WKSHP-API101\n   1  account student11 exists\n"
        ),
        "{out}"
    );
    assert!(out.contains("publish WKSHP-API101 to student12"), "{out}");
    assert!(!home(11).exists());
    let (exit, out, _) = wod(&[
        "test-action",
        "PURGE",
        "WKSHP-API101",
        "11",
        "--dry-run",
        "--json",
    ]);
    assert_eq!(
        (exit, &json(&out)["plan"]["steps"][0]["step"]),
        (0, &Value::from("ensure-account"))
    );
    let (exit, out, err) = wod(&[
        "test-action",
        "CREATE",
        "CHLG-API101",
        "--participant",
        "825",
        "--wait",
    ]);
    assert_eq!(exit, 0, "{err}");
    assert!(
        out.starts_with("done: CREATE student11 participant 825 CHLG-API101 ("),
        "{out}"
    );
    let password = out
        .lines()
        .find_map(|line| line.strip_prefix("  password  "))
        .unwrap();
    assert!(
        fits(11, password) && out.contains("  login     student11\n"),
        "{out}"
    );
    assert!(
        err.contains("publish CHLG-API101 to student11") || err.contains("publish WKSHP-API101"),
        "{err}"
    );
    let (exit, out, _) = wod(&[
        "test-action",
        "CREATE",
        "WKSHP-API101",
        "12",
        "--wait",
        "--json",
    ]);
    let told = json(&out);
    assert_eq!((exit, &told["state"]), (0, &Value::from("done")));
    assert!(
        fits(12, told["login"]["password"].as_str().unwrap()),
        "{told}"
    );
    let (exit, out, _) = wod(&["test-action", "PURGE", "WKSHP-API101", "12"]);
    assert_eq!(exit, 0);
    assert!(
        out.contains("accepted: PURGE student12 participant 0"),
        "{out}"
    );
    let (exit, out, _) = wod(&["test-action", "CREATE", "WKSHP-Fail", "31", "--wait"]);
    assert_eq!(exit, 5);
    assert!(out.starts_with("held: CREATE student31 participant 0 WKSHP-Fail: create-WKSHP-Fail.sh failed (exit 1): no gadget"), "{out}");
    assert!(out.ends_with("see wod actions show 4\n"), "{out}");
    for (words, status, said) in [
        (
            &["CREATE", "WKSHP-None", "11"][..],
            1,
            "550 5.1.1 workshop WKSHP-None is not one of this backend",
        ),
        (&["CREATE", "WKSHP-API101", "41"], 1, "550 5.6.0 "),
        (
            &["CREATE", "WKSHP-None", "11", "--dry-run"],
            1,
            "workshop WKSHP-None is not known to the registry; run wod workshops list",
        ),
        (&["CREATE", "WKSHP-API101", "41", "--dry-run"], 1, "41"),
        (
            &["RESET", "WKSHP-Git101", "20,22", "--dry-run"],
            1,
            "workshop WKSHP-Git101 has students 21,30, so 20,22 would erase seats of others",
        ),
        (&["CREATE", "../../etc", "5"], 2, "expected WKSHP-"),
        (
            &["DESTROY", "WKSHP-API101"],
            2,
            "expected CREATE, CLEANUP, RESET or PURGE",
        ),
        (&["CREATE", "WKSHP-API101", "0"], 2, "student"),
    ] {
        let (exit, _, err) = wod(&[&["test-action"], words].concat());
        assert_eq!(exit, status, "{words:?}: {err}");
        assert!(err.contains(said), "{words:?}: {err}");
        assert!(status == 2 || err.lines().count() == 1, "{words:?}: {err}");
    }
}

fn lists(backend: &Backend) {
    send("CLEANUP 11 825", "CHLG-API101");
    let (exit, out, _) = wod(&["test-action", "RESET", "WKSHP-Git101", "21,22", "--wait"]);
    assert_eq!(exit, 0, "{out}");
    backend.settled(6);
    let (_, out, _) = wod(&["actions", "list", "--all"]);
    assert_eq!(out.lines().count(), 7, "{out}");
    assert!(out.starts_with("id  accepted"), "{out}");
    let (_, out, _) = wod(&["actions", "list", "--all", "--most", "2", "--json"]);
    assert_eq!(
        out.lines()
            .map(|l| json(l)["action"].clone())
            .collect::<Vec<_>>(),
        ["RESET", "CLEANUP"]
    );
    let (exit, out, _) = wod(&["actions", "show", "4"]);
    assert_eq!(exit, 0);
    assert!(
        out.contains("state     held\nproblem   create-WKSHP-Fail.sh failed"),
        "{out}"
    );
    assert_eq!(
        json(&wod(&["actions", "show", "4", "--json"]).1)["state"],
        "held"
    );
    let (exit, out, _) = wod(&["status"]);
    assert_eq!(exit, 1);
    assert!(out.contains("held: wod actions show 4"), "{out}");
    let (exit, out, _) = wod(&["workshops"]);
    assert_eq!(exit, 0);
    assert!(
        out.contains("WKSHP-Git101    21,30     10     reset"),
        "{out}"
    );
    assert_eq!(
        json(
            wod(&["workshops", "list", "--json"])
                .1
                .lines()
                .next()
                .unwrap()
        )["name"],
        "WKSHP-API101"
    );
    assert_eq!(
        json(&wod(&["workshops", "show", "WKSHP-Git101", "--json"]).1)["reset"],
        true
    );
    let (exit, _, err) = wod(&["workshops", "show", "WKSHP-None"]);
    assert_eq!(
        (exit, err.as_str()),
        (
            1,
            "wod: there is no workshop WKSHP-None; see wod workshops list\n"
        )
    );
    let (exit, out, _) = wod(&["students"]);
    assert_eq!(exit, 0);
    assert!(
        out.contains("student31  taken") && out.contains("825"),
        "{out}"
    );
    let (_, out, _) = wod(&["students", "list", "--taken"]);
    assert!(
        out.contains("student31") && !out.contains("student12 "),
        "{out}"
    );
    for (words, said) in [
        (
            ["actions", "show", "99"],
            "there is no action 99; see wod actions list --all",
        ),
        (
            ["actions", "retry", "99"],
            "there is no action 99; see wod actions list --all",
        ),
        (
            ["actions", "cancel", "99"],
            "there is no action 99; see wod actions list --all",
        ),
    ] {
        let (exit, _, err) = wod(&words);
        assert_eq!((exit, err), (1, format!("wod: {said}\n")), "{words:?}");
    }
    assert_eq!(wod(&["actions", "show", "x"]).0, 2);
}

#[test]
fn beginners_mistakes_are_told_in_one_line() {
    on_private_host(|| {
        let mut backend = Backend::start(Options::default());
        backend.stop_engine();
        let one = |words: &[&str], status: i32, said: &str| {
            let (exit, _, err) = wod(words);
            let last = err
                .lines()
                .rfind(|line| !line.contains(" INFO "))
                .unwrap_or_default();
            assert_eq!(exit, status, "{words:?}: {err}");
            assert!(
                last.contains(said) && last.starts_with("wod: "),
                "{words:?}: {err}"
            );
        };
        one(
            &["-e", "WODUSER=nobody-here", "serve"],
            4,
            "WODUSER nobody-here has no account on this host; make it with: useradd",
        );
        one(
            &["-e", "WODINTAKEUSER=nobody-here", "serve"],
            4,
            "WODINTAKEUSER nobody-here has no account on this host",
        );
        one(
            &["-e", "WODSTUDDIR=/nowhere", "serve"],
            4,
            "WODSTUDDIR /nowhere is not a directory; make it",
        );
        one(
            &["-e", "WODSTATEDIR=/proc/wod", "serve"],
            4,
            "/proc/wod cannot be made or used",
        );
        one(
            &["-e", "WODSTATEDIR=/tmp/none", "actions"],
            4,
            "there is no journal at /tmp/none/private/journal.db that you may read",
        );
        let taken = std::net::TcpListener::bind("127.0.0.1:2527").unwrap();
        one(
            &["-e", "WODSMTPLISTEN=127.0.0.1:2527", "serve"],
            4,
            "WODSMTPLISTEN 127.0.0.1:2527 cannot be listened on: Address already in use",
        );
        drop(taken);
        one(
            &["serve", "--inventory", "/nowhere"],
            4,
            "the configuration in /nowhere cannot be used: there is no such directory; name it with --inventory",
        );
        one(
            &["cleanup-users", "9", "2"],
            2,
            "student range `9,2`: expected the lower number first",
        );
        one(
            &["watchdog", "record", "/tmp/x", "--minutes", "0"],
            2,
            "--minutes is 0; expected a number above 0",
        );
        let allow = ["watchdog", "allow", "student-cpu", "--comment", "x"];
        one(
            &[&allow[..], &["--workshop", "WKSHP-Nope"]].concat(),
            0,
            "there is no workshop WKSHP-Nope yet; see wod workshops list",
        );
        one(
            &["watchdog", "status"],
            1,
            "the watchdog has not run here yet",
        );
        one(
            &["watchdog", "replay", "/etc/passwd"],
            1,
            "/etc/passwd is no recording of wod watchdog record: line 1",
        );
        one(
            &["workshops", "lint", "/etc/passwd"],
            2,
            "/etc/passwd is a file; name the directory of a workshop",
        );
        one(
            &["render", "WKSHP-API101", "--student", "12", "--out", "/tmp"],
            1,
            "/tmp is there already; --out takes a new directory",
        );
        assert_eq!(wod(&["actions", "list", "--most", "5"]).0, 2);
        all_wrong_settings_at_once();
        unreadable(&backend);
        unready::by_somebody_else();
        unready::no_inventory();
        assert_eq!(wod(&["-e", "novalue", "status"]).0, 2);
        assert_eq!(wod(&["frobnicate"]).0, 2);
        printed();
    });
}

fn all_wrong_settings_at_once() {
    let wrong = [
        "WODUSERMAX=0",
        "WODSTUDDIR=student",
        "WODWORKERS=many",
        "WODHUB=jupyter",
        "WODSMTPLISTEN=here",
        "WODRETRYSECONDS=-1",
    ];
    let mut words = vec!["serve"];
    words.extend(wrong.iter().flat_map(|set| ["-e", set]));
    let (exit, _, err) = wod(&words);
    assert_eq!(exit, 4, "{err}");
    for set in wrong {
        let name = set.split_once('=').unwrap().0;
        assert!(
            err.lines()
                .any(|line| line.starts_with(&format!("  command line: {name} is "))),
            "{name} in {err}"
        );
    }
    assert_eq!(err.lines().count(), 1 + wrong.len(), "{err}");
    let vars = "/etc/wod/inventory/group_vars/all.yml";
    let good = fs::read_to_string(vars).unwrap();
    for (bad, said) in [
        ("WODUSER: [unclosed\n", "all.yml"),
        ("WODUSER: \"{{ NOSUCH }}\"\n", "NOSUCH"),
        ("- a list\n", "all.yml"),
    ] {
        fs::write(vars, bad).unwrap();
        let (exit, _, err) = wod(&["workshops"]);
        assert_eq!(exit, 4, "{bad}: {err}");
        assert!(err.contains(said), "{bad}: {err}");
    }
    fs::write(vars, good).unwrap();
}

fn unreadable(backend: &Backend) {
    let output = Command::new("runuser")
        .args(["-u", "wodadmin", "--", "/run/wod", "status"])
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{err}");
    assert!(
        err.contains("group_vars/all.yml") && err.contains("ermission denied"),
        "{err}"
    );
    // Not taken for a site that has set nothing.
    sh("chmod 700 /etc/wod/inventory/group_vars");
    let output = Command::new("runuser")
        .args(["-u", "wodadmin", "--", "/run/wod", "status"])
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{err}");
    assert!(
        err.contains(
            "/etc/wod/inventory/group_vars: cannot look for variables in it: Permission denied"
        ) && err.contains("run wod with sudo")
            && !err.contains("WODBETOKEN"),
        "{err}"
    );
    sh("chmod 755 /etc/wod/inventory/group_vars");
    sh("chmod 644 /etc/wod/inventory/group_vars/all.yml");
    let output = Command::new("runuser")
        .args(["-u", "wodadmin", "--", "/run/wod", "actions"])
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{err}");
    assert!(
        err.contains("that you may read") && err.contains("sudo"),
        "{err}"
    );
    assert!(backend.wod(&["actions"]).status.success());
}

fn printed() {
    for (what, said) in [
        ("bash", "_wod()"),
        ("zsh", "#compdef wod"),
        ("fish", "complete -c wod"),
        ("man", ".TH wod"),
    ] {
        let (exit, out, err) = wod(&["completions", what]);
        assert_eq!((exit, err.as_str()), (0, ""));
        assert!(
            out.contains(said) && out.contains("test\\-action") | out.contains("test-action"),
            "{what}"
        );
    }
    let (exit, out, _) = wod(&["--help"]);
    assert_eq!(exit, 0);
    assert!(
        out.contains("Exit status:\n  0  done") && out.contains("sysexits"),
        "{out}"
    );
}
