//! One process that computes for long. Below the hub's server root's programs may do so until the
//! session has used what it is allowed, and so may a student's own ones where the workshop asks for
//! time.

use crate::watchdog::finding::{Finding, Level, Rule};
use crate::watchdog::scene::{Scene, Subject};
use crate::watchdog::told;

pub fn ask(scene: &Scene) -> Vec<Finding> {
    let long = told::ms(scene.policy.cpu.notice_after);
    let busy = scene.subjects.iter();
    let busy = busy.filter(|subject| subject.computes && subject.cpu_ms >= long);
    busy.filter_map(|subject| of_one(scene, subject)).collect()
}

fn of_one(scene: &Scene, subject: &Subject) -> Option<Finding> {
    let used_up = scene.is_used_up(subject.student);
    let is_kernel = !subject.own && scene.is_hubs(subject.process);
    if is_kernel && !used_up {
        return None;
    }
    let limit = told::ms(scene.policy.cpu.suspicious_after);
    let has_budget = scene
        .seat(subject.student)
        .is_some_and(|seat| seat.cpu_minutes.is_some());
    let is_asked = used_up || !is_kernel && !has_budget;
    let level = match subject.cpu_ms >= limit && is_asked {
        true => Level::Suspicious,
        false => Level::Notice,
    };
    let of = if subject.own {
        "their own program"
    } else {
        "the program"
    };
    Some(Finding {
        sentence: format!(
            "{} computes with {of} {} for {} on processors",
            subject.student.account(),
            told::program(subject.process),
            told::span(subject.cpu_ms),
        ),
        ..scene.finding(
            Rule::ProcessCpu,
            level,
            told::score(subject.cpu_ms, limit),
            &[subject],
        )
    })
}
