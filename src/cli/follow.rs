//! Follows actions to their end: a live view on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::domain::ActionId;
use crate::intake::one_line;
use crate::journal::{ActionRow, Journal, Stage, State};

const PAUSE: Duration = Duration::from_millis(40);
/// From the accepted mail to the journal; longer means that no engine takes it.
const TAKEN_UP: Duration = Duration::from_secs(30);

/// How an action ended.
pub struct Ended {
    pub row: ActionRow,
    pub state: State,
}

/// What is shown while waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Steps as they are done.
    Steps,
    Nothing,
}

/// Waits until the mails with these Message-IDs are in the journal, and their actions over or
/// held. Gives each to `ended` as it ends.
pub fn follow(
    journal: &Journal,
    message_ids: &[String],
    view: View,
    mut ended: impl FnMut(Ended) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut missing: Vec<&String> = message_ids.iter().collect();
    let mut waiting: BTreeMap<ActionId, Line> = BTreeMap::new();
    let screen = Screen::new(view);
    while !missing.is_empty() || !waiting.is_empty() {
        let mut still = Vec::new();
        for message_id in missing {
            match journal.by_message_id(message_id)? {
                Some(id) => {
                    waiting.insert(id, screen.line(journal.action(id)?));
                }
                None => still.push(message_id),
            }
        }
        missing = still;
        if !missing.is_empty() && begun.elapsed() > TAKEN_UP {
            anyhow::bail!(
                "the mail was accepted, but no engine has taken it up after {} s; does wod serve run?",
                TAKEN_UP.as_secs()
            );
        }
        let mut over = Vec::new();
        for (&id, line) in &mut waiting {
            let state = journal.follow(id)?.state;
            line.show(&state);
            if state.stage.is_over() || state.stage == Stage::Held {
                over.push((id, state));
            }
        }
        for (id, state) in over {
            if let Some(line) = waiting.remove(&id) {
                line.close();
                let row = line.row;
                ended(Ended { row, state })?;
            }
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

enum Screen {
    Live(MultiProgress),
    Plain,
    Silent,
}

impl Screen {
    fn new(view: View) -> Screen {
        match view {
            View::Nothing => Screen::Silent,
            View::Steps if std::io::stderr().is_terminal() => Screen::Live(MultiProgress::new()),
            View::Steps => Screen::Plain,
        }
    }

    fn line(&self, row: ActionRow) -> Line {
        let bar = match self {
            Screen::Live(all) => Some(all.add(ProgressBar::new(0).with_style(style()))),
            _ => None,
        };
        Line {
            row,
            bar,
            plain: matches!(self, Screen::Plain),
            shown: 0,
            problem: None,
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} [{pos:>2}/{len}] {prefix}  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

struct Line {
    row: ActionRow,
    bar: Option<ProgressBar>,
    plain: bool,
    /// Steps that were printed.
    shown: usize,
    problem: Option<String>,
}

impl Line {
    fn show(&mut self, state: &State) {
        let Some(plan) = &state.plan else { return };
        if let Some(bar) = &self.bar {
            bar.set_length(plan.steps.len() as u64);
            bar.set_position(state.next as u64);
            bar.set_prefix(one_line(&self.row.action));
            let doing = plan.steps.get(state.next);
            let doing = doing.map_or_else(String::new, ToString::to_string);
            bar.set_message(match &state.line {
                Some(problem) => format!("{doing}: {problem}"),
                None => doing,
            });
            bar.tick();
            return;
        }
        if !self.plain {
            return;
        }
        for (step, took) in plan.steps.iter().zip(&state.took).skip(self.shown) {
            errln!("{:>6}  {took:>6} ms  {step}", format!("#{}", self.row.id));
        }
        self.shown = state.took.len();
        if state.line != self.problem {
            self.problem.clone_from(&state.line);
            if let Some(problem) = &self.problem {
                errln!(
                    "{:>6}  {}: {problem}",
                    format!("#{}", self.row.id),
                    state.stage.as_str()
                );
            }
        }
    }

    fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
