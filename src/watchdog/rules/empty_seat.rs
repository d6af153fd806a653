//! Processes on a seat that nobody has. Where it is not known who has it, nothing is said.

use crate::domain::Student;
use crate::watchdog::finding::{Finding, Level, Rule};
use crate::watchdog::scene::{Scene, Subject};
use crate::watchdog::told;

pub fn ask(scene: &Scene) -> Vec<Finding> {
    scene.of_each_student(|student, group| of_one(scene, student, group))
}

fn of_one(scene: &Scene, student: Student, group: &[&Subject]) -> Option<Finding> {
    let seats = &scene.policy.seats;
    let since = scene.past(student)?.empty_since?;
    let empty = scene.snapshot.at.saturating_sub(since);
    let certain = told::ms(seats.empty_certain_after);
    let level = match empty {
        ms if ms >= certain => Level::Certain,
        ms if ms >= told::ms(seats.empty_suspicious_after) => Level::Suspicious,
        _ => Level::Notice,
    };
    Some(Finding {
        sentence: format!(
            "{} runs {} on a seat that nobody has for {}",
            student.account(),
            told::processes(group.len()),
            told::span(empty)
        ),
        ..scene.finding(Rule::EmptySeat, level, told::score(empty, certain), group)
    })
}
