//! `wod watchdog`: sees what students run, and stops abuse; and what it did so far.

mod allow;
mod incidents;
mod record;
mod replay;
mod run;
mod status;

use crate::cli::Exit;
use crate::site::{Site, Source};

const EXAMPLES: &str = "\
Examples:
  wod watchdog                          watch, and do what the policy says
  wod watchdog --dry-run                watch, and only say what would be done
  wod watchdog --once --json            look once, one finding per line
  wod watchdog list                     what was stopped or told of
  wod watchdog show 3                   why, with the evidence, to be forwarded
  wod watchdog allow student-cpu --workshop WKSHP-ML --comment 'trains models' --days 14

The policy is watchdog.yml beside the hosts; SIGHUP reads it anew. A broken one changes nothing.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List what was stopped or told of, newest first
    List(incidents::ListArgs),
    /// Show one incident with its evidence
    Show(incidents::ShowArgs),
    /// Say what the watchdog did so far, and whether it runs
    Status(status::Args),
    /// Let a workshop do what a rule minds, for a time
    Allow(allow::AllowArgs),
    /// Take such a permission back
    Disallow(allow::DisallowArgs),
    /// List what is allowed
    Allowed(allow::ListArgs),
    /// Record what students' processes do, to judge it later
    Record(record::Args),
    /// Judge a recording by a policy; nothing is done about it
    Replay(replay::Args),
}

impl Args {
    /// Whether it goes on until it is ended.
    pub fn is_service(&self) -> bool {
        self.command.is_none() && !self.run.is_once()
    }
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    if let Some(Command::Replay(args)) = &args.command {
        return replay::run(args);
    }
    let site = Site::load(source)?;
    match &args.command {
        None | Some(Command::Replay(_)) => run::run(&args.run, &site, source),
        Some(Command::Record(args)) => record::run(args, &site),
        Some(Command::List(args)) => incidents::list(args, &site),
        Some(Command::Show(args)) => incidents::show(args, &site),
        Some(Command::Status(args)) => status::run(args, &site),
        Some(Command::Allow(args)) => allow::allow(args, &site),
        Some(Command::Disallow(args)) => allow::disallow(args, &site),
        Some(Command::Allowed(args)) => allow::list(args, &site),
    }
}
