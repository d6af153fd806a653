//! From /proc to a snapshot, again and again. What rarely changes is read when a process runs another
//! program, while it computes, and once in a while; what is left is one small read each.
//!
//! sysinfo is not used for this: it opens and parses several files of every process of the host each
//! time, and knows neither the tracer nor whether a program is deleted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::glimpse::{Glimpse, Programs, Seen};
use super::hashes::Hashes;
use super::process::Process;
use super::procfs::{Proc, since_boot};
use super::snapshot::{Seat, Snapshot};
use super::sockets;
use crate::adapters::accounts_linux::StudentUids;
use crate::domain::{Student, Time};

/// Everything is read again after so many samples.
const TURN: u64 = 64;
/// What has slept for so many samples without using a processor is read only after so many more: a
/// host has thousands that do nothing, and each read costs the kernel more than it costs us.
const RESTS: u64 = 4;
const RESTS_TURN: u64 = 8;
/// Connections are looked for in every so many samples: the kernel goes through all of its table.
const PEERS_TURN: u64 = 3;
/// The account files are asked again after so many samples; before anything is stopped they always are.
const ACCOUNTS_TURN: u64 = 64;
/// Ancestors that are shown with a program that has just started: students can have very many.
const NEAREST: usize = 16;
/// Milliseconds on processors between two samples from which a process is looked at closely.
const COMPUTES: u64 = 100;

pub struct Sampler {
    uids: StudentUids,
    proc: Proc,
    cores: u32,
    known: HashMap<u32, Known>,
    processes: Vec<Process>,
    students: BTreeMap<u32, Student>,
    programs: Programs,
    hashes: Hashes,
    wants_hashes: bool,
    turn: u64,
}

/// A process that is looked at again.
struct Known {
    /// Its place in `processes`.
    slot: usize,
    /// Means this process whatever becomes of its pid.
    stat: OwnedFd,
    image: (u64, u64),
    seen: u64,
    /// Samples in a row in which it did nothing.
    idle: u64,
}

impl Known {
    fn rests(&self, pid: u32) -> bool {
        self.idle >= RESTS && !(u64::from(pid) + self.seen).is_multiple_of(RESTS_TURN)
    }
}

impl Sampler {
    pub fn new(uids: StudentUids) -> io::Result<Sampler> {
        let cores = std::thread::available_parallelism();
        Ok(Sampler {
            uids,
            proc: Proc::open()?,
            cores: cores.map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1)),
            known: HashMap::new(),
            processes: Vec::new(),
            students: BTreeMap::new(),
            programs: Programs::default(),
            hashes: Hashes::default(),
            wants_hashes: false,
            turn: 0,
        })
    }

    /// Whether some rule asks for the sums of programs.
    pub fn want_hashes(&mut self, wanted: bool) {
        self.wants_hashes = wanted;
    }

    /// Shows everything as it is now; what does nothing, as it was a few samples ago. `seats` and
    /// `started` are for `look` to put in.
    pub fn sample<T>(&mut self, look: impl FnOnce(&mut Snapshot) -> T) -> io::Result<T> {
        self.turn += 1;
        self.hashes.refill();
        let at = since_boot();
        for pid in self.proc.pids()? {
            self.look(pid);
        }
        self.find_ancestors();
        self.forget_the_gone();
        if self.turn % PEERS_TURN == 1 {
            self.find_peers();
        }
        self.find_students();
        // Lent, not copied: of a host's processes there are thousands.
        let processes = std::mem::take(&mut self.processes);
        let mut snapshot = self.snapshot(at, processes, self.students.clone());
        let seen = look(&mut snapshot);
        self.processes = snapshot.processes;
        Ok(seen)
    }

    fn snapshot(
        &self,
        at: u64,
        processes: Vec<Process>,
        students: BTreeMap<u32, Student>,
    ) -> Snapshot {
        Snapshot {
            at,
            now: Time::now(),
            cores: self.cores,
            processes,
            students,
            seats: BTreeMap::new(),
            started: BTreeMap::new(),
        }
    }

    /// Known ones are looked at again, students' become known.
    fn look(&mut self, pid: u32) {
        if self.look_again(pid) {
            return;
        }
        let is_students = self
            .proc
            .status(pid)
            .is_some_and(|status| self.uids.student(status.uid).is_some());
        if is_students {
            self.meet(pid);
        }
    }

    /// False when it is not known, or no more what it was.
    fn look_again(&mut self, pid: u32) -> bool {
        let Some(known) = self.known.get_mut(&pid) else {
            return false;
        };
        known.seen = self.turn;
        if known.rests(pid) {
            return true;
        }
        let Some(stat) = self.proc.read_stat(known.stat.as_fd()) else {
            self.forget(pid);
            return false;
        };
        let process = &mut self.processes[known.slot];
        let used = stat.cpu_ms.saturating_sub(process.cpu_ms);
        known.idle = match (used, stat.state) {
            (0, 'S' | 'I' | 'T') => known.idle + 1,
            _ => 0,
        };
        let differs = stat.image != known.image || stat.name != process.name;
        let is_due =
            differs || used >= COMPUTES || (u64::from(pid) + self.turn).is_multiple_of(TURN);
        known.image = stat.image;
        process.take(&stat);
        process.resident = self.proc.resident(pid, &stat);
        if is_due && let Some(status) = self.proc.status(pid) {
            self.proc.look_closer(process, status);
        }
        if self.wants_hashes {
            self.hashes.fill(&self.proc, process);
        }
        true
    }

    fn meet(&mut self, pid: u32) {
        let Some((mut process, stat, now)) = self.proc.process(pid) else {
            return;
        };
        if self.wants_hashes && self.uids.student(process.uid).is_some() {
            self.hashes.fill(&self.proc, &mut process);
        }
        let known = Known {
            slot: self.processes.len(),
            stat,
            image: now.image,
            seen: self.turn,
            idle: 0,
        };
        self.processes.push(process);
        self.known.insert(pid, known);
    }

    fn forget(&mut self, pid: u32) {
        let Some(known) = self.known.remove(&pid) else {
            return;
        };
        self.processes.swap_remove(known.slot);
        if let Some(moved) = self.processes.get(known.slot)
            && let Some(moved) = self.known.get_mut(&moved.id.pid)
        {
            moved.slot = known.slot;
        }
    }

    /// Of everybody who is known, up to the first process. Those of others are known only for it.
    fn find_ancestors(&mut self) {
        let mut wanted: Vec<u32> = Vec::new();
        let mut met = HashSet::new();
        for process in &self.processes {
            if self.uids.student(process.uid).is_some() {
                wanted.push(process.parent);
            }
        }
        while let Some(pid) = wanted.pop() {
            if pid == 0 || !met.insert(pid) {
                continue;
            }
            if self
                .known
                .get(&pid)
                .is_none_or(|known| known.seen != self.turn)
                && !self.look_again(pid)
            {
                self.meet(pid);
            }
            if let Some(known) = self.known.get(&pid) {
                wanted.push(self.processes[known.slot].parent);
            }
        }
        let idle: Vec<u32> = self
            .processes
            .iter()
            .filter(|p| self.uids.student(p.uid).is_none() && !met.contains(&p.id.pid))
            .map(|p| p.id.pid)
            .collect();
        idle.into_iter().for_each(|pid| self.forget(pid));
    }

    fn forget_the_gone(&mut self) {
        let gone = self
            .known
            .iter()
            .filter(|(_, known)| known.seen != self.turn);
        let gone: Vec<u32> = gone.map(|(pid, _)| *pid).collect();
        gone.into_iter().for_each(|pid| self.forget(pid));
    }

    fn find_peers(&mut self) {
        for process in &mut self.processes {
            process.peers.clear();
        }
        let uids: HashSet<u32> = self
            .processes
            .iter()
            .map(|process| process.uid)
            .filter(|uid| self.uids.student(*uid).is_some())
            .collect();
        let outgoing = sockets::outgoing(&self.proc, &uids);
        if outgoing.is_empty() {
            return;
        }
        for process in &mut self.processes {
            if let Some(sockets) = outgoing.get(&process.uid) {
                process.peers = sockets::of_process(&self.proc, process.id.pid, sockets);
            }
        }
    }

    /// Only uids whose account is the student's count.
    fn find_students(&mut self) {
        // A program that became another student's by its file's mode is a student's, too.
        let of_one = |process: &Process| [process.uid, process.effective_uid];
        let uids: HashSet<u32> = self.processes.iter().flat_map(of_one).collect();
        let turn = self.turn;
        let is_due = |uid: u32| (u64::from(uid) + turn).is_multiple_of(ACCOUNTS_TURN);
        self.students
            .retain(|uid, _| uids.contains(uid) && !is_due(*uid));
        for uid in uids {
            self.is_students(uid);
        }
    }

    fn is_students(&mut self, uid: u32) -> Option<Student> {
        if let Some(student) = self.students.get(&uid) {
            return Some(*student);
        }
        let student = self.uids.student(uid)?;
        self.uids.suspect(student)?;
        self.students.insert(uid, student);
        Some(student)
    }

    /// A first look at processes that have just started their programs.
    pub fn glance(&mut self, pids: &[u32]) -> Vec<Seen> {
        let is_student = |uid| self.uids.student(uid).is_some();
        self.programs.look(&self.proc, pids, is_student)
    }

    /// One of them after that look: whose it is, and itself with its nearest ancestors as they were
    /// last seen, unless it is root's program and `is_plain`. None when it is not a student's, or
    /// gone. What rules about programs do not ask is not read.
    pub fn at_exec(
        &mut self,
        pid: u32,
        seen: &Seen,
        is_plain: impl Fn(Glimpse) -> bool,
    ) -> Option<(Student, Option<Snapshot>)> {
        let plain = match seen {
            Seen::Gone => return None,
            Seen::Roots(uid, file, argv) => is_plain(Glimpse { file, argv }).then_some(*uid),
            Seen::Other => None,
        };
        if let Some(uid) = plain
            && let Some(student) = self.is_students(uid)
        {
            self.wake(pid);
            return Some((student, None));
        }
        let status = self.proc.status(pid)?;
        self.uids.student(status.uid)?;
        let student = self.is_students(status.uid)?;
        self.wake(pid);
        let mut process = self.proc.started(pid, status)?;
        if self.wants_hashes {
            self.hashes.fill(&self.proc, &mut process);
        }
        let mut processes = vec![process];
        while let Some(parent) = processes.last().map(|process| process.parent) {
            if parent == 0 || processes.len() > NEAREST {
                break;
            }
            let Some(parent) = self.ancestor(parent) else {
                break;
            };
            processes.push(parent);
        }
        let uids = processes.iter().map(|process| process.uid);
        let students = uids.filter_map(|uid| Some((uid, *self.students.get(&uid)?)));
        let students = students.collect();
        let snapshot = self.snapshot(since_boot(), processes, students);
        Some((student, Some(snapshot)))
    }

    /// What runs another program does something.
    fn wake(&mut self, pid: u32) {
        if let Some(known) = self.known.get_mut(&pid) {
            known.idle = 0;
        }
    }

    fn ancestor(&mut self, pid: u32) -> Option<Process> {
        if !self.known.contains_key(&pid) {
            self.meet(pid);
        }
        let known = self.known.get(&pid)?;
        self.processes.get(known.slot).cloned()
    }

    pub fn take_seats(snapshot: &mut Snapshot, all: &BTreeMap<Student, Seat>) {
        snapshot.seats = snapshot
            .students
            .values()
            .filter_map(|student| Some((*student, all.get(student)?.clone())))
            .collect();
    }
}
