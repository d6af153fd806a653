//! Retries and cancels in the middle of it all: none is lost, none leaves a seat stuck.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::support::backend::{Backend, Options, send};
use crate::support::seats::{assert_free, assert_taken, assert_tidy, workshop};
use crate::support::{on_private_host, wait_for};

const SEATS: std::ops::RangeInclusive<u32> = 1..=5;

fn open_actions(backend: &Backend) -> Vec<Value> {
    let output = backend.wod(&["actions", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Retries what is held, cancels every fourth that is open; goes on until told to stop.
fn meddle(backend: &Backend, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        for action in open_actions(backend) {
            let id = action["id"].as_i64().unwrap();
            let wish = match action["state"] == "held" {
                true => "retry",
                false if id % 4 == 0 => "cancel",
                false => continue,
            };
            // It may be over by now, or stale.
            backend.wod(&["actions", wish, &id.to_string()]);
        }
    }
}

#[test]
fn no_wish_is_lost_among_many_mails() {
    on_private_host(|| {
        let fickle = "[ $((RANDOM % 3)) != 0 ]";
        workshop("Half", "range: [1,10]\n", &[]);
        workshop(
            "Fickle",
            "range: [1,10]\n",
            &[("create", fickle), ("cleanup", fickle)],
        );
        let backend = Backend::start(Options {
            inventory: "WODATTEMPTS: 2\nWODRETRYSECONDS: 0.02\nWODGUARDSECONDS: 0.1\n",
            ..Options::default()
        });
        let stop = AtomicBool::new(false);
        let mails = thread::scope(|scope| {
            let admin = scope.spawn(|| meddle(&backend, &stop));
            let mut mails = 0;
            for round in 0..8 {
                for seat in SEATS {
                    let participant = 100 * round + seat;
                    for verb in ["CREATE", "PURGE", "CLEANUP"] {
                        let subject = format!("{verb} {seat} {participant}");
                        assert!(send(&subject, "WKSHP-Fickle").starts_with("250"));
                        mails += 1;
                    }
                }
            }
            wait_for(40, "end of all that goes by itself", || {
                open_actions(&backend)
                    .iter()
                    .all(|a| a["state"] == "held")
                    .then_some(())
            });
            stop.store(true, Ordering::SeqCst);
            admin.join().unwrap();
            mails
        });
        for action in open_actions(&backend) {
            backend.wod(&["actions", "cancel", &action["id"].to_string()]);
        }
        wait_for(20, "end of all", || {
            open_actions(&backend).is_empty().then_some(())
        });
        let all = backend.actions();
        assert_eq!(all.len(), mails);
        let count = |state: &str| all.iter().filter(|a| a["state"] == state).count();
        println!(
            "{mails} mails: {} done, {} cancelled",
            count("done"),
            count("cancelled")
        );
        assert_eq!(count("done") + count("cancelled"), mails);
        // Whatever became of them, each seat can be given again.
        for seat in SEATS {
            send(&format!("CREATE {seat} {}", 900 + seat), "WKSHP-Half");
        }
        backend.settled(mails + 5);
        for seat in SEATS {
            assert_taken(&backend, seat, 900 + seat, "WKSHP-Half");
            send(&format!("PURGE {seat} {}", 900 + seat), "VOID");
        }
        backend.settled(mails + 10);
        SEATS.for_each(|seat| assert_free(&backend, seat));
        assert_tidy();
    });
}
