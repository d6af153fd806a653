//! One run: each item is looked at, changed where it has to be, and told; the next one does not
//! wait for its luck.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::exec::Cmd;
use crate::ports::Fault;

use super::item::{Item, Mode, Outcome, Performed, Tag};
use super::ledger::Ledger;
use super::place::is_here;
use super::report::{Event, Recap, Report};
use super::service::systemd_runs;

/// A command after changes: a service that starts again, a daemon that reads its files again.
const COMMAND_TIME: Duration = Duration::from_secs(120);

/// Goes through the items in the order of their tags, and within a tag in the given one, until
/// `stop` is set. Commands that a killed run still owed are run first.
pub fn run(
    items: &[Item],
    mode: Mode,
    ledger: &Ledger,
    stop: &AtomicBool,
    report: &mut dyn Report,
) -> Recap {
    let mut run = Run {
        mode,
        ledger,
        stop,
        report,
        recap: Recap::default(),
        pending: Vec::new(),
    };
    run.take_over();
    for tag in Tag::ALL {
        for item in items.iter().filter(|item| item.tag == tag) {
            if stop.load(Ordering::SeqCst) {
                run.recap.interrupted = true;
                return run.recap;
            }
            run.item(item);
            for aside in item.resource.asides() {
                run.tell(item.tag, &aside.part, aside.outcome, aside.line);
            }
        }
        run.commands(tag);
    }
    run.recap
}

struct Run<'a> {
    mode: Mode,
    ledger: &'a Ledger,
    stop: &'a AtomicBool,
    report: &'a mut dyn Report,
    recap: Recap,
    /// Commands that changes have asked for; in the ledger as well.
    pending: Vec<Vec<String>>,
}

impl Run<'_> {
    fn take_over(&mut self) {
        match self.ledger.pending() {
            Ok(pending) => self.pending = pending,
            Err(e) => self.tell(Tag::System, "commands owed", Outcome::Failed, e.line()),
        }
        if self.mode == Mode::Apply
            && let Err(e) = self.ledger.tidy()
        {
            self.tell(
                Tag::System,
                "what killed runs left",
                Outcome::Failed,
                e.line(),
            );
        }
    }

    fn item(&mut self, item: &Item) {
        let name = item.name();
        self.report.begins(item.tag, &name);
        if let Some(why) = item.resource.not_here() {
            return self.tell(item.tag, &name, Outcome::Skipped, why);
        }
        if let Some(performed) = item.resource.perform(self.mode) {
            return self.performed(item.tag, name, performed);
        }
        let changes = match item.resource.diff() {
            Err(e) => return self.tell(item.tag, &name, Outcome::Failed, e.chain()),
            Ok(changes) if changes.is_empty() => {
                return self.tell(item.tag, &name, Outcome::Ok, String::new());
            }
            Ok(changes) => changes,
        };
        if self.mode == Mode::Apply
            && let Err(e) = self.owe(&item.then)
        {
            return self.tell(item.tag, &name, Outcome::Failed, e.chain());
        }
        let mut lines = Vec::new();
        for change in &changes {
            if self.stop.load(Ordering::SeqCst) {
                lines.push("stopped before the rest".to_owned());
                break;
            }
            let applied = match self.mode {
                Mode::Check => Ok(()),
                Mode::Apply => change.apply(),
            };
            if let Err(e) = applied {
                let line = format!("{}: {}", change.line(), e.chain());
                return self.tell(item.tag, &name, Outcome::Failed, line);
            }
            lines.push(change.line());
        }
        self.recap.add(item.tag, Outcome::Changed);
        self.report.event(&Event {
            tag: item.tag,
            item: name,
            outcome: Outcome::Changed,
            line: lines.join("; "),
            texts: changes.iter().filter_map(|change| change.texts()).collect(),
            output: String::new(),
        });
    }

    fn performed(&mut self, tag: Tag, item: String, performed: Performed) {
        // It may have been the last item, and was not done.
        self.recap.interrupted |= self.stop.load(Ordering::SeqCst);
        let Performed {
            outcome,
            line,
            output,
        } = performed;
        self.recap.add(tag, outcome);
        self.report.event(&Event {
            tag,
            item,
            outcome,
            line,
            texts: Vec::new(),
            output,
        });
    }

    fn tell(&mut self, tag: Tag, item: &str, outcome: Outcome, line: String) {
        self.recap.add(tag, outcome);
        self.report.event(&Event {
            tag,
            item: item.to_owned(),
            outcome,
            line,
            texts: Vec::new(),
            output: String::new(),
        });
    }

    /// On the disk before the change: a run that is killed in between leaves them to the next one.
    fn owe(&mut self, commands: &[Vec<String>]) -> Result<(), Fault> {
        let new = commands.iter().filter(|c| !self.pending.contains(c));
        let new: Vec<_> = new.cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        self.pending.extend(new);
        self.ledger.set_pending(&self.pending)
    }

    /// What stays is what failed: the next run tries it again.
    fn commands(&mut self, tag: Tag) {
        if self.pending.is_empty() {
            return;
        }
        let mut left = Vec::new();
        let mut open: VecDeque<_> = std::mem::take(&mut self.pending).into();
        while let Some(command) = open.pop_front() {
            let Some((program, args)) = command.split_first() else {
                continue;
            };
            let name = format!("command {}", command.join(" "));
            if self.mode == Mode::Check {
                let line = "owed by a run that was cut short".to_owned();
                self.tell(tag, &name, Outcome::Changed, line);
                continue;
            }
            self.report.begins(tag, &name);
            let (outcome, line) = match pointless(program) {
                Some(why) => (Outcome::Skipped, why),
                None => match Cmd::new(program).args(args).timeout(COMMAND_TIME).run() {
                    Ok(_) => (Outcome::Changed, "run".to_owned()),
                    Err(e) => {
                        left.push(command.clone());
                        let line = format!("{e}; the next run tries it again");
                        (Outcome::Failed, line)
                    }
                },
            };
            // One by one: a run that is killed now does not begin with them all again.
            let still: Vec<_> = left.iter().chain(&open).cloned().collect();
            if let Err(e) = self.ledger.set_pending(&still) {
                self.tell(tag, "commands owed", Outcome::Failed, e.chain());
            }
            self.tell(tag, &name, outcome, line);
        }
        self.pending = left;
    }
}

/// Why there is nobody whom a command could tell of a change.
fn pointless(program: &str) -> Option<String> {
    match () {
        () if !is_here(program) => Some(format!("{program} is not here")),
        () if program == "systemctl" && !systemd_runs() => Some("no systemd here".to_owned()),
        () => None,
    }
}
