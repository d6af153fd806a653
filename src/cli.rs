//! The command line: one file per subcommand. Arguments in, one call, text or `--json` out.

#[macro_use]
mod out;

mod actions;
mod child;
mod cleanup;
mod completions;
mod deliver;
mod demo;
mod doctor;
mod facts;
mod follow;
mod ingest;
mod install;
mod intake;
mod inventory;
mod journal;
mod keeper;
mod keys;
mod lint;
mod man;
mod render;
mod serve;
mod status;
mod students;
mod test_action;
mod vars;
mod vault;
mod watchdog;
mod workshops;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::journal::Journal;
use crate::site::{self, Site, Source};

/// What the process ends with. `ingest` has its own, sysexits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    /// Something failed, and the last line says what.
    Failed = 1,
    /// What was typed cannot be meant; nothing was done.
    Usage = 2,
    /// The inventory or the host is not ready; nothing was done.
    Configuration = 4,
    /// The action was refused, held or cancelled.
    NotDone = 5,
}

const EXAMPLES: &str = "\
Examples:
  wod serve                                     run the backend
  wod test-action CREATE WKSHP-API101 12 --wait make a seat and watch it being made
  wod actions                                   what is going on
  wod actions retry 17                          carry on with a held action
  wod demo                                      try it all out, without touching this host

Exit status:
  0  done
  1  failed; the last line says what
  2  wrong usage
  4  the configuration or this host is not ready; nothing was done
  5  the action was refused, held or cancelled
  `wod ingest` uses sysexits: 0, 65, 67, 75, 77";

/// A mail-driven workshop provisioning backend
#[derive(Parser)]
#[command(name = "wod", version, about, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    site: SiteArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Clone)]
struct SiteArgs {
    /// Directory with hosts and group_vars, or a hosts file beside them [default: /etc/wod/inventory, else ./inventory]
    #[arg(short, long, global = true, env = "WODINVENTORY", value_name = "PATH")]
    inventory: Option<PathBuf>,
    /// Set a variable over the inventory's; may be repeated
    #[arg(short = 'e', long = "extra-var", global = true, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// More of them as JSON on stdin: how `serve` hands its own on
    #[arg(long, global = true, hide = true)]
    extra_vars_on_stdin: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run the backend: SMTP intake, engine, housekeeping
    Serve(serve::Args),
    /// Take one action mail from stdin, for Postfix, procmail or maildrop
    Ingest(ingest::Args),
    /// Send an action mail as a frontend would
    TestAction(test_action::Args),
    /// List, show, retry and cancel actions
    Actions(actions::Args),
    /// Say how the backend is
    Status(status::Args),
    /// List, show and check workshops
    Workshops(workshops::Args),
    /// Show what a student would get of a template or a workshop
    Render(render::Args),
    /// List the students' seats, verify that nothing is left on one
    Students(students::Args),
    /// List the inventory, or the variables of one host, as ansible-inventory does
    Inventory(inventory::Args),
    /// Show variables: their values and where they come from, secrets masked
    Vars(vars::Args),
    /// Say whether the journal is whole, and keep what is whole of a damaged one
    Journal(journal::Args),
    /// Bring this host to what the inventory says
    Deliver(deliver::Args),
    /// Say what is missing or wrong on this host, and what mends it
    Doctor(doctor::Args),
    /// Make a fresh host a running backend
    Install(install::Args),
    /// Remove students: hub users, processes, homes, accounts
    CleanupUsers(cleanup::UsersArgs),
    /// End the processes on seats that nobody has
    CleanupProcesses(cleanup::ProcessesArgs),
    /// Make, list, retire and remove the keys that mails are signed with
    Keys(keys::Args),
    /// Print what workshop scripts may know of workshops and participants
    Facts(facts::Args),
    /// Encrypt and decrypt files and values as Ansible Vault does
    Vault(vault::Args),
    /// See what students run, and stop abuse
    Watchdog(watchdog::Args),
    /// Try everything out on a backend of its own that leaves nothing behind
    Demo(demo::Args),
    /// Print completions for a shell, or the man page
    Completions(completions::Args),
    /// The unprivileged process behind the SMTP listener; `serve` starts it
    #[command(hide = true)]
    Intake(intake::Args),
}

/// This host has to be made ready first; nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct NotReady(anyhow::Error);

/// What was typed cannot be meant, as only the inventory or a second look can tell.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUsage(String);

/// Parses the command line of this process and does what it says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(&cli.command);
    let SiteArgs {
        inventory,
        mut set,
        extra_vars_on_stdin,
    } = cli.site;
    if extra_vars_on_stdin {
        match child::variables_on_stdin() {
            Ok(given) => set.extend(given),
            Err(e) => return end(Err(NotReady(e).into())),
        }
    }
    if let Command::Install(args) = &cli.command {
        return end(install::run(args, inventory, set).map(|exit| exit as u8));
    }
    let source = Source {
        inventory: inventory.unwrap_or_else(site::usual_inventory),
        set,
    };
    let done = match cli.command {
        Command::Install(_) => return ExitCode::from(Exit::Done as u8),
        Command::Ingest(args) => return ingest::run(&args),
        Command::Intake(args) => intake::run(&args),
        Command::Serve(args) => serve::run(&args, &source),
        Command::TestAction(args) => test_action::run(&args, &source),
        Command::Actions(args) => actions::run(&args, &source),
        Command::Status(args) => status::run(&args, &source),
        Command::Workshops(args) => workshops::run(&args, &source),
        Command::Students(args) => students::run(&args, &source),
        Command::Inventory(args) => inventory::run(&args, &source),
        Command::Vars(args) => vars::run(&args, &source),
        Command::Render(args) => render::run(&args, &source),
        Command::Journal(args) => journal::run(&args, &source),
        Command::Keys(args) => keys::run(&args, &source),
        Command::Facts(args) => facts::run(&args, &source),
        Command::Vault(args) => vault::run(&args, &source),
        Command::Deliver(args) => return end(deliver::run(&args, &source)),
        Command::CleanupUsers(args) => cleanup::users(&args, &source),
        Command::CleanupProcesses(args) => cleanup::processes(&args, &source),
        Command::Doctor(args) => Ok(doctor::run(&args, &source)),
        Command::Watchdog(args) => watchdog::run(&args, &source),
        Command::Demo(args) => demo::run(&args),
        Command::Completions(args) => completions::run(&args, Cli::command()),
    };
    end(done.map(|exit| exit as u8))
}

fn end(done: anyhow::Result<u8>) -> ExitCode {
    let exit = match done {
        Ok(exit) => exit,
        Err(e) => {
            let line = format!("{e:#}");
            let hint = match is_forbidden(&line) && !line.contains("sudo") {
                true => "; try it with sudo",
                false => "",
            };
            errln!("wod: {line}{hint}");
            let exit = if e.is::<site::Misconfigured>() || e.is::<NotReady>() {
                Exit::Configuration
            } else if e.is::<WrongUsage>() {
                Exit::Usage
            } else {
                Exit::Failed
            };
            exit as u8
        }
    };
    ExitCode::from(match out::lost() {
        Some(e) if exit == Exit::Done as u8 => {
            errln!("wod: the output cannot be written: {e}");
            Exit::Failed as u8
        }
        _ => exit,
    })
}

/// Whether it failed for want of a right that root has. Of its causes a fault has the words alone.
fn is_forbidden(line: &str) -> bool {
    let by_kernel = std::io::Error::from(rustix::io::Errno::ACCESS).to_string();
    let words = [by_kernel.as_str(), "by root only"];
    !rustix::process::geteuid().is_root() && words.iter().any(|words| line.contains(words))
}

/// Logs go to stderr: all of `serve`, only warnings of commands that print for people.
fn start_logging(command: &Command) {
    let usual = match command {
        Command::Serve(_) | Command::Intake(_) => "info",
        Command::Watchdog(args) if args.is_service() => "info",
        Command::Ingest(_) => "error",
        _ => "warn",
    };
    let filter = EnvFilter::try_from_env("WODLOG").unwrap_or_else(|_| EnvFilter::new(usual));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        // It would complain with a panic about a line that cannot be written.
        .log_internal_errors(false)
        .init();
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// The journal of a site, for commands beside its engine.
fn journal_of(site: &Site) -> anyhow::Result<Arc<Journal>> {
    let path = site.state.journal();
    if let Err(e) = std::fs::metadata(&path) {
        return Err(NotReady(anyhow::anyhow!(
            "there is no journal at {} that you may read ({e}); start wod serve, \
             or use sudo, or name the site with --inventory",
            path.display()
        ))
        .into());
    }
    let journal = Journal::open_beside(&path).map_err(|e| NotReady(e.into()))?;
    Ok(Arc::new(journal))
}

/// One line of JSON on stdout.
fn print_json(value: &serde_json::Value) {
    outln!("{value}");
}

/// Columns as wide as their widest cell, two blanks between.
fn print_table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, &width)| format!("{cell:width$}"))
            .collect();
        outln!("{}", line.join("  ").trim_end());
    }
}
