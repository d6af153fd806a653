//! Actions and their events: accepting (with duplicates recognised), recording, listing.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::domain::{Action, ActionId, Participant, Secret, Student, StudentRange, Time, Verb};

use super::head::Head;
use super::{Durability, Error, Event, Happening, Journal, Result, Stage, State, outbox, sum};

/// Where an accepted action came from.
#[derive(Debug, Clone)]
pub struct Origin<'a> {
    /// Name of its spool file: the same file is never accepted twice.
    pub spooled: &'a str,
    pub message_id: Option<&'a str>,
    /// `smtp` or `pipe`.
    pub route: &'a str,
}

/// What became of an action that was to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    New(ActionId),
    /// The same mail, or the same wish, was accepted before as this.
    Duplicate(ActionId),
}

/// One action as the journal keeps it.
#[derive(Debug, Clone)]
pub struct ActionRow {
    pub id: ActionId,
    pub accepted: Time,
    pub action: Action,
    /// The seat, resolved.
    pub students: StudentRange,
    pub route: String,
}

/// Which actions to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    Open,
    /// The newest so many, open or not.
    Newest(u32),
}

impl Journal {
    /// Takes an action in; durable when this returns.
    ///
    /// Frontends send a mail without Message-ID again and again until the registry shows its
    /// effect. Such a mail is a duplicate when the same wish was accepted less than `window` ago
    /// and nothing came between that makes it a new one (see `turned`). One that was refused or cancelled had no effect to wait for.
    ///
    /// `refusal`: it is accepted and over at once, so that no crash can come between.
    pub fn accept(
        &self,
        action: &Action,
        students: StudentRange,
        origin: &Origin<'_>,
        refusal: Option<&str>,
        now: Time,
        window: Duration,
    ) -> Result<Accepted> {
        let text = json(action)?;
        self.write(Durability::Power, |t| {
            if let Some(id) = duplicate(t, action, &text, students, origin, now, window)? {
                return Ok(Accepted::Duplicate(id));
            }
            // Never one that was given out before, also when that action is no longer here.
            let mut head = Head::of(t)?.unwrap_or_default();
            head.action += 1;
            head.write(t)?;
            let id = ActionId(head.action);
            t.prepare_cached(
                "insert into actions (id, accepted, action, first, last, verb, message_id, spooled,
                   route, sum) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)",
            )?
            .execute(params![
                id.0,
                now.0,
                text,
                students.first().number(),
                students.last().number(),
                action.verb.as_str(),
                origin.message_id,
                origin.spooled,
                origin.route,
            ])?;
            sum::seal(t, &sum::ACTIONS, "id = ?1", [id.0])?;
            if let Some(line) = refusal {
                let line = line.to_owned();
                Cursor::new(id).with(t, &Event::Refused { line }, now)?;
            }
            Ok(Accepted::New(id))
        })
    }

    /// Lets a held action go on, unless its seat was given to another action since.
    pub fn retry(&self, id: ActionId, now: Time) -> Result<()> {
        let row = self.action(id)?;
        self.write(Durability::Power, |t| {
            let not_now = |why| Error::NotNow { action: id.0, why };
            let mut cursor = Cursor::new(id);
            cursor.catch_up(t)?;
            if !matches!(cursor.state.stage, Stage::Held | Stage::Retrying) {
                let stage = cursor.state.stage.as_str();
                return Err(not_now(format!("is {stage}; only held ones are retried")));
            }
            if let Some(later) = successor(t, &row)? {
                return Err(not_now(format!(
                    "is not retried: action {later} has been accepted for the same seat since, \
                     and would be undone; cancel {id} instead"
                )));
            }
            cursor.with(t, &Event::Retried, now).map(drop)
        })
    }

    /// The action's state as of now, to be carried on with [`Journal::record`].
    pub fn follow(&self, id: ActionId) -> Result<Cursor> {
        let mut cursor = Cursor::new(id);
        cursor.catch_up(&self.lock())?;
        Ok(cursor)
    }

    /// Appends an event, if it is legal now. What others appended meanwhile (the admin's wishes)
    /// is in the cursor's state afterwards too.
    pub fn record(
        &self,
        cursor: &mut Cursor,
        event: &Event,
        now: Time,
        durability: Durability,
    ) -> Result<()> {
        *cursor = self.write(durability, |t| cursor.with(t, event, now))?;
        if cursor.state.stage.is_over() {
            self.has_forgotten();
        }
        Ok(())
    }

    /// Records that the action is held and queues the admin's mail, both or neither.
    pub fn hold(
        &self,
        cursor: &mut Cursor,
        line: &str,
        letter: (&str, &str),
        now: Time,
    ) -> Result<()> {
        *cursor = self.write(Durability::Power, |t| {
            let event = Event::Held {
                line: line.to_owned(),
            };
            let after = cursor.with(t, &event, now)?;
            outbox::queue(t, letter.0, letter.1, now)?;
            Ok(after)
        })?;
        Ok(())
    }

    pub fn happenings(&self, id: ActionId) -> Result<Vec<Happening>> {
        let found = happenings(&self.lock(), id, 0)?;
        Ok(found.into_iter().map(|(_, happening)| happening).collect())
    }

    pub fn action(&self, id: ActionId) -> Result<ActionRow> {
        self.lock()
            .prepare_cached(&format!("{SELECT} where id = ?1"))?
            .query_row([id.0], raw_row)
            .optional()?
            .ok_or(Error::NoSuchAction(id.0))
            .and_then(parse_row)
    }

    /// Open actions come in order of arrival, others newest first.
    pub fn list(&self, filter: Filter) -> Result<Vec<ActionRow>> {
        let (tail, limit) = match filter {
            Filter::Open => ("where open and ?1 order by id", 1),
            Filter::Newest(limit) => ("order by id desc limit ?1", limit),
        };
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&format!("{SELECT} {tail}"))?;
        let rows = statement.query_map([limit], raw_row)?;
        rows.map(|row| parse_row(row?)).collect()
    }

    /// Those open actions to which something has happened: of all others there is nothing to follow.
    pub fn begun(&self) -> Result<Vec<ActionId>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "select id from actions where open
             and exists (select 1 from events where action = actions.id) order by id",
        )?;
        let ids = statement.query_map([], |row| row.get(0).map(ActionId))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }

    /// The action that the mail with this Message-ID became.
    pub fn by_message_id(&self, message_id: &str) -> Result<Option<ActionId>> {
        Ok(self
            .lock()
            .prepare_cached(
                "select id from actions where message_id = ?1 order by id desc limit 1",
            )?
            .query_row([message_id], |row| row.get(0).map(ActionId))
            .optional()?)
    }

    /// The password minted for this student by this action; made now when there is none yet.
    pub fn minted(
        &self,
        id: ActionId,
        student: Student,
        mint: impl FnOnce() -> Secret,
    ) -> Result<Secret> {
        self.write(Durability::Power, |t| {
            if let Some(password) = password(t, id, student)? {
                return Ok(password);
            }
            let fresh = mint();
            let sql =
                "insert into passwords (action, student, password, sum) values (?1, ?2, ?3, 0)";
            t.prepare_cached(sql)?
                .execute(params![id.0, student.number(), fresh.expose()])?;
            let which = "action = ?1 and student = ?2";
            sum::seal(t, &sum::PASSWORDS, which, params![id.0, student.number()])?;
            Ok(fresh)
        })
    }

    /// Whether one of the students has a later action that did or will do something.
    pub fn has_successor(&self, row: &ActionRow) -> Result<bool> {
        Ok(successor(&self.lock(), row)?.is_some())
    }

    /// The action, a later participant's CREATE, that gave the seat away which this action would
    /// erase for somebody who had it before. None when the seat was given back since, or when
    /// this participant never had it: then it is the sender's to say.
    pub fn superseded(&self, row: &ActionRow) -> Result<Option<(ActionId, Participant)>> {
        let (action, students) = (&row.action, row.students);
        if action.verb == Verb::Create || action.participant.is_nobody() || students.count() > 1 {
            return Ok(None);
        }
        let connection = self.lock();
        let student = students.first().number();
        let newest: Option<(i64, u32)> = connection
            .prepare_cached(&format!(
                "select id, json_extract(action, '$.participant') from actions
                 where first <= ?2 and last >= ?2 and id < ?1 and verb = 'CREATE'
                 and not exists ({UNDONE}) order by id desc limit 1"
            ))?
            .query_row([row.id.0, i64::from(student)], |r| {
                Ok((r.get(0)?, r.get(1)?))
            })
            .optional()?;
        let Some((create, owner)) = newest.filter(|(_, owner)| *owner != action.participant.id())
        else {
            return Ok(None);
        };
        let is_late: bool = connection
            .prepare_cached(&format!(
                "select exists (select 1 from actions where first <= ?3 and last >= ?3 and id < ?2
                   and verb = 'CREATE' and json_extract(action, '$.participant') = ?4)
                 and not exists (select 1 from actions where first <= ?3 and last >= ?3
                   and id between ?2 and ?1 - 1 and verb <> 'CREATE' and not exists ({UNDONE})
                   and json_extract(action, '$.participant') <> ?4)"
            ))?
            .query_row(
                params![row.id.0, create, student, action.participant.id()],
                |r| r.get(0),
            )?;
        Ok(is_late.then(|| (ActionId(create), Participant::new(owner))))
    }

    pub fn password(&self, id: ActionId, student: Student) -> Result<Option<Secret>> {
        password(&self.lock(), id, student)
    }

    pub fn forget_passwords(&self, id: ActionId) -> Result<()> {
        self.write(Durability::Process, |t| {
            t.prepare_cached("delete from passwords where action = ?1")?
                .execute([id.0])?;
            Ok(())
        })?;
        self.has_forgotten();
        Ok(())
    }
}

const SELECT: &str = "select id, accepted, action, first, last, route from actions";

type Raw = (i64, i64, String, u32, u32, String);

fn raw_row(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
    ))
}

fn parse_row((id, accepted, action, first, last, route): Raw) -> Result<ActionRow> {
    let unreadable = |source| Error::Unreadable {
        action: id,
        seq: 0,
        source,
    };
    Ok(ActionRow {
        id: ActionId(id),
        accepted: Time(accepted),
        action: serde_json::from_str(&action).map_err(unreadable)?,
        students: serde_json::from_value(serde_json::json!([first, last])).map_err(unreadable)?,
        route,
    })
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|source| Error::Unreadable {
        action: 0,
        seq: 0,
        source,
    })
}

/// The state of one action, and up to which event it is folded.
#[derive(Debug, Clone)]
pub struct Cursor {
    pub id: ActionId,
    pub state: State,
    seq: i64,
}

impl Cursor {
    pub(super) fn new(id: ActionId) -> Cursor {
        Cursor {
            id,
            state: State::default(),
            seq: 0,
        }
    }

    fn catch_up(&mut self, connection: &rusqlite::Connection) -> Result<()> {
        for (seq, happening) in happenings(connection, self.id, self.seq)? {
            self.apply(&happening.event)?;
            self.seq = seq;
        }
        Ok(())
    }

    /// The cursor after an event that is appended, if it is legal now. It counts only when the
    /// transaction is committed.
    fn with(&self, t: &Transaction<'_>, event: &Event, now: Time) -> Result<Cursor> {
        let mut after = self.clone();
        after.catch_up(t)?;
        after.apply(event)?;
        let is_over = after.state.stage.is_over();
        after.seq = add(t, self.id, now, &json(event)?, is_over)?;
        if is_over {
            t.prepare_cached("delete from passwords where action = ?1")?
                .execute([self.id.0])?;
        }
        Ok(after)
    }

    fn apply(&mut self, event: &Event) -> Result<()> {
        self.state
            .apply(event)
            .map(|_| ())
            .map_err(|source| Error::Illegal {
                action: self.id.0,
                source,
            })
    }
}

/// Puts an event at the end of the action's chain; gives its number.
pub(super) fn add(
    t: &rusqlite::Connection,
    id: ActionId,
    at: Time,
    event: &str,
    is_over: bool,
) -> Result<i64> {
    let before: i64 = t
        .prepare_cached("select tip from actions where id = ?1")?
        .query_row([id.0], |row| row.get(0))
        .optional()?
        .ok_or(Error::NoSuchAction(id.0))?;
    t.prepare_cached(
        "insert into events (action, at, event, before, sum) values (?1, ?2, ?3, ?4, 0)",
    )?
    .execute(params![id.0, at.0, event, before])?;
    let seq = t.last_insert_rowid();
    sum::seal(t, &sum::EVENTS, "seq = ?1", [seq])?;
    t.prepare_cached(
        "update actions set tip = (select sum from events where seq = ?2), open = open and not ?3
         where id = ?1",
    )?
    .execute(params![id.0, seq, is_over])?;
    sum::seal(t, &sum::ACTIONS, "id = ?1", [id.0])?;
    Ok(seq)
}

fn happenings(
    connection: &rusqlite::Connection,
    id: ActionId,
    after: i64,
) -> Result<Vec<(i64, Happening)>> {
    let mut statement = connection.prepare_cached(
        "select seq, at, event from events where action = ?1 and seq > ?2 order by seq",
    )?;
    let rows = statement.query_map([id.0, after], |row| {
        Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, String>(2)?))
    })?;
    rows.map(|row| {
        let (seq, at, text) = row?;
        let event = parse_event(&text).map_err(|source| Error::Unreadable {
            action: id.0,
            seq,
            source,
        })?;
        let at = Time(at);
        Ok((seq, Happening { at, event }))
    })
    .collect()
}

pub(super) fn parse_event(text: &str) -> serde_json::Result<Event> {
    serde_json::from_str(text)
}

fn password(
    connection: &rusqlite::Connection,
    id: ActionId,
    student: Student,
) -> Result<Option<Secret>> {
    Ok(connection
        .prepare_cached("select password from passwords where action = ?1 and student = ?2")?
        .query_row(params![id.0, student.number()], |row| row.get(0))
        .optional()?
        .map(Secret::new))
}

/// An action accepted after this one for one of the same students, if there is any that did
/// or will do something.
fn successor(t: &rusqlite::Connection, row: &ActionRow) -> Result<Option<ActionId>> {
    Ok(t.prepare_cached(&format!(
        "select id from actions where id > ?1 and first <= ?3 and last >= ?2
         and not exists ({REFUSED}) order by id limit 1"
    ))?
    .query_row(
        params![
            row.id.0,
            row.students.first().number(),
            row.students.last().number()
        ],
        |row| row.get(0).map(ActionId),
    )
    .optional()?)
}

/// Of an action that was refused.
const REFUSED: &str = "select 1 from events where events.action = actions.id
    and json_extract(event, '$.event') = 'refused'";
/// Of an action that came to nothing.
const UNDONE: &str = "select 1 from events where events.action = actions.id
    and json_extract(event, '$.event') in ('refused', 'cancelled')";

fn duplicate(
    t: &Transaction<'_>,
    action: &Action,
    text: &str,
    students: StudentRange,
    origin: &Origin<'_>,
    now: Time,
    window: Duration,
) -> Result<Option<ActionId>> {
    let same_file: Option<i64> = t
        .prepare_cached("select id from actions where spooled = ?1")?
        .query_row([origin.spooled], |row| row.get(0))
        .optional()?;
    if let Some(id) = same_file {
        return Ok(Some(ActionId(id)));
    }
    if let Some(message_id) = origin.message_id {
        return Ok(t
            .prepare_cached("select id from actions where message_id = ?1 and action = ?2")?
            .query_row(params![message_id, text], |row| row.get(0).map(ActionId))
            .optional()?);
    }
    let since = Time(0) + now.since(Time(0)).saturating_sub(window);
    // What was accepted later than that was accepted before the clock was set back: nobody knows
    // when, and a new wish must not be dropped until that time comes again.
    let until = now + window;
    let same_wish: Option<i64> = t
        .prepare_cached(&format!(
            "select max(id) from actions
             where first = ?1 and last = ?2 and action = ?3
             and accepted between ?4 and ?5 and not exists ({UNDONE})"
        ))?
        .query_row(
            params![
                students.first().number(),
                students.last().number(),
                text,
                since.0,
                until.0
            ],
            |row| row.get(0),
        )?;
    let Some(earlier) = same_wish else {
        return Ok(None);
    };
    Ok((!turned(t, earlier, action, text, students)?).then_some(ActionId(earlier)))
}

/// Whether the same wish is a new one, because of what was accepted since. Taking a seat from
/// somebody is new only after it was given to them again: when it was given to somebody else,
/// the repetition is late, and would hit the wrong one.
fn turned(
    t: &Transaction<'_>,
    earlier: i64,
    action: &Action,
    text: &str,
    students: StudentRange,
) -> Result<bool> {
    let makes = action.verb == Verb::Create;
    Ok(t.prepare_cached(&format!(
        "select exists (select 1 from actions
         where id > ?1 and first <= ?3 and last >= ?2 and not exists ({REFUSED})
         and iif(?4, verb <> 'CREATE' or action <> ?5,
                 verb = 'CREATE' and (?6 = 0 or json_extract(action, '$.participant') = ?6)))"
    ))?
    .query_row(
        params![
            earlier,
            students.first().number(),
            students.last().number(),
            makes,
            text,
            action.participant.id(),
        ],
        |row| row.get(0),
    )?)
}
