//! What was over long ago leaves the journal by itself.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::support::backend::{Backend, Options, STATE, send};
use crate::support::seats::{assert_taken, workshop};
use crate::support::{on_private_host, wait_for};

#[test]
fn old_actions_leave_with_their_logs() {
    on_private_host(|| {
        workshop("Said", "range: [1,10]\n", &[("create", "echo hello")]);
        workshop("Bad", "range: [1,10]\n", &[("create", "exit 1")]);
        // As short as it can be: copies of a mail are known for half a minute all the same.
        let mut backend = Backend::start(Options {
            inventory: "WODHISTORYDAYS: 0\nWODREPLAYSECONDS: 0\nWODDUPLICATESECONDS: 5\n\
                        WODATTEMPTS: 1\n",
            ..Options::default()
        });
        let log = |id: i64| format!("{STATE}/private/log/action-{id}.log");
        send("CREATE 1 801", "WKSHP-Said");
        send("CREATE 2 802", "WKSHP-Bad");
        assert_eq!(backend.settled(2)[1]["state"], "held");
        backend.stop_engine();
        backend.start_engine();
        thread::sleep(Duration::from_secs(1));
        assert_eq!(backend.actions().len(), 2, "it is not old yet");
        assert!(Path::new(&log(1)).exists() && Path::new(&log(2)).exists());
        thread::sleep(Duration::from_secs(31));
        backend.stop_engine();
        backend.start_engine();
        let left = wait_for(10, "shorter list", || {
            let left = backend.actions();
            (left.len() == 1).then_some(left)
        });
        assert_eq!(
            (&left[0]["id"], &left[0]["state"]),
            (&2.into(), &"held".into())
        );
        assert!(!Path::new(&log(1)).exists() && Path::new(&log(2)).exists());
        assert_taken(&backend, 1, 801, "WKSHP-Said");
        // No number is used twice, and an old wish is a new one.
        send("CREATE 1 801", "WKSHP-Said");
        wait_for(10, "new action", || {
            let all = backend.actions();
            (all.len() == 2 && all[1]["id"] == 3 && all[1]["state"] == "done").then_some(())
        });
        backend.stop_engine();
        assert!(backend.wod(&["journal", "check"]).status.success());
    });
}
