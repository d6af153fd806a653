//! The local registry's tables: who sits where, with which password, how far they came.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, params};

use crate::domain::{AskedWorkshop, Participant, Secret, Student, WorkshopName};
use crate::ports::{ParticipantRecord, ParticipantReport, SeatReport};

use super::{Durability, Journal, Result, sum};

/// One seat, as `wod students list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatRow {
    pub student: Student,
    pub assigned: bool,
    /// The newest participant of the seat.
    pub participant: Option<ParticipantRecord>,
}

impl Journal {
    pub fn enrol(
        &self,
        id: Participant,
        student: Student,
        workshop: &AskedWorkshop,
        email: Option<&str>,
    ) -> Result<()> {
        self.write(Durability::Process, |t| {
            // Whoever had the seat has it no longer: a late PURGE of theirs that names no
            // student must not be taken for one of the newcomer's seat.
            let mut statement = t.prepare_cached(
                "update participants set student = null, active = 0
                 where student = ?1 and id <> ?2 returning id",
            )?;
            let had_it = statement.query_map(params![student.number(), id.id()], |r| r.get(0))?;
            for other in had_it.collect::<rusqlite::Result<Vec<u32>>>()? {
                sum::seal(t, &sum::PARTICIPANTS, "id = ?1", [other])?;
            }
            if !id.is_nobody() {
                t.execute(
                    "insert into participants (id, student, workshop, email, sum)
                 values (?1, ?2, ?3, ?4, 0)
                 on conflict (id) do update set student = excluded.student, active = 0,
                   workshop = excluded.workshop, email = excluded.email, cleaned = 0,
                   completion = null",
                    params![id.id(), student.number(), workshop.asked(), email],
                )?;
                sum::seal(t, &sum::PARTICIPANTS, "id = ?1", [id.id()])?;
            }
            t.execute(
                "insert into seats (student, assigned, sum) values (?1, 1, 0)
                 on conflict (student) do update set assigned = 1",
                [student.number()],
            )?;
            sum::seal(t, &sum::SEATS, "student = ?1", [student.number()])
        })
    }

    pub fn participant(&self, id: Participant) -> Result<Option<ParticipantRecord>> {
        Ok(self
            .lock()
            .prepare_cached(
                "select id, student, workshop, active, cleaned, completion
                 from participants where id = ?1",
            )?
            .query_row([id.id()], participant_row)
            .optional()?)
    }

    pub fn report_seat(&self, student: Student, report: &SeatReport) -> Result<()> {
        self.write(Durability::Power, |t| {
            t.execute(
                "insert or ignore into seats (student, sum) values (?1, 0)",
                [student.number()],
            )?;
            t.execute(
                "update seats set assigned = coalesce(?2, assigned),
                                  password = coalesce(?3, password) where student = ?1",
                params![
                    student.number(),
                    report.assigned,
                    report.password.as_ref().map(Secret::expose)
                ],
            )?;
            // Nobody has to be told the password of a free seat.
            t.execute(
                "update seats set password = null where student = ?1 and assigned = 0",
                [student.number()],
            )?;
            sum::seal(t, &sum::SEATS, "student = ?1", [student.number()])
        })?;
        // The one that this one replaces, or that a free seat had.
        self.has_forgotten();
        Ok(())
    }

    pub fn report_participant(&self, id: Participant, report: &ParticipantReport) -> Result<()> {
        self.write(Durability::Power, |t| {
            t.execute(
                "update participants set active = coalesce(?2, active) and not coalesce(?3, cleaned),
                   cleaned = coalesce(?3, cleaned), completion = coalesce(?4, completion)
                 where id = ?1",
                params![id.id(), report.active, report.cleaned, report.completion],
            )?;
            sum::seal(t, &sum::PARTICIPANTS, "id = ?1", [id.id()])
        })
    }

    pub fn report_capacity(&self, workshop: &WorkshopName, seats: u32) -> Result<()> {
        self.write(Durability::Power, |t| {
            t.execute(
                "insert into capacities (workshop, seats, sum) values (?1, ?2, 0)
                 on conflict (workshop) do update set seats = excluded.seats",
                params![workshop.as_str(), seats],
            )?;
            sum::seal(t, &sum::CAPACITIES, "workshop = ?1", [workshop.as_str()])
        })
    }

    pub fn capacity(&self, workshop: &WorkshopName) -> Result<Option<u32>> {
        Ok(self
            .lock()
            .query_row(
                "select seats from capacities where workshop = ?1",
                [workshop.as_str()],
                |row| row.get(0),
            )
            .optional()?)
    }

    /// The password to be told to whoever has the seat.
    pub fn seat_password(&self, student: Student) -> Result<Option<Secret>> {
        Ok(self
            .lock()
            .query_row(
                "select password from seats where student = ?1 and password is not null",
                [student.number()],
                |row| row.get(0),
            )
            .optional()?
            .map(Secret::new))
    }

    /// The seat that each participant has, or had last.
    pub fn participant_seats(&self) -> Result<BTreeMap<Participant, Student>> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("select id, student from participants where student is not null")?;
        let rows =
            statement.query_map([], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)))?;
        let mut seats = BTreeMap::new();
        for row in rows {
            let (id, student) = row?;
            if let Ok(student) = Student::new(student) {
                seats.insert(Participant::new(id), student);
            }
        }
        Ok(seats)
    }

    /// Those with a seat whose CLEANUP is over.
    pub fn cleaned_participants(&self) -> Result<BTreeSet<Participant>> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("select id from participants where student is not null and cleaned")?;
        let rows = statement.query_map([], |row| row.get::<_, u32>(0))?;
        Ok(rows
            .map(|id| id.map(Participant::new))
            .collect::<rusqlite::Result<_>>()?)
    }

    pub fn seats(&self) -> Result<Vec<SeatRow>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "select p.id, p.student, p.workshop, p.active, p.cleaned, p.completion,
                    s.student, s.assigned
             from seats s left join participants p on p.rowid =
               (select q.rowid from participants q where q.student = s.student
                order by q.rowid desc limit 1)
             order by s.student",
        )?;
        let rows = statement.query_map([], |row| {
            let participant = match row.get::<_, Option<u32>>(0)? {
                Some(_) => Some(participant_row(row)?),
                None => None,
            };
            Ok((row.get::<_, u32>(6)?, row.get(7)?, participant))
        })?;
        let mut seats = Vec::new();
        for row in rows {
            let (student, assigned, participant) = row?;
            if let Ok(student) = Student::new(student) {
                seats.push(SeatRow {
                    student,
                    assigned,
                    participant,
                });
            }
        }
        Ok(seats)
    }
}

fn participant_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<ParticipantRecord> {
    Ok(ParticipantRecord {
        id: Participant::new(row.get(0)?),
        student: row
            .get::<_, Option<u32>>(1)?
            .and_then(|n| Student::new(n).ok()),
        workshop: row
            .get::<_, Option<String>>(2)?
            .and_then(|name| name.parse().ok()),
        active: row.get(3)?,
        cleaned: row.get(4)?,
        completion: row.get(5)?,
    })
}
