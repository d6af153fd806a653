//! `wod deliver`: brings this host to what the inventory says.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use similar::TextDiff;

use super::{Exit, NotReady, print_json, print_table};
use crate::deliver::{self, Event, Mode, Outcome, Recap, Report, Tag};
use crate::site::{Site, Source};

const EXAMPLES: &str = "\
Examples:
  wod deliver --check --diff          what would change, and how
  wod deliver                         change it
  wod deliver --tags system,services  only those parts
  wod deliver --list                  every item, nothing is looked at

Exit status:
  0  all is as it should be
  2  an item failed; all others were done
  3  with --check --detailed-exitcode: something would change
  4  the configuration is wrong; nothing was looked at";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only look; nothing is changed
    #[arg(long)]
    check: bool,
    /// Show what changes in files
    #[arg(long)]
    diff: bool,
    /// Only these parts: system, scripts, services, private, students
    #[arg(long, value_delimiter = ',', value_name = "TAGS")]
    tags: Vec<Tag>,
    /// All but these parts
    #[arg(long, value_delimiter = ',', value_name = "TAGS")]
    skip_tags: Vec<Tag>,
    /// List the items
    #[arg(long)]
    list: bool,
    /// With --check, end with 3 when something would change
    #[arg(long, requires = "check")]
    detailed_exitcode: bool,
    /// One JSON object per item, and the recap at the end
    #[arg(long)]
    json: bool,
}

impl Args {
    fn wants(&self, tag: Tag) -> bool {
        (self.tags.is_empty() || self.tags.contains(&tag)) && !self.skip_tags.contains(&tag)
    }

    fn mode(&self) -> Mode {
        match self.check {
            true => Mode::Check,
            false => Mode::Apply,
        }
    }
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<u8> {
    let site = Site::load(source)?;
    let mut items = site.deliver_items()?;
    items.retain(|item| args.wants(item.tag));
    if args.list {
        let rows = items
            .iter()
            .map(|item| vec![item.tag.to_string(), item.name()]);
        print_table(&rows.collect::<Vec<_>>());
        return Ok(Exit::Done as u8);
    }
    let ledger = site.ledger();
    let _lock = match args.mode() {
        Mode::Check => None,
        Mode::Apply => Some(site.state.lock_deliver().map_err(|e| NotReady(e.into()))?),
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut shown: Box<dyn Report> = match args.json {
        true => Box::new(Lines),
        false => Box::new(People { diff: args.diff }),
    };
    let recap = deliver::run(&items, args.mode(), &ledger, &stop, shown.as_mut());
    match args.json {
        true => print_json(&recap.to_json()),
        false => print_recap(&recap),
    }
    Ok(status(&recap, args))
}

/// The exit status of a run.
fn status(recap: &Recap, args: &Args) -> u8 {
    let total = recap.total();
    match () {
        () if total.failed > 0 || recap.interrupted => 2,
        () if args.detailed_exitcode && total.changed > 0 => 3,
        () => 0,
    }
}

pub(super) struct Lines;

impl Report for Lines {
    fn event(&mut self, event: &Event) {
        print_json(&event.to_json());
    }
}

/// Changes and failures; what is right is only counted.
pub(super) struct People {
    pub diff: bool,
}

impl Report for People {
    fn event(&mut self, event: &Event) {
        let mut out = std::io::stdout().lock();
        if event.outcome != Outcome::Ok {
            let Event {
                tag,
                item,
                outcome,
                line,
                ..
            } = event;
            let _ = writeln!(out, "{:8} {tag:9} {item}: {line}", outcome.as_str());
        }
        if let Some(texts) = event.texts.as_ref().filter(|_| self.diff) {
            let diff = TextDiff::from_lines(&texts.before, &texts.after);
            let header = ("before", "after");
            let _ = write!(out, "{}", diff.unified_diff().header(header.0, header.1));
        }
    }
}

fn print_recap(recap: &Recap) {
    for (tag, count) in &recap.tags {
        println!(
            "{tag:9} ok={} changed={} failed={} skipped={}",
            count.ok, count.changed, count.failed, count.skipped
        );
    }
    if recap.interrupted {
        println!("stopped before the end; run it again to go on");
    }
}
