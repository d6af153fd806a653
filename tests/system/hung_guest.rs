//! A guest whose process cannot be ended: it waits for a file system of the guest's own (FUSE), which
//! nobody can cut off here. The next guest waits until it is gone.

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::Value;

use crate::support::backend::{Backend, Options, UID_BASE, home, send};
use crate::support::dead_mount::DeadMount;
use crate::support::seats::{fits, is_locked, password, workshop};
use crate::support::watched::processes;
use crate::support::{on_private_host, sh, wait_for};

const SEAT: u32 = 3;

fn act(backend: &Backend, verb: &str, participant: &str) -> Value {
    let seat = SEAT.to_string();
    backend.act(&[verb, "WKSHP-Plain", &seat, "--participant", participant])
}

/// None where there is no FUSE.
fn hang() -> Option<(DeadMount, Child)> {
    let (at, uid) = (home(SEAT).join("mount"), UID_BASE + SEAT);
    sh(&format!("mkdir {0}; chown {uid} {0}", at.display()));
    let mut mount = DeadMount::new(&at, uid, b"secret")?;
    let cat = |file: &str| {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={uid}"), &format!("--regid={uid}")]);
        command.args(["--clear-groups", "cat", file]);
        command.spawn().unwrap()
    };
    let file = at.join("xmrig").display().to_string();
    assert!(cat(&file).wait().unwrap().success());
    mount.swallow();
    let hanging = cat(&file);
    wait_for(10, "question", || (mount.swallowed() > 0).then_some(()));
    Some((mount, hanging))
}

#[test]
fn the_next_guest_waits_for_what_hangs() {
    on_private_host(|| {
        workshop("Plain", "range: [1,40]\n", &[]);
        let backend = Backend::start(Options {
            inventory: "WODATTEMPTS: 2\n",
            ..Options::default()
        });
        assert_eq!(act(&backend, "CREATE", "803")["state"], "done");
        let Some((mount, mut hanging)) = hang() else {
            eprintln!("left out: there is no FUSE here");
            return;
        };
        fs::write(home(SEAT).join("of-the-first"), "").unwrap();
        let purge = act(&backend, "PURGE", "803");
        assert_eq!(purge["state"], "held", "{purge}");
        let hangs = format!("process {} (cat), which hangs in ", hanging.id());
        let problem = purge["problem"].as_str().unwrap();
        assert!(problem.contains(&hangs), "{problem}");

        let answer = send("CREATE 3 804", "WKSHP-Plain");
        assert!(answer.starts_with("250"), "{answer}");
        let create = wait_for(10, "second CREATE", || backend.actions().get(2).cloned());
        std::thread::sleep(Duration::from_secs(3));
        let now = backend.action(create["id"].as_i64().unwrap());
        assert_eq!(now["state"], "waiting", "{now}");
        // Nor is it let in when somebody loses patience.
        assert!(backend.wod(&["actions", "cancel", "2"]).status.success());
        let all = backend.settled(3);
        let problem = all[2]["problem"].as_str().unwrap_or_default();
        assert!(problem.contains(&hangs), "{:#}", all[2]);
        assert_eq!(all[2]["state"], "held");
        assert!(is_locked(SEAT));
        assert!(home(SEAT).join("of-the-first").exists());
        assert_eq!(processes(UID_BASE + SEAT).len(), 1);

        // Its end.
        drop(mount);
        hanging.wait().unwrap();
        let retry = backend.wod(&["actions", "retry", "3"]);
        assert!(retry.status.success(), "{retry:?}");
        let all = backend.settled(3);
        let states: Vec<&str> = all.iter().map(|a| a["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["done", "cancelled", "done"], "{all:#?}");
        assert!(!home(SEAT).join("of-the-first").exists());
        assert!(fits(SEAT, &password(SEAT).unwrap()));
    });
}
