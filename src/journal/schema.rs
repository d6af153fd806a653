//! The journal's tables, their version, and the check that the file is whole.

use std::path::Path;

use rusqlite::Connection;

use super::{Error, Result};

/// Raised whenever the tables change.
const VERSION: i64 = 1;

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
    open        integer not null default 1  -- 0 once it is over
) strict;
create index actions_open on actions (id) where open;
create index actions_of_student on actions (first, last, id);
create index actions_message on actions (message_id) where message_id is not null;
create table events (
    seq     integer primary key,
    action  integer not null references actions (id),
    at      integer not null,
    event   text not null                   -- JSON
) strict;
create index events_of_action on events (action, seq);
create table passwords (
    action   integer not null,
    student  integer not null,
    password text not null,
    primary key (action, student)
) strict;
create table outbox (
    id      integer primary key,
    at      integer not null,
    subject text not null,
    body    text not null,
    tries   integer not null default 0
) strict;
create table seats (
    student  integer primary key,
    assigned integer not null default 0,
    password text
) strict;
create table participants (
    id         integer primary key,
    student    integer,
    workshop   text,
    email      text,
    active     integer not null default 0,
    cleaned    integer not null default 0,
    completion integer
) strict;
create table capacities (
    workshop text primary key,
    seats    integer not null
) strict;
";

/// Nothing is written before it is sure that the file is ours, and of our version.
pub fn prepare(path: &Path, connection: &Connection) -> Result<()> {
    let found = version(path, connection)?;
    if found != 0 {
        check_version(path, connection)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    if found == 0 {
        connection.execute_batch(&format!(
            "begin immediate; {TABLES} pragma user_version = {VERSION}; commit;"
        ))?;
    }
    check_version(path, connection)
}

pub fn check_version(path: &Path, connection: &Connection) -> Result<()> {
    match version(path, connection)? {
        VERSION => Ok(()),
        found => Err(Error::Version {
            path: path.to_owned(),
            found,
            known: VERSION,
        }),
    }
}

pub fn check_integrity(path: &Path, connection: &Connection) -> Result<()> {
    // A future version is told as such: its tables are none of our business.
    if version(path, connection)? > VERSION {
        return check_version(path, connection);
    }
    let answer: String = connection
        .query_row("pragma integrity_check(1)", [], |row| row.get(0))
        .map_err(|source| unusable(path, source))?;
    match answer.as_str() {
        "ok" => Ok(()),
        what => Err(Error::Damaged {
            path: path.to_owned(),
            // SQLite tells the database's name on a line of its own.
            what: what.lines().last().unwrap_or(what).to_owned(),
        }),
    }
}

fn version(path: &Path, connection: &Connection) -> Result<i64> {
    connection
        .query_row("pragma user_version", [], |row| row.get(0))
        .map_err(|source| unusable(path, source))
}

fn unusable(path: &Path, source: rusqlite::Error) -> Error {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            let what = source.to_string();
            Error::Damaged { path, what }
        }
        _ => Error::Open { path, source },
    }
}
