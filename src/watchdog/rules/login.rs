//! Logins that did not come from the hub: whoever knows the password came another way.

use crate::watchdog::finding::{Finding, Rule};
use crate::watchdog::process::Process;
use crate::watchdog::scene::{Scene, Subject};

pub fn ask(scene: &Scene) -> Vec<Finding> {
    let found = scene.subjects.iter().filter_map(|subject| {
        let program = let_in_by(scene, subject)?;
        Some((subject, program))
    });
    found
        .map(|(subject, program)| Finding {
            sentence: format!("{} came in through {program}", subject.student.account()),
            ..scene.finding(Rule::Login, scene.policy.logins.level, 20, &[subject])
        })
        .collect()
}

/// The login program of root's that started the first of a student's processes.
fn let_in_by<'a>(scene: &'a Scene, subject: &Subject) -> Option<&'a str> {
    let parent = scene.ancestors(subject.process).next()?;
    let is_others = |process: &&Process| !scene.snapshot.students.contains_key(&process.uid);
    // The others of a session are below its first process.
    let first = Some(parent).filter(is_others);
    // sshd has a process of the student's own between root's and the shell.
    let login = |process: &&Process| {
        let name = process.exe.file_name();
        process.exe.owner == Some(0)
            && name.is_some_and(|name| scene.policy.logins.programs.contains(name))
    };
    let program = first.filter(login)?.exe.file_name()?;
    // Dear to ask of each of a long chain of processes.
    (!scene.is_hubs(subject.process)).then_some(program)
}
