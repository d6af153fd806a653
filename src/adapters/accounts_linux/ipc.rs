//! System V IPC objects (shared memory, semaphores, message queues): they live on without a
//! process, and belong to a uid.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use crate::exec::Cmd;
use crate::ports::{Account, Fault};

pub struct Object {
    kind: &'static Kind,
    id: u64,
}

struct Kind {
    file: &'static str,
    id: &'static str,
    option: &'static str,
    title: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind {
        file: "/proc/sysvipc/shm",
        id: "shmid",
        option: "-m",
        title: "shared memory segment",
    },
    Kind {
        file: "/proc/sysvipc/sem",
        id: "semid",
        option: "-s",
        title: "semaphore set",
    },
    Kind {
        file: "/proc/sysvipc/msg",
        id: "msqid",
        option: "-q",
        title: "message queue",
    },
];

impl Object {
    pub fn line(&self) -> String {
        format!("{} {}", self.kind.title, self.id)
    }
}

/// What the accounts made or were given. Retry when a table cannot be read: it might be in there.
pub fn find(accounts: &[Account]) -> Result<Vec<Object>, Fault> {
    let uids: BTreeSet<u32> = accounts.iter().map(|account| account.uid).collect();
    let mut found = Vec::new();
    for kind in &KINDS {
        let table = table(Path::new(kind.file)).map_err(|e| {
            let whose = named(accounts);
            Fault::retry(format!("cannot list the {}s of {whose}", kind.title)).because(&e)
        })?;
        let ids = ids(&table, kind.id, &uids).into_iter();
        found.extend(ids.map(|id| Object { kind, id }));
    }
    Ok(found)
}

/// A kernel without System V IPC has none.
fn table(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

fn named(accounts: &[Account]) -> String {
    match accounts {
        [one] => one.name.clone(),
        all => format!("{} students", all.len()),
    }
}

/// The ids of rows whose `uid` or `cuid` (the creator's) is an account's. Kernels differ in
/// the columns, so they are found by their titles.
fn ids(table: &str, id: &str, uids: &BTreeSet<u32>) -> Vec<u64> {
    let mut lines = table.lines();
    let titles: Vec<_> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let column = |title: &str| titles.iter().position(|t| *t == title);
    let (Some(id), Some(owner), Some(creator)) = (column(id), column("uid"), column("cuid")) else {
        return Vec::new();
    };
    lines
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let uid = |at: usize| fields.get(at).and_then(|f| f.parse().ok());
            let is = |at: usize| uid(at).is_some_and(|uid| uids.contains(&uid));
            match is(owner) || is(creator) {
                true => fields.get(id)?.parse().ok(),
                false => None,
            }
        })
        .collect()
}

/// Removes all that `find` finds.
pub fn remove(accounts: &[Account]) -> Result<(), Fault> {
    let objects = find(accounts)?;
    if objects.is_empty() {
        return Ok(());
    }
    let args = objects
        .iter()
        .flat_map(|object| [object.kind.option.to_owned(), object.id.to_string()]);
    // One that went by itself is no fault: what counts is what is left.
    let tried = Cmd::new("ipcrm").args(args).run();
    match (find(accounts)?.first(), tried) {
        (None, _) => Ok(()),
        (Some(left), tried) => {
            let line = format!("cannot remove {} of {}", left.line(), named(accounts));
            Err(match tried {
                Ok(_) => Fault::retry(line),
                Err(error) => Fault::retry(line).because(&error),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_and_creator_count() {
        let table = "       key      semid perms      nsems   uid   gid  cuid  cgid  otime ctime\n\
                     1234 0 600 1 2007 2007 2007 2007 0 0\n\
                     1235 1 600 1 20071 2007 0 2007 0 0\n\
                     1236 2 600 1 0 0 2007 0 0 0\n";
        assert_eq!(ids(table, "semid", &[2007].into()), [0, 2]);
        assert_eq!(ids(table, "semid", &[2007, 20071].into()), [0, 1, 2]);
        assert_eq!(ids("", "semid", &[2007].into()), [0; 0]);
    }

    #[test]
    fn a_table_that_cannot_be_read_is_not_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(table(&dir.path().join("none")).unwrap(), "");
        assert!(table(dir.path()).is_err());
    }
}
