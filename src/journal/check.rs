//! Whether a journal is what was written: the file, each row, each action's chain of events, and
//! whether it is as long as it was. Only reads.

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::head::{self, Head, Remembered};
use super::sum::{self, Table};
use super::{Error, Result, schema};

/// One thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name without the directory.
    pub file: String,
    /// Where in it, and what.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.what)
    }
}

/// Lines of one kind; a file full of holes need not be told byte by byte.
const MOST: usize = 100;

/// Everything that is wrong with the journal of an engine that does not run.
pub fn check(path: &Path) -> Result<Vec<Finding>> {
    let connection = match path.try_exists() {
        Ok(false) => Connection::open_in_memory()?,
        _ => open(path)?,
    };
    match findings(path, &connection, MOST) {
        Err(Error::Damaged { what, .. }) => Ok(vec![in_file(path, what)]),
        // The head tells of the version, too: each has a first line of its own.
        Err(Error::Version { found, .. })
            if matches!(head::remembered(path)?, Remembered::Head(_)) =>
        {
            let what = format!("its version is {found}, and was not when it was last written");
            Ok(vec![in_file(path, what)])
        }
        found => found,
    }
}

/// So that the files are left as they are.
pub fn open(path: &Path) -> Result<Connection> {
    let connection = super::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let no_checkpoint = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(no_checkpoint, true)?;
    Ok(connection)
}

/// For the engine: one line about the first thing.
pub fn refuse_damaged(path: &Path, connection: &Connection) -> Result<()> {
    let found = match findings(path, connection, 1) {
        Err(Error::Sqlite(source)) => return Err(schema::unusable(path, source)),
        found => found?,
    };
    let Some(first) = found.into_iter().next() else {
        return Ok(());
    };
    refuse_short(path, connection)?;
    let (path, what) = (path.to_owned(), first.what);
    Err(Error::Damaged { path, what })
}

/// A look at its end only.
pub fn refuse_short(path: &Path, connection: &Connection) -> Result<()> {
    let remembered = head::remembered(path)?;
    let found = head_of(connection).map_err(|source| schema::unusable(path, source))?;
    match short(remembered, found) {
        None => Ok(()),
        Some(what) => Err(Error::Short {
            path: path.to_owned(),
            what,
        }),
    }
}

fn head_of(connection: &Connection) -> rusqlite::Result<Option<Head>> {
    let sql = "select count(*) from sqlite_schema where name = 'head'";
    let is_there: bool = connection.query_row(sql, [], |row| row.get(0))?;
    match is_there {
        true => Head::of(connection),
        false => Ok(None),
    }
}

/// Beside somebody who writes (a watchdog, a command), too: the journal as it was at one moment, which came
/// after what is remembered of its end.
fn findings(path: &Path, connection: &Connection, most: usize) -> Result<Vec<Finding>> {
    let remembered = head::remembered(path)?;
    let _moment = connection.unchecked_transaction()?;
    let mut found: Vec<Finding> = schema::wrongs(path, connection, most)?
        .into_iter()
        .map(|what| in_file(path, what))
        .collect();
    if !schema::is_empty(path, connection)? {
        for table in sum::TABLES {
            if !schema::has(path, connection, table)? {
                continue;
            }
            found.extend(
                rows(connection, table, most)
                    .into_iter()
                    .map(|what| in_file(path, what)),
            );
        }
        if found.is_empty() {
            found.extend(
                chains(connection, most)?
                    .into_iter()
                    .map(|what| in_file(path, what)),
            );
        }
    }
    let end = head_of(connection).unwrap_or_default();
    let file = match remembered {
        Remembered::Head(_) => name(path),
        _ => name(&head::beside(path)),
    };
    found.extend(short(remembered, end).map(|what| Finding { file, what }));
    Ok(found)
}

/// What the journal lacks, as far as the file beside it tells.
fn short(remembered: Remembered, found: Option<Head>) -> Option<String> {
    let end = found.unwrap_or_default();
    match remembered {
        Remembered::Damaged => Some(
            "has a damaged journal.head beside it, so that nobody knows whether it is whole"
                .to_owned(),
        ),
        Remembered::Nothing if found.is_some() => Some(
            "has no journal.head beside it, so that nobody knows whether it is whole".to_owned(),
        ),
        Remembered::Nothing => None,
        Remembered::Head(written) if written.action > end.action => Some(format!(
            "ends at action {}, but {} was accepted: its end is lost",
            end.action, written.action
        )),
        Remembered::Head(written) if written.tick > end.tick => Some(format!(
            "ends at record {}, but {} was written: what happened last is lost",
            end.tick, written.tick
        )),
        Remembered::Head(_) => None,
    }
}

/// Rows that are not what was written.
fn rows(connection: &Connection, table: &Table, most: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Err(e) = each_row(connection, table, |rowid, is_whole| {
        if !is_whole && wrong.len() < most {
            wrong.push(format!(
                "table {}, row {rowid}: is not what was written",
                table.name
            ));
        }
    }) {
        wrong.push(format!(
            "table {}: cannot be read to its end: {e}",
            table.name
        ));
    }
    wrong
}

fn each_row(
    connection: &Connection,
    table: &Table,
    mut tell: impl FnMut(i64, bool),
) -> rusqlite::Result<()> {
    let (name, columns) = (table.name, table.columns.join(", "));
    let mut read = connection.prepare(&format!("select rowid, {columns}, sum from {name}"))?;
    let mut rows = read.query([])?;
    while let Some(row) = rows.next()? {
        let width = table.columns.len();
        let values: rusqlite::Result<Vec<_>> = (1..=width).map(|at| row.get_ref(at)).collect();
        let sum = row.get_ref(width + 1)?.as_i64().ok();
        tell(row.get(0)?, sum == Some(sum::of(table, values?)));
    }
    Ok(())
}

/// Actions whose events are not all there, and events whose action is not.
fn chains(connection: &Connection, most: usize) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut read = connection.prepare("select id, tip from actions order by id")?;
    let all = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for action in all {
        let (id, tip): (i64, i64) = action?;
        wrong.extend(chain(connection, id, tip)?);
    }
    let mut read = connection.prepare(
        "select distinct action from events where action not in (select id from actions)",
    )?;
    let orphans = read.query_map([], |row| row.get::<_, i64>(0))?;
    for orphan in orphans {
        wrong.push(format!("action {}: only its events are there", orphan?));
    }
    wrong.truncate(most);
    Ok(wrong)
}

fn chain(connection: &Connection, id: i64, tip: i64) -> Result<Option<String>> {
    let mut read = connection
        .prepare_cached("select before, sum from events where action = ?1 order by seq")?;
    let mut rows = read.query([id])?;
    let mut last = 0;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(0)? != last {
            return Ok(Some(format!("action {id}: some of its events are missing")));
        }
        last = row.get(1)?;
    }
    Ok((last != tip).then(|| format!("action {id}: its last events are missing")))
}

fn in_file(path: &Path, what: String) -> Finding {
    let file = name(path);
    Finding { file, what }
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
