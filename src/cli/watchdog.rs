//! `wod watchdog`: what students run, and what is done about abuse.

mod replay;

use crate::cli::Exit;
use crate::site::Source;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Judge a recording by a policy; nothing is done about it
    Replay(replay::Args),
}

pub fn run(args: &Args, _source: &Source) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Replay(args) => replay::run(args),
    }
}
