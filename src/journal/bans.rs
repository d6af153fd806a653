//! Participants who get no seat any more, and what workshops may do although a rule minds it.

use rusqlite::{OptionalExtension, params};

use crate::domain::{Participant, Time, WorkshopName};

use super::{Durability, Journal, Result, sum};

/// A participant whose CREATE is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    pub participant: Participant,
    pub since: Time,
    pub reason: String,
}

/// What a workshop may do until then; the names are the rule's and the workshop's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    pub rule: String,
    pub workshop: WorkshopName,
    pub comment: String,
    pub until: Time,
}

impl Journal {
    /// The first reason stays when somebody is banned again.
    pub fn ban(&self, participant: Participant, reason: &str, now: Time) -> Result<()> {
        self.write(Durability::Power, |t| {
            t.execute(
                "insert or ignore into bans (participant, since, reason, sum)
                 values (?1, ?2, ?3, 0)",
                params![participant.id(), now.0, reason],
            )?;
            sum::seal(t, &sum::BANS, "participant = ?1", [participant.id()])
        })
    }

    /// False when there was nothing to lift.
    pub fn unban(&self, participant: Participant) -> Result<bool> {
        self.write(Durability::Power, |t| {
            let sql = "delete from bans where participant = ?1";
            Ok(t.execute(sql, [participant.id()])? > 0)
        })
    }

    pub fn ban_of(&self, participant: Participant) -> Result<Option<Ban>> {
        Ok(self
            .lock()
            .prepare_cached("select participant, since, reason from bans where participant = ?1")?
            .query_row([participant.id()], ban)
            .optional()?)
    }

    pub fn bans(&self) -> Result<Vec<Ban>> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("select participant, since, reason from bans order by participant")?;
        let rows = statement.query_map([], ban)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// In place of one for the same rule and workshop.
    pub fn allow(&self, allowance: &Allowance) -> Result<()> {
        self.write(Durability::Power, |t| {
            let (rule, workshop) = (&allowance.rule, allowance.workshop.as_str());
            t.execute(
                "insert into allowances (rule, workshop, comment, until, sum)
                 values (?1, ?2, ?3, ?4, 0)
                 on conflict (rule, workshop) do update set comment = excluded.comment,
                   until = excluded.until",
                params![rule, workshop, allowance.comment, allowance.until.0],
            )?;
            let which = "rule = ?1 and workshop = ?2";
            sum::seal(t, &sum::ALLOWANCES, which, params![rule, workshop])
        })
    }

    /// False when there was none.
    pub fn disallow(&self, rule: &str, workshop: &WorkshopName) -> Result<bool> {
        self.write(Durability::Power, |t| {
            let sql = "delete from allowances where rule = ?1 and workshop = ?2";
            Ok(t.execute(sql, params![rule, workshop.as_str()])? > 0)
        })
    }

    /// Also those that are over.
    pub fn allowances(&self) -> Result<Vec<Allowance>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "select rule, workshop, comment, until from allowances order by workshop, rule",
        )?;
        let rows = statement.query_map([], |row| {
            let workshop: String = row.get(1)?;
            Ok(workshop
                .parse()
                .ok()
                .zip(Some((row.get(0)?, row.get(2)?, row.get(3)?))))
        })?;
        let mut all = Vec::new();
        for row in rows {
            all.extend(row?.map(|(workshop, (rule, comment, until))| Allowance {
                rule,
                workshop,
                comment,
                until: Time(until),
            }));
        }
        Ok(all)
    }
}

fn ban(row: &rusqlite::Row<'_>) -> rusqlite::Result<Ban> {
    Ok(Ban {
        participant: Participant::new(row.get(0)?),
        since: Time(row.get(1)?),
        reason: row.get(2)?,
    })
}
