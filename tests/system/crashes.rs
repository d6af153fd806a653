//! Killed at any moment: every accepted mail is carried out, as if nothing had happened.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::backend::{Backend, Options, SMTP, STATE, STUDENTS, send, send_as_frontend};
use crate::support::chance::Chance;
use crate::support::seats::{
    assert_free, assert_taken, assert_tidy, events, is_locked, linger_as, picture, processes,
    workshop,
};
use crate::support::{living, on_private_host, sh, wait_for};

const SCRIPTS: [(&str, &str); 4] = [
    (
        "create",
        "mkdir -p $stddir/made && echo $stdid > $stddir/made/by-script && sleep 0.05",
    ),
    ("post-copy", "echo after > $stddir/made/after"),
    ("cleanup", "sleep 0.05"),
    ("reset", "sleep 0.05"),
];

#[test]
fn the_engine_is_killed_at_any_moment() {
    on_private_host(|| {
        workshop("Half", "range: [1,10]\n", &SCRIPTS);
        workshop("Class", "range: [11,20]\nreset: true\n", &SCRIPTS);
        let mut backend = Backend::start(Options {
            inventory: "WODGUARDSECONDS: 0.1\n",
            ..Options::default()
        });
        send("CREATE 1 700", "WKSHP-Half");
        send("CREATE 11 701", "WKSHP-Class");
        backend.settled(2);
        let undisturbed = [picture(1), picture(11)];
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = u64::from(clock.subsec_nanos());
        println!("seed {seed}");
        let mut chance = Chance(seed);
        let begun = Instant::now();
        let mut sent = 2;
        let mut rounds = 0;
        while rounds < 15 || rounds < 32 && begun.elapsed() < Duration::from_secs(50) {
            let participant = 800 + rounds;
            let (half, class) = match rounds % 4 {
                0 | 2 => ("CREATE", "CREATE"),
                1 => ("CLEANUP", "RESET"),
                _ => ("PURGE", "PURGE"),
            };
            let of = match half {
                "CREATE" => participant,
                _ => participant - 1,
            };
            for (verb, student, workshop) in [(half, 1, "WKSHP-Half"), (class, 11, "WKSHP-Class")] {
                let reply = send(
                    &format!("{verb} {student} {}", 2 * of + student / 11),
                    workshop,
                );
                assert!(reply.starts_with("250"), "{reply}");
                sent += 1;
            }
            thread::sleep(Duration::from_millis(chance.below(300)));
            backend.kill_engine();
            backend.start_engine();
            if chance.below(2) == 0 {
                thread::sleep(Duration::from_millis(chance.below(200)));
                backend.kill_engine();
                backend.start_engine();
            }
            let all = backend.settled(sent);
            assert_eq!(all.len(), sent);
            assert!(
                all.iter().all(|a| a["state"] == "done"),
                "round {rounds}: {all:#?}"
            );
            for (place, (student, workshop)) in [(1, "WKSHP-Half"), (11, "WKSHP-Class")]
                .into_iter()
                .enumerate()
            {
                match half {
                    "CREATE" => {
                        assert_taken(&backend, student, 2 * of + student / 11, workshop);
                        assert_eq!(picture(student), undisturbed[place], "round {rounds}");
                    }
                    _ => {
                        assert_free(&backend, student);
                        assert!(!is_locked(student), "it has a password that nobody knows");
                    }
                }
            }
            rounds += 1;
        }
        let log = backend.log();
        let cut = log.matches("to carry on with").count() - log.matches("ready; 0 actions").count();
        println!(
            "{rounds} rounds in {:?}, {cut} starts with something to carry on",
            begun.elapsed()
        );
        assert!(cut >= 4, "the kills come too late to show anything");
        assert_tidy();
        wait_for(10, "one intake, not one of each engine", || {
            (living("-u wodmail").len() == 1).then_some(())
        });
    });
}

#[test]
fn the_intake_comes_back_and_the_engine_stops_cleanly() {
    on_private_host(|| {
        workshop("Half", "range: [1,10]\n", &[]);
        workshop(
            "Slow",
            "range: [1,10]\n",
            &[(
                "create",
                "echo x >>/tmp/ran; while [ ! -e /tmp/go ]; do sleep 0.1; done",
            )],
        );
        let mut backend = Backend::start(Options::default());
        for round in 0..3 {
            // Not there as long as it still has its first privileges.
            sh("until pkill -KILL -u wodmail; do sleep 0.02; done");
            // Its port is the engine's: this waits in the socket until there is a new intake.
            send_as_frontend(
                &format!("CREATE {} {}", 1 + round, 801 + round),
                "WKSHP-Half",
            );
        }
        let all = backend.settled(3);
        assert!(all.iter().all(|a| a["state"] == "done"), "{all:#?}");
        // Stopped in the middle of a script: it ends, what follows it is for the next engine.
        send("CREATE 5 805", "WKSHP-Slow");
        send("CREATE 6 806", "WKSHP-Half");
        send("CLEANUP 5 805", "WKSHP-Slow");
        wait_for(10, "script, and the end of the other one", || {
            let is_done = backend.actions().get(4)?["state"] == "done";
            (is_done && fs::exists("/tmp/ran").unwrap()).then_some(())
        });
        linger_as(6);
        let script = thread::spawn(|| {
            wait_for(10, "word of the stop", || {
                let log = fs::read_to_string("/run/serve.log").unwrap();
                log.contains(" stopping\n").then_some(())
            });
            sh("touch /tmp/go");
        });
        let asked = Instant::now();
        backend.stop_engine();
        script.join().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(9));
        assert!(
            std::net::TcpStream::connect(SMTP).is_err(),
            "the intake is gone, too"
        );
        let open = backend.actions();
        assert_eq!(open[3]["state"], "running", "{open:#?}");
        assert_eq!(open[3]["problem"], serde_json::Value::Null);
        backend.start_engine();
        backend.settled(6);
        assert_eq!(
            fs::read_to_string("/tmp/ran").unwrap(),
            "x\n",
            "not run twice"
        );
        assert_free(&backend, 5);
        assert_taken(&backend, 6, 806, "WKSHP-Half");
        assert_eq!(events(4, "failed"), 0);
        assert_eq!(processes(5), 0);
    });
}

/// Its step is run again, so the one that goes on by itself is ended first.
#[test]
fn a_script_does_not_outlive_its_engine() {
    on_private_host(|| {
        let script = "echo begin >>/tmp/told; [ -e /tmp/go ] || sleep 1000
            echo end >>/tmp/told; setsid sleep 900 &";
        workshop("Slow", "range: [1,10]\n", &[("create", script)]);
        workshop("Half", "range: [1,10]\n", &[]);
        let mut backend = Backend::start(Options::default());
        send("CREATE 1 801", "WKSHP-Slow");
        wait_for(10, "script", || fs::metadata("/tmp/told").ok());
        // Somebody else's, which only says so.
        sh(
            "WODACTION=1 WODSTATEDIR=/var/lib/wod setpriv --reuid=nobody --clear-groups setsid \
            bash -c 'exec -a create-WKSHP-Slow.sh sleep 800' >/dev/null 2>&1 &",
        );
        wait_for(5, "other", || pgrep("^create-WKSHP-Slow.sh 800"));
        backend.kill_engine();
        sh("touch /tmp/go");
        backend.start_engine();
        backend.settled(1);
        assert_taken(&backend, 1, 801, "WKSHP-Slow");
        assert!(
            pgrep("^create-WKSHP-Slow.sh 800").is_some(),
            "it is not ours to end"
        );
        sh("pkill -u nobody -x sleep");
        assert_eq!(
            fs::read_to_string("/tmp/told").unwrap(),
            "begin\nbegin\nend\n"
        );
        assert!(
            backend
                .log()
                .contains("ended 1 scripts that an engine had left running")
        );
        // What a script started to stay does stay.
        backend.kill_engine();
        backend.start_engine();
        assert_eq!(living("-C sleep"), ["sleep 900"]);
    });
}

fn pgrep(line: &str) -> Option<()> {
    let mut pgrep = Command::new("pgrep");
    let found = pgrep.args(["-u", "nobody", "-f", line]).output().unwrap();
    found.status.success().then_some(())
}

fn serve(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new("timeout")
        .args(["120", "/run/wod"])
        .args(words)
        .arg("serve")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = text.lines().last().unwrap_or_default().to_owned();
    (output.status.code(), last)
}

#[test]
fn one_engine_and_a_journal_that_is_whole() {
    on_private_host(|| {
        workshop("Half", "range: [1,10]\n", &[]);
        let mut backend = Backend::start(Options::default());
        send("CREATE 1 801", "WKSHP-Half");
        backend.settled(1);
        let (status, line) = serve(&["-e", "WODSMTPLISTEN=127.0.0.1:2526"]);
        assert_eq!(status, Some(4), "{line}");
        assert!(
            line.contains("another engine already runs on /var/lib/wod; stop it first"),
            "{line}"
        );
        backend.stop_engine();
        let journal = format!("{STATE}/private/journal.db");
        let whole = fs::read(&journal).unwrap();
        let future = {
            sh(&format!("cp {journal} /run/future.db; python3 -c \"
import sqlite3; c=sqlite3.connect('/run/future.db'); c.execute('pragma journal_mode=delete'); c.execute('pragma user_version=7'); c.commit()\""));
            fs::read("/run/future.db").unwrap()
        };
        for (bytes, said) in [
            (
                future,
                "journal /var/lib/wod/private/journal.db is of version 7, this wod knows version 2",
            ),
            (
                b"this is no database, but somebody's notes".repeat(99),
                "journal.db is damaged (file is not a database)",
            ),
            (whole[..whole.len() / 2].to_vec(), "journal.db is damaged"),
            (whole[..50].to_vec(), "journal.db is damaged"),
        ] {
            fs::write(&journal, &bytes).unwrap();
            let (status, line) = serve(&[]);
            assert_eq!(status, Some(4), "{line}");
            assert!(line.contains(said), "{line}");
            assert!(line.len() < 400, "{line}");
            assert!(
                fs::read(&journal).unwrap() == bytes,
                "{said}: it was changed"
            );
            let shown = backend.wod(&["actions"]);
            assert!(!shown.status.success());
            assert!(
                String::from_utf8_lossy(&shown.stderr).contains("journal"),
                "{shown:?}"
            );
            assert!(
                fs::read(&journal).unwrap() == bytes,
                "{said}: it was changed by a command"
            );
        }
        // One letter in what was asked for, which no database would notice.
        let mut other = whole.clone();
        let at = other.windows(10).position(|word| word == b"WKSHP-Half");
        other[at.unwrap() + 6] = b'C';
        fs::write(&journal, &other).unwrap();
        let (status, line) = serve(&[]);
        assert_eq!(status, Some(4), "{line}");
        assert!(line.contains("is not what was written") && line.contains("wod journal salvage"));
        let check = backend.wod(&["journal", "check"]);
        let said = String::from_utf8(check.stdout).unwrap();
        assert_eq!(check.status.code(), Some(1), "{said}");
        assert!(said.starts_with("journal.db: table "), "{said}");
        let aside = backend.wod(&["journal", "salvage", "--to", "/run/salvaged.db"]);
        let said = String::from_utf8(aside.stdout).unwrap();
        assert!(
            aside.status.success() && said.contains("new      /run/salvaged.db"),
            "{said}"
        );
        assert!(fs::read(&journal).unwrap() == other, "it was changed");
        fs::write(&journal, &whole).unwrap();
        let check = backend.wod(&["journal", "check"]);
        assert!(check.status.success(), "{check:?}");
        assert_eq!(
            fs::metadata(&journal).unwrap().permissions().mode() & 0o777,
            0o600
        );
        backend.start_engine();
        assert_taken(&backend, 1, 801, "WKSHP-Half");
        assert!(fs::metadata(STUDENTS).is_ok());
        let busy = backend.wod(&["journal", "salvage"]);
        assert_eq!(busy.status.code(), Some(4), "{busy:?}");
    });
}
