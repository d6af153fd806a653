//! A process of `wod serve` that is `wod` again, for the same site. What `-e` put over the inventory goes
//! by its stdin: the arguments of a process can be read by everybody, and stay for as long as it runs.

use std::io;
use std::os::fd::OwnedFd;

use anyhow::Context;

use crate::exec::{Cmd, file_in_memory};
use crate::site::{Source, absolute};

/// Its long name, as clap makes it of `SiteArgs`.
const ON_STDIN: &str = "--extra-vars-on-stdin";

/// The command, to which the subcommand is to be added, and its stdin.
pub fn command(source: &Source) -> io::Result<(Cmd, OwnedFd)> {
    let mut command = Cmd::new("/proc/self/exe")
        .arg("--inventory")
        .arg(absolute(&source.inventory))
        .arg(ON_STDIN);
    if let Some(filter) = std::env::var_os("WODLOG") {
        command = command.env("WODLOG", filter);
    }
    let text = serde_json::to_vec(&source.set)?;
    Ok((command, file_in_memory(&text)?))
}

/// On the other side.
pub fn variables_on_stdin() -> anyhow::Result<Vec<(String, String)>> {
    serde_json::from_reader(io::stdin().lock())
        .with_context(|| format!("stdin has no variables; {ON_STDIN} is for wod serve"))
}
