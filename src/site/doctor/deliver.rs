//! Whether this host is as `wod deliver` makes it. Nothing is changed, nothing of the overlay's is run.

use std::sync::atomic::AtomicBool;

use crate::deliver::{self, Event, Missing, Mode, Outcome, Report, Tag};

use super::{Found, Look, advice, problem};

/// More names than these make no line that is read.
const NAMED: usize = 3;
const SEE: &str = "wod deliver --check --diff, then wod deliver";

/// Those of the students are many, and what keeps them from a seat the other checks tell.
const LOOKED_AT: [Tag; 3] = [Tag::System, Tag::Scripts, Tag::Services];

pub fn all(look: &Look<'_>) -> Vec<Found> {
    if !look.is_root {
        return Vec::new();
    }
    let mut items = match look.site.deliver_items(look.inventory, Missing::Tell) {
        Ok(items) => items,
        Err(wrong) => return vec![problem(wrong.to_string(), "wod vars WODSYSDIR --origin")],
    };
    items.retain(|item| LOOKED_AT.contains(&item.tag));
    let mut seen = Seen::default();
    let go_on = AtomicBool::new(false);
    deliver::run(&items, Mode::Check, &look.site.ledger(), &go_on, &mut seen);
    let failed = seen.failed.into_iter();
    let mut found: Vec<Found> = failed.map(|line| problem(line, SEE)).collect();
    if let Some(line) = other(&seen.changed) {
        found.push(advice(line, SEE));
    }
    found
}

/// The names of items that would change.
fn other(items: &[String]) -> Option<String> {
    let named = items.iter().take(NAMED).map(String::as_str);
    let named = named.collect::<Vec<_>>().join(", ");
    match items.len() {
        0 => None,
        1 => Some(format!("one item is not as wod deliver makes it: {named}")),
        n if n <= NAMED => Some(format!(
            "{n} items are not as wod deliver makes them: {named}"
        )),
        n => Some(format!(
            "{n} items are not as wod deliver makes them: {named} and {} more",
            n - NAMED
        )),
    }
}

#[derive(Default)]
struct Seen {
    changed: Vec<String>,
    failed: Vec<String>,
}

impl Report for Seen {
    fn event(&mut self, event: &Event) {
        match event.outcome {
            Outcome::Changed => self.changed.push(event.item.clone()),
            Outcome::Failed => self.failed.push(format!("{}: {}", event.item, event.line)),
            Outcome::Ok | Outcome::Skipped => {}
        }
    }
}
