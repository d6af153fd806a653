//! What is kept of processes before they are ended, so that a stop can be explained, and undone when
//! it was wrong. Gathered while they are frozen; their programs are read and copied afterwards, from
//! handles that keep them. Of an alert less is kept, of processes that go on.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir as Listing, Mode, OFlags, fstat, openat, readlinkat};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::finding::Finding;
use super::hashes::hex;
use super::process::{Process, ProcessId};
use super::procfs::Proc;
use super::program::Program;
use crate::domain::{Participant, Student, Time, WorkshopName};
use crate::safefs::{self, Dir};

/// How much is kept of one incident.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Processes that are described in full, those that were found first.
    described: usize,
    /// Different programs whose beginnings are copied.
    programs: usize,
    /// Bytes of a program that its sum is taken over; what is behind them is told.
    summed: u64,
}

pub const OF_A_STOP: Extent = Extent {
    described: 48,
    programs: 8,
    summed: 256 << 20,
};
/// There may be another one for each rule and hour.
pub const OF_AN_ALERT: Extent = Extent {
    described: 8,
    programs: 1,
    summed: 64 << 20,
};

const MOST_FILES: usize = 64;
const MOST_NAMES: usize = 200;
const LONGEST: usize = 256;
/// Bytes of each program that are kept.
const COPIED: u64 = 8 << 20;

/// Everything about one incident, to be read by people and forwarded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub incident: i64,
    pub at: Time,
    pub host: String,
    pub student: Student,
    pub participant: Option<Participant>,
    pub workshop: Option<WorkshopName>,
    pub findings: Vec<Finding>,
    /// All of the student's processes.
    pub processes: usize,
    pub described: Vec<Described>,
    pub ancestors: Vec<Process>,
    pub programs: Vec<Kept>,
}

/// One process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Described {
    pub process: Process,
    /// What its descriptors lead to.
    pub files: Vec<String>,
    /// Names only.
    pub environment: Vec<String>,
    /// The number of its program among those that were kept.
    pub program: Option<usize>,
}

/// One program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// Bytes; a sparse file may claim any number.
    pub size: u64,
    pub sha256: Option<String>,
    /// Its sum is that of its beginning only.
    pub partly: bool,
    /// The name of its copy, beside the report; it cannot be executed.
    pub copy: Option<String>,
}

/// Gathered, with the programs still to be read.
pub struct Gathered {
    pub report: Report,
    programs: Vec<Program>,
    summed: u64,
}

/// Describes the processes of these pids. Those that are to be ended should not be running meanwhile.
pub fn gather(proc: &Proc, pids: &[u32], mut report: Report, extent: Extent) -> Gathered {
    report.processes = pids.len();
    let found: Vec<ProcessId> = report
        .findings
        .iter()
        .flat_map(|finding| finding.processes.iter().copied())
        .collect();
    let is_found = |pid: &&u32| found.iter().any(|id| id.pid == **pid);
    let (first, rest): (Vec<u32>, Vec<u32>) = pids.iter().partition(is_found);
    let mut programs = Programs::new(extent.programs);
    for pid in first.into_iter().chain(rest).take(extent.described) {
        report.described.extend(describe(proc, pid, &mut programs));
    }
    report.ancestors = ancestors(proc, &report.described);
    Gathered {
        report,
        programs: programs.open,
        summed: extent.summed,
    }
}

struct Programs {
    most: usize,
    open: Vec<Program>,
    /// By device and inode.
    known: HashMap<(u64, u64), usize>,
}

impl Programs {
    fn new(most: usize) -> Programs {
        Programs {
            most,
            open: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// The number of the first one.
    fn add_all(&mut self, proc: &Proc, process: &Process) -> Option<usize> {
        let all = Program::all_of(proc, process).into_iter();
        let added: Vec<usize> = all.filter_map(|program| self.add(program)).collect();
        added.first().copied()
    }

    fn add(&mut self, program: Program) -> Option<usize> {
        let stat = fstat(&program.file).ok()?;
        let key = (stat.st_dev, stat.st_ino);
        if let Some(known) = self.known.get(&key) {
            return Some(*known);
        }
        if self.open.len() == self.most {
            return None;
        }
        self.known.insert(key, self.open.len());
        self.open.push(program);
        Some(self.open.len() - 1)
    }
}

fn describe(proc: &Proc, pid: u32, programs: &mut Programs) -> Option<Described> {
    let (process, ..) = proc.process(pid)?;
    let (is_own, teller) = (process.exe.is_own(), proc.teller(pid));
    Some(Described {
        files: files(proc, &teller),
        environment: environment(proc, process.uid, &teller),
        program: is_own.then(|| programs.add_all(proc, &process)).flatten(),
        process,
    })
}

fn ancestors(proc: &Proc, described: &[Described]) -> Vec<Process> {
    let is_told = |pid: u32, all: &[Process]| {
        described.iter().any(|one| one.process.id.pid == pid)
            || all.iter().any(|process| process.id.pid == pid)
    };
    let mut all: Vec<Process> = Vec::new();
    let mut next: Vec<u32> = described.iter().map(|one| one.process.parent).collect();
    while let Some(pid) = next.pop() {
        if pid == 0 || is_told(pid, &all) {
            continue;
        }
        if let Some((process, ..)) = proc.process(pid) {
            next.push(process.parent);
            all.push(process);
        }
    }
    all
}

fn files(proc: &Proc, teller: &str) -> Vec<String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(dir) = openat(proc, format!("{teller}/fd"), flags, Mode::empty()) else {
        return Vec::new();
    };
    let Ok(entries) = Listing::read_from(&dir) else {
        return Vec::new();
    };
    let links = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().to_str().ok()?.to_owned();
        name.parse::<u32>().ok()?;
        let to = readlinkat(&dir, entry.file_name(), Vec::new()).ok()?;
        Some(format!("{name} {}", short(&to.to_string_lossy())))
    });
    links.take(MOST_FILES).collect()
}

/// Values may be secrets, of the student or of a workshop.
fn environment(proc: &Proc, uid: u32, teller: &str) -> Vec<String> {
    let bytes = proc.memory(uid, format!("{teller}/environ"), 64 << 10);
    let bytes = bytes.unwrap_or_default();
    let entries = bytes.split(|&b| b == 0);
    let names = entries.filter_map(|entry| {
        let end = entry.iter().position(|&b| b == b'=')?;
        Some(short(&String::from_utf8_lossy(&entry[..end])))
    });
    let mut names: Vec<String> = names.take(MOST_NAMES).collect();
    names.sort_unstable();
    names
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// The name of an incident's directory below the evidence.
pub fn name(incident: i64) -> String {
    format!("incident-{incident}")
}

const REPORT: &str = "report.json";

#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    #[error(transparent)]
    Files(#[from] safefs::Error),
    #[error("the report cannot be put into JSON: {0}")]
    Report(#[from] serde_json::Error),
}

impl Gathered {
    /// Reads the programs and writes everything down; gives the directory's name.
    pub fn keep(mut self, below: &Path) -> Result<String, NotKept> {
        let name = name(self.report.incident);
        let dir = Dir::open_root(below)?.make_dir(name.as_ref(), 0o700)?;
        for (number, program) in self.programs.into_iter().enumerate() {
            let (mut kept, start) = read(program, self.summed);
            let copy = format!("program-{number}");
            if !start.is_empty() && dir.write(copy.as_ref(), &start, 0o400).is_ok() {
                kept.copy = Some(copy);
            }
            self.report.programs.push(kept);
        }
        let text = serde_json::to_vec_pretty(&self.report)?;
        dir.write_durable(REPORT.as_ref(), &text, 0o400)?;
        Ok(name)
    }
}

/// Its sum and its beginning, in one go: they fit each other whatever somebody writes meanwhile.
fn read(mut program: Program, summed: u64) -> (Kept, Vec<u8>) {
    let size = fstat(&program.file).map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0));
    let (mut sum, mut start, mut total) = (Sha256::new(), Vec::new(), 0u64);
    let mut bytes = vec![0; 64 << 10];
    let is_read = loop {
        let Ok(length) = program.file.read(&mut bytes) else {
            break false;
        };
        if length == 0 || total >= summed {
            break true;
        }
        sum.update(&bytes[..length]);
        let room = COPIED.saturating_sub(total);
        let room = usize::try_from(room).unwrap_or(0).min(length);
        start.extend_from_slice(&bytes[..room]);
        total += length as u64;
    };
    let kept = Kept {
        size,
        sha256: is_read.then(|| hex(&sum.finalize())),
        partly: total < size,
        copy: None,
    };
    (kept, start)
}

/// What was kept of an incident.
pub fn report(below: &Path, name: &str) -> Result<Report, String> {
    const LARGEST: u64 = 64 << 20;
    let at: PathBuf = Path::new(name).join(REPORT);
    let bytes = Dir::open_root(below)
        .and_then(|dir| dir.read(&at, LARGEST))
        .map_err(|e| e.to_string())?;
    serde_json::from_slice(&bytes).map_err(|e| e.to_string())
}

/// Removes what was kept of one incident.
pub fn forget(below: &Path, name: &str) -> safefs::Result<()> {
    let dir = Dir::open_root(below)?;
    safefs::remove_tree(&dir, name.as_ref()).map(drop)
}
