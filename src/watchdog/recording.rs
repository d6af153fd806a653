//! Snapshots as lines of JSON, each with what differs from the one before. A recording is judged
//! again to see what another policy would say, and honest work is kept as recordings.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::process::{Exe, Process, ProcessId};
use super::snapshot::{Seat, Snapshot};
use crate::domain::{Student, Time};

/// Of the first line; a reader of another version says so.
const VERSION: u32 = 1;

/// A line that is longer was not written by us.
const LONGEST_LINE: u64 = 64 << 20;

/// Thirty years, and 64 TiB: what is more is no figure of a process, and sums of it would overflow.
const MOST_MS: u64 = 1_000_000_000_000;
const MOST_BYTES: u64 = 64 << 40;

/// A process as fields, without those that are as in an empty one.
type Fields = Map<String, Value>;

#[derive(Serialize, Deserialize)]
struct Head {
    recording: u32,
}

/// What differs. What is left out is as before.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame {
    at: u64,
    now: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cores: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    students: Option<BTreeMap<u32, Student>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seats: Option<BTreeMap<Student, Seat>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    started: BTreeMap<Student, u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gone: Vec<u32>,
    /// By pid. A field that is null is empty again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    processes: BTreeMap<u32, Fields>,
}

/// What the lines so far amount to.
#[derive(Default)]
struct State {
    cores: u32,
    students: BTreeMap<u32, Student>,
    seats: BTreeMap<Student, Seat>,
    processes: BTreeMap<u32, Fields>,
}

pub struct Recorder<W> {
    out: W,
    state: State,
}

impl<W: Write> Recorder<W> {
    pub fn new(mut out: W) -> io::Result<Recorder<W>> {
        line(&mut out, &Head { recording: VERSION })?;
        Ok(Recorder {
            out,
            state: State::default(),
        })
    }

    pub fn put(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let frame = self.state.advance(snapshot)?;
        line(&mut self.out, &frame)
    }

    /// The writer, with everything handed to it.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

impl State {
    fn advance(&mut self, snapshot: &Snapshot) -> io::Result<Frame> {
        let mut frame = Frame {
            at: snapshot.at,
            now: snapshot.now.0,
            started: snapshot.started.clone(),
            cores: replaced(&mut self.cores, &snapshot.cores),
            students: replaced(&mut self.students, &snapshot.students),
            seats: replaced(&mut self.seats, &snapshot.seats),
            ..Frame::default()
        };
        let mut now = BTreeMap::new();
        for process in &snapshot.processes {
            now.insert(process.id.pid, fields(process)?);
        }
        let gone = self.processes.keys().filter(|pid| !now.contains_key(pid));
        frame.gone = gone.copied().collect();
        for (pid, fields) in &now {
            let before = self
                .processes
                .get(pid)
                .filter(|old| old.get("id") == fields.get("id"));
            if before.is_none() && self.processes.contains_key(pid) {
                frame.gone.push(*pid);
            }
            let differs = difference(before, fields);
            if !differs.is_empty() {
                frame.processes.insert(*pid, differs);
            }
        }
        self.processes = now;
        Ok(frame)
    }

    fn take(&mut self, frame: Frame) -> Result<Snapshot, serde_json::Error> {
        self.cores = frame.cores.unwrap_or(self.cores);
        self.students = frame
            .students
            .unwrap_or_else(|| std::mem::take(&mut self.students));
        self.seats = frame
            .seats
            .unwrap_or_else(|| std::mem::take(&mut self.seats));
        for pid in frame.gone {
            self.processes.remove(&pid);
        }
        for (pid, differs) in frame.processes {
            let fields = self.processes.entry(pid).or_default();
            for (name, value) in differs {
                match value {
                    Value::Null => drop(fields.remove(&name)),
                    value => drop(fields.insert(name, value)),
                }
            }
        }
        let processes = self.processes.values().map(process);
        let processes: Vec<Process> = processes.collect::<Result<_, _>>()?;
        if frame.at > MOST_MS || !processes.iter().all(is_of_a_host) {
            return Err(serde::de::Error::custom("a number that no host reaches"));
        }
        Ok(Snapshot {
            at: frame.at,
            now: Time(frame.now),
            cores: self.cores,
            processes,
            students: self.students.clone(),
            seats: self.seats.clone(),
            started: frame.started,
        })
    }
}

/// The new value where it is another one.
fn replaced<T: Clone + PartialEq>(before: &mut T, now: &T) -> Option<T> {
    if before == now {
        return None;
    }
    before.clone_from(now);
    Some(now.clone())
}

fn empty() -> Process {
    Process {
        id: ProcessId { pid: 0, start: 0 },
        parent: 0,
        session: 0,
        uid: 0,
        effective_uid: 0,
        exe: Exe::default(),
        name: String::new(),
        argv: Vec::new(),
        cwd: None,
        state: 'S',
        tracer: 0,
        nice: 0,
        threads: 1,
        cpu_ms: 0,
        reaped_cpu_ms: 0,
        resident: 0,
        peers: Vec::new(),
        cgroup: None,
    }
}

fn fields(process: &Process) -> Result<Fields, serde_json::Error> {
    let as_map = |process| match serde_json::to_value(process) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Ok(Map::new()),
        Err(e) => Err(e),
    };
    let empty = empty();
    let empty = as_map(&empty)?;
    let mut fields = as_map(process)?;
    fields.retain(|name, value| empty.get(name) != Some(value));
    Ok(fields)
}

fn process(fields: &Fields) -> Result<Process, serde_json::Error> {
    let mut all = serde_json::to_value(empty())?;
    if let Value::Object(all) = &mut all {
        all.extend(fields.clone());
    }
    serde_json::from_value(all)
}

fn is_of_a_host(process: &Process) -> bool {
    let times = [process.id.start, process.cpu_ms, process.reaped_cpu_ms];
    times.into_iter().all(|ms| ms <= MOST_MS) && process.resident <= MOST_BYTES
}

fn difference(before: Option<&Fields>, now: &Fields) -> Fields {
    let Some(before) = before else {
        return now.clone();
    };
    let changed = now
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(*value));
    let mut differs: Fields = changed
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let emptied = before.keys().filter(|name| !now.contains_key(*name));
    differs.extend(emptied.map(|name| (name.clone(), Value::Null)));
    differs
}

/// Why a recording cannot be judged.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Broken {
    line: usize,
    problem: String,
}

/// Reads a recording, one snapshot after the other.
pub struct Recording<R> {
    input: R,
    line: usize,
    state: State,
}

impl<R: BufRead> Recording<R> {
    /// Fails where the first line is not that of a recording of this version.
    pub fn new(input: R) -> Result<Recording<R>, Broken> {
        let mut recording = Recording {
            input,
            line: 0,
            state: State::default(),
        };
        let head: Option<Head> = recording.next_line()?;
        match head {
            Some(Head { recording: VERSION }) => Ok(recording),
            Some(Head { recording: other }) => Err(recording.broken(format!(
                "a recording of version {other}; this program reads version {VERSION}"
            ))),
            None => Err(recording.broken("nothing; expected a file of wod watchdog record")),
        }
    }

    fn broken(&self, problem: impl ToString) -> Broken {
        Broken {
            line: self.line,
            problem: problem.to_string(),
        }
    }

    fn next_line<T: for<'a> Deserialize<'a>>(&mut self) -> Result<Option<T>, Broken> {
        self.line += 1;
        let mut text = Vec::new();
        let mut limited = io::Read::take(&mut self.input, LONGEST_LINE);
        let read = limited.read_until(b'\n', &mut text);
        match read.map_err(|e| self.broken(e))? {
            0 => Ok(None),
            _ => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|e| self.broken(e)),
        }
    }

    fn next_snapshot(&mut self) -> Result<Option<Snapshot>, Broken> {
        let Some(frame) = self.next_line()? else {
            return Ok(None);
        };
        let snapshot = self.state.take(frame).map_err(|e| self.broken(e))?;
        Ok(Some(snapshot))
    }
}

impl<R: BufRead> Iterator for Recording<R> {
    type Item = Result<Snapshot, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_snapshot().transpose()
    }
}
