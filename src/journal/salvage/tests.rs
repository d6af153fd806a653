//! A small journal, damaged at every byte and cut everywhere: it is noticed, or nothing changed;
//! and what is salvaged is what was written.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::domain::{Action, ActionId, Participant, Seat, Secret, Student, StudentRange, Verb};
use crate::journal::{Accepted, Durability, Event, Filter, Journal, Origin, Stage, sum};
use crate::plan::{Plan, Step};
use crate::ports::SeatReport;

const WINDOW: Duration = Duration::from_secs(600);

/// A directory with a journal in it, that no one has open.
struct Bench {
    dir: tempfile::TempDir,
}

/// The files' bytes.
#[derive(Clone)]
struct Files {
    journal: Vec<u8>,
    log: Vec<u8>,
    head: Vec<u8>,
}

impl Bench {
    fn new() -> Bench {
        let shm = Path::new("/dev/shm");
        let dir = match shm.is_dir() {
            true => tempfile::tempdir_in(shm),
            false => tempfile::tempdir(),
        };
        Bench { dir: dir.unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("journal.db")
    }

    fn files(&self) -> Files {
        Files {
            journal: read(&self.path()).unwrap(),
            log: read(&side(&self.path(), "-wal")).unwrap(),
            head: read(&head::beside(&self.path())).unwrap(),
        }
    }

    fn put(&self, files: &Files) {
        let path = self.path();
        for entry in std::fs::read_dir(self.dir.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        std::fs::write(&path, &files.journal).unwrap();
        if !files.log.is_empty() {
            std::fs::write(side(&path, "-wal"), &files.log).unwrap();
        }
        if !files.head.is_empty() {
            std::fs::write(head::beside(&path), &files.head).unwrap();
        }
    }

    fn opened(&self) -> Result<Journal> {
        Journal::open(&self.path())
    }
}

fn accept(journal: &Journal, verb: Verb, student: u32) -> ActionId {
    let students: StudentRange = format!("{student}").parse().unwrap();
    let action = Action {
        verb,
        seat: Seat::Students(students),
        participant: Participant::new(800 + student),
        email: Some(format!("someone{student}@example.org")),
        workshop: Some("WKSHP-API101".parse().unwrap()),
    };
    let spooled = format!("{student}-{}", verb.as_str());
    let origin = Origin {
        spooled: &spooled,
        message_id: Some(&spooled),
        route: "smtp",
    };
    let now = Time(1_000_000 + i64::from(student));
    match journal.accept(&action, students, &origin, None, now, WINDOW) {
        Ok(Accepted::New(id)) => id,
        other => panic!("{other:?}"),
    }
}

/// So many steps of a plan of four done; the fourth ends it.
fn carry_on(journal: &Journal, id: ActionId, student: u32, steps: usize) {
    let student = Student::new(student).unwrap();
    let plan = Plan {
        guards: Vec::new(),
        steps: vec![
            Step::EnsureAccount { student },
            Step::MintPassword { student },
            Step::LockAccount { student },
            Step::ForgetSecrets,
        ],
    };
    let mut cursor = journal.follow(id).unwrap();
    let mut note = |event: &Event, durability| {
        let noted = journal.record(&mut cursor, event, Time(1_000_900), durability);
        noted.unwrap();
    };
    note(&Event::Planned { plan }, Durability::Process);
    for step in 0..steps {
        if step == 1 {
            let mint = || Secret::new(format!("password of {student}"));
            journal.minted(id, student, mint).unwrap();
        }
        let took = 17 + step as u64;
        note(&Event::StepDone { step, took }, Durability::Process);
    }
    if steps == 4 {
        note(&Event::Done, Durability::Power);
    }
}

/// Two that are done, one half way, one held, one not begun.
fn fill(journal: &Journal) {
    let asked = "WKSHP-API101".parse().unwrap();
    for (student, steps) in [(1, 4), (2, 4), (3, 2)] {
        let id = accept(journal, Verb::Create, student);
        let seat = Student::new(student).unwrap();
        let who = Participant::new(800 + student);
        journal.enrol(who, seat, &asked, None).unwrap();
        let report = SeatReport {
            password: Some(Secret::new(format!("told to {who}"))),
            assigned: Some(true),
        };
        journal.report_seat(seat, &report).unwrap();
        carry_on(journal, id, student, steps);
    }
    let held = accept(journal, Verb::Create, 4);
    carry_on(journal, held, 4, 1);
    let mut cursor = journal.follow(held).unwrap();
    let letter = ("HELD", "look at it");
    journal
        .hold(&mut cursor, "no room", letter, Time(1_000_950))
        .unwrap();
    accept(journal, Verb::Cleanup, 1);
}

/// All rows of all tables.
fn content(path: &Path) -> Vec<String> {
    let connection = check::open(path).unwrap();
    let mut all = Vec::new();
    for table in sum::TABLES {
        let sql = format!(
            "select {}, sum from {}",
            table.columns.join(", "),
            table.name
        );
        let mut read = connection.prepare(&sql).unwrap();
        let width = table.columns.len() + 1;
        let rows = read.query_map([], |row| {
            let cells: std::result::Result<Vec<rusqlite::types::Value>, _> =
                (0..width).map(|at| row.get(at)).collect();
            Ok(format!("{} {:?}", table.name, cells?))
        });
        all.extend(rows.unwrap().map(|row| row.unwrap()));
    }
    all.sort();
    all
}

/// With everything in the journal itself.
fn whole(bench: &Bench) -> Files {
    let journal = bench.opened().unwrap();
    fill(&journal);
    drop(journal);
    let files = bench.files();
    assert_eq!(files.log.len(), 0);
    files
}

/// With everything in the log beside it, as a killed engine leaves it.
fn logged(bench: &Bench) -> Files {
    drop(bench.opened().unwrap());
    let journal = bench.opened().unwrap();
    fill(&journal);
    bench.files()
}

#[derive(Debug, Default)]
struct Told {
    noticed: usize,
    harmless: usize,
    wrong: Vec<String>,
}

impl Told {
    fn look(&mut self, what: &dyn Fn() -> String, path: &Path, right: &[String]) {
        match check::check(path) {
            Ok(found) if found.is_empty() => {
                if content(path) == right {
                    self.harmless += 1;
                } else {
                    self.wrong.push(what());
                }
            }
            _ => self.noticed += 1,
        }
    }

    fn say(&self, what: &str) {
        println!(
            "{what}: {} noticed, {} change nothing, {} wrong",
            self.noticed,
            self.harmless,
            self.wrong.len()
        );
        assert!(
            self.wrong.is_empty(),
            "{:?}",
            &self.wrong[..self.wrong.len().min(20)]
        );
        assert!(self.noticed > 0);
    }
}

#[test]
fn every_byte_of_the_journal_is_looked_after() {
    let bench = Bench::new();
    let files = whole(&bench);
    let right = content(&bench.path());
    assert_eq!(check::check(&bench.path()).unwrap(), []);
    let halves = [0, files.journal.len() / 2, files.journal.len()];
    std::thread::scope(|scope| {
        for half in halves.windows(2) {
            let (files, right, part) = (&files, &right, half[0]..half[1]);
            scope.spawn(move || {
                let bench = Bench::new();
                bench.put(files);
                let path = bench.path();
                let journal = File::options().write(true).open(&path).unwrap();
                let mut told = Told::default();
                let what = format!("flipped {part:?}");
                for at in part {
                    let byte = files.journal[at];
                    let other = byte ^ (1 << (at % 8));
                    journal.write_all_at(&[other], at as u64).unwrap();
                    told.look(
                        &|| format!("byte {at}: {byte:#x} is {other:#x}"),
                        &path,
                        right,
                    );
                    journal.write_all_at(&[byte], at as u64).unwrap();
                }
                told.say(&what);
            });
        }
    });
}
