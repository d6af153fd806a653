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

/// The session of a living process.
fn session_of(pid: u32) -> Option<u32> {
    session_in(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// `PID (NAME) STATE PPID PGRP SESSION …`, and as the 20th field its threads; the name may hold any
/// bytes, even `) `. Of a process whose first thread has ended the others go on.
fn session_in(stat: &[u8]) -> Option<u32> {
    let stat = String::from_utf8_lossy(stat);
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let has_ended = matches!(*fields.first()?, "Z" | "X") && matches!(*fields.get(17)?, "0" | "1");
    match has_ended {
        true => None,
        false => fields.get(3)?.parse().ok(),
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

#[cfg(test)]
mod tests {
    use super::session_in;

    #[test]
    fn a_process_has_ended_when_its_last_thread_has() {
        let stat = |state: &str, threads: u32| {
            let name = b"\xff) Z 1 ";
            let rest = format!("{state} 1 10 77 0 -1 0 0 0 0 0 1 1 0 0 20 0 {threads} 0 12345");
            [b"10 (", &name[..], b") ", rest.as_bytes()].concat()
        };
        for (state, threads, session) in [
            ("S", 1, Some(77)),
            ("Z", 1, None),
            ("Z", 2, Some(77)),
            ("X", 0, None),
        ] {
            assert_eq!(
                session_in(&stat(state, threads)),
                session,
                "{state} {threads}"
            );
        }
        assert_eq!(session_in(b"10 (x) S"), None);
    }
}
