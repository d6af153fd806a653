//! What a run of deliver shows: lines for people, objects for programs, and never a secret.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use similar::TextDiff;

use crate::adapters::mask::Masker;
use crate::cli::print_json;
use crate::deliver::{Event, Outcome, Recap, Recorder, Report, Tag, Texts};
use crate::domain::Secret;

/// Blots out secrets before anybody else sees an event.
pub struct Masked<'a> {
    secrets: Vec<Secret>,
    inner: &'a mut dyn Report,
}

impl Masked<'_> {
    pub fn new(secrets: Vec<Secret>, inner: &mut dyn Report) -> Masked<'_> {
        Masked { secrets, inner }
    }

    fn mask(&self, text: &str) -> String {
        Masker::new(&self.secrets).mask(text)
    }
}

impl Report for Masked<'_> {
    fn begins(&mut self, tag: Tag, item: &str) {
        self.inner.begins(tag, item);
    }

    fn event(&mut self, event: &Event) {
        let mut event = event.clone();
        if !self.secrets.is_empty() {
            event.line = self.mask(&event.line);
            event.output = self.mask(&event.output);
            for Texts { before, after } in &mut event.texts {
                *before = self.mask(before);
                *after = self.mask(after);
            }
        }
        self.inner.event(&event);
    }
}

/// One that keeps, where there is one, and one that shows.
pub struct Kept {
    pub recorder: Option<Recorder>,
    pub shown: Box<dyn Report>,
}

impl Report for Kept {
    fn begins(&mut self, tag: Tag, item: &str) {
        self.shown.begins(tag, item);
    }

    fn event(&mut self, event: &Event) {
        if let Some(recorder) = &mut self.recorder {
            recorder.event(event);
        }
        self.shown.event(event);
    }
}

pub struct Lines;

impl Report for Lines {
    fn event(&mut self, event: &Event) {
        print_json(&event.to_json());
    }
}

/// Changes, failures and what was left out; what is right is only counted. On a terminal a line
/// below tells what is looked at.
pub struct People {
    diff: bool,
    now: Option<ProgressBar>,
}

impl People {
    pub fn new(diff: bool) -> People {
        let now = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        People { diff, now }
    }

    fn print(&self, event: &Event) {
        if event.outcome != Outcome::Ok {
            let Event {
                tag,
                item,
                outcome,
                line,
                ..
            } = event;
            outln!("{:8} {tag:9} {item}: {line}", outcome.as_str());
        }
        // Of a playbook that only looks, this is the diff.
        if event.outcome == Outcome::Failed || self.diff {
            for line in event.output.lines() {
                outln!("    | {line}");
            }
        }
        for texts in event.texts.iter().filter(|_| self.diff) {
            let diff = TextDiff::from_lines(&texts.before, &texts.after);
            let (before, after) = (
                format!("{} (before)", event.item),
                format!("{} (after)", event.item),
            );
            out!("{}", diff.unified_diff().header(&before, &after));
        }
    }
}

impl Report for People {
    fn begins(&mut self, tag: Tag, item: &str) {
        if let Some(bar) = &self.now {
            bar.inc(1);
            bar.set_message(format!("{tag}: {item}"));
        }
    }

    fn event(&mut self, event: &Event) {
        match &self.now {
            Some(bar) => bar.suspend(|| self.print(event)),
            None => self.print(event),
        }
    }
}

impl Drop for People {
    fn drop(&mut self) {
        if let Some(bar) = &self.now {
            bar.finish_and_clear();
        }
    }
}

pub fn print_recap(recap: &Recap) {
    for (tag, count) in &recap.tags {
        outln!(
            "{tag:9} ok={} changed={} failed={} skipped={}",
            count.ok,
            count.changed,
            count.failed,
            count.skipped
        );
    }
    if recap.interrupted {
        outln!("stopped before the end; run it again to go on");
    }
}
