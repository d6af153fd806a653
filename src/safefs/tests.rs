//! What the operations promise on an honest tree, and on one that a thread
//! changes while they run. Hostile homes as data are in tests/hostile/.

#![allow(clippy::disallowed_methods, reason = "tests start what they like")]

mod copy;
mod dir;
mod look;
mod own;
mod race;
mod remove;

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::{getegid, geteuid};

use crate::safefs::acl::{self, Acl, Which};
use crate::safefs::sys;
use crate::safefs::*;

/// Numbers of accounts that no machine has.
const STUDENT: u32 = 61001;
const OTHER: u32 = 61002;
const WOD: u32 = 61003;

/// A directory that goes also when a test failed in a tree too deep for `tempfile`.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = Command::new("rm").arg("-rf").arg(self.path()).status();
    }
}

fn scratch() -> (Scratch, Dir) {
    let temp = tempfile::Builder::new()
        .prefix("safefs-")
        .tempdir()
        .expect("temp dir");
    let dir = Dir::open_root(temp.path()).expect("open");
    (Scratch(temp), dir)
}

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn n(name: &str) -> &OsStr {
    OsStr::new(name)
}

fn needs_root(test: &str) -> bool {
    let root = geteuid().is_root();
    if !root {
        writeln!(std::io::stderr(), "skipped {test}: needs root").unwrap();
    }
    root
}

fn chown(path: &Path, uid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(uid)).expect("chown");
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

fn me() -> Ownership {
    Ownership {
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
        also: Some(WOD),
    }
}

fn everything(_: &Path, _: Kind) -> Decision {
    Decision::Take
}

fn all() -> CopyOptions<'static> {
    CopyOptions {
        filter: &everything,
        limit_bytes: 1 << 20,
        limit_files: 1000,
        read_as: None,
    }
}
