//! Trees that must not change, seen with everything that a wrong write, chown or delete changes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::backend::STUDENTS;
use super::{sh, wait_for};

/// Of each file: mode, owner, links, time and content.
pub type Seen = BTreeMap<PathBuf, String>;

/// Waits for what a new engine makes by itself below the homes, a moment after it listens.
pub fn engine_has_settled() {
    wait_for(10, "trash of a new engine", || {
        let trash = Path::new(STUDENTS).join(".wod/trash");
        trash.is_dir().then_some(())
    });
}

/// Whatever stands at these paths now. What vanishes while we look is not there.
pub fn look(tops: &[&str]) -> Seen {
    let mut seen = Seen::new();
    let mut todo: Vec<PathBuf> = tops.iter().map(PathBuf::from).collect();
    while let Some(path) = todo.pop() {
        let Ok(m) = path.symlink_metadata() else {
            continue;
        };
        let content = match () {
            () if m.is_dir() => {
                let entries = fs::read_dir(&path).into_iter().flatten().flatten();
                todo.extend(entries.map(|entry| entry.path()));
                Vec::new()
            }
            () if m.is_symlink() => fs::read_link(&path)
                .map_or(Vec::new(), |to| to.into_os_string().into_encoded_bytes()),
            () if m.is_file() => fs::read(&path).unwrap_or_default(),
            () => Vec::new(),
        };
        let line = format!(
            "{:o} {}:{} {} links {}.{} {} bytes {:x}",
            m.mode(),
            m.uid(),
            m.gid(),
            m.nlink(),
            m.mtime(),
            m.mtime_nsec(),
            content.len(),
            content
                .iter()
                .fold(5381_u64, |h, b| h.wrapping_mul(33) ^ u64::from(*b)),
        );
        seen.insert(path, line);
    }
    seen
}

/// Fails with what is different.
#[track_caller]
pub fn same(before: &Seen, after: &Seen, what: &str) {
    let paths = before.keys().chain(after.keys());
    let changed: Vec<String> = paths
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| {
            format!(
                "{}: {:?} -> {:?}",
                path.display(),
                before.get(path),
                after.get(path)
            )
        })
        .collect();
    assert!(
        changed.is_empty(),
        "{what} changed:\n  {}",
        changed.join("\n  ")
    );
}

/// What somebody at work on the machine does in /root/.ssh does not show through.
pub fn roots_own() {
    sh(
        "mkdir -p /root/.ssh; mount -t tmpfs -o mode=700 none /root/.ssh
        echo canary >/root/.ssh/authorized_keys",
    );
}

/// A tree of root's and another student's files, as links are planted to.
pub fn plant(top: &str, other_uid: u32) {
    sh(&format!(
        "mkdir -p {top}/etc/cron.d {top}/root/.ssh {top}/other/.ssh
         echo canary >{top}/etc/shadow; chmod 600 {top}/etc/shadow
         echo canary >{top}/etc/passwd; echo canary >{top}/etc/cron.d/job
         echo canary >{top}/root/.ssh/authorized_keys; chmod 600 {top}/root/.ssh/authorized_keys
         echo canary >{top}/other/.ssh/authorized_keys; chown -R {other_uid}:{other_uid} {top}/other"
    ));
    assert!(Path::new(top).is_dir());
}
