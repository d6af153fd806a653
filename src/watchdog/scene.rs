//! A snapshot as the rules see it: the processes that may be judged, and what each of them is. What
//! a program says of itself never counts in its favour.

use std::collections::{BTreeMap, HashMap};

use super::finding::{Finding, Level, Rule};
use super::history::{History, Past};
use super::policy::{Places, Policy};
use super::process::{Process, TOO_LONG};
use super::snapshot::{Seat, Snapshot};
use super::told;
use super::words::Words;
use crate::domain::Student;

pub struct Scene<'a> {
    pub snapshot: &'a Snapshot,
    /// None at the moment of an exec: then nothing is known of how long anything went on.
    pub history: Option<&'a History>,
    pub policy: &'a Policy,
    pub words: &'a Words,
    pub subjects: Vec<Subject<'a>>,
    by_pid: HashMap<u32, &'a Process>,
}

/// A process of a student that may be judged.
pub struct Subject<'a> {
    pub student: Student,
    pub process: &'a Process,
    /// Its program is not root's.
    pub own: bool,
    pub odd: Option<Odd>,
    /// Milliseconds on processors with its present program.
    pub cpu_ms: u64,
    /// It uses a processor for a good part, of late or ever since it began.
    pub computes: bool,
}

/// Where programs do not lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Odd {
    /// It is in memory only.
    Memory,
    Deleted,
    /// Below a directory where anybody may write.
    Temporary {
        deleted: bool,
    },
    /// Below a hidden directory.
    Hidden {
        deleted: bool,
    },
    /// Below more directories than any call can tell.
    Deep,
}

impl Odd {
    /// In words that follow `a program`.
    pub fn words(&self) -> &'static str {
        match self {
            Odd::Memory => "that is in memory only",
            Odd::Deleted => "that is deleted",
            Odd::Temporary { deleted: true } => "that was deleted from a temporary directory",
            Odd::Temporary { deleted: false } => "in a temporary directory",
            Odd::Hidden { deleted: true } => "that was deleted from a hidden directory",
            Odd::Hidden { deleted: false } => "in a hidden directory",
            Odd::Deep => "that lies deeper than can be told",
        }
    }
}

const TEMPORARY: [&str; 6] = [
    "/dev/shm/",
    "/tmp/",
    "/var/tmp/",
    "/run/user/",
    "/run/lock/",
    "/dev/mqueue/",
];

/// A process that wants a processor at so many hundredths of the looks at it computes, if it got a
/// fifth of what one does that has a processor to itself.
const RUNNABLE: u32 = 85;
const CROWDED: u64 = 5;

impl<'a> Scene<'a> {
    pub fn new(
        snapshot: &'a Snapshot,
        history: Option<&'a History>,
        policy: &'a Policy,
        words: &'a Words,
    ) -> Scene<'a> {
        let by_pid = snapshot
            .processes
            .iter()
            .map(|process| (process.id.pid, process));
        let by_pid: HashMap<u32, &Process> = by_pid.collect();
        let mut scene = Scene {
            snapshot,
            history,
            policy,
            words,
            subjects: Vec::new(),
            by_pid,
        };
        let processes = snapshot.processes.iter();
        scene.subjects = processes.filter_map(|p| scene.subject(p)).collect();
        scene
    }

    fn subject(&self, process: &'a Process) -> Option<Subject<'a>> {
        let student = self.snapshot.student(process)?;
        // A program that became root's by its file's mode does what root's program does.
        let is_students = self.snapshot.students.contains_key(&process.effective_uid);
        if process.has_ended() || !is_students {
            return None;
        }
        let own = process.exe.is_own();
        let cpu_ms = self
            .history
            .map_or(process.cpu_ms, |history| history.cpu_ms(process));
        Some(Subject {
            student,
            process,
            own,
            odd: own.then(|| odd(process, &self.policy.places)).flatten(),
            cpu_ms,
            computes: self.computes(process),
        })
    }

    fn computes(&self, process: &Process) -> bool {
        let Some(history) = self.history else {
            return false;
        };
        let busy = u64::from(self.policy.cpu.busy_percent);
        let rate = u64::from(history.rate_percent(process));
        let age = self.snapshot.at.saturating_sub(process.id.start).max(1);
        // Where many want a processor, or with a nice value, nobody gets much of one.
        let wants = history.runnable_percent(process) >= RUNNABLE && rate * CROWDED >= busy;
        rate >= busy || wants || process.cpu_ms * 100 >= age * busy
    }

    pub fn past(&self, student: Student) -> Option<&'a Past> {
        self.history?.past(student)
    }

    pub fn seat(&self, student: Student) -> Option<&'a Seat> {
        self.snapshot.seats.get(&student)
    }

    /// Milliseconds on processors that are nobody's business: as the workshop says, or the site.
    pub fn allowance(&self, student: Student) -> u64 {
        let stated = self.seat(student).and_then(|seat| seat.cpu_minutes);
        match stated {
            Some(minutes) => u64::from(minutes) * 60_000,
            None => told::ms(self.policy.cpu.grace),
        }
    }

    /// Whether the session has used what it may use without being asked.
    pub fn is_used_up(&self, student: Student) -> bool {
        let used = self.past(student).map_or(0, |past| past.session_used().all);
        used >= self.allowance(student)
    }

    /// The ancestors of a process, nearest first.
    pub fn ancestors(&self, process: &Process) -> impl Iterator<Item = &'a Process> {
        let mut next = process.parent;
        let mut left = self.by_pid.len();
        std::iter::from_fn(move || {
            // A process is not its own ancestor, unless the table was read while it changed.
            left = left.checked_sub(1)?;
            let parent = *self.by_pid.get(&next)?;
            next = parent.parent;
            Some(parent)
        })
    }

    /// Whether the hub started it: a notebook server, its kernels, what runs in its terminals.
    pub fn is_hubs(&self, process: &Process) -> bool {
        let unit = process.cgroup.as_deref().unwrap_or_default();
        // Units of the system are root's to make; a student's own are below user.slice.
        let in_unit = unit
            .strip_prefix("/system.slice/")
            .is_some_and(|unit| unit.starts_with("jupyter"));
        in_unit
            || self.ancestors(process).any(|ancestor| {
                let is_others = !self.snapshot.students.contains_key(&ancestor.uid);
                let is_hub = |word: &String| word.rsplit('/').next() == Some("jupyterhub");
                is_others && ancestor.argv.iter().take(3).any(is_hub)
            })
    }

    /// Says something of processes of one student.
    pub fn finding(&self, rule: Rule, level: Level, score: u8, about: &[&Subject]) -> Finding {
        let first = about[0];
        Finding {
            rule,
            level,
            student: first.student,
            processes: about.iter().map(|subject| subject.process.id).collect(),
            score,
            sentence: String::new(),
            evidence: about
                .iter()
                .take(told::MOST)
                .flat_map(|subject| told::evidence(subject.process))
                .collect(),
            allowed: None,
        }
    }

    /// What a rule finds about each student, from all of theirs that may be judged: at least one.
    pub fn of_each_student<Found: IntoIterator<Item = Finding>>(
        &self,
        rule: impl Fn(Student, &[&Subject]) -> Found,
    ) -> Vec<Finding> {
        let mut groups: BTreeMap<Student, Vec<&Subject>> = BTreeMap::new();
        for subject in &self.subjects {
            groups.entry(subject.student).or_default().push(subject);
        }
        let found = groups
            .iter()
            .flat_map(|(student, group)| rule(*student, group));
        found.collect()
    }
}

/// What is odd about the place of a program of a student's own.
fn odd(process: &Process, places: &Places) -> Option<Odd> {
    let path = process.exe.path.as_ref()?.to_str().unwrap_or_default();
    let deleted = process.exe.deleted;
    if path == TOO_LONG {
        return Some(Odd::Deep);
    }
    if path.starts_with("/memfd:") {
        return Some(Odd::Memory);
    }
    let below = TEMPORARY.iter().find_map(|dir| path.strip_prefix(dir));
    if let Some(below) = below {
        let honest = places.honest_temporary.iter();
        let is_honest = honest
            .into_iter()
            .any(|name| below.starts_with(name.as_str()));
        return (!is_honest).then_some(Odd::Temporary { deleted });
    }
    let dirs = path.rsplit_once('/').map_or("", |(dirs, _)| dirs);
    let hidden = dirs.split('/').find(|dir| dir.starts_with('.'));
    match hidden {
        Some(dir) if !places.honest.contains(dir) => Some(Odd::Hidden { deleted }),
        // A program with a hidden name is as hidden as its directory.
        None if path[dirs.len()..].starts_with("/.") => Some(Odd::Hidden { deleted }),
        _ => deleted.then_some(Odd::Deleted),
    }
}
