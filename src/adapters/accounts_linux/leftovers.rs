//! Where an account can leave something outside its home, to be removed or listed: shared
//! directories, cron and at jobs, mail, linger, its run directory, IPC objects, mounts.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::ports::{Account, Fault};
use crate::safefs::{self, Dir, Kind, find_owned, remove_owned, remove_tree, shown};

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
}

impl Places {
    pub fn new(shared: Vec<PathBuf>, open: OpenPlaces) -> Places {
        Places { shared, open }
    }

    /// To be called at the beginning of what ends with a sweep.
    pub fn prepare(&self) {
        self.open.prepare();
    }

    /// Removes all of it, from open places as far as they are known by now; goes on after a
    /// fault and tells the first one at the end. What starts processes goes first.
    pub fn sweep(&self, account: &Account) -> Result<(), Fault> {
        let mut faults = Vec::new();
        for (_, dir, name) in names(account) {
            faults.extend(remove_name(dir, &name).err());
        }
        faults.extend(mounts::remove(account).err());
        for dir in self.by_owner(account, self.open.known()) {
            faults.extend(remove_in(&dir, account).err());
        }
        faults.extend(ipc::remove(account).err());
        match faults.into_iter().next() {
            None => Ok(()),
            Some(first) => Err(first),
        }
    }

    /// One line for each thing that is still there.
    pub fn leftovers(&self, account: &Account) -> Result<Vec<String>, Fault> {
        let mut lines = Vec::new();
        let mut named = Vec::new();
        for (what, dir, name) in names(account) {
            if let Some(path) = find_name(dir, &name)? {
                lines.push(format!("{what} {}", shown(&path)));
                named.push(path);
            }
        }
        for dir in self.by_owner(account, self.open.fresh()) {
            let found = find_in(&dir, account)?;
            let others = found.iter().filter(|path| !named.contains(path));
            lines.extend(others.map(|path| format!("file {}", shown(path))));
        }
        lines.extend(mounts::find(account)?.iter().map(mounts::Mount::line));
        lines.extend(ipc::find(account)?.iter().map(ipc::Object::line));
        Ok(lines)
    }

    /// Of the run directory only the content: it is a mount of logind's, which takes it away.
    fn by_owner(&self, account: &Account, open: Vec<PathBuf>) -> Vec<PathBuf> {
        let run = PathBuf::from(format!("/run/user/{}", account.uid));
        let all = SPOOLS.iter().map(PathBuf::from);
        all.chain(self.shared.iter().cloned())
            .chain([run])
            .chain(open)
            .collect()
    }
}

/// What, in which directory, under which name. /var/spool/mail is mostly a link to /var/mail.
fn names(account: &Account) -> impl Iterator<Item = (&'static str, &'static Path, String)> {
    let mail_is_one = fs::read_link("/var/spool/mail").is_ok();
    let name = account.name.clone();
    BY_NAME
        .iter()
        .filter(move |(_, dir)| !(mail_is_one && *dir == "/var/spool/mail"))
        .flat_map(move |&(what, dir)| {
            // The lock that a mail program leaves when it is killed.
            let lock = (what == "mail").then(|| format!("{name}.lock"));
            let names = [Some(name.clone()), lock].into_iter().flatten();
            names.map(move |name| (what, Path::new(dir), name))
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

fn remove_name(dir: &Path, name: &str) -> Result<(), Fault> {
    let Some(dir) = open(dir)? else {
        return Ok(());
    };
    match dir.stat(Path::new(name)).map_err(|e| fault(&e))? {
        None => Ok(()),
        Some(stat) if stat.kind == Kind::Directory => remove_tree(&dir, OsStr::new(name))
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

fn remove_in(dir: &Path, account: &Account) -> Result<(), Fault> {
    match open(dir)? {
        None => Ok(()),
        Some(dir) => remove_owned(&dir, account.uid)
            .map(drop)
            .map_err(|e| fault(&e)),
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
