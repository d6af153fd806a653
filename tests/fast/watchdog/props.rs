//! Random process tables with the worst of names: whoever is no student of this host is never
//! found, and nobody is found for what another one does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use wod::domain::{Student, Time};
use wod::watchdog::{
    Exe, Glimpse, History, Judge, Level, Policy, Process, ProcessId, Seat, Snapshot,
};

const UIDBASE: u32 = 2000;

/// Accounts whose processes are never to be found: root, WODUSER, `student12x`, `xstudent1`, a
/// student's name with a uid outside of the range, a uid right beside the range.
const OTHERS: [u32; 8] = [0, 1000, 1999, 2000, 2021, 2100, 65_534, 112_001];

/// Students 1 to 20.
fn students() -> BTreeMap<u32, Student> {
    (1..=20)
        .map(|n| (UIDBASE + n, Student::new(n).unwrap()))
        .collect()
}

fn uid() -> impl Strategy<Value = u32> {
    prop_oneof![
        2 => prop::sample::select(OTHERS.to_vec()),
        3 => UIDBASE + 1..=UIDBASE + 20,
        // student1 next to student10 to 19.
        2 => prop::sample::select(vec![UIDBASE + 1, UIDBASE + 10, UIDBASE + 11, UIDBASE + 19]),
    ]
}

fn exe() -> impl Strategy<Value = Exe> {
    let paths = [
        "/dev/shm/.x/xmrig",
        "/tmp/a/xmrig",
        "/memfd:x",
        "/usr/bin/python3.11",
        "/usr/sbin/sshd",
        "/student/student1/xmrig",
        "/student/student12/work/a",
        "/student/student2/.hidden/b",
        "/usr/local/bin/ethminer",
        "/home/x/python3",
    ];
    let sum = Some("ab".repeat(32));
    (
        prop::option::weighted(0.9, prop::sample::select(paths.to_vec())),
        any::<bool>(),
        prop::sample::select(vec![Some(0), Some(2001), Some(2012), None]),
        prop::sample::select(vec![None, sum]),
    )
        .prop_map(|(path, deleted, owner, sha256)| Exe {
            path: path.map(Into::into),
            deleted,
            owner,
            sha256,
        })
}

fn process() -> impl Strategy<Value = Process> {
    let words = [
        "python",
        "-o",
        "stratum+tcp://pool.supportxmr.com:3333",
        "--donate-level",
        "randomx",
        "--coin=monero",
        "[kworker/0:1]",
        "ipykernel_launcher",
        "xmrig",
        "",
    ];
    let name = prop::sample::select(vec!["xmrig", "python3", "kworker/0:1", "bash", "student1"]);
    let argv = prop::collection::vec(prop::sample::select(words.to_vec()), 0..5);
    let peer = prop::sample::select(vec!["1.2.3.4:3333", "10.0.0.1:443", "127.0.0.1:4444"]);
    let peers = prop::collection::vec(peer, 0..3);
    (
        (1..60_u32, 0..40_000_u64, 0..60_u32),
        (uid(), prop::option::weighted(0.1, uid())),
        exe(),
        (name, argv, peers),
        (
            0..20_000_000_u64,
            0..20_000_000_u64,
            prop::sample::select(vec!['R', 'S', 'T', 'Z', 't']),
        ),
    )
        .prop_map(
            |(
                (pid, start, parent),
                (uid, other),
                exe,
                (name, argv, peers),
                (cpu, reaped, state),
            )| {
                Process {
                    id: ProcessId { pid, start },
                    parent,
                    session: 1,
                    uid,
                    effective_uid: other.unwrap_or(uid),
                    exe,
                    name: name.to_owned(),
                    argv: argv.into_iter().map(str::to_owned).collect(),
                    cwd: None,
                    state,
                    tracer: 0,
                    nice: 19,
                    threads: 1,
                    cpu_ms: cpu,
                    reaped_cpu_ms: reaped,
                    resident: 20 << 30,
                    peers: peers
                        .into_iter()
                        .map(|peer| peer.parse().unwrap())
                        .collect(),
                    cgroup: None,
                }
            },
        )
}

fn snapshot(at: u64) -> impl Strategy<Value = Snapshot> {
    let seats = prop::collection::btree_map(1..=20_u32, any::<bool>(), 0..20);
    (prop::collection::vec(process(), 0..60), seats).prop_map(move |(mut processes, seats)| {
        let mut pids = BTreeSet::new();
        processes.retain(|process| pids.insert(process.id.pid));
        let seat = |taken| Seat {
            taken,
            until: Some(Time(0)),
            last_activity: Some(Time(0)),
            ..Seat::default()
        };
        let seats = seats.into_iter();
        Snapshot {
            at,
            now: Time(at as i64),
            cores: 2,
            processes,
            students: students(),
            seats: seats
                .map(|(n, taken)| (Student::new(n).unwrap(), seat(taken)))
                .collect(),
            started: BTreeMap::new(),
        }
    })
}

/// The strictest policy there is: whatever can be found is.
fn strict() -> Judge {
    let policy = "
lists: {sha256: [abababababababababababababababababababababababababababababababab]}
places: {suspicious_after: 0s, certain_after: 0s, deleted_after: 0s, honest: [], honest_temporary: []}
disguise: {certain_after: 0s}
cpu: {busy_percent: 1, notice_after: 0s, suspicious_after: 0s,
      windows: [{span: 10s, cpu: 1s, programs: all, level: certain}]}
pool: {loopback: true, suspicious_after: 0s, certain_after: 0s, destinations_notice: 1, destinations_suspicious: 1}
processes: {notice: 1, suspicious: 1, bomb: 10, bomb_after: 0s, forks_notice: 1, forks_suspicious: 1}
memory: {notice: 1KiB, suspicious: 1KiB}
seats: {empty_suspicious_after: 0s, empty_certain_after: 0s, overtime: 0s, idle: 0s}
logins: {level: certain, programs: [sshd, python3.11]}
";
    let mut policy = Policy::parse(policy).unwrap();
    policy.cpu.grace = std::time::Duration::ZERO;
    Judge::new(policy, Vec::new()).unwrap()
}

/// What has to hold of everything that is said of a snapshot.
fn check(snapshot: &Snapshot, found: &[wod::watchdog::Finding]) -> Result<(), TestCaseError> {
    let by_id: BTreeMap<ProcessId, &Process> = snapshot
        .processes
        .iter()
        .map(|process| (process.id, process))
        .collect();
    for finding in found {
        prop_assert!(!finding.processes.is_empty(), "{finding:?} is of nothing");
        let uid = UIDBASE + finding.student.number();
        prop_assert_eq!(snapshot.students.get(&uid), Some(&finding.student));
        for id in &finding.processes {
            let process = by_id[id];
            prop_assert_eq!(process.uid, uid, "{:?}", finding);
            prop_assert!(process.effective_uid != 0, "root's: {finding:?}");
            prop_assert!(process.state != 'Z', "it has ended: {finding:?}");
        }
        let name = finding.student.account();
        prop_assert!(
            finding.sentence.starts_with(&format!("{name} ")),
            "{finding:?}"
        );
    }
    Ok(())
}

/// Whether a program of root's is passed over when it starts, and calls itself by no listed name.
fn is_plain(judge: &Judge, process: &Process) -> bool {
    let argv: String = process
        .argv
        .iter()
        .map(|word| format!("{word}\0"))
        .collect();
    let files = [process.exe.file_name().unwrap_or_default(), &process.name];
    files.iter().all(|file| {
        judge.is_plain(&Glimpse {
            file: file.as_bytes(),
            argv: argv.as_bytes(),
        })
    })
}

#[test]
fn honest_programs_of_roots_are_plain() {
    let judge = strict();
    let judged = |file, argv| judge.is_plain(&Glimpse { file, argv });
    assert!(judged(b"dash", b"/bin/sh\0-c\0ls | wc -l\0"));
    assert!(judged(b"python3.11", b"python3\0-m\0ipykernel_launcher\0"));
    assert!(judged(b"true", b""));
    assert!(!judged(b"xmrig-6", b"true\0"));
    assert!(!judged(b"dash", b"sh\0./XMRig\0"));
    assert!(!judged(b"python3.11", b"python3\0-o\0stratum+tcp://x:1\0"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn nobody_is_found_but_students_and_each_for_their_own(
        series in (snapshot(100_000), snapshot(101_000), snapshot(161_000))
    ) {
        let judge = strict();
        let mut history = History::default();
        let mut certain = 0;
        for snapshot in [&series.0, &series.1, &series.2] {
            check(snapshot, &judge.at_exec(snapshot))?;
            history.observe(snapshot);
            let found = judge.judge(snapshot, &history);
            check(snapshot, &found)?;
            certain += found.iter().filter(|finding| finding.level == Level::Certain).count();
        }
        let judged = |snapshot: &Snapshot| snapshot.processes.iter().any(|process| {
            (2001..=2020).contains(&process.uid) && process.state != 'Z'
        });
        // A property that nothing could break would prove nothing.
        if !judged(&series.0) && !judged(&series.1) && !judged(&series.2) {
            prop_assert_eq!(certain, 0);
        }
    }

    #[test]
    fn what_is_passed_over_is_never_found(snapshot in snapshot(100_000)) {
        let judge = strict();
        let found = judge.at_exec(&snapshot);
        let found: BTreeSet<ProcessId> = found.into_iter().flat_map(|f| f.processes).collect();
        for process in &snapshot.processes {
            // Nobody takes the sum of a program of root's.
            let is_roots = process.exe.owner == Some(0) && process.exe.sha256.is_none();
            let is_passed_over = is_roots && is_plain(&judge, process);
            prop_assert!(!is_passed_over || !found.contains(&process.id), "{process:?}");
        }
    }

    /// What others do changes nothing of what is said of a student.
    #[test]
    fn a_student_is_judged_alone(all in snapshot(100_000)) {
        let judge = strict();
        let judged = |snapshot: &Snapshot| {
            let mut history = History::default();
            history.observe(snapshot);
            let mut found = judge.judge(snapshot, &history);
            found.retain(|finding| finding.student.number() == 1);
            found
        };
        let mut alone = all.clone();
        // Ancestors stay: they say where a process comes from.
        alone.processes.retain(|process| process.uid == UIDBASE + 1 || process.uid < 2001);
        let plain = |found: Vec<wod::watchdog::Finding>| -> Vec<_> {
            found.into_iter().filter(|f| f.rule != wod::watchdog::Rule::Login)
                .map(|f| (f.rule, f.level, f.processes, f.sentence)).collect()
        };
        prop_assert_eq!(plain(judged(&all)), plain(judged(&alone)));
    }

    /// However processes come and go, no more is counted than the processors can do.
    #[test]
    fn nothing_is_said_of_an_empty_host(at in 0..u64::MAX / 2, others in prop::collection::vec(process(), 0..30)) {
        let judge = strict();
        let mut history = History::default();
        let processes = others.into_iter().map(|process| Process { uid: 0, effective_uid: 0, ..process });
        let snapshot = Snapshot {
            at, now: Time(0), cores: 2, processes: processes.collect(), students: students(),
            seats: BTreeMap::new(), started: BTreeMap::new(),
        };
        history.observe(&snapshot);
        prop_assert_eq!(judge.judge(&snapshot, &history), vec![]);
        prop_assert_eq!(history.size(), (0, 0));
    }
}
