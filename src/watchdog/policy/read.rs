//! `watchdog.yml` over the default policy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::fields::{Fields, TIME, Wrong, duration};
use super::{Policy, Programs, Response, Window};
use crate::inventory::{Map, Value};
use crate::watchdog::finding::{Level, Rule};

const LEVELS: [(&str, Level); 3] = [
    ("notice", Level::Notice),
    ("suspicious", Level::Suspicious),
    ("certain", Level::Certain),
];

const RESPONSES: [(&str, Response); 4] = [
    ("log", Response::Log),
    ("alert", Response::Alert),
    ("stop-process", Response::StopProcess),
    ("stop-seat", Response::StopSeat),
];

/// A window is never longer than what the history remembers.
const LONGEST: Duration = Duration::from_secs(86_400);

pub(super) fn policy(text: &str) -> Result<Policy, Vec<Wrong>> {
    let mut fields = Fields::read(text);
    let mut policy = Policy::default();
    without(&mut fields, &mut policy.without);
    lists(&mut fields, &mut policy);
    limits(&mut fields, &mut policy);
    if let Some(windows) = windows(&mut fields) {
        policy.cpu.windows = windows;
    }
    responses(&mut fields, &mut policy);
    ordered(&mut fields, &policy);
    fields.finish().map(|()| policy)
}

fn without(fields: &mut Fields, rules: &mut BTreeSet<Rule>) {
    for name in fields.texts("without").unwrap_or_default() {
        match name.parse() {
            Ok(rule) => drop(rules.insert(rule)),
            Err(e) => fields.tell("without", format_args!("has no {e}")),
        }
    }
}

fn lists(fields: &mut Fields, policy: &mut Policy) {
    policy.lists.add(fields, "lists.");
    for text in fields.texts("lists.remove").unwrap_or_default() {
        if !policy.lists.remove(&text) {
            let problem = format!("has `{text}`, which is on no list; take it out here");
            fields.tell("lists.remove", problem);
        }
    }
    let mut set = |path: &str, into: &mut BTreeSet<String>| {
        if let Some(texts) = fields.texts(path) {
            *into = texts.into_iter().collect();
        }
    };
    set("places.honest", &mut policy.places.honest);
    set(
        "places.honest_temporary",
        &mut policy.places.honest_temporary,
    );
    set("logins.programs", &mut policy.logins.programs);
}

fn limits(fields: &mut Fields, policy: &mut Policy) {
    let places = &mut policy.places;
    fields.time("places.suspicious_after", &mut places.suspicious_after);
    fields.time("places.certain_after", &mut places.certain_after);
    fields.time("places.deleted_after", &mut places.deleted_after);
    fields.time("disguise.certain_after", &mut policy.disguise.certain_after);
    let cpu = &mut policy.cpu;
    fields.number("cpu.busy_percent", 1, &mut cpu.busy_percent);
    if cpu.busy_percent > 100 {
        let problem = format!("is {}; expected 1 to 100", cpu.busy_percent);
        fields.tell("cpu.busy_percent", problem);
    }
    fields.time("cpu.notice_after", &mut cpu.notice_after);
    fields.time("cpu.suspicious_after", &mut cpu.suspicious_after);
    let pool = &mut policy.pool;
    fields.flag("pool.loopback", &mut pool.loopback);
    fields.time("pool.suspicious_after", &mut pool.suspicious_after);
    fields.time("pool.certain_after", &mut pool.certain_after);
    fields.number("pool.destinations_notice", 1, &mut pool.destinations_notice);
    fields.number(
        "pool.destinations_suspicious",
        1,
        &mut pool.destinations_suspicious,
    );
    let processes = &mut policy.processes;
    fields.number("processes.notice", 1, &mut processes.notice);
    fields.number("processes.suspicious", 1, &mut processes.suspicious);
    fields.number("processes.bomb", 10, &mut processes.bomb);
    fields.time("processes.bomb_after", &mut processes.bomb_after);
    fields.number("processes.forks_notice", 1, &mut processes.forks_notice);
    fields.number(
        "processes.forks_suspicious",
        1,
        &mut processes.forks_suspicious,
    );
    fields.bytes("memory.notice", &mut policy.memory.notice);
    fields.bytes("memory.suspicious", &mut policy.memory.suspicious);
    let seats = &mut policy.seats;
    fields.time(
        "seats.empty_suspicious_after",
        &mut seats.empty_suspicious_after,
    );
    fields.time("seats.empty_certain_after", &mut seats.empty_certain_after);
    fields.time("seats.overtime", &mut seats.overtime);
    fields.time("seats.idle", &mut seats.idle);
    fields.choice("logins.level", &LEVELS, &mut policy.logins.level);
}

/// Limits of which the weaker comes after the stronger are a mistake.
fn ordered(fields: &mut Fields, policy: &Policy) {
    let Policy {
        places,
        cpu,
        pool,
        processes,
        memory,
        seats,
        ..
    } = policy;
    let pairs = [
        (
            "places.certain_after",
            "places.suspicious_after",
            places.certain_after >= places.suspicious_after,
        ),
        (
            "cpu.suspicious_after",
            "cpu.notice_after",
            cpu.suspicious_after >= cpu.notice_after,
        ),
        (
            "pool.certain_after",
            "pool.suspicious_after",
            pool.certain_after >= pool.suspicious_after,
        ),
        (
            "pool.destinations_suspicious",
            "pool.destinations_notice",
            pool.destinations_suspicious >= pool.destinations_notice,
        ),
        (
            "processes.suspicious",
            "processes.notice",
            processes.suspicious >= processes.notice,
        ),
        (
            "processes.forks_suspicious",
            "processes.forks_notice",
            processes.forks_suspicious >= processes.forks_notice,
        ),
        (
            "memory.suspicious",
            "memory.notice",
            memory.suspicious >= memory.notice,
        ),
        (
            "seats.empty_certain_after",
            "seats.empty_suspicious_after",
            seats.empty_certain_after >= seats.empty_suspicious_after,
        ),
    ];
    for (high, low, is_ordered) in pairs {
        if !is_ordered {
            match fields.value(high) {
                Some(_) => fields.tell(
                    high,
                    format_args!("is less than {low}; it is the stronger one"),
                ),
                None => fields.tell(low, format_args!("is more than {high}, the stronger one")),
            }
        }
    }
}

fn windows(fields: &mut Fields) -> Option<Vec<Window>> {
    const PATH: &str = "cpu.windows";
    let mut windows = Vec::new();
    for item in fields.list(PATH)? {
        let Value::Map(map) = item else {
            fields.tell(
                PATH,
                "has something without fields; expected span, cpu, programs and level",
            );
            continue;
        };
        match window(&map) {
            Ok(window) => windows.push(window),
            Err(problem) => fields.tell(PATH, format_args!("has a window {problem}")),
        }
    }
    Some(windows)
}

fn window(map: &Map) -> Result<Window, String> {
    let unknown = map.iter().find_map(|(key, _)| {
        let key = key.as_text().unwrap_or("?");
        (!["span", "cpu", "programs", "level"].contains(&key)).then_some(key)
    });
    if let Some(key) = unknown {
        return Err(format!(
            "with a field `{key}`; expected span, cpu, programs and level"
        ));
    }
    let time = |key: &str| match map.get(key).and_then(duration) {
        Some(time) if !time.is_zero() => Ok(time),
        _ => Err(format!("without {key}; expected {TIME}")),
    };
    let window = Window {
        span: time("span")?,
        cpu: time("cpu")?,
        programs: match map.get("programs").and_then(Value::as_text) {
            Some("own") => Programs::Own,
            Some("all") => Programs::All,
            _ => return Err("without programs; expected own or all".to_owned()),
        },
        level: match map.get("level").and_then(Value::as_text) {
            Some("notice") => Level::Notice,
            Some("suspicious") => Level::Suspicious,
            Some("certain") => Level::Certain,
            _ => return Err("without level; expected notice, suspicious or certain".to_owned()),
        },
    };
    match window.span <= LONGEST {
        true => Ok(window),
        false => Err("that is longer than 24h; nobody remembers more".to_owned()),
    }
}

fn responses(fields: &mut Fields, policy: &mut Policy) {
    levels(fields, "responses.", &mut policy.responses.levels);
    let of_rules = "responses.rules";
    for name in fields.keys(of_rules) {
        let rule: Rule = match name.parse() {
            Ok(rule) => rule,
            Err(e) => {
                fields.tell(
                    &format!("{of_rules}.{name}"),
                    format_args!("is no rule: {e}"),
                );
                // Told once is enough.
                fields.keys(&format!("{of_rules}.{name}"));
                continue;
            }
        };
        let of_rule = policy.responses.rules.entry(rule).or_default();
        levels(fields, &format!("{of_rules}.{name}."), of_rule);
    }
}

fn levels(fields: &mut Fields, within: &str, into: &mut BTreeMap<Level, Response>) {
    for (name, level) in LEVELS {
        let path = format!("{within}{name}");
        let mut response = Response::Log;
        if fields.value(&path).is_some() {
            fields.choice(&path, &RESPONSES, &mut response);
            into.insert(level, response);
        }
    }
}
