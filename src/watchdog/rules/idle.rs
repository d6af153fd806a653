//! Servers whose student the hub has not seen for long. That harms nobody; it is worth a line.

use crate::domain::Student;
use crate::watchdog::finding::{Finding, Level, Rule};
use crate::watchdog::scene::{Scene, Subject};
use crate::watchdog::told;

pub fn ask(scene: &Scene) -> Vec<Finding> {
    scene.of_each_student(|student, group| of_one(scene, student, group))
}

fn of_one(scene: &Scene, student: Student, group: &[&Subject]) -> Option<Finding> {
    let seat = scene.seat(student)?;
    let last = seat.last_activity?;
    // The hub may mean the participant before.
    let last = seat.since.map_or(last, |since| last.max(since));
    let idle = told::ms(scene.snapshot.now.since(last));
    let limit = told::ms(scene.policy.seats.idle);
    let mut servers: Vec<&Subject> = group.to_vec();
    servers.retain(|subject| scene.is_hubs(subject.process));
    if idle < limit || servers.is_empty() {
        return None;
    }
    Some(Finding {
        sentence: format!(
            "{} has a server that nobody has used for {}",
            student.account(),
            told::span(idle)
        ),
        ..scene.finding(
            Rule::Idle,
            Level::Notice,
            told::score(idle, limit),
            &servers,
        )
    })
}
