//! Programs whose sum is on the list, whatever they are called.

use crate::watchdog::finding::{Finding, Level, Rule};
use crate::watchdog::scene::Scene;
use crate::watchdog::told;

pub fn ask(scene: &Scene) -> Vec<Finding> {
    let listed = &scene.policy.lists.sha256;
    let known = scene.subjects.iter().filter_map(|subject| {
        let sum = subject.process.exe.sha256.as_deref()?;
        listed.contains(sum).then_some((subject, sum))
    });
    known
        .map(|(subject, sum)| Finding {
            sentence: format!(
                "{} runs {}, whose sum is on the list: {sum}",
                subject.student.account(),
                told::program(subject.process)
            ),
            ..scene.finding(Rule::Hash, Level::Certain, 100, &[subject])
        })
        .collect()
}
