//! `wod deliver`: brings this host to what the inventory says.

mod shown;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::anyhow;
use serde_json::json;

use super::{Exit, NotReady, print_json, print_table};
use crate::deliver::{self, Item, Missing, Mode, Recap, Report, Tag};
use crate::site::{Site, Source};

pub(super) use shown::{Lines, Masked, People, print_recap};

const EXAMPLES: &str = "\
Examples:
  wod deliver --check --diff          what would change, and how
  wod deliver                         change it
  wod deliver --install               and install packages that are missing
  wod deliver --tags system,services  only those parts
  wod deliver --list                  every item, nothing is looked at

An item is ok, changed, failed, or skipped because this host has no use for it (no systemd, no
ufw, …). What an item replaces is kept once, below WODSTATEDIR/private/deliver/before. Files are
tried by their own program before they go live.

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
    /// Show what changes in files; secrets are blotted out
    #[arg(long)]
    diff: bool,
    /// Install packages that are missing
    #[arg(long)]
    install: bool,
    /// Only these parts: system, scripts, services, private, students
    #[arg(long, value_delimiter = ',', value_name = "TAGS")]
    tags: Vec<Tag>,
    /// All but these parts
    #[arg(long, value_delimiter = ',', value_name = "TAGS")]
    skip_tags: Vec<Tag>,
    /// Go on only where this host has that name: wod works on the host that it runs on
    #[arg(long, value_name = "HOST")]
    limit: Option<String>,
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

    fn packages(&self) -> Missing {
        match self.install {
            true => Missing::Install,
            false => Missing::Tell,
        }
    }
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<u8> {
    let site = Site::load(source)?;
    if let Some(limit) = &args.limit {
        let names = site.host_names();
        if !names.contains(limit) {
            let own = names.join(", ");
            let line =
                format!("--limit {limit} is not this host ({own}); run wod deliver on that host");
            return Err(NotReady(anyhow!(line)).into());
        }
    }
    let mut items = site.deliver_items(&source.inventory, args.packages())?;
    items.retain(|item| args.wants(item.tag));
    if args.list {
        list(&items, args.json);
        return Ok(Exit::Done as u8);
    }
    if !rustix::process::geteuid().is_root() {
        let line = "wod deliver is about the whole host; run it with sudo";
        return Err(NotReady(anyhow!(line)).into());
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
    let shown: Box<dyn Report> = match args.json {
        true => Box::new(Lines),
        false => Box::new(People::new(args.diff)),
    };
    let mut shown = Masked::new(site.secrets(), shown);
    let recap = deliver::run(&items, args.mode(), &ledger, &stop, &mut shown);
    drop(shown);
    match args.json {
        true => print_json(&recap.to_json()),
        false => print_recap(&recap),
    }
    Ok(status(&recap, args))
}

fn list(items: &[Item], as_json: bool) {
    match as_json {
        true => items.iter().for_each(|item| {
            print_json(&json!({"tag": item.tag.as_str(), "item": item.name()}));
        }),
        false => {
            let rows = items
                .iter()
                .map(|item| vec![item.tag.to_string(), item.name()]);
            print_table(&rows.collect::<Vec<_>>());
        }
    }
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
