//! Control groups that hold one student's processes and nothing else: the kernel freezes such a group
//! in one go, with all that its processes start meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::procfs::Proc;
use crate::adapters::accounts_linux::Suspect;

/// One group, by its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cage(PathBuf);

const FROZEN: &str = "frozen group ";

/// Each is a line of the incident, and students can make many.
const MOST: usize = 32;

/// The kernel takes a few milliseconds for thousands of processes.
const FREEZES: Duration = Duration::from_millis(200);

impl Cage {
    /// The groups of these processes in which nobody has a process but the suspect.
    pub fn all(proc: &Proc, pids: &[u32], suspect: &Suspect) -> Vec<Cage> {
        let Some(root) = mounted(proc) else {
            return Vec::new();
        };
        let groups: BTreeSet<String> = pids.iter().filter_map(|pid| group(proc, *pid)).collect();
        groups
            .into_iter()
            .filter(|group| group != "/" && !group.split('/').any(|part| part == ".."))
            .map(|group| Cage(root.join(group.trim_start_matches('/'))))
            .filter(|cage| cage.holds_only(proc, suspect))
            .take(MOST)
            .collect()
    }

    fn holds_only(&self, proc: &Proc, suspect: &Suspect) -> bool {
        let is_theirs = |pid: u32| {
            let status = proc.status(pid);
            status.is_none_or(|status| suspect.has_uid(status.uid))
        };
        let held = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        let pids: Vec<u32> = held.lines().filter_map(|pid| pid.parse().ok()).collect();
        let has_groups = fs::read_dir(&self.0).is_ok_and(|entries| {
            let mut kinds = entries.flatten().filter_map(|entry| entry.file_type().ok());
            kinds.any(|kind| kind.is_dir())
        });
        !pids.is_empty() && !has_groups && pids.into_iter().all(is_theirs)
    }

    /// Comes back when the kernel has them all, or some wait for a disk.
    pub fn freeze(all: &[Cage]) {
        all.iter().for_each(|cage| cage.set("1"));
        let deadline = Instant::now() + FREEZES;
        while !all.iter().all(Cage::is_frozen) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_frozen(&self) -> bool {
        let events = fs::read_to_string(self.0.join("cgroup.events"));
        events.map_or(true, |events| events.lines().any(|line| line == "frozen 1"))
    }

    /// What comes into the group later is to run.
    pub fn thaw(&self) {
        self.set("0");
    }

    fn set(&self, state: &str) {
        if let Err(e) = fs::write(self.0.join("cgroup.freeze"), state)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("{} cannot be set to {state}: {e}", self.0.display());
        }
    }

    /// As the journal keeps it.
    pub fn line(&self) -> String {
        format!("{FROZEN}{}", self.0.display())
    }

    pub fn of_line(line: &str) -> Option<Cage> {
        Some(Cage(Path::new(line.strip_prefix(FROZEN)?).to_owned()))
    }
}

/// Where the unified hierarchy is.
fn mounted(proc: &Proc) -> Option<PathBuf> {
    let table = proc.text("self/mountinfo", 1 << 20).ok()?;
    let table = String::from_utf8_lossy(&table).into_owned();
    let line = table.lines().find(|line| line.contains(" - cgroup2 "))?;
    Some(PathBuf::from(line.split(' ').nth(4)?))
}

fn group(proc: &Proc, pid: u32) -> Option<String> {
    let text = proc.text(&format!("{pid}/cgroup"), 4096).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Some(
        text.lines()
            .find_map(|line| line.strip_prefix("0::"))?
            .to_owned(),
    )
}
