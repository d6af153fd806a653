//! The words of findings: what a process is, in one line a fact.

use std::time::Duration;

use super::process::Process;
use crate::domain::quoted;

/// Of so many processes at most a finding tells the facts.
pub const MOST: usize = 4;

/// Letters of arguments that are told.
const LONGEST: usize = 400;

pub fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The program's path, else the name: what a person looks for.
pub fn program(process: &Process) -> String {
    match &process.exe.path {
        Some(path) => quoted(&path.to_string_lossy()),
        None => quoted(&process.name),
    }
}

/// `45 s`, `12 min`, `3 h`
pub fn span(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// `1 process`, `3 processes`
pub fn processes(count: usize) -> String {
    match count {
        1 => "1 process".to_owned(),
        count => format!("{count} processes"),
    }
}

/// How far over a limit: 50 is at it, 100 at twice of it and more.
pub fn score(value: u64, limit: u64) -> u8 {
    let score = value.saturating_mul(50) / limit.max(1);
    u8::try_from(score.min(100)).unwrap_or(100)
}

/// The facts of one process.
pub fn evidence(process: &Process) -> Vec<String> {
    let mut lines = vec![format!(
        "process {} of parent {}, program {}{}, called {}",
        process.id.pid,
        process.parent,
        program(process),
        if process.exe.deleted {
            " (deleted)"
        } else {
            ""
        },
        quoted(&process.name),
    )];
    if !process.argv.is_empty() {
        let argv: String = process.argv.join(" ");
        let shown: String = argv
            .chars()
            .take(LONGEST)
            .flat_map(char::escape_default)
            .collect();
        let more = if argv.chars().nth(LONGEST).is_some() {
            "…"
        } else {
            ""
        };
        lines.push(format!("arguments of {}: `{shown}{more}`", process.id.pid));
    }
    if process.cpu_ms >= 1000 {
        lines.push(format!(
            "{} used {} on processors",
            process.id.pid,
            span(process.cpu_ms)
        ));
    }
    lines
}
