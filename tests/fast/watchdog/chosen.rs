//! Whom an answer hits: random tables of processes, account files with the worst names, and findings
//! that name anybody's processes. Only a student's own are ever chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use proptest::prelude::*;
use wod::adapters::accounts_linux::{Entry, StudentUids, Uids};
use wod::domain::Student;
use wod::watchdog::{Finding, Level, Policy, ProcessId, Response, Rule, choose};

const UIDBASE: u32 = 2000;
const LAST: u32 = 20;

/// root, WODUSER, right beside the range, beyond it, nobody, in somebody's subordinate range.
const OTHERS: [u32; 9] = [0, 1000, 1999, 2000, 2021, 2100, 65_534, 112_001, 300_005];

const NAMES: [&str; 14] = [
    "root",
    "wodadmin",
    "student12x",
    "xstudent1",
    "student01",
    "student",
    "Student1",
    "student1 ",
    "teacher",
    "student1",
    "student10",
    "student19",
    "student100",
    "student21",
];

fn ours() -> StudentUids {
    StudentUids {
        base: UIDBASE,
        students: format!("1,{LAST}").parse().unwrap(),
    }
}

#[derive(Debug, Clone)]
struct Row {
    id: ProcessId,
    name: String,
    /// Real, effective, saved, and that of the file system.
    uids: [u32; 4],
    is_dead: bool,
}

impl Row {
    /// As the kernel writes it.
    fn status(&self) -> Vec<u8> {
        let state = if self.is_dead {
            "Z (zombie)"
        } else {
            "S (sleeping)"
        };
        let [real, effective, saved, fs] = self.uids;
        format!(
            "Name:\t{}\nUmask:\t0022\nState:\t{state}\nTgid:\t{pid}\nPid:\t{pid}\n\
             Uid:\t{real}\t{effective}\t{saved}\t{fs}\nThreads:\t1\n",
            self.name,
            pid = self.id.pid
        )
        .into_bytes()
    }
}

fn uid() -> impl Strategy<Value = u32> {
    prop_oneof![
        2 => prop::sample::select(OTHERS.to_vec()),
        2 => UIDBASE + 1..=UIDBASE + LAST,
        // student1 next to student10 to 19.
        2 => prop::sample::select(vec![UIDBASE + 1, UIDBASE + 10, UIDBASE + 12, UIDBASE + 19]),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    // The kernel escapes line ends in names.
    let name = prop::sample::select(vec!["xmrig", "student1", "Uid:\t2001", "\\nUid:\t2001", ""]);
    let mixed = prop::option::weighted(0.2, (uid(), uid(), uid()));
    let id = (1..200_u32, 0..1000_u64);
    (id, name, uid(), mixed, any::<bool>(), any::<bool>()).prop_map(
        |((pid, start), name, uid, mixed, dead, dead_too)| {
            let (effective, saved, fs) = mixed.unwrap_or((uid, uid, uid));
            Row {
                id: ProcessId { pid, start },
                name: name.to_owned(),
                uids: [uid, effective, saved, fs],
                is_dead: dead && dead_too,
            }
        },
    )
}

fn table() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(row(), 0..80).prop_map(|mut rows| {
        let mut pids = BTreeSet::new();
        rows.retain(|row| pids.insert(row.id.pid));
        rows
    })
}

/// passwd, in the order of its lines: most students as they have to be, some with another uid, some
/// gone, and whoever else may stand before them.
fn accounts() -> impl Strategy<Value = Vec<Entry>> {
    let odd = (prop::sample::select(NAMES.to_vec()), uid());
    let students = prop::collection::vec(0..10_u32, LAST as usize);
    (prop::collection::vec(odd, 0..6), students).prop_map(|(odd, students)| {
        let entry = |name: &str, uid| Entry {
            name: name.to_owned(),
            uid,
            gid: uid,
        };
        let mut all = vec![entry("root", 0), entry("wodadmin", 1000)];
        all.extend(odd.into_iter().map(|(name, uid)| entry(name, uid)));
        for (n, how) in (1..).zip(students) {
            match how {
                0 => {}
                1 => all.push(entry(&format!("student{n}"), UIDBASE + n + 100)),
                _ => all.push(entry(&format!("student{n}"), UIDBASE + n)),
            }
        }
        all
    })
}

/// Findings name any processes, also of others, and some that are gone.
fn findings() -> impl Strategy<Value = Vec<(u32, Rule, Level, Vec<usize>)>> {
    let one = (
        1..=LAST + 3,
        prop::sample::select(Rule::ALL.to_vec()),
        prop::sample::select(Level::ALL.to_vec()),
        prop::collection::vec(0..120_usize, 0..6),
    );
    prop::collection::vec(one, 0..12)
}

fn finding(student: u32, rule: Rule, level: Level, processes: Vec<ProcessId>) -> Finding {
    Finding {
        rule,
        level,
        student: Student::new(student).unwrap(),
        processes,
        score: 50,
        sentence: String::new(),
        evidence: Vec::new(),
        allowed: None,
    }
}

/// The processes that the answers to these findings end, by student.
fn chosen(
    table: &[Row],
    accounts: &[Entry],
    subuid: &str,
    found: Vec<Finding>,
) -> BTreeMap<Student, Vec<Row>> {
    let ours = ours();
    let passwd: String = accounts
        .iter()
        .map(|e| format!("{}:x:{}:{}::/:/bin/sh\n", e.name, e.uid, e.gid))
        .collect();
    let mut all = BTreeMap::new();
    let cases = choose(&Policy::default(), found, &BTreeMap::new(), Instant::now());
    for (response, case) in cases {
        assert!(case.findings.iter().all(|f| f.student == case.student));
        let by_name = accounts.iter().find(|e| e.name == case.student.account());
        let uid = ours.uid(case.student);
        let by_uid = accounts.iter().find(|e| Some(e.uid) == uid);
        let Some(account) = ours.account(case.student, by_name, by_uid) else {
            continue;
        };
        let uids = Uids::told_by(subuid, &passwd, &account, &ours.all());
        let hit = table.iter().filter(|row| match response {
            Response::StopSeat => uids.are_of(&row.status()),
            _ => uids.are_of(&row.status()) && case.processes().contains(&row.id),
        });
        all.insert(case.student, hit.cloned().collect());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn only_a_students_own_processes_are_chosen(
        table in table(), accounts in accounts(), found in findings(),
        subuid in prop::sample::select(vec![
            "", "student1:300000:65536\nstudent12x:0:4294967295\n", "2001:2000:100\nstudent1:0:99\n",
        ]),
    ) {
        let found: Vec<Finding> = found
            .into_iter()
            .map(|(student, rule, level, of)| {
                let gone = ProcessId { pid: 999, start: 1 };
                let ids = of.into_iter().map(|at| table.get(at).map_or(gone, |row| row.id));
                finding(student, rule, level, ids.collect())
            })
            .collect();
        let stopped = found.iter().filter(|f| f.level == Level::Certain).map(|f| f.student);
        let stopped: BTreeSet<Student> = stopped.collect();
        for (student, rows) in chosen(&table, &accounts, subuid, found.clone()) {
            let uid = UIDBASE + student.number();
            prop_assert!(student.number() <= LAST && stopped.contains(&student));
            // Whoever asks the account files for that uid, or that name, gets this account.
            let is_exact = |e: &Entry| e.uid == uid && e.name == format!("student{student}");
            prop_assert!(accounts.iter().find(|e| e.uid == uid).is_some_and(is_exact));
            prop_assert!(
                accounts.iter().find(|e| e.name == student.account()).is_some_and(is_exact)
            );
            for row in &rows {
                let is_own = |of: &u32| *of == uid || student.number() == 1 && *of == 300_005;
                prop_assert!(row.uids.iter().any(is_own), "{student} chooses {row:?}");
                prop_assert!(!row.is_dead);
            }
            let is_seat = found.iter().any(|f| {
                f.student == student
                    && Policy::default().response(f) == Response::StopSeat
            });
            for row in table.iter().filter(|row| row.uids == [uid; 4] && !row.is_dead) {
                prop_assert!(!is_seat || rows.iter().any(|hit| hit.id == row.id), "{row:?} stays");
            }
        }
    }
}

/// The same by hand: that something is chosen at all, and who is not.
#[test]
fn of_a_whole_host_one_student_is_chosen() {
    let entry = |name: &str, uid| Entry {
        name: name.to_owned(),
        uid,
        gid: uid,
    };
    let mut accounts = vec![
        entry("root", 0),
        entry("wodadmin", 1000),
        entry("student12x", 2112),
        entry("xstudent1", 2201),
        entry("student100", 2100),
        entry("alice", 400_007),
    ];
    accounts.extend((1..=19).map(|n| entry(&format!("student{n}"), UIDBASE + n)));
    let uids: BTreeSet<u32> = accounts.iter().map(|e| e.uid).collect();
    let uids = uids.into_iter().chain([300_007, 2_000_001, 200, 20_011]);
    let table: Vec<Row> = (10..)
        .zip(uids)
        .map(|(pid, uid)| Row {
            id: ProcessId { pid, start: 5 },
            name: "xmrig".to_owned(),
            uids: [uid; 4],
            is_dead: false,
        })
        .collect();
    let everybody: Vec<ProcessId> = table.iter().map(|row| row.id).collect();
    // Of the two ranges one has somebody's uid in it.
    let subuid = "student1:300000:65536\nstudent1:400000:65536\nstudent11:300000:65536\n";
    let hit = |rule| {
        let found = vec![finding(1, rule, Level::Certain, everybody.clone())];
        let chosen = chosen(&table, &accounts, subuid, found);
        let rows = chosen.into_values().flatten();
        rows.map(|row| row.uids[0]).collect::<Vec<u32>>()
    };
    assert_eq!(hit(Rule::Name), [2001, 300_007]);
    assert_eq!(hit(Rule::EmptySeat), [2001, 300_007]);
    accounts.insert(0, entry("teacher", 2001));
    let found = vec![finding(1, Rule::Name, Level::Certain, everybody.clone())];
    assert!(chosen(&table, &accounts, subuid, found).is_empty());
}
