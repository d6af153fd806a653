//! Mail to the admin that is still to be sent. It is queued with what it tells of, and so never lost.

use rusqlite::{Transaction, params};

use crate::domain::Time;

use super::{Durability, Journal, Result, sum};

/// One mail to WODMONITOR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub id: i64,
    pub subject: String,
    pub body: String,
    /// Failed attempts to send it.
    pub tries: u32,
}

impl Journal {
    /// Oldest first, at most 100. One that failed ten times comes after all others, or some that are
    /// refused for good would keep them waiting.
    pub fn letters(&self) -> Result<Vec<Letter>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "select id, subject, body, tries from outbox order by tries >= 10, id limit 100",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Letter {
                id: row.get(0)?,
                subject: row.get(1)?,
                body: row.get(2)?,
                tries: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Queues one mail.
    pub fn write_letter(&self, subject: &str, body: &str, now: Time) -> Result<()> {
        self.write(Durability::Power, |t| queue(t, subject, body, now))
    }

    pub fn letter_sent(&self, id: i64) -> Result<()> {
        self.write(Durability::Process, |t| {
            t.execute("delete from outbox where id = ?1", params![id])?;
            Ok(())
        })
    }

    pub fn letter_failed(&self, id: i64) -> Result<()> {
        self.write(Durability::Process, |t| {
            t.execute(
                "update outbox set tries = tries + 1 where id = ?1",
                params![id],
            )?;
            sum::seal(t, &sum::OUTBOX, "id = ?1", params![id])
        })
    }
}

/// As part of what it tells of.
pub(super) fn queue(t: &Transaction<'_>, subject: &str, body: &str, now: Time) -> Result<()> {
    t.execute(
        "insert into outbox (at, subject, body, sum) values (?1, ?2, ?3, 0)",
        params![now.0, subject, body],
    )?;
    sum::seal(t, &sum::OUTBOX, "id = ?1", [t.last_insert_rowid()])
}
