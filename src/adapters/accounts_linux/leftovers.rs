//! Where an account can leave something outside its home, to be removed or listed: shared
//! directories, cron and at jobs, mail, linger, its run directory, IPC objects, mounts.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ports::{Account, Fault};
use crate::safefs::{self, Dir, Kind, find_owned, remove_owned, remove_tree, shown};

use super::mountinfo::Table;
use super::open_places::OpenPlaces;
use super::{ipc, mounts};

/// Lines per place: enough to see what it is.
const LISTED: usize = 100;

/// Spools of which only what belongs to the account is the account's.
const SPOOLS: [&str; 2] = ["/var/spool/cron", "/var/spool/at"];

/// Directories with one file for each account, under its name, whoever owns it.
const BY_NAME: [(&str, &str); 5] = [
    ("crontab", "/var/spool/cron/crontabs"),
    ("crontab", "/var/spool/cron"),
    ("mail", "/var/mail"),
    ("mail", "/var/spool/mail"),
    ("linger", "/var/lib/systemd/linger"),
];

pub struct Places {
    shared: Vec<PathBuf>,
    open: OpenPlaces,
    mounts: Table,
}

impl Places {
    pub fn new(shared: Vec<PathBuf>, open: OpenPlaces) -> Places {
        Places {
            shared,
            open,
            mounts: Table::default(),
        }
    }

    /// To be called at the beginning of what ends with a sweep.
    pub fn prepare(&self) {
        self.open.prepare();
    }

    /// Removes all of it, from open places as far as they are known by now; goes on after a
    /// fault and tells the first one at the end. What starts processes goes first.
    pub fn sweep(&self, account: &Account) -> Result<(), Fault> {
        self.sweep_of(std::slice::from_ref(account), self.open.known())
    }

    /// The same for all of them, each place once, when all open places are known.
    pub fn sweep_all(&self, accounts: &[Account]) -> Result<(), Fault> {
        self.sweep_of(accounts, self.open.fresh())
    }

    fn sweep_of(&self, accounts: &[Account], open: Vec<PathBuf>) -> Result<(), Fault> {
        let mut faults = Vec::new();
        for (_, dir, of) in by_name() {
            faults.extend(remove_names(dir, accounts.iter().flat_map(of)).err());
        }
        faults.extend(self.unmount(accounts).err());
        let uids = Arc::new(accounts.iter().map(|account| account.uid).collect());
        let runs = accounts.iter().map(run_directory);
        for dir in self.by_owner(runs, open) {
            faults.extend(remove_in(&dir, &uids).err());
        }
        faults.extend(ipc::remove(accounts).err());
        match faults.into_iter().next() {
            None => Ok(()),
            Some(first) => Err(first),
        }
    }

    /// Takes off the file systems that the accounts mounted.
    pub fn unmount(&self, accounts: &[Account]) -> Result<(), Fault> {
        mounts::remove(&self.mounts, accounts)
    }

    /// One line for each thing that is still there.
    pub fn leftovers(&self, account: &Account) -> Result<Vec<String>, Fault> {
        let mut lines = Vec::new();
        let mut named = Vec::new();
        for (what, dir, of) in by_name() {
            for name in of(account) {
                if let Some(path) = find_name(dir, &name)? {
                    lines.push(format!("{what} {}", shown(&path)));
                    named.push(path);
                }
            }
        }
        let run = [run_directory(account)].into_iter();
        for dir in self.by_owner(run, self.open.fresh()) {
            let found = find_in(&dir, account)?;
            let others = found.iter().filter(|path| !named.contains(path));
            lines.extend(others.map(|path| format!("file {}", shown(path))));
        }
        let account = std::slice::from_ref(account);
        let mounts = mounts::find(&self.mounts, account)?;
        lines.extend(mounts.iter().map(mounts::Mount::line));
        lines.extend(ipc::find(account)?.iter().map(ipc::Object::line));
        Ok(lines)
    }

    fn by_owner(
        &self,
        runs: impl Iterator<Item = PathBuf>,
        open: Vec<PathBuf>,
    ) -> impl Iterator<Item = PathBuf> {
        let all = SPOOLS.iter().map(PathBuf::from);
        all.chain(self.shared.iter().cloned())
            .chain(runs)
            .chain(open)
    }
}

/// Of it only the content: it is a mount of logind's, which takes it away.
fn run_directory(account: &Account) -> PathBuf {
    PathBuf::from(format!("/run/user/{}", account.uid))
}

/// The names that an account has in a directory.
type Names = fn(&Account) -> Vec<String>;

/// What, in which directory, under which names. /var/spool/mail is mostly a link to /var/mail.
fn by_name() -> impl Iterator<Item = (&'static str, &'static Path, Names)> {
    let mail_is_one = fs::read_link("/var/spool/mail").is_ok();
    BY_NAME
        .iter()
        .filter(move |(_, dir)| !(mail_is_one && *dir == "/var/spool/mail"))
        .map(|&(what, dir)| {
            let names: Names = match what {
                // The lock that a mail program leaves when it is killed.
                "mail" => |account| vec![account.name.clone(), format!("{}.lock", account.name)],
                _ => |account| vec![account.name.clone()],
            };
            (what, Path::new(dir), names)
        })
}

/// A host that does not have the directory has nothing in it.
fn open(dir: &Path) -> Result<Option<Dir>, Fault> {
    match Dir::open_root(dir) {
        Ok(dir) => Ok(Some(dir)),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(fault(&e)),
    }
}

/// Goes on after a fault, and tells the first one.
fn remove_names(dir: &Path, names: impl Iterator<Item = String>) -> Result<(), Fault> {
    let Some(dir) = open(dir)? else {
        return Ok(());
    };
    let faults = names.filter_map(|name| remove_name(&dir, &name).err());
    faults.reduce(|first, _| first).map_or(Ok(()), Err)
}

fn remove_name(dir: &Dir, name: &str) -> Result<(), Fault> {
    match dir.stat(Path::new(name)).map_err(|e| fault(&e))? {
        None => Ok(()),
        Some(stat) if stat.kind == Kind::Directory => remove_tree(dir, OsStr::new(name))
            .map(drop)
            .map_err(|e| fault(&e)),
        Some(_) => dir.remove_file(Path::new(name)).map_err(|e| fault(&e)),
    }
}

fn find_name(dir: &Path, name: &str) -> Result<Option<PathBuf>, Fault> {
    let Some(open) = open(dir)? else {
        return Ok(None);
    };
    let stat = open.stat(Path::new(name)).map_err(|e| fault(&e))?;
    Ok(stat.map(|_| dir.join(name)))
}

fn remove_in(dir: &Path, uids: &Arc<BTreeSet<u32>>) -> Result<(), Fault> {
    match open(dir)? {
        None => Ok(()),
        Some(dir) => remove_owned(&dir, uids).map(drop).map_err(|e| fault(&e)),
    }
}

fn find_in(dir: &Path, account: &Account) -> Result<Vec<PathBuf>, Fault> {
    match open(dir)? {
        None => Ok(Vec::new()),
        Some(open) => find_owned(&open, account.uid, LISTED, &|_| false)
            .map(|found| found.into_iter().map(|rel| dir.join(rel)).collect())
            .map_err(|e| fault(&e)),
    }
}

fn fault(error: &safefs::Error) -> Fault {
    let line = "what was left outside a home cannot be handled";
    match error.is_violation() {
        true => Fault::violation(line).because(error),
        false => Fault::retry(line).because(error),
    }
}
