//! Where a site has single processes ended (`stop-process`): none is passed over, and whoever starts
//! one after the other makes no more than so many incidents, letters and files of them.

use std::fs;
use std::path::Path;

use crate::support::watched::{POLICY, STATE, Watched, letters};
use crate::support::{among_all_processes, sh, wait_for};

fn policy() -> String {
    format!("{POLICY}responses: {{rules: {{name: {{certain: stop-process}}}}}}\n")
}

#[test]
fn what_comes_while_another_is_ended_is_ended_too() {
    among_all_processes(|| {
        let watched = Watched::start(&policy(), "");
        let large = watched.copy(1, "xmrig");
        let small = watched.copy(1, "ethminer");
        // To take its sum takes a while.
        sh(&format!("truncate -s 4T {large}"));
        let mut first = watched.run(1, &large, &["idle"]);
        first.wait().unwrap();
        let mut second = watched.run(1, &small, &["idle"]);
        wait_for(60, "end of the second", || second.try_wait().unwrap());
        wait_for(60, "incidents", || {
            let all = watched.stops();
            let is_over = all.iter().all(|stop| stop["state"] == "done");
            (all.len() == 2 && is_over).then_some(())
        });
    });
}

#[test]
fn one_after_the_other_makes_no_end_of_letters_and_files() {
    among_all_processes(|| {
        let watched = Watched::start(&policy(), "");
        let program = watched.copy(1, "xmrig");
        for _ in 0..30 {
            let mut child = watched.run(1, &program, &["idle"]);
            wait_for(30, "end", || child.try_wait().unwrap());
        }
        wait_for(30, "end of all incidents", || {
            let all = watched.stops();
            all.iter().all(|stop| stop["state"] == "done").then_some(())
        });
        let kept = fs::read_dir(Path::new(STATE).join("private/evidence")).unwrap();
        assert_eq!(kept.count(), 8);
        let letters = letters();
        assert_eq!((watched.stops().len(), letters.len()), (24, 24));
        let last = &letters.iter().max_by_key(|letter| letter.id).unwrap().body;
        assert!(last.contains("is logged and counted"), "{last}");
    });
}
