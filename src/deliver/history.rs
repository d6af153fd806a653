//! Past runs, a file each below WODSTATEDIR/private/deliver/runs: a line when it begins, one for each
//! thing that happened, one when it ends. A run without a last line was killed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::Time;
use crate::ports::Fault;
use crate::safefs::Dir;

use super::item::Outcome;
use super::place::of_files;
use super::report::{Event, Recap, Report};

/// Runs that are kept.
const RUNS: usize = 60;
/// Of one run; what comes then is only counted.
const LARGEST: usize = 1 << 20;
/// Of what happened to one item, in characters.
const LONGEST: usize = 8 << 10;
const LARGEST_READ: u64 = 4 << 20;

/// Who began a run, when, and what it was to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    pub at: Time,
    /// `scheduler`, `timer`, or an account.
    pub by: String,
    pub tags: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub at: Time,
    /// As [`Recap::to_json`].
    pub recap: Value,
    /// Things that happened and were too many to be kept.
    pub left_out: usize,
}

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    pub run: u64,
    pub begun: Begun,
    /// As [`Event::to_json`]: whatever was not simply right.
    pub events: Vec<Value>,
    /// None while it is on its way, and for ever when it was killed.
    pub end: Option<End>,
}

impl Past {
    pub fn all(&self, outcome: Outcome) -> impl Iterator<Item = &Value> {
        let word = outcome.as_str();
        self.events
            .iter()
            .filter(move |event| event["outcome"] == word)
    }

    /// How many items; of a run without an end, those that were kept.
    pub fn count(&self, outcome: Outcome) -> u64 {
        match &self.end {
            Some(end) => end.recap["total"][outcome.as_str()].as_u64().unwrap_or(0),
            None => self.all(outcome).count() as u64,
        }
    }

    pub fn was_interrupted(&self) -> bool {
        self.end
            .as_ref()
            .is_some_and(|end| end.recap["interrupted"] == true)
    }
}

#[derive(Debug, Clone)]
pub struct History {
    root: PathBuf,
}

impl History {
    /// `root` is deliver's directory; it is made when the first run begins.
    pub fn new(root: PathBuf) -> History {
        History { root }
    }

    /// A new run. The oldest ones go. To be called with deliver's lock held.
    pub fn begin(&self, begun: Begun) -> Result<Recorder, Fault> {
        let dir = self.make_dir()?;
        let mut runs = numbers(&dir)?;
        let run = runs.last().map_or(1, |last| last + 1);
        runs.push(run);
        for old in runs.iter().take(runs.len().saturating_sub(RUNS)) {
            let name = name(*old);
            dir.remove_file(&name).map_err(|e| of_files(&name, &e))?;
        }
        let path = dir.path().join(name(run));
        let failed = |e: &std::io::Error| {
            let path = path.display();
            Fault::retry(format!("{path}: this run cannot be kept")).because(e)
        };
        let open = OpenOptions::new()
            .create_new(true)
            .append(true)
            .mode(0o600)
            .open(&path);
        let mut file = open.map_err(|e| failed(&e))?;
        let first = format!("{}\n", json!({"begun": begun}));
        file.write_all(first.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|e| failed(&e))?;
        dir.sync().map_err(|e| of_files(dir.path(), &e))?;
        let mut recorder = Recorder::unkept(begun);
        recorder.file = Some(file);
        recorder.written = first.len();
        recorder.past.run = run;
        Ok(recorder)
    }

    /// Newest first.
    pub fn all(&self) -> Result<Vec<Past>, Fault> {
        let Some(dir) = self.dir()? else {
            return Ok(Vec::new());
        };
        let runs = numbers(&dir)?;
        let mut all = Vec::new();
        for run in runs.into_iter().rev() {
            all.extend(read(&dir, run)?);
        }
        Ok(all)
    }

    pub fn newest(&self) -> Result<Option<u64>, Fault> {
        match self.dir()? {
            None => Ok(None),
            Some(dir) => Ok(numbers(&dir)?.pop()),
        }
    }

    pub fn get(&self, run: u64) -> Result<Option<Past>, Fault> {
        match self.dir()? {
            None => Ok(None),
            Some(dir) => read(&dir, run),
        }
    }

    fn dir(&self) -> Result<Option<Dir>, Fault> {
        let path = self.root.join("runs");
        match Dir::open_root(&path) {
            Err(e) if e.is_not_found() => Ok(None),
            opened => opened.map(Some).map_err(|e| of_files(&path, &e)),
        }
    }

    fn make_dir(&self) -> Result<Dir, Fault> {
        let parent = self.root.parent().unwrap_or(&self.root);
        let own = Path::new(self.root.file_name().unwrap_or_default());
        Dir::open_root(parent)
            .and_then(|dir| dir.make_dir(own, 0o700))
            .and_then(|dir| dir.make_dir(Path::new("runs"), 0o700))
            .map_err(|e| of_files(&self.root, &e))
    }
}

fn name(run: u64) -> PathBuf {
    PathBuf::from(format!("{run}.jsonl"))
}

/// In order.
fn numbers(dir: &Dir) -> Result<Vec<u64>, Fault> {
    let entries = dir.entries().map_err(|e| of_files(dir.path(), &e))?;
    let mut runs: Vec<u64> = entries
        .iter()
        .filter_map(|entry| entry.name.to_str()?.strip_suffix(".jsonl")?.parse().ok())
        .collect();
    runs.sort_unstable();
    Ok(runs)
}

/// None when it is gone, or was killed before its first line was whole.
fn read(dir: &Dir, run: u64) -> Result<Option<Past>, Fault> {
    let name = name(run);
    let bytes = match dir.read(&name, LARGEST_READ) {
        Err(e) if e.is_not_found() => return Ok(None),
        read => read.map_err(|e| of_files(&name, &e))?,
    };
    let text = String::from_utf8_lossy(&bytes);
    // What a kill or a full disk cut in two is no line.
    let mut lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let begun = lines
        .next()
        .and_then(|mut first| serde_json::from_value(first["begun"].take()).ok());
    let Some(begun) = begun else { return Ok(None) };
    let (mut events, mut end) = (Vec::new(), None);
    for mut line in lines {
        match line.get_mut("end") {
            None => events.push(line),
            Some(last) => end = serde_json::from_value(last.take()).ok(),
        }
    }
    Ok(Some(Past {
        run,
        begun,
        events,
        end,
    }))
}

/// Keeps what happens while it happens. It is given masked events only.
pub struct Recorder {
    /// None after a line could not be written: the run itself goes on.
    file: Option<File>,
    written: usize,
    left_out: usize,
    past: Past,
}

impl Recorder {
    /// For a run that no file could be made for: it still has something to tell.
    pub fn unkept(begun: Begun) -> Recorder {
        Recorder {
            file: None,
            written: 0,
            left_out: 0,
            past: Past {
                run: 0,
                begun,
                events: Vec::new(),
                end: None,
            },
        }
    }

    pub fn run(&self) -> u64 {
        self.past.run
    }

    /// The run as it is kept; on the disk when this is done.
    pub fn end(mut self, at: Time, recap: &Recap) -> Past {
        let end = End {
            at,
            recap: recap.to_json(),
            left_out: self.left_out,
        };
        self.write(&json!({"end": end}));
        if let Some(file) = &self.file
            && let Err(e) = file.sync_all()
        {
            tracing::warn!("run {} may not be kept: {e}", self.past.run);
        }
        self.past.end = Some(end);
        self.past
    }

    /// The run as it is so far, as if it ended so.
    pub fn so_far(&self, at: Time, recap: &Recap) -> Past {
        let mut past = self.past.clone();
        past.end = Some(End {
            at,
            recap: recap.to_json(),
            left_out: self.left_out,
        });
        past
    }

    fn write(&mut self, value: &Value) {
        let line = format!("{value}\n");
        self.written += line.len();
        let Some(file) = &mut self.file else { return };
        if let Err(e) = file.write_all(line.as_bytes()) {
            tracing::warn!("what happens in run {} is not kept: {e}", self.past.run);
            self.file = None;
        }
    }
}

impl Report for Recorder {
    fn event(&mut self, event: &Event) {
        if event.outcome == Outcome::Ok && event.output.is_empty() {
            return;
        }
        let mut event = event.clone();
        shorten(&mut event.line);
        let value = event.to_json();
        if self.written + value.to_string().len() > LARGEST {
            self.left_out += 1;
            return;
        }
        self.write(&value);
        self.past.events.push(value);
    }
}

fn shorten(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(at);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::item::Tag;

    fn begun(at: i64) -> Begun {
        Begun {
            at: Time(at),
            by: "root".to_owned(),
            tags: Vec::new(),
        }
    }

    fn event(outcome: Outcome, line: &str) -> Event {
        Event {
            tag: Tag::System,
            item: "file /etc/x".to_owned(),
            outcome,
            line: line.to_owned(),
            texts: Vec::new(),
            output: String::new(),
        }
    }

    fn recap(outcomes: &[Outcome]) -> Recap {
        let mut recap = Recap::default();
        for outcome in outcomes {
            recap.add(Tag::System, *outcome);
        }
        recap
    }

    fn history() -> (tempfile::TempDir, History) {
        let dir = tempfile::tempdir().unwrap();
        let history = History::new(dir.path().join("deliver"));
        (dir, history)
    }

    #[test]
    fn what_was_kept_is_read_again() {
        let (_dir, history) = history();
        assert_eq!(history.all().unwrap(), []);
        let mut first = history.begin(begun(1)).unwrap();
        first.event(&event(Outcome::Ok, ""));
        first.event(&event(Outcome::Changed, "mode 0644 -> 0600"));
        let kept = first.end(Time(5), &recap(&[Outcome::Ok, Outcome::Changed]));
        assert_eq!(kept.events.len(), 1);
        let second = history.begin(begun(9)).unwrap();
        assert_eq!(second.run(), 2);
        drop(second);
        let all = history.all().unwrap();
        assert_eq!(all[1], kept);
        assert_eq!((all[0].run, &all[0].end), (2, &None));
        assert_eq!(history.get(1).unwrap().unwrap().count(Outcome::Ok), 1);
        assert_eq!(history.get(3).unwrap(), None);
    }

    #[test]
    fn a_run_is_read_wherever_it_was_cut() {
        let (_dir, history) = history();
        let mut whole = history.begin(begun(1)).unwrap();
        whole.event(&event(Outcome::Failed, "no"));
        whole.end(Time(2), &recap(&[Outcome::Failed]));
        let path = history.root.join("runs/1.jsonl");
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let read = history.get(1).unwrap();
            // The very last byte is a line feed.
            let ended = read.as_ref().is_some_and(|past| past.end.is_some());
            assert_eq!(ended, length == bytes.len() - 1, "{length}");
        }
    }

    #[test]
    fn neither_runs_nor_lines_are_kept_without_end() {
        let (_dir, history) = history();
        for n in 0..70 {
            drop(history.begin(begun(n)).unwrap());
        }
        let all = history.all().unwrap();
        assert_eq!((all.len(), all[0].run, all[59].run), (RUNS, 70, 11));
        let mut long = history.begin(begun(0)).unwrap();
        let line = "ä".repeat(20_000);
        for _ in 0..200 {
            long.event(&event(Outcome::Changed, &line));
        }
        let run = long.run();
        let past = long.end(Time(1), &recap(&[]));
        let left_out = past.end.as_ref().unwrap().left_out;
        assert!(left_out > 100 && left_out + past.events.len() == 200);
        assert_eq!(history.get(run).unwrap().unwrap(), past);
        let size = history.root.join(format!("runs/{run}.jsonl")).metadata();
        assert!(size.unwrap().len() < (LARGEST + 1000) as u64);
    }
}
