//! Runs that `wod serve` starts.

use std::fs;
use std::process::Command;

use super::{appears, history, is_running, make_overlay, program, site, states, with_overlay};
use crate::support::backend::{Backend, Options, PROGRAM, SHARE};
use crate::support::sink::{MONITOR, Sink};
use crate::support::{on_private_host, sh, wait_for};

#[test]
fn serve_starts_runs_at_their_time_and_ends_one_with_itself() {
    on_private_host(|| {
        make_overlay();
        let sink = Sink::open();
        // The others are there before the first one can come.
        program("10-waits", "touch /tmp/begun; sleep 333");
        let more = format!(
            "{MONITOR}WODSYSDIR: {SHARE}/sys\nWODDELIVERCRON: [\"* * * * *\", \"0 0 1 1 *\"]"
        );
        let mut backend = Backend::start(Options {
            inventory: &with_overlay(&more),
            ..Options::default()
        });
        wait_for(75, "run of the scheduler", || {
            std::fs::exists("/tmp/begun").unwrap().then_some(())
        });
        assert_eq!(states(&backend), ["running"]);
        assert_eq!(history(&backend)[0]["by"], "scheduler");
        // The timer leaves it to serve, whatever systemd thinks.
        let timer = Command::new(PROGRAM)
            .args(["deliver", "--by", "timer"])
            .output()
            .unwrap();
        assert!(timer.status.success());
        assert!(String::from_utf8_lossy(&timer.stdout).contains("WODDELIVERCRON is set"));
        backend.stop_engine();
        assert_eq!(states(&backend), ["stopped"]);
        assert!(!is_running("sleep 333") && !is_running("deliver --by scheduler"));
        let before = sink.mails().len();

        // A run that cannot begin is told by serve.
        sh("rm -f /tmp/begun /var/private/deliver.d/*");
        backend.start_engine();
        sh("echo 'WODBEPORT: many' >>/etc/wod/inventory/group_vars/all.yml");
        wait_for(75, "mail of serve", || {
            let mails = sink.mails();
            mails[before..]
                .iter()
                .any(|mail| mail.contains("did not run to its end (exit 4)"))
                .then_some(())
        });
    });
}

#[test]
fn without_lines_serve_starts_nothing() {
    on_private_host(|| {
        let mut backend = site("");
        program("10-any", "touch /tmp/begun");
        backend.start_engine();
        // The timer's run is not left out then.
        let timer = backend.wod(&["deliver", "--by", "timer", "--tags", "private"]);
        assert!(timer.status.success());
        appears("/tmp/begun");
        assert_eq!(history(&backend)[0]["by"], "timer");
        let wrong = backend.wod(&["-e", "WODDELIVERCRON=61 4 * * *", "deliver", "--list"]);
        let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
        assert_eq!(wrong.status.code(), Some(4), "{told}");
        assert!(told.contains("WODDELIVERCRON is wrong"), "{told}");
    });
}

fn arguments(pid: &str) -> Option<String> {
    let argv = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&argv).replace('\0', " "))
}

/// Pid and arguments of all processes but one; a child of its that has not become another program yet
/// has the same.
fn arguments_but(pid: u32) -> Vec<(u32, String)> {
    let own = arguments(&pid.to_string()).unwrap();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let of = |entry: fs::DirEntry| {
        let name = entry.file_name();
        Some((name.to_str()?.parse().ok()?, arguments(name.to_str()?)?))
    };
    all.filter_map(of)
        .filter(|(_, argv)| *argv != own)
        .collect()
}

#[test]
fn what_the_command_line_sets_is_in_no_child_s_arguments() {
    on_private_host(|| {
        const VALUE: &str = "only-for-those-who-need-it";
        let mut backend = site("WODWATCHDOG: serve");
        program("10-waits", "echo \"$WODMINE\" >/tmp/told; sleep 333");
        let mine = format!("WODMINE={VALUE}");
        backend.start_engine_over(&[&mine, "WODDELIVERCRON=* * * * *"]);
        let engine = backend.engine_id();
        let mut seen = Vec::new();
        wait_for(90, "what a program of the run was told", || {
            let all = arguments_but(engine);
            let (told, rest): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|(_, argv)| argv.contains(VALUE));
            assert!(told.is_empty(), "{told:?}");
            seen.extend(rest.into_iter().map(|(_, argv)| argv));
            fs::read_to_string("/tmp/told")
                .ok()
                .filter(|text| text.ends_with('\n'))
        });
        // All the same, they have it.
        assert_eq!(fs::read_to_string("/tmp/told").unwrap().trim(), VALUE);
        for child in ["deliver --by scheduler", "watchdog --engine", " intake "] {
            assert!(seen.iter().any(|argv| argv.contains(child)), "{child}");
        }
        backend.stop_engine();
        // By hand, without what is expected there.
        let none = Command::new(PROGRAM)
            .args(["--extra-vars-on-stdin", "vars", "WODUSER"])
            .output()
            .unwrap();
        assert_eq!(none.status.code(), Some(4));
    });
}
