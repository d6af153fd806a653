//! Programs of a student's own where programs do not lie. The place alone is worth a line; that such
//! a program computes for a while is suspicious; with something else, or for long, it is certain.

use super::lie;
use crate::watchdog::finding::{Finding, Level, Rule};
use crate::watchdog::scene::{Odd, Scene, Subject};
use crate::watchdog::told;

pub fn ask(scene: &Scene) -> Vec<Finding> {
    let odd = scene
        .subjects
        .iter()
        .filter_map(|subject| Some((subject, subject.odd.as_ref()?)));
    odd.map(|(subject, odd)| {
        let (level, score) = level(scene, subject, odd);
        let who = subject.student.account();
        let (what, place) = (told::program(subject.process), odd.words());
        let sentence = match level {
            Level::Notice => format!("{who} runs {what}, a program {place}"),
            _ => format!(
                "{who} runs {what}, a program {place}, which has computed for {}",
                told::span(subject.cpu_ms)
            ),
        };
        Finding {
            sentence,
            ..scene.finding(Rule::Place, level, score, &[subject])
        }
    })
    .collect()
}

fn level(scene: &Scene, subject: &Subject, odd: &Odd) -> (Level, u8) {
    let places = &scene.policy.places;
    let suspicious = told::ms(places.suspicious_after);
    if !subject.computes || subject.cpu_ms < suspicious {
        return (Level::Notice, 20);
    }
    // What was built anew while it ran is deleted, too: only the session's use tells.
    let certain = match odd {
        Odd::Deleted if !scene.is_used_up(subject.student) => u64::MAX,
        Odd::Deleted => told::ms(places.deleted_after),
        Odd::Memory | Odd::Temporary { deleted: true } | Odd::Hidden { deleted: true } => {
            suspicious
        }
        Odd::Temporary { .. } | Odd::Hidden { .. } | Odd::Deep => told::ms(places.certain_after),
    };
    match subject.cpu_ms >= certain || lie(subject.process).is_some() {
        true => (Level::Certain, 100),
        false => (Level::Suspicious, told::score(subject.cpu_ms, suspicious)),
    }
}
