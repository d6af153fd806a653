//! `wod watchdog replay`: what the rules say of a recording, and when. Reads two files that the
//! admin names, and does nothing else.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use flate2::bufread::MultiGzDecoder;
use serde_json::json;

use crate::cli::{Exit, NotReady, print_json};
use crate::watchdog::{Finding, History, Judge, Policy, Recording, Snapshot};

const ABOUT: &str = "\
Says when each rule speaks of a student for the first time at a level, and what would be done. The
time is that since the recording's beginning.

Exit status: 0, also when something is found; 1 when the recording cannot be read; 4 when the policy
cannot be used.";

#[derive(clap::Args)]
#[command(after_help = ABOUT)]
pub struct Args {
    /// A file of `wod watchdog record`, also when compressed by gzip
    recording: PathBuf,
    /// A watchdog.yml [default: the product's own policy]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// WODCPUGRACE: minutes on processors that a session may use
    #[arg(long, value_name = "MINUTES")]
    grace: Option<u32>,
    /// One JSON object for each finding, a summary last
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut policy = match &args.policy {
        Some(path) => policy(path)?,
        None => Policy::default(),
    };
    if let Some(minutes) = args.grace {
        policy.cpu.grace = Duration::from_secs(u64::from(minutes) * 60);
    }
    let judge = Judge::new(policy, Vec::new()).map_err(|e| NotReady(e.into()))?;
    let shown = args.recording.display();
    let input = open(&args.recording).with_context(|| format!("cannot read {shown}"))?;
    let recording = Recording::new(input)
        .with_context(|| format!("{shown} is no recording of wod watchdog record"))?;
    let mut replay = Replay {
        judge,
        history: History::default(),
        told: BTreeSet::new(),
        first: None,
        last: 0,
        snapshots: 0,
        json: args.json,
    };
    for snapshot in recording {
        replay.take(&snapshot.with_context(|| shown.to_string())?);
    }
    replay.sum_up();
    Ok(Exit::Done)
}

/// Reads a policy; every mistake is a line.
pub fn policy(path: &Path) -> anyhow::Result<Policy> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the policy {shown}"))
        .map_err(NotReady)?;
    Policy::parse(&text).map_err(|wrong| {
        let lines: Vec<String> = wrong.iter().map(|w| format!("{shown}: {w}")).collect();
        NotReady(anyhow::anyhow!(
            "the policy cannot be used:\n{}",
            lines.join("\n")
        ))
        .into()
    })
}

/// The file, unpacked where it is compressed.
fn open(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let mut file = BufReader::new(File::open(path)?);
    let is_packed = file.fill_buf()?.starts_with(&GZIP);
    let plain: Box<dyn Read> = match is_packed {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    Ok(Box::new(BufReader::new(plain)))
}

struct Replay {
    judge: Judge,
    history: History,
    told: BTreeSet<(
        crate::domain::Student,
        crate::watchdog::Rule,
        crate::watchdog::Level,
    )>,
    /// When the first and the last snapshot were taken.
    first: Option<u64>,
    last: u64,
    snapshots: u64,
    json: bool,
}

impl Replay {
    fn take(&mut self, snapshot: &Snapshot) {
        self.snapshots += 1;
        let first = *self.first.get_or_insert(snapshot.at);
        self.last = snapshot.at;
        self.history.observe(snapshot);
        for finding in self.judge.judge(snapshot, &self.history) {
            if self
                .told
                .insert((finding.student, finding.rule, finding.level))
            {
                self.tell(snapshot.at.saturating_sub(first), &finding);
            }
        }
    }

    fn tell(&self, ms: u64, finding: &Finding) {
        let response = self.judge.policy().response(finding);
        if self.json {
            print_json(&json!({"ms": ms, "response": response, "finding": finding}));
            return;
        }
        let response = serde_json::to_value(response).unwrap_or_default();
        outln!(
            "{:>9.1} s  {:<10}  {:<11}  {:<12}  {}",
            ms as f64 / 1000.0,
            finding.level.name(),
            finding.rule.name(),
            response.as_str().unwrap_or_default(),
            finding.sentence
        );
    }

    fn sum_up(&self) {
        let seconds = self.last.saturating_sub(self.first.unwrap_or(self.last)) / 1000;
        let (snapshots, findings) = (self.snapshots, self.told.len());
        match self.json {
            true => print_json(
                &json!({"snapshots": snapshots, "seconds": seconds, "findings": findings}),
            ),
            false => outln!("{snapshots} snapshots of {seconds} s, {findings} findings"),
        }
    }
}
