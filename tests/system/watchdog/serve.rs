//! The watchdog as a child of `wod serve`, with a real JupyterHub. On a private host there is no
//! process connector, so it only samples; what it sends goes through a real engine.

use std::fs;

use crate::support::backend::{Backend, Options, home};
use crate::support::student::{hub_token, password, processes, start_kernel};
use crate::support::watched::{POLICY, SUSPECT};
use crate::support::{on_private_host, sh, support, wait_for};

fn options(hub: bool) -> Options<'static> {
    Options {
        hub,
        inventory: "WODWATCHDOG: serve\nWODWATCHINTERVAL: 0.3\nWODCPUGRACE: 0\n",
        ..Options::default()
    }
}

pub fn prepare(policy: &str) {
    sh(&format!(
        "mkdir -p /etc/wod/inventory /run/suspect; chmod 755 /run/suspect
         cc -O1 -o {SUSPECT} {}",
        support("suspect.c").display()
    ));
    fs::write("/etc/wod/inventory/watchdog.yml", policy).unwrap();
}

#[test]
fn what_a_kernel_of_the_hub_started_is_stopped_and_the_seat_purged() {
    on_private_host(|| {
        prepare(POLICY);
        let backend = Backend::start(options(true));
        wait_for(10, "watchdog", || {
            let told = "process connector is not to be had";
            backend.log().contains(told).then_some(())
        });
        assert!(!backend.log().contains("passed over"), "{}", backend.log());
        let made = backend.act(&["CREATE", "WKSHP-API101", "12", "--participant", "825"]);
        assert_eq!(made["state"], "done", "{made}");
        // What every new kernel of theirs runs.
        let startup = home(12).join(".ipython/profile_default/startup");
        sh(&format!(
            "mkdir -p {0}; cp {SUSPECT} {1}/notes
             echo 'import subprocess; subprocess.Popen([\"{1}/notes\", \"burn\"], start_new_session=True)' >{0}/00.py
             chown -R student12: {1}/.ipython {1}/notes; chmod 755 {1}/notes",
            startup.display(),
            home(12).display(),
        ));
        start_kernel(12, &hub_token(12, &password(12)));
        let incident = wait_for(60, "incident", || {
            let listed = backend.wod(&["watchdog", "list", "--json"]);
            let text = String::from_utf8(listed.stdout).unwrap();
            let incident: serde_json::Value = serde_json::from_str(text.lines().next()?).unwrap();
            (incident["state"] == "done").then_some(incident)
        });
        assert_eq!(
            (&incident["student"], &incident["participant"]),
            (&12.into(), &825.into())
        );
        eprintln!(
            "started by a kernel: {} ms from sight to end, {}",
            incident["latency_ms"], incident["findings"][0]["sentence"]
        );
        let all = backend.settled(2);
        assert_eq!(
            (&all[1]["action"], &all[1]["state"]),
            (&"PURGE".into(), &"done".into()),
            "{all:?}"
        );
        assert_eq!(processes(12), "");
        assert_eq!(backend.seat(12).unwrap()["assigned"], false);
        let shown = backend.wod(&["actions", "show", &all[1]["id"].to_string()]);
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains("watchdog: incident 1: student12"), "{shown}");
        banned(&backend);
    });
}

/// No seat until somebody lifts it.
fn banned(backend: &Backend) {
    let refused = backend.act(&["CREATE", "WKSHP-API101", "13", "--participant", "825"]);
    assert_eq!(refused["state"], "refused", "{refused}");
    assert!(
        refused.to_string().contains("wod students unban 825"),
        "{refused}"
    );
    assert!(backend.wod(&["students", "unban", "825"]).status.success());
    assert!(!backend.wod(&["students", "unban", "825"]).status.success());
    let made = backend.act(&["CREATE", "WKSHP-API101", "14", "--participant", "825"]);
    assert_eq!(made["state"], "done", "{made}");
}

#[test]
fn a_spool_file_that_says_it_is_the_watchdogs_is_roots_or_nothing() {
    on_private_host(|| {
        let backend = Backend::start(Options {
            inventory: "WODSIGNATURES: required\n",
            ..Options::default()
        });
        let record = |random: char| {
            let text = r#"{"version":1,"received":1,"route":"watchdog","peer":"watchdog",
                "sender":"watchdog","message_id":"incident-1@watchdog","reason":"x",
                "action":{"verb":"PURGE","seat":{"students":[3,3]},"participant":0}}"#;
            let name = format!("{:020}-1-{}.action", 5, random.to_string().repeat(16));
            let path = format!("/run/{name}");
            fs::write(&path, text).unwrap();
            (path, name)
        };
        let (forged, name) = record('a');
        sh(&format!(
            "chown wodmail {forged}; mv {forged} /var/lib/wod/spool/{name}"
        ));
        wait_for(20, "quarantine", || {
            fs::exists(format!("/var/lib/wod/spool/bad/{name}"))
                .unwrap()
                .then_some(())
        });
        assert!(backend.actions().is_empty());
        let (own, name) = record('b');
        sh(&format!("mv {own} /var/lib/wod/spool/{name}"));
        let all = backend.settled(1);
        assert_eq!(
            all[0]["state"], "done",
            "signed or not, it is root's own: {all:?}"
        );
    });
}
