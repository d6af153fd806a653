//! What an action's end looks like from the outside, without what is new each time.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::backend::{STATE, STUDENTS, UID_BASE, home};
use crate::support::quick_hub;
use crate::support::seats::{fits, is_locked, password, picture};
use crate::support::{patience, sh};

/// Lines that are the same after every run.
#[derive(Debug, PartialEq, Eq)]
pub struct End(Vec<String>);

impl End {
    pub fn of(students: &[u32], participant: u32) -> End {
        let mut lines = Vec::new();
        for &student in students {
            lines.push(sh(&format!("getent passwd student{student}")));
            let told = password(student);
            lines.push(format!(
                "student{student}: locked {}, told password fits {:?}",
                is_locked(student),
                told.map(|told| fits(student, &told)),
            ));
            lines.push(match home(student).exists() {
                true => without_compiled(&picture(student)),
                false => format!("student{student} has no home"),
            });
            let id = UID_BASE + student;
            lines.push(sh(&format!(
                "ps -o args= -U {id} | grep -v defunct || true
                 find /tmp /var/tmp /dev/shm /run /var/spool /var/mail -uid {id} | sort"
            )));
            lines.extend(rows(&format!(
                "select 'seat', student, assigned, password is null from seats
                 where student = {student}"
            )));
        }
        lines.extend(rows(&format!(
            "select 'participant', student, workshop, active, cleaned, completion
             from participants where id = {participant}"
        )));
        lines.extend(rows("select 'capacity', workshop, seats from capacities"));
        lines.extend(rows("select 'secrets', count(*) from passwords"));
        lines.extend(rows("select 'letters', count(*) from outbox"));
        lines.extend(rows(
            "select json_extract(event, '$.event'), json_extract(event, '$.step'),
             json_extract(event, '$.completion'), json_extract(event, '$.line')
             from events where action = (select max(id) from actions) order by seq",
        ));
        lines.extend(rows("pragma integrity_check"));
        lines.extend(quick_hub::all_users());
        lines.push(sh(&format!(
            "find {STATE} {STUDENTS}/.wod /var/private -printf '%p %y %m %u:%g\\n' \
             | grep -v -e 'db-wal' -e 'db-shm' -e 'private/log/action-' | sort
             find {STATE}/private/log -name 'action-*' -printf '%m %u:%g\\n' | sort -u"
        )));
        let lines = lines.iter().flat_map(|text| text.lines());
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        // Some programs list as the directory has it.
        lines.sort_unstable();
        End(lines)
    }

    /// What is here and not there, and the other way round.
    pub fn differs(&self, undisturbed: &End) -> Option<String> {
        let only = |one: &End, other: &End, mark: &str| -> Vec<String> {
            let lines = one.0.iter().filter(|line| !other.0.contains(line));
            lines.map(|line| format!("{mark} {line}")).collect()
        };
        let mut all = only(self, undisturbed, "+");
        all.extend(only(undisturbed, self, "-"));
        match (self == undisturbed, all.is_empty()) {
            (true, _) => None,
            (false, true) => {
                let pairs = self.0.iter().zip(&undisturbed.0);
                let first = pairs.into_iter().find(|(one, other)| one != other);
                let lines = (self.0.len(), undisturbed.0.len());
                Some(format!(
                    "another order or number, {lines:?} lines: {first:?}"
                ))
            }
            (false, false) => Some(all.join("\n  ")),
        }
    }
}

/// No two compilations of a script are the same; the program's mode and owner are.
fn without_compiled(picture: &str) -> String {
    let lines = picture
        .lines()
        .filter(|line| !line.ends_with("  ./tell.shc.x"));
    lines.collect::<Vec<_>>().join("\n")
}

fn open() -> Connection {
    let journal = Connection::open(format!("{STATE}/private/journal.db")).unwrap();
    journal.busy_timeout(patience(10)).unwrap();
    journal
}

pub fn rows(sql: &str) -> Vec<String> {
    rows_in(&open(), sql)
}

fn rows_in(journal: &Connection, sql: &str) -> Vec<String> {
    let mut statement = journal.prepare(sql).unwrap();
    let columns = statement.column_count();
    let found = statement.query_map([], |row| {
        let cells = (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at));
        let cells: Result<Vec<_>, _> = cells.collect();
        Ok(format!("{:?}", cells?))
    });
    found.unwrap().map(Result::unwrap).collect()
}

/// That do not wait for the admin, of a journal that may be damaged.
pub fn try_open_actions() -> Option<i64> {
    let count = "select count(*) from actions where open and not exists (
        select 1 from events where seq = (select max(seq) from events where action = actions.id)
        and json_extract(event, '$.event') in ('held', 'broken'))";
    open().query_row(count, [], |row| row.get(0)).ok()
}

/// What was accepted, in order; None where it cannot be read.
pub fn try_actions() -> Option<Vec<String>> {
    let journal = open();
    let sql = "select id || ' ' || action || ' ' || first || ' ' || last from actions order by id";
    let mut statement = journal.prepare(sql).ok()?;
    let found = statement.query_map([], |row| row.get(0)).ok()?;
    found.collect::<Result<_, _>>().ok()
}

pub fn change(sql: &str) {
    open().execute_batch(sql).unwrap();
}

fn count(sql: &str) -> usize {
    let found: i64 = open().query_row(sql, [], |row| row.get(0)).unwrap();
    usize::try_from(found).unwrap()
}

pub fn actions() -> usize {
    count("select count(*) from actions")
}

/// So many actions are there, none of them is on its way.
pub fn are_over(number: usize) -> bool {
    over_in(&open(), number)
}

fn over_in(journal: &Connection, number: usize) -> bool {
    let sql = "select (select count(*) from actions) >= ? and
        not exists (select 1 from actions where open)";
    let number = i64::try_from(number).unwrap();
    let over = journal
        .prepare_cached(sql)
        .unwrap()
        .query_row([number], |row| row.get(0));
    over.unwrap()
}

pub fn settled(number: usize) {
    let journal = open();
    until("end of all actions", || over_in(&journal, number));
}

pub fn is_tidy() -> bool {
    let dirs = ["private/scratch", "spool/bad"].map(|dir| format!("{STATE}/{dir}"));
    let store = ["trash", "new"].map(|dir| format!("{STUDENTS}/.wod/{dir}"));
    let mut all = dirs.iter().chain(&store);
    all.all(|dir| entries(dir) == 0) && entries(&format!("{STATE}/spool")) == 1
}

pub fn tidy() {
    until("tidy state", is_tidy);
}

pub fn spool_is_empty() {
    until("empty spool", || entries(&format!("{STATE}/spool")) == 1);
}

fn entries(dir: &str) -> usize {
    fs::read_dir(Path::new(dir)).map_or(0, Iterator::count)
}

fn until(what: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + patience(30);
    while !so() {
        if Instant::now() > deadline {
            let open = rows(
                "select actions.id, events.event from actions left join events
                on events.action = actions.id where open order by seq desc limit 4",
            );
            let left = sh(&format!(
                "find {STATE}/spool {STATE}/private/scratch {STUDENTS}/.wod"
            ));
            panic!("no {what} in time: {open:#?}\n{left}");
        }
        thread::sleep(Duration::from_millis(4));
    }
}
