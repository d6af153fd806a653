//! The journal's tables, their version, and the check that the file is whole.

use std::path::Path;
use std::sync::OnceLock;

use rusqlite::Connection;

use super::head::{self, Head};
use super::sum;
use super::{Error, Result};

/// Raised whenever the tables change.
const VERSION: i64 = 2;

/// The first version whose rows have checksums; it is taken up.
const OLDEST: i64 = 1;

const TABLES: &str = "
create table actions (
    id          integer primary key,
    accepted    integer not null,           -- milliseconds since 1970
    action      text not null,              -- JSON, as the spool brought it
    first       integer not null,           -- the students that it is for
    last        integer not null,
    verb        text not null,
    message_id  text,
    spooled     text not null unique,       -- name of the spool file
    route       text not null,
    open        integer not null default 1, -- 0 once it is over
    tip         integer not null default 0, -- sum of its newest event
    sum         integer not null            -- of the row, see sum.rs; so in all tables
) strict;
create index actions_open on actions (id) where open;
create index actions_of_student on actions (first, last, id);
create index actions_message on actions (message_id) where message_id is not null;
create table events (
    seq     integer primary key,
    action  integer not null references actions (id),
    at      integer not null,
    event   text not null,                  -- JSON
    before  integer not null,               -- sum of the action's event before this one, or 0
    sum     integer not null
) strict;
create index events_of_action on events (action, seq);
create table passwords (
    action   integer not null,
    student  integer not null,
    password text not null,
    sum      integer not null,
    primary key (action, student)
) strict;
create table outbox (
    id      integer primary key,
    at      integer not null,
    subject text not null,
    body    text not null,
    tries   integer not null default 0,
    sum     integer not null
) strict;
create table seats (
    student  integer primary key,
    assigned integer not null default 0,
    password text,
    sum      integer not null
) strict;
create table participants (
    id         integer primary key,
    student    integer,
    workshop   text,
    email      text,
    active     integer not null default 0,
    cleaned    integer not null default 0,
    completion integer,
    sum        integer not null
) strict;
create table capacities (
    workshop text primary key,
    seats    integer not null,
    sum      integer not null
) strict;
create table head (
    id      integer primary key,            -- 1
    tick    integer not null,               -- commits that survive the end of power
    action  integer not null,               -- the newest id that was given out
    sum     integer not null
) strict;
";

/// What version 2 added.
const TABLES_2: &str = "
create table incidents (
    id          integer primary key,
    at          integer not null,
    student     integer not null,
    participant integer,
    workshop    text,
    response    text not null,
    state       text not null,              -- begun, ended, done
    findings    text not null,              -- JSON
    done        text not null,              -- one line for each thing
    evidence    text,
    latency_us  integer,
    sum         integer not null
) strict;
create index incidents_open on incidents (id) where state <> 'done';
create table bans (
    participant integer primary key,
    since       integer not null,
    reason      text not null,
    sum         integer not null
) strict;
create table allowances (
    rule     text not null,
    workshop text not null,
    comment  text not null,
    until    integer not null,
    sum      integer not null,
    primary key (rule, workshop)
) strict;
";

/// Makes the tables where there are none. Nothing is written before it is sure that the file is
/// ours, and of our version.
pub fn prepare(path: &Path, connection: &Connection) -> Result<()> {
    let is_new = is_empty(path, connection)?;
    if is_new {
        // First the file beside it: a journal that has begun is never without.
        head::make(path, Head::default())?;
    } else if version(path, connection)? != OLDEST {
        check_version(path, connection)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    if is_new {
        let t = connection.unchecked_transaction()?;
        make_tables(&t)?;
        Head::default().write(&t)?;
        t.commit()?;
    } else if version(path, connection)? == OLDEST {
        let t = connection.unchecked_transaction()?;
        t.execute_batch(&format!("{TABLES_2} pragma user_version = {VERSION};"))?;
        t.commit()?;
    }
    check_version(path, connection)
}

pub fn make_tables(t: &Connection) -> rusqlite::Result<()> {
    make_tables_of(t, VERSION)
}

pub(super) fn make_tables_of(t: &Connection, version: i64) -> rusqlite::Result<()> {
    let later = if version > OLDEST { TABLES_2 } else { "" };
    t.execute_batch(&format!(
        "{TABLES} {later} pragma user_version = {version};"
    ))
}

/// Whether a journal of the file's version has that table.
pub fn has(path: &Path, connection: &Connection, table: &sum::Table) -> Result<bool> {
    let version = version(path, connection)?;
    Ok(known_shape(version)?
        .iter()
        .any(|part| part.1 == table.name))
}

/// Whether it is a file in which nothing was ever written.
pub fn is_empty(path: &Path, connection: &Connection) -> Result<bool> {
    Ok(version(path, connection)? == 0 && shape(path, connection)?.is_empty())
}

pub fn check_version(path: &Path, connection: &Connection) -> Result<()> {
    match version(path, connection)? {
        VERSION => Ok(()),
        OLDEST => Err(Error::Older {
            path: path.to_owned(),
        }),
        found => Err(Error::Version {
            path: path.to_owned(),
            found,
            known: VERSION,
        }),
    }
}

/// What is not as it has to be in the file as a whole and in its tables' definitions, at most
/// `most` lines of it; no row is looked at.
pub fn wrongs(path: &Path, connection: &Connection, most: usize) -> Result<Vec<String>> {
    // A future version is told as such: its tables are none of our business.
    if version(path, connection)? > VERSION {
        check_version(path, connection)?;
    }
    let check = format!("pragma integrity_check({most})");
    let told = connection
        .prepare(&check)
        .and_then(|mut check| {
            let lines = check.query_map([], |row| row.get::<_, String>(0))?;
            lines.collect::<rusqlite::Result<Vec<_>>>()
        })
        .map_err(|source| unusable(path, source))?;
    if told != ["ok"] {
        // SQLite tells the database's name on a line of its own.
        let lines = told.iter().flat_map(|text| text.lines());
        let lines = lines.filter(|line| !line.starts_with("***"));
        return Ok(lines.map(str::to_owned).collect());
    }
    let found = shape(path, connection)?;
    if found.is_empty() && version(path, connection)? == 0 {
        return Ok(Vec::new());
    }
    let version = version(path, connection)?;
    let names = |shape: &[Part]| -> Vec<String> { shape.iter().map(|p| p.1.clone()).collect() };
    let known = known_shape(version)?;
    // An older one has not what came later.
    let is_later = |part: &Part| TABLES_2.contains(&format!("create table {} ", part.1));
    if version < OLDEST || version == OLDEST && found.iter().any(is_later) {
        return Ok(vec!["its version is not what was written there".to_owned()]);
    }
    if !names(&found).contains(&"head".to_owned()) && names(&found).contains(&"events".to_owned()) {
        return Err(Error::Unsummed {
            path: path.to_owned(),
        });
    }
    let lost = known.iter().filter(|part| !found.contains(part));
    Ok(lost
        .map(|(kind, name, ..)| format!("the definition of {kind} {name} is not what was written"))
        .take(most)
        .collect())
}

/// Kind, name, table and definition.
type Part = (String, String, String, Option<String>);

fn shape(path: &Path, connection: &Connection) -> Result<Vec<Part>> {
    parts(connection).map_err(|source| unusable(path, source))
}

fn parts(connection: &Connection) -> rusqlite::Result<Vec<Part>> {
    let mut read = connection.prepare("select type, name, tbl_name, sql from sqlite_schema")?;
    let rows = read.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    rows.collect()
}

/// As SQLite writes it down; always the same.
fn known_shape(version: i64) -> Result<&'static [Part]> {
    static KNOWN: [OnceLock<Vec<Part>>; 2] = [OnceLock::new(), OnceLock::new()];
    let known = &KNOWN[usize::from(version > OLDEST)];
    if let Some(known) = known.get() {
        return Ok(known);
    }
    let fresh = Connection::open_in_memory()?;
    make_tables_of(&fresh, version)?;
    let fresh = parts(&fresh)?;
    Ok(known.get_or_init(|| fresh))
}

fn version(path: &Path, connection: &Connection) -> Result<i64> {
    connection
        .query_row("pragma user_version", [], |row| row.get(0))
        .map_err(|source| unusable(path, source))
}

/// Damaged when that is what SQLite says; everything else may pass, or is somebody's to permit.
pub fn unusable(path: &Path, source: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
    let path = path.to_owned();
    match source.sqlite_error_code() {
        None | Some(NotADatabase | DatabaseCorrupt | Unknown) => {
            let what = source.to_string();
            Error::Damaged { path, what }
        }
        _ => Error::Open { path, source },
    }
}
