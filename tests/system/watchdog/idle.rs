//! Servers that nobody uses, as a real JupyterHub knows them.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::backend::{Backend, Options};
use crate::support::{on_private_host, sh, wait_for};

const LOG: &str = "/run/watchdog.log";

fn watch() -> Child {
    let log = fs::File::create(LOG).unwrap();
    let mut command = Command::new("/run/wod");
    command
        .arg("watchdog")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.stderr(log).spawn().unwrap()
}

fn said(words: &str) -> usize {
    let log = fs::read_to_string(LOG).unwrap();
    log.lines().filter(|line| line.contains(words)).count()
}

/// What one look says of rule idle, and what it complains of.
fn look(backend: &Backend) -> (Vec<Value>, String) {
    let output = backend.wod(&["watchdog", "--once", "--json", "--dry-run"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let all = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let idle = all.filter(|finding: &Value| finding["rule"] == "idle");
    (
        idle.collect(),
        String::from_utf8_lossy(&output.stderr).into(),
    )
}

#[test]
fn a_server_that_nobody_uses_is_found_while_the_hub_answers() {
    on_private_host(|| {
        fs::create_dir_all("/etc/wod/inventory").unwrap();
        fs::write("/etc/wod/inventory/watchdog.yml", "seats: {idle: 5s}\n").unwrap();
        let backend = Backend::start(Options {
            hub: true,
            inventory: "WODWATCHDOG: unit\nWODWATCHINTERVAL: 0.3\n",
            ..Options::default()
        });
        let made = backend.act(&["CREATE", "WKSHP-API101", "12", "--participant", "825"]);
        assert_eq!(made["state"], "done", "{made}");
        let found = wait_for(30, "finding of rule idle", || {
            let (idle, complaint) = look(&backend);
            assert_eq!(complaint, "");
            idle.into_iter().next()
        });
        assert_eq!(found["student"], 12, "{found}");
        let sentence = found["sentence"].as_str().unwrap();
        assert!(
            sentence.contains("a server that nobody has used for"),
            "{found}"
        );

        let mut watchdog = watch();
        wait_for(30, "line about an idle server", || {
            (said("idle (notice") == 1).then_some(())
        });
        watchdog.kill().unwrap();
        watchdog.wait().unwrap();

        // Without a hub the rule knows nothing, says so once, and everything else goes on.
        sh(&format!("kill -KILL {}", backend.hub_id()));
        let (idle, complaint) = look(&backend);
        assert!(idle.is_empty(), "{idle:?}");
        let expected = "rule idle says nothing until the hub answers";
        assert!(complaint.contains(expected), "{complaint}");
        let mut watchdog = watch();
        wait_for(30, "line about the hub", || {
            (said("rule idle says nothing") == 1).then_some(())
        });
        wait_for(30, "figures of a watchdog that goes on", || {
            let status = backend.wod(&["watchdog", "status", "--json"]);
            let status: Value = serde_json::from_slice(&status.stdout).ok()?;
            (status["pid"] == watchdog.id() && status["samples"].as_u64()? > 10).then_some(())
        });
        assert_eq!(
            (said("rule idle says nothing"), said("idle (notice")),
            (1, 0)
        );
        watchdog.kill().unwrap();
        watchdog.wait().unwrap();
    });
}
