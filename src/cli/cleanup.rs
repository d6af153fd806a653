//! `wod cleanup-users` and `wod cleanup-processes`: what deliver does for students, for some of them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::deliver::{Lines, Masked, People};
use super::{Exit, NotReady, WrongUsage, print_json};
use crate::deliver::students::{self, Crew};
use crate::deliver::{self, Item, Mode, Recap, Report};
use crate::domain::{Student, StudentRange};
use crate::site::{Site, Source};

const USERS_HELP: &str = "\
A seat in use (an action that is not over, or a participant) is left as it is and told as skipped.
Accounts that are not exactly studentN with uid UIDBASE+N are never touched.

Examples:
  wod cleanup-users 40 60 --check    who would go
  wod cleanup-users 40 60            they go; wod deliver makes them anew
  wod cleanup-users 101 200 --outside
                                     who is left of a range that was larger

Exit status:
  0  nothing is left of them
  1  something failed; the other students were done
  2  there are no such students; nothing was done
  4  the configuration or this host is not ready; nothing was done
  5  seats in use were left as they are";

const PROCESSES_HELP: &str = "\
A seat in use (an action that is not over, or a participant) keeps its processes.

Exit status:
  0  no such processes are left
  1  some could not be ended
  4  the configuration or this host is not ready; nothing was done";

#[derive(clap::Args)]
#[command(after_help = USERS_HELP)]
pub struct UsersArgs {
    /// First student, e.g. 40
    min: Student,
    /// Last student, e.g. 60
    max: Student,
    /// Also students outside WODUSERMIN..WODUSERMAX
    #[arg(long)]
    outside: bool,
    #[command(flatten)]
    how: How,
}

#[derive(clap::Args)]
#[command(after_help = PROCESSES_HELP)]
pub struct ProcessesArgs {
    #[command(flatten)]
    how: How,
}

#[derive(clap::Args)]
struct How {
    /// Only look; nothing is changed
    #[arg(long)]
    check: bool,
    /// JSON objects, the recap last
    #[arg(long)]
    json: bool,
}

pub fn users(args: &UsersArgs, source: &Source) -> anyhow::Result<Exit> {
    let site = Site::load(source)?;
    let range = StudentRange::new(args.min, args.max).map_err(|e| WrongUsage(e.to_string()))?;
    let window = site.settings.window;
    if !args.outside
        && let Err(e) = window.check(range)
    {
        let hint = "to remove who is left of a larger range, add --outside";
        return Err(WrongUsage(format!("{e}; {hint}")).into());
    }
    let items = students::removal(&crew(&site)?, range);
    run(&site, &items, &args.how)
}

pub fn processes(args: &ProcessesArgs, source: &Source) -> anyhow::Result<Exit> {
    let site = Site::load(source)?;
    let items = students::strays(&crew(&site)?);
    run(&site, &items, &args.how)
}

fn crew(site: &Site) -> anyhow::Result<Arc<Crew>> {
    if !rustix::process::geteuid().is_root() {
        let line = "only root may touch accounts and processes of students; use sudo";
        return Err(NotReady(anyhow::anyhow!(line)).into());
    }
    let crew = site.crew().map_err(|e| NotReady(e.into()))?;
    Ok(Arc::new(crew))
}

fn run(site: &Site, items: &[Item], how: &How) -> anyhow::Result<Exit> {
    let mode = match how.check {
        true => Mode::Check,
        false => Mode::Apply,
    };
    let _lock = match mode {
        Mode::Check => None,
        Mode::Apply => Some(site.state.lock_deliver().map_err(|e| NotReady(e.into()))?),
    };
    let mut shown: Box<dyn Report> = match how.json {
        true => Box::new(Lines),
        false => Box::new(People::new(false)),
    };
    // Commands that deliver owes are none of ours.
    let ledger = site.ledger_of("cleanup");
    let stop = AtomicBool::new(false);
    let recap = deliver::run(
        items,
        mode,
        &ledger,
        &stop,
        &mut Masked::new(site.secrets(), shown.as_mut()),
    );
    drop(shown);
    if how.json {
        print_json(&recap.to_json());
    } else if recap.total() == only_ok(&recap) {
        outln!("there is nothing to clean up");
    }
    Ok(exit(&recap))
}

fn only_ok(recap: &Recap) -> deliver::Count {
    deliver::Count {
        ok: recap.total().ok,
        ..deliver::Count::default()
    }
}

fn exit(recap: &Recap) -> Exit {
    let total = recap.total();
    match (total.failed, total.skipped) {
        (0, 0) => Exit::Done,
        (0, _) => Exit::NotDone,
        _ => Exit::Failed,
    }
}
