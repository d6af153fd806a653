//! Processes that are still there when the session is over. It is the frontend that ends sessions:
//! somebody has to be told that it did not, but the work may be wanted.

use crate::domain::{Student, Time};
use crate::watchdog::finding::{Finding, Level, Rule};
use crate::watchdog::scene::{Scene, Subject};
use crate::watchdog::told;

pub fn ask(scene: &Scene) -> Vec<Finding> {
    scene.of_each_student(|student, group| of_one(scene, student, group))
}

fn of_one(scene: &Scene, student: Student, group: &[&Subject]) -> Option<Finding> {
    let seats = &scene.policy.seats;
    let seat = scene.seat(student).filter(|seat| seat.taken)?;
    let end = seat
        .until
        .unwrap_or_else(|| begin(scene, seat.since, group) + seats.longest);
    let late = told::ms(scene.snapshot.now.since(end));
    if late == 0 {
        return None;
    }
    let overtime = told::ms(seats.overtime);
    let level = if late >= overtime {
        Level::Suspicious
    } else {
        Level::Notice
    };
    let known = match seat.until {
        Some(_) => "the session has been over",
        None => "the longest session has been over",
    };
    Some(Finding {
        sentence: format!(
            "{} still runs {}, though {known} for {}",
            student.account(),
            told::processes(group.len()),
            told::span(late)
        ),
        ..scene.finding(Rule::Overtime, level, told::score(late, overtime), group)
    })
}

/// When a session began: as it is known, else when its first process was started.
fn begin(scene: &Scene, since: Option<Time>, group: &[&Subject]) -> Time {
    let oldest = group.iter().map(|subject| subject.process.id.start).min();
    let age = oldest.map_or(0, |start| scene.snapshot.at.saturating_sub(start));
    let age = i64::try_from(age).unwrap_or(i64::MAX);
    since.unwrap_or(Time(scene.snapshot.now.0.saturating_sub(age)))
}
