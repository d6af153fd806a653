//! What the watchdog stopped or told of: whose, why, what was done about it, and where the evidence is.
//! A row is written before anything is frozen, so that one whose watchdog was killed is found and finished.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::domain::{Participant, Student, Time, WorkshopName};

use super::{Durability, Journal, Result, outbox, sum};

/// The response of an incident that was only told of.
pub const ALERT: &str = "alert";

/// How far the answer to an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Its processes may be frozen, and some may live.
    Begun,
    /// None of its processes is left; the rest may be still to do.
    Ended,
    /// All was done.
    Done,
}

impl Answered {
    pub fn as_str(self) -> &'static str {
        match self {
            Answered::Begun => "begun",
            Answered::Ended => "ended",
            Answered::Done => "done",
        }
    }

    /// What nobody knows has to be gone through from its start.
    fn of(text: &str) -> Answered {
        match text {
            "done" => Answered::Done,
            "ended" => Answered::Ended,
            _ => Answered::Begun,
        }
    }
}

/// What is known when an answer begins.
#[derive(Debug, Clone)]
pub struct Began<'a> {
    pub at: Time,
    pub student: Student,
    pub participant: Option<Participant>,
    pub workshop: Option<&'a WorkshopName>,
    /// `stop-seat`, `stop-process`, or [`ALERT`]
    pub response: &'a str,
    /// JSON
    pub findings: &'a str,
}

/// One incident, as `wod watchdog list` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    pub id: i64,
    pub at: Time,
    pub student: Student,
    pub participant: Option<Participant>,
    pub workshop: Option<WorkshopName>,
    pub response: String,
    pub answered: Answered,
    /// JSON: what the rules said.
    pub findings: String,
    /// One line for each thing that was done.
    pub done: Vec<String>,
    /// The directory of its evidence.
    pub evidence: Option<String>,
    /// Microseconds from the first sight of what was stopped to its end.
    pub latency_us: Option<i64>,
}

const SELECT: &str = "select id, at, student, participant, workshop, response, state, findings,
    done, evidence, latency_us from incidents";

impl Journal {
    pub fn begin_incident(&self, began: &Began<'_>) -> Result<i64> {
        self.write(Durability::Process, |t| {
            t.prepare_cached(
                "insert into incidents (at, student, participant, workshop, response, state,
                   findings, done, sum) values (?1, ?2, ?3, ?4, ?5, 'begun', ?6, '', 0)",
            )?
            .execute(params![
                began.at.0,
                began.student.number(),
                began.participant.map(Participant::id),
                began.workshop.map(WorkshopName::as_str),
                began.response,
                began.findings,
            ])?;
            let id = t.last_insert_rowid();
            sum::seal(t, &sum::INCIDENTS, "id = ?1", [id])?;
            Ok(id)
        })
    }

    /// Writes down all that became of it since it began.
    pub fn note_incident(&self, incident: &Incident) -> Result<()> {
        let durability = match incident.answered {
            Answered::Done => Durability::Power,
            Answered::Begun | Answered::Ended => Durability::Process,
        };
        self.write(durability, |t| update(t, incident))
    }

    /// The same, and the admin is told of it: a crash leaves both written down, or none.
    pub fn tell_incident(&self, incident: &Incident, subject: &str, body: &str) -> Result<()> {
        self.write(Durability::Power, |t| {
            update(t, incident)?;
            outbox::queue(t, subject, body, Time::now())
        })
    }

    pub fn incident(&self, id: i64) -> Result<Option<Incident>> {
        Ok(self
            .lock()
            .prepare_cached(&format!("{SELECT} where id = ?1"))?
            .query_row([id], incident)
            .optional()?
            .flatten())
    }

    /// Newest first.
    pub fn incidents(&self, most: u32) -> Result<Vec<Incident>> {
        self.some_incidents("order by id desc limit ?1", i64::from(most))
    }

    /// Those of which not all was done, oldest first.
    pub fn open_incidents(&self) -> Result<Vec<Incident>> {
        self.some_incidents("where state <> 'done' and ?1 order by id", 1)
    }

    /// Those that were told of at that time or later, oldest first.
    pub fn alerts_since(&self, since: Time) -> Result<Vec<Incident>> {
        let tail = format!("where response = '{ALERT}' and at >= ?1 order by id");
        self.some_incidents(&tail, since.0)
    }

    /// How many of a student's were answered so at that time or later, and of how many of them there
    /// is evidence.
    pub fn answered_since(
        &self,
        student: Student,
        response: &str,
        since: Time,
    ) -> Result<(u32, u32)> {
        let of = params![response, student.number(), since.0];
        Ok(self
            .lock()
            .prepare_cached(
                "select count(*), count(evidence) from incidents
                   where response = ?1 and student = ?2 and at >= ?3",
            )?
            .query_row(of, |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Removes the incidents that were over before that time; gives their evidence.
    pub fn forget_incidents(&self, before: Time) -> Result<Vec<String>> {
        self.write(Durability::Process, |t| {
            let mut forgotten = t.prepare_cached(
                "delete from incidents where state = 'done' and at < ?1 returning evidence",
            )?;
            let rows = forgotten.query_map([before.0], |row| row.get::<_, Option<String>>(0))?;
            let all: Vec<Option<String>> = rows.collect::<rusqlite::Result<_>>()?;
            Ok(all.into_iter().flatten().collect())
        })
    }

    fn some_incidents(&self, tail: &str, of: i64) -> Result<Vec<Incident>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&format!("{SELECT} {tail}"))?;
        let rows = statement.query_map([of], incident)?;
        let all: Vec<Option<Incident>> = rows.collect::<rusqlite::Result<_>>()?;
        Ok(all.into_iter().flatten().collect())
    }
}

fn update(t: &Transaction<'_>, incident: &Incident) -> Result<()> {
    t.prepare_cached(
        "update incidents set participant = ?2, workshop = ?3, state = ?4, findings = ?5,
           done = ?6, evidence = ?7, latency_us = ?8 where id = ?1",
    )?
    .execute(params![
        incident.id,
        incident.participant.map(Participant::id),
        incident.workshop.as_ref().map(WorkshopName::as_str),
        incident.answered.as_str(),
        incident.findings,
        incident.done.join("\n"),
        incident.evidence,
        incident.latency_us,
    ])?;
    sum::seal(t, &sum::INCIDENTS, "id = ?1", [incident.id])
}

fn incident(row: &Row<'_>) -> rusqlite::Result<Option<Incident>> {
    let Ok(student) = Student::new(row.get(2)?) else {
        return Ok(None);
    };
    let workshop: Option<String> = row.get(4)?;
    let done: String = row.get(8)?;
    Ok(Some(Incident {
        id: row.get(0)?,
        at: Time(row.get(1)?),
        student,
        participant: row.get::<_, Option<u32>>(3)?.map(Participant::new),
        workshop: workshop.and_then(|name| name.parse().ok()),
        response: row.get(5)?,
        answered: Answered::of(&row.get::<_, String>(6)?),
        findings: row.get(7)?,
        done: done.lines().map(str::to_owned).collect(),
        evidence: row.get(9)?,
        latency_us: row.get(10)?,
    }))
}
