//! `wod demo` does what it says and leaves nothing behind.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::{on_private_host, root, sh, wait_for};

#[test]
fn a_demo_as_root_leaves_nothing() {
    on_private_host(|| inside::a_demo_as_root_leaves_nothing());
}

#[test]
fn a_demo_without_root_leaves_nothing() {
    on_private_host(|| inside::a_demo_without_root_leaves_nothing());
}

mod inside {
    use super::*;

    const PROGRAM: &str = "/run/wod";
    const SHARE: &str = "/run/share";

    fn install() {
        sh(&format!(
            "install -m 755 {} {PROGRAM}; mkdir {SHARE}
             cp -R {root}/workshops {root}/sys {SHARE}/; chmod -R u+rwX,go+rX {SHARE}",
            env!("CARGO_BIN_EXE_wod"),
            root = root().display()
        ));
    }

    /// Mounts, accounts, processes, files of the usual places, listeners, IPC objects.
    fn host() -> String {
        sh("cat /proc/self/mounts; sha256sum /etc/passwd /etc/shadow /etc/group
            find /tmp /var/tmp /dev/shm /run /home /mnt /var/lib /var/spool /opt/jupyterhub/etc 2>/dev/null | sort
            ss -ltnH; cat /proc/sysvipc/*
            ps -eo args= | grep -E 'wod|jupyter|proxy' | grep -vE 'grep|system|private-host|ps -eo' || true")
    }

    fn command(who: &[&str]) -> Command {
        let mut words = who.to_vec();
        words.push(PROGRAM);
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(["demo", "--share", SHARE])
            .env("JPHUB", "/opt/jupyterhub")
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    fn went_well(output: &Output) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let verbs: Vec<&str> = lines
            .iter()
            .map(|line| line["action"].as_str().unwrap())
            .collect();
        assert_eq!(verbs, ["CREATE", "CHECK", "CLEANUP", "PURGE"], "{text}");
        assert!(lines.iter().all(|line| line["state"] == "done"), "{text}");
    }

    /// Starts it for people to play with, and interrupts it as Ctrl-C does.
    fn interrupted(who: &[&str]) {
        let log = std::fs::File::create("/root/demo.log").unwrap();
        let mut demo = command(who);
        std::os::unix::process::CommandExt::process_group(&mut demo, 0);
        let mut demo = demo
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let said = || std::fs::read_to_string("/root/demo.log").unwrap();
        wait_for(60, "invitation", || {
            assert!(demo.try_wait().unwrap().is_none(), "{}", said());
            said().contains("Press Ctrl-C").then_some(())
        });
        assert!(sh("ps -eo args=").contains("jupyterhub-singleuser"));
        sh(&format!("kill -INT -- -{}", demo.id()));
        let status = wait_for(30, "end of the demo", || demo.try_wait().unwrap());
        assert!(status.success(), "{status}: {}", said());
        std::fs::remove_file("/root/demo.log").unwrap();
    }

    fn is_as_before(before: &str) {
        wait_for(10, "host as before", || {
            let now = host();
            let more: Vec<&str> = now.lines().filter(|l| !before.contains(l)).collect();
            if !more.is_empty() {
                eprintln!("still there: {}", more.join("\n"));
            }
            (now == *before).then_some(())
        });
    }

    pub fn a_demo_as_root_leaves_nothing() {
        install();
        let before = host();
        went_well(
            &command(&["env"])
                .args(["--once", "--json"])
                .output()
                .unwrap(),
        );
        is_as_before(&before);
        interrupted(&["env"]);
        is_as_before(&before);
    }

    pub fn a_demo_without_root_leaves_nothing() {
        install();
        sh("useradd --create-home someone");
        let who = [
            "runuser",
            "-u",
            "someone",
            "--",
            "env",
            "HOME=/home/someone",
        ];
        // What Jupyter keeps for its user is there before.
        let before = host();
        went_well(&command(&who).args(["--once", "--json"]).output().unwrap());
        is_as_before(&before);
        let who = [
            "setpriv",
            "--reuid=someone",
            "--regid=someone",
            "--clear-groups",
            "env",
            "HOME=/home/someone",
        ];
        interrupted(&who);
        is_as_before(&before);
    }
}
