//! A module imports only what stands below it.

use std::collections::BTreeSet;

use super::source::Source;

/// From the top. Modules of one floor do not know each other.
const FLOORS: [&[&str]; 14] = [
    &["main"],
    &["cli"],
    &["site"],
    &["engine", "deliver", "watchdog"],
    &["adapters"],
    &["lint"],
    &["content"],
    &["templates"],
    &["inventory"],
    &["journal", "intake"],
    &["plan"],
    &["ports"],
    &["safefs", "exec"],
    &["domain"],
];

/// What stands below and must still not be seen: from, to, why.
const UNSEEN: [(&str, &str, &str); 1] = [(
    "engine",
    "adapters",
    "the engine sees the outside only through ports; site wires the adapters in",
)];

pub fn check(source: &Source) -> Vec<String> {
    let Some(own) = module_of(&source.path) else {
        return Vec::new();
    };
    let Some(floor) = floor(&own) else {
        return vec![format!(
            "{}:1: module {own} has no floor; give it one in tests/fast/tidy/floors.rs and ARCHITECTURE.md",
            source.path
        )];
    };
    let mut wrong = Vec::new();
    for (place, other) in imports(source) {
        let Some(below) = self::floor(&other).filter(|_| other != own) else {
            continue;
        };
        let unseen = UNSEEN
            .iter()
            .find(|(from, to, _)| *from == own && *to == other);
        let why = match unseen {
            Some((_, _, why)) => why,
            None if below > floor => continue,
            None if below == floor => {
                "they stand beside each other; move what both need below them"
            }
            None => "it stands above; move what is needed down, or hand it in from above",
        };
        wrong.push(format!(
            "{}: {own} imports {other}: {why}",
            source.at(place)
        ));
    }
    wrong
}

/// `engine` of `src/engine.rs` and of all below `src/engine/`; lib.rs only names the modules.
fn module_of(path: &str) -> Option<String> {
    let rest = path.strip_prefix("src/")?;
    let first = rest.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib").then(|| name.to_owned())
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The crate's modules that a file names, in `use` lines and in paths, and where.
fn imports(source: &Source) -> BTreeSet<(usize, String)> {
    let mut found = BTreeSet::new();
    for root in ["crate::", "wod::"] {
        for place in source.words(root) {
            for name in names(&source.code[place + root.len()..]) {
                found.insert((place, name));
            }
        }
    }
    let depth = source.path.matches('/').count();
    let climb = "super::".repeat(depth);
    for place in source.words(&climb) {
        // A longer climb is found at its first step.
        if !source.code[..place].ends_with("super::") {
            let rest = source.code[place + climb.len()..].trim_start_matches("super::");
            found.extend(names(rest).into_iter().map(|name| (place, name)));
        }
    }
    found
}

/// The first name of a path, or of each path between braces.
fn names(path: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        let letters = text.trim_start().chars();
        letters
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![word(path)];
    };
    let mut depth = 0;
    let mut found = vec![word(group)];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => found.push(word(&group[at + 1..])),
            _ => {}
        }
    }
    found
}

#[test]
fn an_import_from_above_or_beside_is_found() {
    let of = |path: &str, code: &str| check(&Source::new(path, code));
    for (path, code, told) in [
        (
            "src/plan/make.rs",
            "\nuse crate::engine::Engine;",
            "src/plan/make.rs:2: plan imports engine: it stands above",
        ),
        (
            "src/domain.rs",
            "fn a() { crate::ports::b() }",
            "src/domain.rs:1: domain imports ports",
        ),
        (
            "src/journal.rs",
            "use crate::{domain::Time, intake::{spool, gate}};",
            "journal imports intake: they stand beside",
        ),
        (
            "src/engine/a.rs",
            "use crate::adapters::x;",
            "engine imports adapters: the engine sees",
        ),
        (
            "src/inventory/yaml.rs",
            "use super::super::templates::Scope;",
            "inventory imports templates",
        ),
        (
            "src/ports.rs",
            "use super::plan::Plan;",
            "ports imports plan",
        ),
        (
            "src/deliver/a.rs",
            "use crate::engine::Engine;",
            "deliver imports engine: they stand beside",
        ),
        ("src/utils.rs", "", "module utils has no floor"),
    ] {
        let wrong = of(path, code);
        assert!(
            wrong.len() == 1 && wrong[0].contains(told),
            "{code}: {wrong:?}"
        );
    }
    for (path, code) in [
        (
            "src/engine/a.rs",
            "use crate::{domain::Time, engine::b, ports::Hub};",
        ),
        ("src/engine/a.rs", "use super::adapters::x; // crate::site"),
        (
            "src/engine/a.rs",
            "#[cfg(test)]\nmod tests { use crate::adapters::x; }",
        ),
        ("src/main.rs", "fn main() { wod::cli::main() }"),
        ("src/lib.rs", "pub mod engine;"),
    ] {
        assert_eq!(of(path, code), [""; 0], "{code}");
    }
}
