//! Looks over all file systems that are this host's own: for every file of one account, and for
//! directories in which students can put something. Changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::ports::{Account, Fault, Search};
use crate::safefs::{self, Crowd, Dir, find_open, find_owned};

use super::mountinfo::{self, Row};

/// Paths per file system: enough to see what it is.
const LISTED: usize = 100;

/// They hold no files, or only those of processes.
const VIRTUAL: [&str; 16] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "efivarfs",
    "fusectl",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "sysfs",
    "tracefs",
];

/// Somebody else's, and mostly slow; a FUSE file system shuts even root out.
const REMOTE: [&str; 13] = [
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "smb3", "virtiofs",
];

/// File systems that are of interest, as they are mounted now.
fn mounted() -> Result<Vec<Row>, Fault> {
    Ok(worth_a_look(mountinfo::read()?))
}

pub fn search(account: &Account, known: &[PathBuf]) -> Result<Search, Fault> {
    let mut search = Search::default();
    for mounted in mounted()? {
        if is_remote(&mounted.kind) {
            search.left_out.push(mounted.point);
            continue;
        }
        // Another mount may lie over it, and one may have gone since.
        let root = match Dir::open_root(&mounted.point) {
            Err(e) if e.is_not_found() => continue,
            root => root,
        };
        let below = |path: &Path| known.contains(&mounted.point.join(path));
        let found = root.and_then(|root| find_owned(&root, account.uid, LISTED, &below));
        let found = found.map_err(|e| {
            let at = mounted.point.display();
            Fault::of_files(
                format!("cannot search all of {at} for {}", account.name),
                &e,
            )
        })?;
        let paths = found.into_iter().map(|path| mounted.point.join(path));
        search.found.extend(paths);
    }
    search.found.sort();
    search.found.dedup();
    Ok(search)
}

/// Directories outside of the `known` places into which students may put something.
pub fn open_places(crowd: &Crowd, known: &[PathBuf]) -> Result<Vec<PathBuf>, Fault> {
    let mut open = Vec::new();
    for mounted in mounted()?.iter().filter(|m| !is_remote(&m.kind)) {
        let at = &mounted.point;
        if known.iter().any(|known| at.starts_with(known)) {
            continue;
        }
        let fault = |e: &safefs::Error| {
            Fault::of_files(
                format!("cannot search all of {} for open places", at.display()),
                e,
            )
        };
        let root = match Dir::open_root(at) {
            Err(e) if e.is_not_found() => continue,
            root => root.map_err(|e| fault(&e))?,
        };
        let everybodys = root.stat(Path::new(".")).map_err(|e| fault(&e))?;
        if everybodys.is_some_and(|stat| stat.mode & 0o002 != 0) {
            open.push(at.clone());
            continue;
        }
        let below = |path: &Path| known.contains(&at.join(path));
        let found = find_open(&root, crowd, &below).map_err(|e| fault(&e))?;
        open.extend(found.into_iter().map(|path| at.join(path)));
    }
    open.sort();
    open.dedup();
    Ok(open)
}

/// Of several mounts that show the same, one.
fn worth_a_look(all: Vec<Row>) -> Vec<Row> {
    let mut kept: Vec<Row> = Vec::new();
    for row in all.into_iter().filter(is_shown) {
        let same = |other: &Row| (&other.device, &other.part) == (&row.device, &row.part);
        if !kept.iter().any(same) {
            kept.push(row);
        }
    }
    kept
}

/// A file that is mounted over another one is found where it comes from. A remote file system is
/// not even asked that: it may never answer.
fn is_shown(row: &Row) -> bool {
    !VIRTUAL.contains(&row.kind.as_str()) && (is_remote(&row.kind) || !is_file(&row.point))
}

fn is_file(point: &Path) -> bool {
    fs::symlink_metadata(point).is_ok_and(|m| m.is_file())
}

/// `fuse.sshfs` and the like; `fuseblk` is a disk.
fn is_remote(kind: &str) -> bool {
    REMOTE.contains(&kind) || kind.starts_with("fuse.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tree_once_and_no_virtual_ones() {
        let table = "\
            22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            23 22 0:5 / /proc rw - proc proc rw\n\
            24 22 8:1 / /mnt/again rw - ext4 /dev/sda1 rw\n\
            25 22 8:1 /sub /mnt/a\\040b rw shared:1 - ext4 /dev/sda1 rw\n\
            27 22 0:50 / /mnt/far rw - nfs4 far:/ rw\n\
            28 22 8:1 /f /proc/self/stat rw - ext4 /dev/sda1 rw\n\
            29 22 0:51 / /proc/self/status rw - nfs4 far:/f rw\n";
        let points: Vec<_> = worth_a_look(mountinfo::rows(table.as_bytes()))
            .into_iter()
            .map(|m| (m.point, is_remote(&m.kind)))
            .collect();
        let expected = [
            ("/", false),
            ("/mnt/a b", false),
            ("/mnt/far", true),
            ("/proc/self/status", true),
        ];
        assert_eq!(points, expected.map(|(p, far)| (PathBuf::from(p), far)));
    }
}
