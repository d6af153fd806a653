//! Names and words on the list. The name of a program says what it is; a word in the arguments may
//! be anybody's honest text.

use crate::domain::quoted;
use crate::watchdog::finding::{Finding, Level, Rule};
use crate::watchdog::scene::{Scene, Subject};
use crate::watchdog::words::Kind;

/// Words in the arguments of a student's own program that leave no doubt.
const ENOUGH: usize = 3;

pub fn ask(scene: &Scene) -> Vec<Finding> {
    scene
        .subjects
        .iter()
        .filter_map(|s| of_one(scene, s))
        .collect()
}

fn of_one(scene: &Scene, subject: &Subject) -> Option<Finding> {
    let who = subject.student.account();
    let say = |level, score, sentence| {
        let finding = scene.finding(Rule::Name, level, score, &[subject]);
        Some(Finding {
            sentence,
            ..finding
        })
    };
    let file = subject.process.exe.file_name().unwrap_or_default();
    if let Some(word) = scene.words.program(file) {
        let sentence = format!(
            "{who} runs {}, which is on the list as {word}",
            quoted(file)
        );
        return say(Level::Certain, 100, sentence);
    }
    let name = subject.process.name.as_str();
    if let Some(word) = scene.words.program(name) {
        // A script is called as its file is, and runs in root's interpreter.
        let level = if subject.own {
            Level::Certain
        } else {
            Level::Suspicious
        };
        let score = if subject.own { 90 } else { 60 };
        let sentence = format!(
            "{who} runs something called {}, which is on the list as {word}",
            quoted(name)
        );
        return say(level, score, sentence);
    }
    let words = words(scene, subject);
    let shown = words.join(", ");
    match (words.len(), subject.own) {
        (0, _) => None,
        (1, true) => say(
            Level::Suspicious,
            50,
            format!(
                "{who} gives {shown} to a program of their own, {}",
                quoted(file)
            ),
        ),
        (ENOUGH.., true) => say(
            Level::Certain,
            90,
            format!(
                "{who} gives {shown} to a program of their own, {}",
                quoted(file)
            ),
        ),
        (_, true) => say(
            Level::Suspicious,
            70,
            format!(
                "{who} gives {shown} to a program of their own, {}",
                quoted(file)
            ),
        ),
        (count, false) => say(
            Level::Notice,
            if count > 1 { 30 } else { 10 },
            format!("{who} has {shown} in the arguments of {}", quoted(file)),
        ),
    }
}

/// The different listed words in the arguments; what is part of a longer one does not count again.
fn words<'a>(scene: &'a Scene, subject: &'a Subject) -> Vec<&'a str> {
    let arguments = subject.process.argv.iter().skip(1);
    let hits = arguments.flat_map(|argument| scene.words.hits(argument));
    let hits = hits.filter(|hit| matches!(hit.kind, Kind::Program | Kind::Word));
    let mut words: Vec<&str> = hits.map(|hit| hit.word).collect();
    words.sort_unstable();
    words.dedup();
    let all = words.clone();
    words.retain(|word| {
        !all.iter()
            .any(|other| other != word && other.contains(word))
    });
    words
}
