//! `wod inventory`: hosts, groups and variables as `ansible-inventory` prints them.

use anyhow::anyhow;

use crate::cli::{Exit, NotReady};
use crate::domain::near::nearest;
use crate::inventory::Problem;
use crate::site::{self, Source};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// All groups, hosts and variables as JSON, equal to `ansible-inventory --list`
    ///
    /// Values are as the files state them: templates unrendered, vault values closed, nothing
    /// masked. A hosts file that cannot be read is an error here, where Ansible only warns.
    List,
    /// The variables of one host as JSON, equal to `ansible-inventory --host`
    Host {
        /// The host's name in the inventory
        name: String,
    },
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let (inventory, extra) = site::inventory(source)?;
    let wrong = |all: Vec<Problem>| {
        let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
        NotReady(anyhow!(lines.join("\n")))
    };
    let mut listed = match &args.command {
        Command::List => inventory.listing(&extra).map_err(wrong)?,
        Command::Host { name } => {
            let found = inventory.host_listing(name, &extra).map_err(wrong)?;
            found.ok_or_else(|| {
                let near = nearest(name, inventory.hosts());
                let hint = near.map_or("see wod inventory list".to_owned(), |near| {
                    format!("did you mean {near}?")
                });
                anyhow!("host {name} is not in the inventory; {hint}")
            })?
        }
    };
    listed.sort_all_objects();
    outln!("{listed:#}");
    Ok(Exit::Done)
}
