//! A new journal from the rows of a damaged one that are what was written.
//!
//! An action is carried on only when it is sure that all that happened to it is known; any other
//! waits for the admin, its seat made safe.

mod pages;
mod record;
mod rescue;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::domain::Time;

use super::head::{self, Head};
use super::{Error, Finding, Result, check, schema};

use rescue::Rescue;

/// What became of a journal.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// What was wrong; nothing was done when this is empty.
    pub found: Vec<Finding>,
    /// `5 rows of actions`
    pub kept: Vec<String>,
    pub lost: Vec<String>,
    /// Actions that wait for the admin now, and why.
    pub held: Vec<String>,
    /// Where the new journal is.
    pub written: PathBuf,
    /// Where the damaged one is now.
    pub aside: Option<PathBuf>,
}

/// Puts a whole journal in the place of a damaged one, and that aside; or makes the whole one at
/// `to` and leaves the damaged one where it is. No engine may run.
pub fn salvage(path: &Path, to: Option<&Path>, now: Time) -> Result<Salvaged> {
    let done = unfinished(path);
    if to.is_none() && is_absent(path)? && done.exists() {
        return finish(path, &done);
    }
    let found = check::check(path)?;
    if found.is_empty() {
        return Ok(Salvaged::default());
    }
    let remembered = head::remembered(path)?;
    let (file, log) = (read(path)?, read(&side(path, "-wal"))?);
    let rescue = Rescue::of(&file, &log, remembered);
    let target = to.map_or(done, Path::to_owned);
    let mut salvaged = Salvaged {
        found,
        written: target.clone(),
        ..Salvaged::default()
    };
    let head = write(&target, &rescue, now, &mut salvaged)?;
    salvaged.lost = rescue.lost;
    if to.is_some() {
        head::make(&target, head)?;
        return Ok(salvaged);
    }
    salvaged.aside = Some(put_aside(path, now)?);
    move_into_place(&target, path, head)?;
    salvaged.written = path.to_owned();
    Ok(salvaged)
}

/// A journal that has been salvaged, and not been put into its place.
fn unfinished(path: &Path) -> PathBuf {
    side(path, ".salvaged")
}

fn finish(path: &Path, done: &Path) -> Result<Salvaged> {
    let connection = check::open(done)?;
    let head = Head::of(&connection)?.unwrap_or_default();
    drop(connection);
    move_into_place(done, path, head)?;
    Ok(Salvaged {
        found: check::check(path)?,
        kept: vec!["what was salvaged before, and not put into place".to_owned()],
        written: path.to_owned(),
        ..Salvaged::default()
    })
}

fn write(target: &Path, rescue: &Rescue, now: Time, told: &mut Salvaged) -> Result<Head> {
    // Mode 0600 before there is anything in it, and nothing of somebody else's is written over.
    let make = File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(target);
    make.map_err(of_file(target))?;
    let connection = super::connect(target, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let t = connection.unchecked_transaction()?;
    schema::make_tables(&t)?;
    rescue.write(&t, now, told)?;
    let head = rescue.head();
    head.write(&t)?;
    t.commit()?;
    drop_connection(connection)?;
    let synced = File::open(target).and_then(|file| file.sync_all());
    synced.map_err(of_file(target))?;
    Ok(head)
}

fn drop_connection(connection: Connection) -> Result<()> {
    connection.close().map_err(|(_, e)| Error::Sqlite(e))
}

/// Until the new one is in its place there is none, which the engine refuses.
fn put_aside(path: &Path, now: Time) -> Result<PathBuf> {
    let stamp: String = now
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let aside = side(path, &format!(".damaged-{stamp}"));
    let moves = [
        (path.to_owned(), aside.clone()),
        (side(path, "-wal"), side(&aside, "-wal")),
        (head::beside(path), side(&aside, "-head")),
    ];
    // The head stays: it is what tells a missing journal from a new one.
    for (from, to) in &moves[..2] {
        rename(from, to)?;
    }
    let (from, to) = &moves[2];
    match std::fs::copy(from, to) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(of_file(to)(e)),
        _ => {}
    }
    // It belongs to the log that is no longer there.
    let _ = std::fs::remove_file(side(path, "-shm"));
    head::sync_dir(path).map_err(of_file(path))?;
    Ok(aside)
}

fn move_into_place(from: &Path, path: &Path, head: Head) -> Result<()> {
    rename(from, path)?;
    head::sync_dir(path).map_err(of_file(path))?;
    head::make(path, head)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    match std::fs::rename(from, to) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(of_file(from)(e)),
        _ => Ok(()),
    }
}

fn is_absent(path: &Path) -> Result<bool> {
    Ok(read(path)?.is_empty())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        bytes => bytes.map_err(of_file(path)),
    }
}

/// `journal.db-wal` of `journal.db`.
fn side(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn of_file(path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Beside { path, source }
}
