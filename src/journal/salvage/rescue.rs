//! What is whole in a damaged journal, sorted: actions with all their events, actions of which
//! something is missing, and what is lost. Pure but for writing it down.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::domain::{ActionId, Time};
use crate::journal::actions::{add, json, parse_event};
use crate::journal::sum::{ACTIONS, EVENTS, HEAD, OUTBOX, PARTICIPANTS, SEATS, TABLES};
use crate::journal::{Event, Head, Remembered, Result, Salvaged, Stage, State, sum};

use super::pages::Pages;
use super::record::Row;

const MISSING: &str = "some of its events were lost with the journal's file";
const SHORT: &str = "the end of the journal was lost, and with it perhaps what happened last";

pub struct Rescue {
    rows: BTreeMap<(&'static str, i64), Row>,
    remembered: Remembered,
    /// The newest transactions are not there, or nobody knows.
    is_short: bool,
    pub lost: Vec<String>,
}

/// An action, and what is known of what happened to it.
struct Told<'a> {
    /// The events from the first one up to where one is missing.
    begin: Vec<&'a Row>,
    is_whole: bool,
    /// As it was last, if anything tells.
    ended: Option<Stage>,
}

impl Rescue {
    pub fn of(file: &[u8], log: &[u8], remembered: Remembered) -> Rescue {
        let pages = Pages::of(file, log);
        let mut rescue = Rescue {
            rows: BTreeMap::new(),
            remembered,
            is_short: false,
            lost: Vec::new(),
        };
        if pages.lost_frames > 0 {
            let line = format!("{} pieces of journal.db-wal", pages.lost_frames);
            rescue.lost.push(line);
        }
        for page in pages.numbers() {
            let mut broken = 0;
            for cell in pages.cells(page) {
                match cell.as_ref().and_then(Row::of) {
                    Some(row) => rescue.keep(row),
                    // The first page has SQLite's own table.
                    None if page == 1 => {}
                    None => broken += 1,
                }
            }
            if broken > 0 {
                let line = format!("{broken} rows on page {page} of journal.db");
                rescue.lost.push(line);
            }
        }
        rescue.is_short = match remembered {
            Remembered::Head(head) => head.tick > rescue.own_head().tick,
            Remembered::Nothing | Remembered::Damaged => true,
        };
        rescue.tell_lost_actions();
        rescue
    }

    /// Of two versions of an action the one that is over is the newer one. (Those of other rows
    /// are found together only where parts of the log are lost.)
    fn keep(&mut self, row: Row) {
        let is_older = row.table == ACTIONS.name && row.number(&ACTIONS, "open") == 1;
        let key = match row.table {
            // Their rowid is nobody's name.
            "passwords" | "capacities" | "allowances" => (row.table, row.sum()),
            table => (table, row.rowid),
        };
        if !(is_older && self.rows.contains_key(&key)) {
            self.rows.insert(key, row);
        }
    }

    fn of_table(&self, table: &'static str) -> impl Iterator<Item = &Row> {
        let range = (table, i64::MIN)..=(table, i64::MAX);
        self.rows.range(range).map(|(_, row)| row)
    }

    fn own_head(&self) -> Head {
        let row = self.rows.get(&(HEAD.name, 1));
        row.map_or_else(Head::default, |row| Head {
            tick: row.number(&HEAD, "tick"),
            action: row.number(&HEAD, "action"),
        })
    }

    /// That of the new journal: newer than all that was, and no id is given out twice.
    pub fn head(&self) -> Head {
        let own = self.own_head();
        let written = match self.remembered {
            Remembered::Head(head) => head,
            Remembered::Nothing | Remembered::Damaged => own,
        };
        let named = self.of_table(EVENTS.name);
        let named = named.map(|row| row.number(&EVENTS, "action"));
        let ids = self.of_table(ACTIONS.name).map(|row| row.rowid);
        let newest = named.chain(ids).max().unwrap_or(0);
        Head {
            tick: own.tick.max(written.tick) + 1,
            action: own.action.max(written.action).max(newest),
        }
    }

    fn tell_lost_actions(&mut self) {
        let is_there = |id: &i64| self.rows.contains_key(&(ACTIONS.name, *id));
        let orphans = self.of_table(EVENTS.name);
        let mut lost: Vec<i64> = orphans.map(|row| row.number(&EVENTS, "action")).collect();
        let newest = self.of_table(ACTIONS.name).map(|row| row.rowid).max();
        // Older ones may have been removed long ago.
        lost.extend(newest.unwrap_or(0) + 1..=self.head().action);
        lost.retain(|id| !is_there(id));
        lost.sort_unstable();
        lost.dedup();
        let lines: Vec<String> = lost
            .iter()
            .map(|id| match self.seats_of(*id) {
                Some(seats) => format!(
                    "action {id}: what it asked for is lost, it was at work on {seats}; look at it \
                     with wod students verify, and free it with wod test-action PURGE"
                ),
                None => format!("action {id}: was accepted and is lost; have it sent again"),
            })
            .collect();
        self.lost.extend(lines);
    }

    /// As its plan names them.
    fn seats_of(&self, id: i64) -> Option<String> {
        let events = self.of_table(EVENTS.name);
        let mut own = events.filter(|row| row.number(&EVENTS, "action") == id);
        own.find_map(|row| match parse_event(row.text(&EVENTS, "event")).ok()? {
            Event::Planned { plan } => {
                let mut seats: Vec<String> = plan
                    .steps
                    .iter()
                    .filter_map(|step| serde_json::to_value(step).ok()?["student"].as_u64())
                    .map(|number| format!("student{number}"))
                    .collect();
                seats.dedup();
                Some(seats.join(", "))
            }
            _ => None,
        })
    }

    fn events(&self) -> BTreeMap<i64, Vec<&Row>> {
        let mut all: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
        for row in self.of_table(EVENTS.name) {
            all.entry(row.number(&EVENTS, "action"))
                .or_default()
                .push(row);
        }
        all
    }

    pub fn write(&self, t: &Connection, now: Time, out: &mut Salvaged) -> Result<()> {
        let mut kept: BTreeMap<&str, usize> = BTreeMap::new();
        let events = self.events();
        let mut actions = Vec::new();
        for row in self.rows.values() {
            match row.table {
                "events" | "head" => continue,
                "actions" => {
                    let own = events.get(&row.rowid).map_or(&[][..], Vec::as_slice);
                    actions.push((row, Told::of(row.number(&ACTIONS, "tip"), own)));
                }
                _ => {}
            }
            insert(t, row)?;
            *kept.entry(row.table).or_default() += 1;
        }
        for event in actions.iter().flat_map(|(_, told)| &told.begin) {
            insert(t, event)?;
            *kept.entry(EVENTS.name).or_default() += 1;
        }
        // New events come after all that were there.
        for (row, told) in &actions {
            self.settle(t, row, told, now, out)?;
        }
        t.execute(
            "delete from passwords where action not in (select id from actions where open)",
            [],
        )?;
        let counted = [&ACTIONS, &EVENTS, &SEATS, &PARTICIPANTS, &OUTBOX].map(|table| table.name);
        out.kept = counted
            .map(|name| format!("{} rows of {name}", kept.get(name).unwrap_or(&0)))
            .to_vec();
        Ok(())
    }

    /// Makes the action's row fit the events that were kept, and holds what is not sure.
    fn settle(
        &self,
        t: &Connection,
        row: &Row,
        told: &Told<'_>,
        now: Time,
        out: &mut Salvaged,
    ) -> Result<()> {
        let was_open = row.number(&ACTIONS, "open") == 1;
        let state = told.state();
        let id = ActionId(row.rowid);
        let sql = "update actions set tip = ?2, open = ?3 where id = ?1";
        let tip = told.begin.last().map_or(0, |event| event.sum());
        t.execute(sql, (id.0, tip, !state.stage.is_over()))?;
        sum::seal(t, &ACTIONS, "id = ?1", [id.0])?;
        let ended = told.ended.or((!was_open).then_some(Stage::Done));
        let why = match (told.is_whole, state.stage) {
            (_, stage) if stage.is_over() => return Ok(()),
            (true, Stage::Held) => return Ok(()),
            (true, _) if was_open && !self.is_short => return Ok(()),
            (true, _) => SHORT,
            (false, _) => MISSING,
        };
        let line = why.to_owned();
        let broken = Event::Broken { line, ended };
        add(t, id, now, &json(&broken)?, ended.is_some())?;
        if ended.is_none() {
            out.held
                .push(format!("action {id}: {why}; see wod actions show {id}"));
        }
        Ok(())
    }
}

impl<'a> Told<'a> {
    fn of(tip: i64, events: &[&'a Row]) -> Told<'a> {
        let (mut begin, mut last, mut reached) = (Vec::new(), 0, tip == 0);
        let mut state = State::default();
        for row in events {
            let event = parse_event(row.text(&EVENTS, "event"));
            let follows = row.number(&EVENTS, "before") == last;
            if !follows || !event.is_ok_and(|event| state.apply(&event).is_ok()) {
                break;
            }
            last = row.sum();
            // What was written after the action's own row was, is known to have happened.
            reached |= last == tip;
            begin.push(*row);
        }
        let is_whole = reached && begin.len() == events.len();
        let ended = events.last().and_then(|row| {
            let event = parse_event(row.text(&EVENTS, "event")).ok()?;
            match event {
                Event::Done => Some(Stage::Done),
                Event::Cancelled => Some(Stage::Cancelled),
                Event::Refused { .. } => Some(Stage::Refused),
                Event::Broken { ended, .. } => ended,
                _ => None,
            }
        });
        Told {
            begin,
            is_whole,
            ended,
        }
    }

    fn state(&self) -> State {
        let mut state = State::default();
        for row in &self.begin {
            if let Ok(event) = parse_event(row.text(&EVENTS, "event")) {
                // It was applied before, so it can be.
                let _ = state.apply(&event);
            }
        }
        state
    }
}

fn insert(t: &Connection, row: &Row) -> Result<()> {
    let Some(table) = TABLES.iter().find(|table| table.name == row.table) else {
        return Ok(());
    };
    let places: Vec<String> = (1..=row.values.len()).map(|n| format!("?{n}")).collect();
    let sql = format!(
        "insert or replace into {} ({}, sum) values ({})",
        table.name,
        table.columns.join(", "),
        places.join(", ")
    );
    let values = row
        .values
        .iter()
        .map(|value: &Value| value as &dyn rusqlite::ToSql);
    let values: Vec<_> = values.collect();
    t.prepare_cached(&sql)?.execute(&values[..])?;
    Ok(())
}
