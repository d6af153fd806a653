//! Ends what a child leaves running at its time limit: its process group, its session.

use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Between asking a process group to end and making it.
const GRACE: Duration = Duration::from_secs(2);

pub fn group(child: &mut Child) {
    let Ok(group) = i32::try_from(child.id()).map(Pid::from_raw) else {
        return;
    };
    let _ = killpg(group, Signal::SIGTERM);
    let until = Instant::now() + GRACE;
    while Instant::now() < until {
        if matches!(child.try_wait(), Ok(Some(_))) {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = killpg(group, Signal::SIGKILL);
    // A child that had not yet made its group.
    let _ = child.kill();
    let _ = child.wait();
}

/// Kills what still belongs to the session; a few rounds, as it may be forking.
pub fn session(leader: u32) {
    for _ in 0..5 {
        let members = members(leader);
        if members.is_empty() {
            return;
        }
        for pid in members {
            kill_if(pid, |pid| session_of(pid) == Some(leader));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn members(leader: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| session_of(*pid) == Some(leader))
        .collect()
}

/// The session of a living process: `PID (NAME) STATE PPID PGRP SESSION …`; the name may hold
/// anything, even `) `.
fn session_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(2)?.parse().ok(),
    }
}

/// Checked again under a pidfd: a pid may have become somebody else's since it was listed.
fn kill_if(pid: u32, still: impl Fn(u32) -> bool) {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    if let Ok(handle) = pidfd_open(raw, PidfdFlags::empty())
        && still(pid)
    {
        let _ = pidfd_send_signal(&handle, Signal::KILL);
    }
}
