//! Templates and their errors, byte for byte, as Ansible renders them.

#[path = "../fast/templates/case.rs"]
mod case;
mod generate;
mod server;

use std::io::Write;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;
use wod::templates::{Passwords, Renderer, Scope};

use case::{Case, cases, vars};
use server::Server;

/// Said past the test program, which keeps what a passing test prints to itself.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What differs between the two outcomes of one template, if anything does.
fn difference(ours: &Result<String, String>, theirs: &Result<String, String>) -> Option<String> {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if ours == theirs => None,
        (Err(ours), Err(theirs)) => match undefined(theirs) {
            Some(name) if !ours.contains(name) => Some(format!(
                "\n  ours    {ours}\n  ansible {theirs}\n  `{name}` is not named"
            )),
            _ => None,
        },
        _ => Some(format!("\n  ours    {ours:?}\n  ansible {theirs:?}")),
    }
}

/// The name that Ansible's error says is undefined.
fn undefined(error: &str) -> Option<&str> {
    if let Some((before, _)) = error.split_once("' is undefined") {
        return before.rsplit('\'').next();
    }
    let (_, after) = error.split_once("has no attribute '")?;
    after.split('\'').next()
}

/// Both fail, but ours shows the tag and not the name: a list forgets what its items were called.
const UNNAMED: [&str; 1] = ["undefined-in-list.case"];

#[test]
fn cases_render_alike() {
    let Some(mut ansible) = Server::start() else {
        return;
    };
    let mut paths = cases("tests/cases/templates");
    assert!(paths.len() >= 150, "only {} cases", paths.len());
    let mut wrong = Vec::new();
    for path in &paths {
        let case = Case::read(path);
        let theirs = ansible.ask(&json!({
            "template": case.get("template"),
            "vars": case.get("vars"),
            "vault": case.get("vault"),
            "files": case.files(),
        }));
        let is_named = !UNNAMED.iter().any(|name| path.ends_with(name));
        if let Some(why) = difference(&case.render(), &theirs).filter(|_| is_named) {
            wrong.push(format!("{}: {why}", path.display()));
        }
    }
    let (all, equal) = (paths.len(), paths.len() - wrong.len());
    say(&format!("templates: {all} cases, {equal} equal"));
    paths.clear();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// WOD_TEMPLATES sets how many, WOD_SEED what comes; a failure prints both and the shortest template.
#[test]
fn generated_templates_render_alike() {
    let Some(mut ansible) = Server::start() else {
        return;
    };
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let count = number("WOD_TEMPLATES").unwrap_or(300);
    let seed = number("WOD_SEED").unwrap_or(1);
    let keep_going = std::env::var_os("WOD_KEEP_GOING").is_some();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let templates = generate::template();
    let ours = Renderer::new(Scope::new(vars(generate::VARS), Passwords::default()));
    let mut compare = |template: &str| {
        let ours = ours
            .render("t", template)
            .map_err(|error| error.to_string());
        let theirs = ansible.ask(&json!({"template": template, "vars": generate::VARS}));
        (difference(&ours, &theirs), theirs.is_ok())
    };
    let (mut rendered, mut different) = (0, Vec::new());
    for _ in 0..count {
        let mut tree = templates.new_tree(&mut runner).expect("a template");
        let (mut found, is_rendered) = compare(&tree.current());
        rendered += u64::from(is_rendered);
        if found.is_none() {
            continue;
        }
        let mut shortest = tree.current();
        let mut more = tree.simplify();
        let mut steps = 0;
        while more && steps < if keep_going { 60 } else { 500 } {
            steps += 1;
            let (why, _) = compare(&tree.current());
            more = match why {
                Some(_) => {
                    (found, shortest) = (why, tree.current());
                    tree.simplify()
                }
                None => tree.complicate(),
            };
        }
        different.push(format!("{shortest:?}:{}", found.unwrap_or_default()));
        if !keep_going {
            break;
        }
    }
    let equal = count - different.len() as u64;
    say(&format!(
        "generated templates: {count} cases, {equal} equal, {rendered} without an error (WOD_SEED={seed})"
    ));
    assert!(
        different.is_empty(),
        "WOD_SEED={seed}\n{}",
        different.join("\n")
    );
}

/// What Ansible has and ours does not: HTML links have no place in notebooks and scripts.
const LEFT_OUT: [&str; 1] = ["urlize"];

#[test]
fn every_filter_and_test_of_ansible_is_known() {
    let Some(mut ansible) = Server::start() else {
        return;
    };
    let theirs = ansible.plugins();
    let lacks = |kind: &str, ours: &[&str]| -> Vec<String> {
        theirs[kind]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|name| name.as_str())
            .filter(|name| !ours.iter().any(|have| have == name) && !LEFT_OUT.contains(name))
            .map(str::to_owned)
            .collect()
    };
    let known = wod::templates::known();
    let filters = lacks("filters", known.filters);
    let tests = lacks("tests", known.tests);
    say(&format!(
        "templates: lacking of Ansible's filters {filters:?}, of its tests {tests:?}; left out {LEFT_OUT:?}"
    ));
    assert!(filters.is_empty() && tests.is_empty());
}
