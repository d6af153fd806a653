//! `wod journal`: whether the journal is whole, and what can be kept of a damaged one.

use std::path::PathBuf;

use crate::cli::{Exit, NotReady};
use crate::domain::Time;
use crate::journal::{self, Salvaged};
use crate::site::{HostLock, Site, Source};

const ABOUT: &str = "\
Each row of the journal has a checksum, each action's events are a chain, and journal.head beside
the file says how far it was. `wod serve` does not start on a journal that is not what was written.

When it says so:
  wod journal check     names every file, table and row that is damaged
  wod journal salvage   puts a new journal with all that is whole into its place

Salvage deletes nothing: the damaged files are beside the new one as journal.db.damaged-<time>*.
There may be passwords in them, so remove them when they are no longer needed. An action of which
something is missing is held and its seat made safe: see wod actions, then retry or cancel it.
Both commands work only while no engine runs.

Exit status:
  0  check: it is whole; salvage: the new journal is in its place
  1  check: it is damaged; salvage: failed, and the last line says why
  4  an engine runs, or the configuration cannot be used";

#[derive(clap::Args)]
#[command(after_help = ABOUT)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say what is damaged, one line each; changes nothing
    Check,
    /// Put a new journal with all that is whole into the damaged one's place
    Salvage {
        /// Write the new one there, and leave the damaged one where it is
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let site = Site::load(source)?;
    let _lock: HostLock = site.state.lock().map_err(|e| NotReady(e.into()))?;
    let path = site.state.journal();
    match &args.command {
        Command::Check => {
            let found = journal::check(&path)?;
            found.iter().for_each(|finding| outln!("{finding}"));
            if found.is_empty() {
                outln!("{} is whole", path.display());
                return Ok(Exit::Done);
            }
            outln!("keep what is whole with: wod journal salvage");
            Ok(Exit::Failed)
        }
        Command::Salvage { to } => {
            let salvaged = journal::salvage(&path, to.as_deref(), Time::now())?;
            if salvaged.found.is_empty() {
                outln!("{} is whole; nothing was done", path.display());
            } else {
                tell(&salvaged);
            }
            Ok(Exit::Done)
        }
    }
}

fn tell(salvaged: &Salvaged) {
    let lines = |word: &str, all: &[String]| all.iter().for_each(|line| outln!("{word:<9}{line}"));
    let found: Vec<String> = salvaged.found.iter().map(ToString::to_string).collect();
    lines("damaged", &found);
    lines("kept", &salvaged.kept);
    lines("lost", &salvaged.lost);
    lines("held", &salvaged.held);
    outln!("new      {}", salvaged.written.display());
    if let Some(aside) = &salvaged.aside {
        outln!("old      {}", aside.display());
    }
}
