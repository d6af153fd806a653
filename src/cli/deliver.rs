//! `wod deliver`: brings this host to what the inventory says.

mod history;
mod kept;
mod shown;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::anyhow;
use serde_json::json;

use super::{Exit, NotReady, print_json, print_table};
use crate::deliver::{self, Item, Missing, Mode, Recap, Report, Tag};
use crate::site::{Site, Source};

pub(super) use kept::By;
use shown::Kept;
pub(super) use shown::{Lines, Masked, People, print_recap};

const EXAMPLES: &str = "\
Examples:
  wod deliver --check --diff          what would change, and how
  wod deliver                         change it
  wod deliver --install               and install packages that are missing
  wod deliver --tags system,services  only those parts
  wod deliver --list                  every item, nothing is looked at
  wod deliver history                 the last runs; history show RUN for what one did

An item is ok, changed, failed, or skipped because this host has no use for it (no systemd, no
ufw, …). What an item replaces is kept once, below WODSTATEDIR/private/deliver/before. Files are
tried by their own program before they go live.

Executables in deliver.d of the private overlay, and its check_backend.yml where ansible-playbook is
there, come before the students. They run as WODUSER, with the inventory's variables in the
environment. A program says what it changed by lines `changed: WHAT`; --check does not run it, and
runs the playbook with --check --diff.

By itself: every night by wod-deliver.timer; with WODDELIVERCRON at those times by wod serve, and
what the timer starts ends at once. When an item fails, WODMONITOR gets a mail.

Exit status:
  0  all is as it should be
  2  an item failed; all others were done
  3  with --check --detailed-exitcode: something would change
  4  the configuration is wrong; nothing was looked at";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the last runs, show one
    History(history::Args),
}

#[derive(clap::Args)]
struct RunArgs {
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
    /// What starts this run, when nobody does
    #[arg(long, hide = true)]
    by: Option<By>,
}

impl RunArgs {
    fn wants(&self, tag: Tag) -> bool {
        (self.tags.is_empty() || self.tags.contains(&tag)) && !self.skip_tags.contains(&tag)
    }

    /// The tags that were chosen; empty is all of them.
    fn only(&self) -> Vec<Tag> {
        let mut tags = Tag::ALL.to_vec();
        tags.retain(|tag| self.wants(*tag));
        match tags.len() == Tag::ALL.len() {
            true => Vec::new(),
            false => tags,
        }
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
    match &args.command {
        Some(Command::History(args)) => Ok(history::run(args, source)? as u8),
        None => deliver(&args.run, source),
    }
}

fn deliver(args: &RunArgs, source: &Source) -> anyhow::Result<u8> {
    let site = Site::load(source)?;
    if args.by == Some(By::Timer) && !site.settings.deliver_cron.is_empty() {
        outln!("WODDELIVERCRON is set, so wod serve starts the runs; this one is left out");
        return Ok(Exit::Done as u8);
    }
    if !args.list && !rustix::process::geteuid().is_root() {
        let line = "wod deliver is about the whole host; run it with sudo";
        return Err(NotReady(anyhow!(line)).into());
    }
    is_this_host(&site, args)?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut items = site.deliver_items(&source.inventory, args.packages())?;
    items.extend(site.private_items(&stop));
    items.retain(|item| args.wants(item.tag));
    if args.list {
        list(&items, args.json);
        return Ok(Exit::Done as u8);
    }
    let lock = match (args.mode(), args.by) {
        (Mode::Check, _) => None,
        // Whoever is on the way does the same work.
        (Mode::Apply, Some(_)) if site.state.is_deliver_running() => {
            outln!("another wod deliver is on its way; this one is left out");
            return Ok(Exit::Done as u8);
        }
        (Mode::Apply, _) => Some(site.state.lock_deliver().map_err(|e| NotReady(e.into()))?),
    };
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let shown: Box<dyn Report> = match args.json {
        true => Box::new(Lines),
        false => Box::new(People::new(args.diff)),
    };
    let recorder = lock
        .is_some()
        .then(|| kept::begin(&site, args.by, &args.only()));
    let mut kept = Kept { recorder, shown };
    let mut masked = Masked::new(site.secrets(), &mut kept);
    let recap = deliver::run(&items, args.mode(), &site.ledger(), &stop, &mut masked);
    let Kept { recorder, shown } = kept;
    drop(shown);
    match args.json {
        true => print_json(&recap.to_json()),
        false => print_recap(&recap),
    }
    if let Some(recorder) = recorder {
        kept::end(&site, recorder, &recap);
    }
    Ok(status(&recap, args))
}

fn is_this_host(site: &Site, args: &RunArgs) -> Result<(), NotReady> {
    let Some(limit) = &args.limit else {
        return Ok(());
    };
    let names = site.host_names();
    if names.contains(limit) {
        return Ok(());
    }
    let own = names.join(", ");
    let line = format!("--limit {limit} is not this host ({own}); run wod deliver on that host");
    Err(NotReady(anyhow!(line)))
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
fn status(recap: &Recap, args: &RunArgs) -> u8 {
    let total = recap.total();
    match () {
        () if total.failed > 0 || recap.interrupted => 2,
        () if args.detailed_exitcode && total.changed > 0 => 3,
        () => 0,
    }
}
