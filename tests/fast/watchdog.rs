//! The watchdog's rules. Every `tests/cases/watchdog/*.case` is a world that goes on for a while,
//! and what is said of it when; every `tests/cases/watchdog-policy/*.yml` is a policy with mistakes.
//!
//! With WOD_REWRITE=1 in the environment the expectations are written anew: look at the difference
//! before you commit it.

mod bounds;
mod chosen;
mod policies;
mod props;
mod recordings;
mod table;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use wod::watchdog::{Exception, Finding, History, Judge, Policy, Snapshot};

use world::World;

const REWRITE: &str = "WOD_REWRITE";
const BAR: &str = "----\n";

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(folder);
    let entries = fs::read_dir(&folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == extension));
    files.sort();
    assert!(!files.is_empty(), "{} has no cases", folder.display());
    files
}

/// When each rule says something of a student for the first time at a level, a line each.
fn timeline(world: &World) -> String {
    timeline_of(
        world.policy(),
        world.exceptions(),
        world.snapshots(),
        |_| {},
    )
}

/// The same of any series of snapshots; `see` is shown every finding.
fn timeline_of(
    policy: Policy,
    exceptions: Vec<Exception>,
    series: impl Iterator<Item = (u64, Snapshot)>,
    mut see: impl FnMut(&Finding),
) -> String {
    let judge = Judge::new(policy, exceptions).unwrap();
    let mut history = History::default();
    let mut told = BTreeSet::new();
    let mut lines = String::new();
    for (seconds, snapshot) in series {
        history.observe(&snapshot);
        for finding in judge.judge(&snapshot, &history) {
            see(&finding);
            if told.insert((finding.student, finding.rule, finding.level)) {
                lines.push_str(&line(seconds, &finding, &judge));
            }
        }
    }
    match lines.is_empty() {
        true => "nothing\n".to_owned(),
        false => lines,
    }
}

fn line(seconds: u64, finding: &Finding, judge: &Judge) -> String {
    let response = serde_json::to_value(judge.policy().response(finding)).unwrap();
    let allowed = match &finding.allowed {
        Some(comment) => format!(" (allowed: {comment})"),
        None => String::new(),
    };
    format!(
        "{seconds:>6} s  {:<10} {:<11} {:>3} -> {}: {}{allowed}\n",
        finding.level.name(),
        finding.rule.name(),
        finding.score,
        response.as_str().unwrap(),
        finding.sentence
    )
}

#[test]
fn every_case_is_told_as_expected() {
    let mut wrong = Vec::new();
    for path in files("watchdog", "case") {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let (input, expected) = text.split_once(BAR).unwrap_or((&text, ""));
        assert!(
            input.starts_with("# "),
            "{name}: say what it is in a # line"
        );
        let told = timeline(&World::read(input, name));
        if told == expected {
            continue;
        }
        if std::env::var_os(REWRITE).is_some() {
            fs::write(&path, format!("{input}{BAR}{told}")).unwrap();
        }
        wrong.push(format!("{name}\nexpected\n{expected}told\n{told}"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
