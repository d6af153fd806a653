//! Who has which seat just now, and since when: for those who look at the seats' processes.

use std::collections::BTreeMap;

use crate::domain::{Participant, Student, Time, WorkshopName};

use super::{Journal, Result};

/// One seat that was ever used, or that an action is at work on.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Session {
    /// Somebody has it, or an action is at work on it.
    pub taken: bool,
    pub participant: Option<Participant>,
    pub workshop: Option<WorkshopName>,
    /// When the newest CREATE of it was accepted, as long as the journal keeps it.
    pub since: Option<Time>,
}

impl Journal {
    pub fn sessions(&self) -> Result<BTreeMap<Student, Session>> {
        let mut sessions: BTreeMap<Student, Session> = BTreeMap::new();
        for seat in self.seats()? {
            let who = seat.participant.filter(|_| seat.assigned);
            let session = Session {
                taken: seat.assigned,
                participant: who.as_ref().map(|who| who.id),
                workshop: who.and_then(|who| who.workshop.map(|asked| asked.name)),
                since: None,
            };
            sessions.insert(seat.student, session);
        }
        for (first, last) in self.open_ranges()? {
            for number in first..=last {
                if let Ok(student) = Student::new(number) {
                    sessions.entry(student).or_default().taken = true;
                }
            }
        }
        for (student, since) in self.newest_creates()? {
            if let Some(session) = sessions.get_mut(&student) {
                session.since = session.taken.then_some(since);
            }
        }
        Ok(sessions)
    }

    fn open_ranges(&self) -> Result<Vec<(u32, u32)>> {
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached("select first, last from actions where open")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn newest_creates(&self) -> Result<Vec<(Student, Time)>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "select s.student, (select accepted from actions
               where first = s.student and last = s.student and verb = 'CREATE'
               order by id desc limit 1) from seats s where s.assigned",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
        let mut all = Vec::new();
        for row in rows {
            let (student, since) = row?;
            all.extend(Student::new(student).ok().zip(since.map(Time)));
        }
        Ok(all)
    }
}
