//! Too many processes, too many new ones, and copies of one program that go on coming.

use std::collections::HashMap;
use std::path::Path;

use crate::domain::{Student, quoted};
use crate::watchdog::finding::{Finding, Level, Rule};
use crate::watchdog::scene::{Scene, Subject};
use crate::watchdog::told;

/// New processes are counted over so many milliseconds.
const FORKS: u64 = 10_000;
/// Hundredths of the processes that have to run one program, for it to be a bomb.
const ALIKE: usize = 90;
/// One of so many is new while a bomb is watched.
const REFILL: u32 = 20;

pub fn ask(scene: &Scene) -> Vec<Finding> {
    scene.of_each_student(|student, group| {
        let found = [crowd(scene, student, group), forks(scene, student, group)];
        found.into_iter().flatten()
    })
}

fn crowd(scene: &Scene, student: Student, group: &[&Subject]) -> Option<Finding> {
    let (limits, who) = (&scene.policy.processes, student.account());
    let count = u32::try_from(group.len()).unwrap_or(u32::MAX);
    let (level, sentence) = match bomb(scene, student, group) {
        Some(program) => (
            Level::Certain,
            format!("{who} has {count} processes, nearly all of them {program}"),
        ),
        None if count >= limits.suspicious => {
            (Level::Suspicious, format!("{who} has {count} processes"))
        }
        None if count >= limits.notice => (Level::Notice, format!("{who} has {count} processes")),
        None => return None,
    };
    let score = match level {
        Level::Certain => 100,
        _ => told::score(u64::from(count), u64::from(limits.suspicious)),
    };
    Some(Finding {
        sentence,
        ..scene.finding(Rule::Processes, level, score, group)
    })
}

/// The program of a fork bomb: hundreds of copies of a student's own program, or of one of root's
/// of which new copies go on coming (workers that stay are none).
fn bomb(scene: &Scene, student: Student, group: &[&Subject]) -> Option<String> {
    let limits = &scene.policy.processes;
    let past = scene.past(student)?;
    let (at, span) = (scene.snapshot.at, told::ms(limits.bomb_after));
    let fewest = past.fewest_processes(at, span)?;
    if fewest < limits.bomb {
        return None;
    }
    let mut programs: HashMap<(&Path, bool), usize> = HashMap::new();
    for subject in group {
        if let Some(path) = &subject.process.exe.path {
            *programs.entry((path, subject.own)).or_default() += 1;
        }
    }
    let most = programs
        .into_iter()
        .max_by_key(|(program, count)| (*count, *program));
    let ((path, own), count) = most?;
    let is_alike = count * 100 >= group.len() * ALIKE;
    let goes_on = past.new_processes(at, span) * REFILL >= fewest;
    (is_alike && (own || goes_on)).then(|| quoted(&path.to_string_lossy()))
}

fn forks(scene: &Scene, student: Student, group: &[&Subject]) -> Option<Finding> {
    let limits = &scene.policy.processes;
    let new = scene.past(student)?.new_processes(scene.snapshot.at, FORKS);
    let rate = new / u32::try_from(FORKS / 1000).unwrap_or(1);
    let level = match rate {
        rate if rate >= limits.forks_suspicious => Level::Suspicious,
        rate if rate >= limits.forks_notice => Level::Notice,
        _ => return None,
    };
    Some(Finding {
        sentence: format!("{} starts {rate} processes a second", student.account()),
        ..scene.finding(
            Rule::Processes,
            level,
            told::score(u64::from(rate), u64::from(limits.forks_suspicious)),
            group,
        )
    })
}
