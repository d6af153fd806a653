//! Execs that the kernel could not tell of, because nobody read fast enough.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::watched::{BRIEF, POLICY, Watched, processes};
use crate::support::{among_all_processes, wait_for};

/// What the kernel dropped for the watchdog's socket, by its table: protocol 11, port, drops.
fn dropped(port: u32) -> u64 {
    let table = fs::read_to_string("/proc/net/netlink").unwrap();
    let rows = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let own = rows
        .into_iter()
        .find(|row| row[1] == "11" && row[2] == port.to_string());
    own.expect("the watchdog's socket")[8].parse().unwrap()
}

/// Events that were missed, and looks at everything, as the watchdog last told.
fn figures(watched: &Watched) -> Option<(u64, u64)> {
    let output = watched.wod(&["watchdog", "status", "--json"]);
    let figures: Value = serde_json::from_slice(&output.stdout).ok()?;
    Some((figures["missed"].as_u64()?, figures["samples"].as_u64()?))
}

#[test]
fn what_starts_while_events_are_lost_is_found_all_the_same() {
    among_all_processes(|| {
        let mut watched = Watched::site(POLICY, "");
        // On a slow machine it takes long until events are lost.
        let is_found = [100, 400, 1600]
            .into_iter()
            .any(|interval| found_after_a_loss(&mut watched, interval));
        assert!(is_found, "no event was lost before the next regular look");
    });
}

/// False where it could have been found by chance: a regular look comes after half of the interval at
/// the soonest. When events were missed, it looks a quarter of that after the last time.
fn found_after_a_loss(watched: &mut Watched, interval: u32) -> bool {
    let setting = format!("WODWATCHINTERVAL={interval}");
    watched.start_watchdog_with(&["-e", &setting]);
    watched.is_watching();
    let begun = Instant::now();
    let watchdog = Pid::from_raw(watched.watchdog_id() as i32);
    let storm = watched.copy(2, "busy");
    kill(watchdog, Signal::SIGSTOP).unwrap();
    let words = ["storm", "1000000", BRIEF];
    let mut storms: Vec<_> = (0..4).map(|_| watched.run(2, &storm, &words)).collect();
    wait_for(140, "lost event", || {
        (dropped(watched.watchdog_id()) > 0).then_some(())
    });
    let before = dropped(watched.watchdog_id());
    let program = watched.copy(1, "xmrig");
    let mut miner = watched.run(1, &program, &["idle"]);
    wait_for(20, "start of the program", || {
        let mut all = processes(watched.uid(1)).into_iter();
        let runs = |pid| fs::read_link(format!("/proc/{pid}/exe")).ok() == Some((&program).into());
        all.any(runs).then_some(())
    });
    assert!(
        dropped(watched.watchdog_id()) > before,
        "there was room for it"
    );
    for storm in &mut storms {
        let _ = storm.kill();
        storm.wait().unwrap();
    }
    let quarter = Duration::from_secs(interval.into()) / 4 + Duration::from_secs(1);
    thread::sleep((begun + quarter).saturating_duration_since(Instant::now()));
    assert!(miner.try_wait().unwrap().is_none());
    eprintln!(
        "every {interval} s: events were lost for {:?}",
        begun.elapsed()
    );
    if begun.elapsed() > Duration::from_secs(interval.into()) * 9 / 20 {
        miner.kill().unwrap();
        miner.wait().unwrap();
        watched.kill_watchdog();
        return false;
    }
    kill(watchdog, Signal::SIGCONT).unwrap();
    miner.wait().unwrap();
    let incident = watched.incident(1);
    assert_eq!(incident["findings"][0]["rule"], "name");
    // It has looked at everything at once: the next regular look is far.
    let (missed, looks) = wait_for(20, "look at everything", || {
        figures(watched).filter(|(missed, looks)| *missed > 0 && *looks > 1)
    });
    assert!(
        watched
            .log()
            .contains("events were missed; looking at everything")
    );
    eprintln!("{missed} events were missed; {looks} looks");
    true
}
