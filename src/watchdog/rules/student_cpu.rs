//! All that a student uses within a time, under whatever names: what is renamed, split or started
//! again every second adds up. Until a session has used what it is allowed, it is worth a line.

use crate::domain::Student;
use crate::watchdog::finding::{Finding, Level, Rule};
use crate::watchdog::policy::{Programs, Window};
use crate::watchdog::scene::{Scene, Subject};
use crate::watchdog::told;

pub fn ask(scene: &Scene) -> Vec<Finding> {
    scene.of_each_student(|student, group| strongest(scene, student, group))
}

fn strongest(scene: &Scene, student: Student, group: &[&Subject]) -> Option<Finding> {
    let windows = &scene.policy.cpu.windows;
    let found = windows
        .iter()
        .filter_map(|window| within(scene, student, group, *window));
    found.max_by_key(|finding| (finding.level, finding.score))
}

fn within(scene: &Scene, student: Student, group: &[&Subject], window: Window) -> Option<Finding> {
    let past = scene.past(student)?;
    let used = past.used_within(scene.snapshot.at, told::ms(window.span));
    let (used, whose) = match window.programs {
        Programs::Own => (used.own, "programs of their own"),
        Programs::All => (used.all, "all of their programs"),
    };
    let limit = told::ms(window.cpu);
    if used < limit {
        return None;
    }
    let level = match scene.is_used_up(student) {
        true => window.level,
        false => Level::Notice,
    };
    Some(Finding {
        sentence: format!(
            "{} used {} on processors within {} with {whose}",
            student.account(),
            told::span(used),
            told::span(told::ms(window.span)),
        ),
        ..scene.finding(
            Rule::StudentCpu,
            level,
            told::score(used, limit),
            &busiest(group, window),
        )
    })
}

/// The processes that it is about, those that use most first. Where none is left that uses
/// anything, all of them.
fn busiest<'a, 'b>(group: &[&'b Subject<'a>], window: Window) -> Vec<&'b Subject<'a>> {
    let counts = |subject: &&&Subject| subject.own || window.programs == Programs::All;
    let mut busy: Vec<&Subject> = group.iter().filter(counts).copied().collect();
    if busy.is_empty() {
        busy = group.to_vec();
    }
    busy.sort_by_key(|subject| (std::cmp::Reverse(subject.cpu_ms), subject.process.id));
    busy
}
