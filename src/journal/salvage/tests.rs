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

    fn refused(&self) -> String {
        let error = self.opened().map(drop).unwrap_err();
        error.to_string()
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

    fn add(&mut self, other: Told) {
        self.noticed += other.noticed;
        self.harmless += other.harmless;
        self.wrong.extend(other.wrong);
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

/// Each byte of it by itself; those of a long run of zeros, where nothing was ever written, all at
/// once, and by themselves only when somebody notices.
fn pieces(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut all = Vec::new();
    for (nth, run) in bytes.chunks(64).enumerate() {
        let range = 64 * nth..64 * nth + run.len();
        match run.iter().all(|&byte| byte == 0) {
            true => all.push(range),
            false => all.extend(range.map(|at| at..at + 1)),
        }
    }
    all
}

/// Damages the bytes of a file in place, one after the other, and looks at the journal.
struct Flipper<'a> {
    path: PathBuf,
    file: File,
    whole: &'a [u8],
    right: &'a [String],
    told: Told,
}

impl Flipper<'_> {
    fn flip(&mut self, piece: std::ops::Range<usize>) {
        let bytes = &self.whole[piece.clone()];
        let at = piece.start as u64;
        let other: Vec<u8> = (piece.clone().zip(bytes))
            .map(|(at, byte)| byte ^ (1 << (at % 8)))
            .collect();
        self.file.write_all_at(&other, at).unwrap();
        let before = self.told.noticed;
        let what = || format!("{piece:?}: {bytes:x?} is {other:x?}");
        self.told.look(&what, &self.path, self.right);
        self.file.write_all_at(bytes, at).unwrap();
        if self.told.noticed > before && piece.len() > 1 {
            self.told.noticed = before;
            piece.for_each(|at| self.flip(at..at + 1));
        }
    }
}

/// In as many directories as there are processors.
fn flip_all(files: &Files, suffix: &str, right: &[String]) -> Told {
    let (whole, pieces) = match suffix {
        "" => (&files.journal, pieces(&files.journal)),
        // Its sums are one chain: no byte of it is different from another one.
        _ => (
            &files.log,
            (0..files.log.len())
                .step_by(61)
                .map(|at| at..at + 1)
                .collect(),
        ),
    };
    let (pieces, told) = (std::sync::Mutex::new(pieces), std::sync::Mutex::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                let bench = Bench::new();
                bench.put(files);
                let path = bench.path();
                let file = File::options()
                    .write(true)
                    .open(side(&path, suffix))
                    .unwrap();
                let mut flipper = Flipper {
                    path,
                    file,
                    whole,
                    right,
                    told: Told::default(),
                };
                loop {
                    let Some(piece) = pieces.lock().unwrap().pop() else {
                        break;
                    };
                    flipper.flip(piece);
                }
                let mut all: std::sync::MutexGuard<'_, Told> = told.lock().unwrap();
                all.add(flipper.told);
            });
        }
    });
    told.into_inner().unwrap()
}

#[test]
fn every_byte_of_the_journal_is_looked_after() {
    let bench = Bench::new();
    let files = whole(&bench);
    let right = content(&bench.path());
    assert_eq!(check::check(&bench.path()).unwrap(), []);
    let told = flip_all(&files, "", &right);
    told.say(&format!(
        "{} bytes of the journal flipped",
        files.journal.len()
    ));
}

/// A lost transaction that was not for good is as if the power had gone: only those may go unseen.
#[test]
fn the_log_is_looked_after() {
    let bench = Bench::new();
    let files = logged(&bench);
    bench.put(&files);
    let right = content(&bench.path());
    bench.put(&files);
    let told = flip_all(&files, "-wal", &right);
    told.say(&format!("{} bytes of the log flipped", files.log.len()));
}

#[test]
fn wherever_it_is_cut_it_is_seen() {
    let bench = Bench::new();
    let files = whole(&bench);
    let right = content(&bench.path());
    let mut told = Told::default();
    for at in (0..files.journal.len()).step_by(64) {
        let mut cut = files.clone();
        cut.journal.truncate(at);
        bench.put(&cut);
        told.look(&|| format!("cut at {at}"), &bench.path(), &right);
    }
    told.say("the journal cut");
    let files = logged(&Bench::new());
    bench.put(&files);
    let right = content(&bench.path());
    let mut told = Told::default();
    for at in (0..files.log.len()).step_by(64) {
        let mut cut = files.clone();
        cut.log.truncate(at);
        bench.put(&cut);
        told.look(&|| format!("log cut at {at}"), &bench.path(), &right);
    }
    told.say("the log cut");
    for head in [&b""[..], &files.head[..20], b"wod-journal 1 nonsense\n"] {
        let mut other = files.clone();
        other.head = head.to_vec();
        bench.put(&other);
        assert_eq!(check::check(&bench.path()).unwrap().len(), 1);
        assert!(bench.refused().contains("wod journal salvage"));
    }
}

/// The rows that a salvaged journal has, and what became of its actions.
fn salvaged(bench: &Bench) -> (Salvaged, Vec<String>, Vec<(i64, Stage)>) {
    let told = salvage(&bench.path(), None, Time(7)).unwrap();
    assert_eq!(check::check(&bench.path()).unwrap(), []);
    let rows = content(&bench.path());
    let journal = bench.opened().unwrap();
    let actions = journal.list(Filter::Newest(99)).unwrap();
    let stages = actions.iter().rev().map(|row| {
        let state = journal.follow(row.id).unwrap().state;
        (row.id.0, state.stage)
    });
    let stages = stages.collect();
    (told, rows, stages)
}

const AS_IT_WAS: [(i64, Stage); 5] = [
    (1, Stage::Done),
    (2, Stage::Done),
    (3, Stage::Running),
    (4, Stage::Held),
    (5, Stage::Waiting),
];

/// An action is as it was, or waits for the admin; or it is not there and was told of.
fn judge(what: &str, told: &Salvaged, stages: &[(i64, Stage)]) {
    for (id, stage) in stages {
        let was = AS_IT_WAS[usize::try_from(*id).unwrap() - 1].1;
        let fits = *stage == was || *stage == Stage::Held;
        assert!(fits, "{what}: {id} is {stage:?}: {told:#?}");
        let held = told
            .held
            .iter()
            .any(|line| line.starts_with(&format!("action {id}: ")));
        assert!(*stage == was || held, "{what}: {id}: {told:#?}");
    }
    for (id, _) in AS_IT_WAS {
        let is_there = stages.iter().any(|(there, _)| *there == id);
        let lost = told
            .lost
            .iter()
            .any(|line| line.starts_with(&format!("action {id}: ")));
        assert!(
            is_there || lost || id < 5 && !told.lost.is_empty(),
            "{what}: {id}: {told:#?}"
        );
    }
}

#[test]
fn what_is_whole_is_kept_wherever_it_is_damaged() {
    let bench = Bench::new();
    let files = whole(&bench);
    let right = content(&bench.path());
    let mut kept = Vec::new();
    for at in (0..files.journal.len()).step_by(61) {
        let mut damaged = files.clone();
        damaged.journal[at] ^= 1 << (at % 8);
        bench.put(&damaged);
        if check::check(&bench.path()).is_ok_and(|found| found.is_empty()) {
            continue;
        }
        let (told, rows, stages) = salvaged(&bench);
        judge(&format!("byte {at}"), &told, &stages);
        kept.push(rows.iter().filter(|row| right.contains(row)).count());
        let aside = told.aside.unwrap();
        assert!(std::fs::read(aside).unwrap() == damaged.journal);
    }
    kept.sort_unstable();
    let (least, middle) = (kept[0], kept[kept.len() / 2]);
    println!(
        "{} salvaged of {} rows: {middle} kept, {least} at least",
        kept.len(),
        right.len()
    );
    assert!(
        middle + 3 >= right.len(),
        "one byte costs no more than a row or two"
    );
}

#[test]
fn what_is_whole_is_kept_wherever_it_is_cut() {
    let bench = Bench::new();
    let files = whole(&bench);
    for at in (0..files.journal.len()).step_by(977) {
        let mut cut = files.clone();
        cut.journal.truncate(at);
        bench.put(&cut);
        let (told, _, stages) = salvaged(&bench);
        judge(&format!("cut at {at}"), &told, &stages);
    }
    let files = logged(&Bench::new());
    for at in (0..files.log.len()).step_by(3001) {
        for flip in [false, true] {
            let mut other = files.clone();
            match flip {
                true => other.log[at] ^= 0x10,
                false => other.log.truncate(at),
            }
            bench.put(&other);
            if check::check(&bench.path()).is_ok_and(|found| found.is_empty()) {
                continue;
            }
            let (told, _, stages) = salvaged(&bench);
            judge(&format!("log at {at}, flipped: {flip}"), &told, &stages);
        }
    }
}

#[test]
fn no_id_is_given_out_twice_and_a_salvage_can_be_taken_up() {
    let bench = Bench::new();
    let mut files = whole(&bench);
    files.journal.clear();
    bench.put(&files);
    let error = bench.refused();
    assert!(
        error.contains("ends at action 0, but 5 was accepted"),
        "{error}"
    );
    let told = salvage(&bench.path(), None, Time(7)).unwrap();
    assert_eq!(told.lost.len(), 5, "{told:?}");
    let journal = bench.opened().unwrap();
    assert_eq!(accept(&journal, Verb::Create, 9), ActionId(6));
    drop(journal);
    // As it is when whoever salvages is killed before the end.
    std::fs::rename(bench.path(), unfinished(&bench.path())).unwrap();
    let error = bench.refused();
    assert!(error.contains("but 6 was accepted"), "{error}");
    salvage(&bench.path(), None, Time(8)).unwrap();
    let journal = bench.opened().unwrap();
    assert_eq!(journal.action(ActionId(6)).unwrap().id, ActionId(6));
}

#[test]
fn a_journal_without_checksums_is_told_as_such() {
    let bench = Bench::new();
    let old = Connection::open(bench.path()).unwrap();
    let tables = "create table actions (id integer primary key); create table events (seq integer);
                  pragma user_version = 1;";
    old.execute_batch(tables).unwrap();
    drop(old);
    let error = bench.refused();
    assert!(error.contains("kept no checksums"), "{error}");
}
