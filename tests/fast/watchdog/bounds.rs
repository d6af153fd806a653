//! What the watchdog remembers does not grow with time.

use std::collections::BTreeMap;

use wod::domain::{Student, Time};
use wod::watchdog::{Exe, History, Judge, Policy, Process, ProcessId, Snapshot};

const STUDENTS: u32 = 100;
const PROCESSES: u32 = 2000;

/// 2,000 processes of 100 students, a tenth of which are new each second, with addresses that
/// change all the time.
fn crowd(second: u32) -> Snapshot {
    let at = 1_000_000 + u64::from(second) * 1000;
    let processes = (0..PROCESSES).map(|n| {
        let is_new = n % 10 == second % 10;
        let born = if is_new {
            second
        } else {
            second - (second + 10 - n % 10) % 10
        };
        Process {
            id: ProcessId {
                pid: 100 + n,
                start: 1_000_000 + u64::from(born) * 1000,
            },
            parent: 1,
            session: 1,
            uid: 2001 + n % STUDENTS,
            effective_uid: 2001 + n % STUDENTS,
            exe: Exe {
                path: Some("/student/x/work/a".into()),
                owner: Some(2001),
                ..Exe::default()
            },
            name: "a".to_owned(),
            argv: Vec::new(),
            cwd: None,
            state: 'R',
            tracer: 0,
            nice: 0,
            threads: 1,
            cpu_ms: u64::from(second - born) * 900,
            reaped_cpu_ms: 0,
            resident: 1 << 20,
            peers: vec![
                format!("10.{}.{}.{}:443", second % 200, n % 250, n / 250)
                    .parse()
                    .unwrap(),
            ],
            cgroup: None,
        }
    });
    Snapshot {
        at,
        now: Time(i64::from(second) * 1000),
        cores: 2,
        processes: processes.collect(),
        students: (1..=STUDENTS)
            .map(|n| (2000 + n, Student::new(n).unwrap()))
            .collect(),
        seats: BTreeMap::new(),
        started: BTreeMap::new(),
    }
}

/// A day of seconds is 172 million processes: too long for a test. That nothing grows is seen
/// sooner: windows are full after two hours but for the coarsest, which is 145 figures a student.
#[test]
fn memory_does_not_grow_with_time() {
    let mut history = History::default();
    let mut figures = Vec::new();
    for second in (10..80).chain((80..86_400).step_by(590)) {
        history.observe(&crowd(second));
        figures.push(history.figures());
    }
    let (processes, students) = history.size();
    assert_eq!(
        (processes, students),
        (PROCESSES as usize, STUDENTS as usize)
    );
    // 505 slots of time, 128 counts, and the addresses of half a minute, which are 20 a second.
    let most = STUDENTS as usize * (505 + 128 + 20 * 31);
    let peak = figures.iter().max().unwrap();
    assert!(*peak <= most, "{peak} figures, {most} are allowed");
}

#[test]
fn a_student_who_was_not_seen_for_a_day_is_forgotten() {
    let mut history = History::default();
    history.observe(&crowd(100));
    let mut none = crowd(100 + 86_401);
    none.processes.clear();
    history.observe(&none);
    assert_eq!(history.size(), (0, 0));
}

#[test]
fn a_host_that_started_anew_has_no_history() {
    let mut history = History::default();
    history.observe(&crowd(5000));
    let judge = Judge::new(Policy::default(), Vec::new()).unwrap();
    let before = judge.judge(&crowd(5000), &history);
    history.observe(&crowd(100));
    assert_eq!(history.size().0, PROCESSES as usize);
    assert!(
        before
            .iter()
            .all(|finding| finding.level < wod::watchdog::Level::Certain)
    );
}
