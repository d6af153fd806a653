//! Time on processors is counted once, on a host that is played through step by step.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::domain::Time;
use crate::watchdog::process::{Exe, ProcessId};

const UID: u32 = 2005;

/// A shell with children and grandchildren that come, compute and go.
struct Host {
    at: u64,
    random: u64,
    next_pid: u32,
    processes: BTreeMap<u32, Process>,
    /// All that was used so far, in milliseconds.
    truth: u64,
}

impl Host {
    fn new() -> Host {
        let mut host = Host {
            at: 1_000_000,
            random: 0x2545_f491_4f6c_dd1d,
            next_pid: 100,
            processes: BTreeMap::new(),
            truth: 0,
        };
        host.fork(1);
        host
    }

    /// xorshift: the same every time.
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    fn fork(&mut self, parent: u32) {
        let pid = self.next_pid;
        self.next_pid += 1;
        self.processes.insert(
            pid,
            Process {
                id: ProcessId {
                    pid,
                    start: self.at,
                },
                parent,
                session: 1,
                uid: UID,
                effective_uid: UID,
                exe: Exe {
                    path: Some("/student/student5/a".into()),
                    owner: Some(UID),
                    ..Exe::default()
                },
                name: "a".to_owned(),
                argv: Vec::new(),
                cwd: None,
                state: 'R',
                tracer: 0,
                nice: 0,
                threads: 1,
                cpu_ms: 0,
                reaped_cpu_ms: 0,
                resident: 0,
                peers: Vec::new(),
                cgroup: None,
            },
        );
    }

    /// A tenth of a second in which some compute, some begin, and some without children end.
    fn step(&mut self, waits: bool) {
        self.at += 100;
        let pids: Vec<u32> = self.processes.keys().copied().collect();
        for pid in pids {
            if let Some(process) = self.processes.get_mut(&pid) {
                process.cpu_ms += 50;
                self.truth += 50;
            }
            let is_parent = self.processes.values().any(|other| other.parent == pid);
            match self.below(12) {
                0 | 1 if self.processes.len() < 30 => self.fork(pid),
                2..=4 if pid != 100 && !is_parent => self.end(pid, waits),
                _ => {}
            }
        }
    }

    fn end(&mut self, pid: u32, waits: bool) {
        let Some(ended) = self.processes.remove(&pid) else {
            return;
        };
        if let Some(parent) = self.processes.get_mut(&ended.parent).filter(|_| waits) {
            parent.reaped_cpu_ms += ended.cpu_ms + ended.reaped_cpu_ms;
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            at: self.at,
            now: Time(0),
            cores: 64,
            processes: self.processes.values().cloned().collect(),
            students: BTreeMap::from([(UID, Student::new(5).unwrap())]),
            seats: BTreeMap::new(),
            started: BTreeMap::new(),
        }
    }
}

/// What was counted, and what was used, after so many steps with a look at every `every`th.
fn played(steps: u64, every: u64, waits: bool) -> (u64, u64) {
    let mut host = Host::new();
    let (mut seen, mut before, mut counted) = (HashMap::new(), None, 0);
    for step in 0..=steps {
        if step % every == 0 {
            let snapshot = host.snapshot();
            for account in account(before, &mut seen, &snapshot).values() {
                counted += account.now.all + account.before.all;
            }
            before = Some(snapshot.at);
        }
        if step < steps {
            host.step(waits);
        }
    }
    (counted, host.truth)
}

#[test]
fn what_is_waited_for_is_counted_to_the_millisecond() {
    for every in [1, 2, 3, 7, 10, 50] {
        // A process that ends before it has used anything that was seen is guessed at.
        let (counted, truth) = played(2100, every, true);
        let off = counted.abs_diff(truth);
        assert!(off * 200 <= truth, "every {every}: {counted} of {truth}");
    }
}

#[test]
fn what_nobody_waits_for_is_guessed_and_not_doubled() {
    for every in [1, 2, 3, 5] {
        let (counted, truth) = played(2100, every, false);
        let share = counted * 100 / truth;
        assert!((75..=115).contains(&share), "every {every}: {share} %");
    }
}

#[test]
fn what_was_used_before_anybody_looked_is_not_of_now() {
    let mut host = Host::new();
    for _ in 0..100 {
        host.step(true);
    }
    let accounts = account(None, &mut HashMap::new(), &host.snapshot());
    let account = accounts.values().next().unwrap();
    assert_eq!((account.now.all, account.before.all), (0, host.truth));
}
