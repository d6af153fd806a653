//! Whose time on processors was used between two snapshots: each millisecond once, also that of
//! processes that have ended meanwhile.
//!
//! A process that ends hands its time to the parent that waits for it. What was counted while it
//! ran is taken off there. What ends without anybody waiting leaves nothing behind: for the rest of
//! its life it is taken to have gone on as it did.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::meter::Used;
use crate::domain::Student;
use crate::watchdog::process::Process;
use crate::watchdog::snapshot::Snapshot;

/// The rate of a process is that of about so many milliseconds.
const RATE_SPAN: f64 = 30_000.0;
/// No more than this is ever guessed of what a process used unseen, in milliseconds.
const MOST_GUESSED: u64 = 5_000;

/// A process as it was in the last snapshot.
#[derive(Debug)]
pub struct Seen {
    pub start: u64,
    student: Student,
    parent: u32,
    own: bool,
    cpu_ms: u64,
    reaped_cpu_ms: u64,
    exe: u64,
    /// What it had used before it began its present program.
    pub before_exec: u64,
    /// Of one processor.
    rate: f32,
    /// The share of looks at which it ran, or waited for a processor.
    runnable: f32,
}

impl Seen {
    pub fn rate_percent(&self) -> u32 {
        (self.rate * 100.0) as u32
    }

    pub fn runnable_percent(&self) -> u32 {
        (self.runnable * 100.0) as u32
    }
}

/// What a student used: since the last snapshot, and before anybody looked.
#[derive(Debug, Default, Clone, Copy)]
pub struct Account {
    pub now: Used,
    pub before: Used,
}

/// Time of ended children that a process got, and of whose programs it may be.
#[derive(Debug, Default)]
struct Handed {
    student: Option<Student>,
    own_parent: bool,
    /// Milliseconds that nobody has claimed yet.
    left: u64,
    /// What was seen of its children, as weights.
    children: Used,
}

/// Counts what was used since the snapshot at `before`, and remembers the new one.
pub(super) fn account(
    before: Option<u64>,
    seen: &mut HashMap<u32, Seen>,
    snapshot: &Snapshot,
) -> BTreeMap<Student, Account> {
    let mut accounts: BTreeMap<Student, Account> = BTreeMap::new();
    let mut handed: HashMap<u32, Handed> = HashMap::new();
    let mut now = HashMap::with_capacity(snapshot.processes.len());
    for process in &snapshot.processes {
        let Some(student) = snapshot.student(process) else {
            continue;
        };
        let old = seen
            .get(&process.id.pid)
            .filter(|old| old.start == process.id.start);
        let own = process.exe.is_own() || old.is_some_and(|old| old.own && old.exe != exe(process));
        let account = accounts.entry(student).or_default();
        let is_new = before.is_some_and(|before| process.id.start >= before);
        let (cpu, reaped) = match old {
            Some(old) => (
                process.cpu_ms.saturating_sub(old.cpu_ms),
                process.reaped_cpu_ms.saturating_sub(old.reaped_cpu_ms),
            ),
            None if is_new => (process.cpu_ms, process.reaped_cpu_ms),
            None => {
                account.before += used(own, process.cpu_ms + process.reaped_cpu_ms);
                (0, 0)
            }
        };
        account.now += used(own, cpu);
        let from = handed.entry(process.id.pid).or_default();
        from.student = Some(student);
        from.own_parent = own;
        from.left = reaped;
        let parent = handed.entry(process.parent).or_default();
        parent.children += used(own, cpu + 1);
        now.insert(
            process.id.pid,
            remember(process, student, old, before, snapshot.at),
        );
    }
    ended(before, seen, &now, snapshot.at, &mut handed, &mut accounts);
    for handed in handed.into_values() {
        if let Some(student) = handed.student.filter(|_| handed.left > 0) {
            accounts.entry(student).or_default().now += unseen(&handed);
        }
    }
    *seen = now;
    accounts
}

fn used(own: bool, ms: u64) -> Used {
    Used {
        own: if own { ms } else { 0 },
        all: ms,
    }
}

fn exe(process: &Process) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&process.exe.path, process.exe.deleted, process.exe.owner).hash(&mut hasher);
    hasher.finish()
}

fn remember(
    process: &Process,
    student: Student,
    old: Option<&Seen>,
    before: Option<u64>,
    at: u64,
) -> Seen {
    let share = |cpu: u64, over: u64| cpu as f64 / over.max(1) as f64;
    let exe = exe(process);
    let is_runnable = f64::from(u8::from(process.state == 'R'));
    let (rate, runnable, before_exec) = match (old, before) {
        (Some(old), Some(before)) => {
            let over = at.saturating_sub(before);
            let weight = 1.0 - (-(over as f64) / RATE_SPAN).exp();
            let mixed = |old: f32, new: f64| f64::from(old) * (1.0 - weight) + new * weight;
            let used = process.cpu_ms.saturating_sub(old.cpu_ms);
            let before_exec = match old.exe == exe {
                true => old.before_exec,
                false => old.cpu_ms,
            };
            (
                mixed(old.rate, share(used, over)),
                mixed(old.runnable, is_runnable),
                before_exec,
            )
        }
        _ => {
            let age = at.saturating_sub(process.id.start);
            (share(process.cpu_ms, age), is_runnable, 0)
        }
    };
    Seen {
        start: process.id.start,
        student,
        parent: process.parent,
        own: process.exe.is_own(),
        cpu_ms: process.cpu_ms,
        reaped_cpu_ms: process.reaped_cpu_ms,
        exe,
        before_exec,
        rate: rate as f32,
        runnable: runnable as f32,
    }
}

/// Takes off what ended processes had used when they were last seen, where it was handed on.
fn ended(
    before: Option<u64>,
    seen: &HashMap<u32, Seen>,
    now: &HashMap<u32, Seen>,
    at: u64,
    handed: &mut HashMap<u32, Handed>,
    accounts: &mut BTreeMap<Student, Account>,
) {
    let lives = |pid: &u32, start: u64| now.get(pid).is_some_and(|now| now.start == start);
    for (pid, old) in seen {
        if lives(pid, old.start) {
            continue;
        }
        let total = old.cpu_ms + old.reaped_cpu_ms;
        let heir = heir(old, seen, now).and_then(|heir| handed.get_mut(&heir));
        let taken = heir.map_or(0, |heir| {
            let taken = total.min(heir.left);
            heir.left -= taken;
            heir.children += used(old.own, taken + 1);
            taken
        });
        if taken == 0 {
            let since = at.saturating_sub(before.unwrap_or(at));
            let guessed = (f64::from(old.rate) * since as f64 / 2.0) as u64;
            let account = accounts.entry(old.student).or_default();
            account.now += used(old.own, guessed.min(MOST_GUESSED));
        }
    }
}

/// The nearest ancestor of an ended process that still lives: what it used is handed up to there.
fn heir(old: &Seen, seen: &HashMap<u32, Seen>, now: &HashMap<u32, Seen>) -> Option<u32> {
    let mut pid = old.parent;
    // A chain of parents is no longer than there are processes.
    for _ in 0..seen.len() {
        let parent = seen
            .get(&pid)
            .filter(|parent| parent.student == old.student)?;
        if now.get(&pid).is_some_and(|now| now.start == parent.start) {
            return Some(pid);
        }
        pid = parent.parent;
    }
    None
}

/// Time of children that began and ended between two snapshots: theirs are the programs that the
/// other children have; without any, those of the parent.
fn unseen(handed: &Handed) -> Used {
    match handed.children.all {
        0 => used(handed.own_parent, handed.left),
        all => Used {
            own: (u128::from(handed.left) * u128::from(handed.children.own) / u128::from(all))
                as u64,
            all: handed.left,
        },
    }
}

#[cfg(test)]
mod tests;
