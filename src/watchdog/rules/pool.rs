//! Signs of talk with a mining pool: its address in the arguments, its ports, and very many
//! addresses at once. A port is anybody's, and so are many addresses: installers and browsers have
//! them, too. They count together with computing.

use crate::domain::{Student, quoted};
use crate::watchdog::finding::{Finding, Level, Rule};
use crate::watchdog::scene::{Scene, Subject};
use crate::watchdog::told;
use crate::watchdog::words::Kind;

/// Programs that run what somebody else wrote.
const INTERPRETERS: [&str; 10] = [
    "python", "pypy", "node", "java", "perl", "ruby", "php", "lua", "R", "julia",
];

/// What the arguments say.
pub fn at_exec(scene: &Scene) -> Vec<Finding> {
    scene
        .subjects
        .iter()
        .filter_map(|s| address(scene, s))
        .collect()
}

pub fn ask(scene: &Scene) -> Vec<Finding> {
    let mut found = at_exec(scene);
    found.extend(scene.subjects.iter().filter_map(|s| port(scene, s)));
    found.extend(scene.of_each_student(|student, group| destinations(scene, student, group)));
    found
}

fn is_interpreter(subject: &Subject) -> bool {
    let file = subject.process.exe.file_name().unwrap_or_default();
    INTERPRETERS.iter().any(|name| {
        let rest = file.strip_prefix(name);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
    })
}

fn computes_for(subject: &Subject, time: std::time::Duration) -> bool {
    subject.computes && subject.cpu_ms >= told::ms(time)
}

fn address(scene: &Scene, subject: &Subject) -> Option<Finding> {
    let arguments = subject.process.argv.iter();
    let mut hits = arguments.flat_map(|argument| scene.words.hits(argument));
    let hit = hits.find(|hit| matches!(hit.kind, Kind::Url | Kind::Pool))?;
    let computes = computes_for(subject, scene.policy.pool.suspicious_after);
    let (level, score) = match (subject.own, is_interpreter(subject)) {
        (true, _) if hit.kind == Kind::Url || computes => (Level::Certain, 100),
        (false, true) if computes => (Level::Certain, 90),
        (true, _) | (_, true) => (Level::Suspicious, 60),
        (false, false) => (Level::Notice, 20),
    };
    Some(Finding {
        sentence: format!(
            "{} gives {} to {}, as one does to reach a mining pool",
            subject.student.account(),
            quoted(hit.word),
            told::program(subject.process),
        ),
        ..scene.finding(Rule::Pool, level, score, &[subject])
    })
}

fn port(scene: &Scene, subject: &Subject) -> Option<Finding> {
    let pool = &scene.policy.pool;
    let peers = subject.process.peers.iter().filter(|peer| {
        scene.policy.lists.ports.contains(&peer.port())
            && (pool.loopback || !peer.ip().to_canonical().is_loopback())
    });
    let peer = peers.min()?;
    let may_mine = subject.own || is_interpreter(subject);
    let computes = may_mine && computes_for(subject, pool.suspicious_after);
    // A server of the student's own may be at that port: what computes for it for long, and hides
    // or has used up what it may, is none.
    let is_odd = subject.odd.is_some() || super::lie(subject.process).is_some();
    let is_long = computes_for(subject, pool.certain_after) && scene.is_used_up(subject.student);
    let (level, score) = match computes {
        true if is_odd || is_long => (Level::Certain, 100),
        true => (Level::Suspicious, 60),
        false => (Level::Notice, 20),
    };
    Some(Finding {
        sentence: format!(
            "{} has a connection from {} to {peer}, a port of mining pools{}",
            subject.student.account(),
            told::program(subject.process),
            if computes { ", and computes" } else { "" },
        ),
        ..scene.finding(Rule::Pool, level, score, &[subject])
    })
}

fn destinations(scene: &Scene, student: Student, group: &[&Subject]) -> Option<Finding> {
    let (pool, count) = (&scene.policy.pool, scene.past(student)?.destinations());
    let level = match count {
        count if count >= pool.destinations_suspicious => Level::Suspicious,
        count if count >= pool.destinations_notice => Level::Notice,
        _ => return None,
    };
    let mut talking: Vec<&Subject> = group.to_vec();
    talking.retain(|subject| !subject.process.peers.is_empty());
    if talking.is_empty() {
        talking = group.to_vec();
    }
    Some(Finding {
        sentence: format!(
            "{} talks to {count} addresses within half a minute",
            student.account()
        ),
        ..scene.finding(
            Rule::Pool,
            level,
            told::score(count as u64, pool.destinations_suspicious as u64),
            &talking,
        )
    })
}
