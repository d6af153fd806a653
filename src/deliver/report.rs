//! What a run tells while it goes on, and what it comes to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::item::{Outcome, Tag, Texts};

/// One thing that happened, or would happen, to one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub tag: Tag,
    pub item: String,
    pub outcome: Outcome,
    /// What changed, failed or was left out; empty when all is right.
    pub line: String,
    pub texts: Vec<Texts>,
    /// What a program of the site's own printed, its end at most.
    pub output: String,
}

impl Event {
    pub fn to_json(&self) -> Value {
        let mut all = json!({
            "tag": self.tag.as_str(),
            "item": self.item,
            "outcome": self.outcome.as_str(),
            "line": self.line,
        });
        if !self.output.is_empty() {
            all["output"] = json!(self.output);
        }
        all
    }
}

/// Whoever shows or keeps what happens.
pub trait Report {
    /// An item is looked at; it may take a while.
    fn begins(&mut self, _tag: Tag, _item: &str) {}

    fn event(&mut self, event: &Event);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    pub ok: usize,
    pub changed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Count {
    pub fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Ok => &mut self.ok,
            Outcome::Changed => &mut self.changed,
            Outcome::Failed => &mut self.failed,
            Outcome::Skipped => &mut self.skipped,
        } += 1;
    }

    pub fn to_json(self) -> Value {
        let Count {
            ok,
            changed,
            failed,
            skipped,
        } = self;
        json!({"ok": ok, "changed": changed, "failed": failed, "skipped": skipped})
    }
}

/// Items by tag and what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recap {
    pub tags: BTreeMap<Tag, Count>,
    /// It was stopped before its end.
    pub interrupted: bool,
}

impl Recap {
    pub fn add(&mut self, tag: Tag, outcome: Outcome) {
        self.tags.entry(tag).or_default().add(outcome);
    }

    pub fn total(&self) -> Count {
        let mut total = Count::default();
        for count in self.tags.values() {
            total.ok += count.ok;
            total.changed += count.changed;
            total.failed += count.failed;
            total.skipped += count.skipped;
        }
        total
    }

    pub fn to_json(&self) -> Value {
        let tags = self.tags.iter();
        let tags: serde_json::Map<String, Value> = tags
            .map(|(tag, count)| (tag.as_str().to_owned(), count.to_json()))
            .collect();
        json!({"recap": tags, "total": self.total().to_json(), "interrupted": self.interrupted})
    }
}
