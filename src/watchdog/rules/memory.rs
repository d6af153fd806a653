//! Much memory, of all of a student's processes together. What they share is counted more than
//! once, so that it is never more than suspicious.

use crate::domain::Student;
use crate::watchdog::finding::{Finding, Level, Rule};
use crate::watchdog::scene::{Scene, Subject};
use crate::watchdog::told;

pub fn ask(scene: &Scene) -> Vec<Finding> {
    scene.of_each_student(|student, group| of_one(scene, student, group))
}

fn of_one(scene: &Scene, student: Student, group: &[&Subject]) -> Option<Finding> {
    let limits = &scene.policy.memory;
    let resident = group.iter().map(|subject| subject.process.resident);
    let resident = resident.fold(0, u64::saturating_add);
    let level = match resident {
        bytes if bytes >= limits.suspicious => Level::Suspicious,
        bytes if bytes >= limits.notice => Level::Notice,
        _ => return None,
    };
    let mut largest: Vec<&Subject> = group.to_vec();
    largest.sort_by_key(|subject| std::cmp::Reverse(subject.process.resident));
    Some(Finding {
        sentence: format!("{} has {} MiB in memory", student.account(), resident >> 20),
        ..scene.finding(
            Rule::Memory,
            level,
            told::score(resident, limits.suspicious),
            &largest,
        )
    })
}
