//! The journal: every action, what happened to it, the passwords it still needs, mail to be sent.
//!
//! An action's state is a fold over its events (`events`); nothing else decides what comes next.
//! The local registry's tables live in the same file (`seats`), so that a site without a frontend
//! has one thing to keep safe.

mod actions;
mod bans;
mod check;
mod events;
mod head;
mod incidents;
mod outbox;
mod prune;
mod salvage;
mod schema;
mod seat_locks;
mod seats;
mod sessions;
mod sum;
#[cfg(test)]
mod tests;

pub use actions::{Accepted, ActionRow, Cursor, Filter, Origin};
pub use bans::{Allowance, Ban};
pub use check::{Finding, check};
pub use events::{Event, Happening, Illegal, Progressed, Stage, State};
pub use incidents::{ALERT, Answered, Began, Incident};
pub use outbox::Letter;
pub use salvage::{Salvaged, salvage};
pub use seat_locks::{Hold, SeatLocks};
pub use seats::SeatRow;
pub use sessions::Session;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use head::{Head, HeadFile, Remembered};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// What a record must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The end of this process, however sudden.
    Process,
    /// The end of power.
    Power,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("journal {path} cannot be opened; does wod serve run here, and may you read it?")]
    Open {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error(
        "journal {path} is of version {found}, this wod knows version {known}; \
         use the wod that wrote it, or move the file away"
    )]
    Version {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error("journal {path} is of an older version; start wod serve once, which takes it up")]
    Older { path: PathBuf },
    #[error(
        "journal {path} is damaged ({what}) and was left as it is; see wod journal check, then \
         keep what is whole with wod journal salvage"
    )]
    Damaged { path: PathBuf, what: String },
    #[error(
        "journal {path} was written by a wod that kept no checksums; let that one finish its \
         actions, then move the file away"
    )]
    Unsummed { path: PathBuf },
    #[error("journal {path} {what}; keep what is there with wod journal salvage")]
    Short { path: PathBuf, what: String },
    #[error("{path}, which belongs to the journal, cannot be used")]
    Beside {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the journal failed")]
    Sqlite(#[from] rusqlite::Error),
    #[error("action {action}: its journal holds something unreadable in event {seq}")]
    Unreadable {
        action: i64,
        seq: i64,
        #[source]
        source: serde_json::Error,
    },
    #[error("action {action}")]
    Illegal {
        action: i64,
        #[source]
        source: Illegal,
    },
    #[error("there is no action {0}; see wod actions list --all")]
    NoSuchAction(i64),
    #[error("action {action} {why}")]
    NotNow { action: i64, why: String },
}

pub type Result<T> = std::result::Result<T, Error>;

/// One open journal. Calls are serialised; they are short.
pub struct Journal {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// Says how far the journal is, beside it.
    head: HeadFile,
    /// SQLite's number for what other connections wrote, as last seen.
    elsewhere: AtomicI64,
    /// The log beside the file may have passwords in it that were forgotten.
    forgotten: AtomicBool,
}

/// How long `scrub` waits for those who read just now.
const SCRUB_PATIENCE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);

impl Journal {
    /// Opens it for the engine; makes it (mode 0600) when there is none.
    pub fn open(path: &Path) -> Result<Journal> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let connection = connect(path, flags)?;
        // A damaged file is not to be mended from its log when we close it.
        let no_checkpoint = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        connection.set_db_config(no_checkpoint, true)?;
        check::refuse_damaged(path, &connection)?;
        schema::prepare(path, &connection)?;
        connection.set_db_config(no_checkpoint, false)?;
        let journal = Journal::new(path, connection)?;
        journal.note_head()?;
        // An engine that was killed may not have come to it.
        journal.forgotten.store(true, Ordering::SeqCst);
        journal.scrub()?;
        Ok(journal)
    }

    /// Opens an existing one beside a running engine, for the commands.
    pub fn open_beside(path: &Path) -> Result<Journal> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::check_version(path, &connection)?;
        check::refuse_short(path, &connection)?;
        Journal::new(path, connection)
    }

    fn new(path: &Path, connection: Connection) -> Result<Journal> {
        Ok(Journal {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            head: HeadFile::open(path)?,
            elsewhere: AtomicI64::new(0),
            forgotten: AtomicBool::new(false),
        })
    }

    /// An engine that was killed may not have come to it.
    fn note_head(&self) -> Result<()> {
        if let Some(head) = Head::of(&self.lock())? {
            self.head.note(head, true);
        }
        Ok(())
    }

    /// Whether somebody else (the admin's commands) wrote since this was last asked.
    pub fn written_elsewhere(&self) -> Result<bool> {
        let now: i64 = self
            .lock()
            .query_row("pragma data_version", [], |row| row.get(0))?;
        Ok(self.elsewhere.swap(now, Ordering::SeqCst) != now)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was recorded so far survives the end of power, too. By a commit of its own: a
    /// checkpoint syncs nothing while somebody reads what was there before.
    pub fn flush(&self) -> Result<()> {
        self.write(Durability::Power, |t| {
            Head::of(t)?.unwrap_or_default().write(t)
        })
    }

    /// Passwords that were deleted are in no byte of the journal's files afterwards: what was
    /// deleted stays in the write-ahead log until that is emptied. False when somebody was
    /// reading it, so that it has to be tried again.
    pub fn scrub(&self) -> Result<bool> {
        if !self.forgotten.swap(false, Ordering::SeqCst) {
            return Ok(true);
        }
        let connection = self.lock();
        let emptied = || -> Result<bool> {
            connection.busy_timeout(SCRUB_PATIENCE)?;
            let sql = "pragma wal_checkpoint(TRUNCATE)";
            let busy: bool = connection.query_row(sql, [], |row| row.get(0))?;
            Ok(!busy)
        };
        let done = emptied();
        connection.busy_timeout(PATIENCE)?;
        if !matches!(done, Ok(true)) {
            self.forgotten.store(true, Ordering::SeqCst);
        }
        done
    }

    /// To be called after a password was deleted.
    fn has_forgotten(&self) {
        self.forgotten.store(true, Ordering::SeqCst);
    }

    /// A panic while the lock was held leaves at most an open transaction, which SQLite rolls back.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in one transaction that survives what `durability` says.
    fn write<T>(
        &self,
        durability: Durability,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut connection = self.lock();
        let level = match durability {
            Durability::Process => "NORMAL",
            Durability::Power => "FULL",
        };
        connection.pragma_update(None, "synchronous", level)?;
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let before = transaction.total_changes();
        let was = Head::of(&transaction)?.unwrap_or_default();
        let value = work(&transaction)?;
        let is_change = transaction.total_changes() != before;
        if durability == Durability::Process || !is_change {
            transaction.commit()?;
            return Ok(value);
        }
        let mut head = Head::of(&transaction)?.unwrap_or_default();
        head.tick += 1;
        head.write(&transaction)?;
        transaction.commit()?;
        // Of what was accepted the sender has been told.
        self.head.note(head, head.action > was.action);
        Ok(value)
    }
}

impl Drop for Journal {
    /// Also a command beside the engine may have deleted a password.
    fn drop(&mut self) {
        if let Err(e) = self.scrub() {
            tracing::warn!("forgotten passwords stay in the journal's log: {e}");
        }
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let open = |source| Error::Open {
        path: path.to_owned(),
        source,
    };
    let connection = Connection::open_with_flags(path, flags).map_err(open)?;
    connection.busy_timeout(PATIENCE).map_err(open)?;
    // Freed pages may have held a password. Each connection has to be told.
    connection
        .pragma_update(None, "secure_delete", "ON")
        .map_err(open)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
