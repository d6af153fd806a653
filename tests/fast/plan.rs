//! Every `tests/cases/plan/*.case` is an action, what was looked up for it, and its plan.
//!
//! A case: a `#` line that says what it is, the subject of the mail, its body if any, `----`, facts
//! as YAML (all optional: `students`, `workshop` as fields that differ from a plain one or null,
//! `scripts`, `directory`, `awaits_cleanup`), `----`, and the plan as `describe` prints it, or
//! `error: <line>`. With WOD_REWRITE=1 in the environment the expectations are written anew: look at
//! the difference before you commit it.

mod props;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wod::domain::{Action, Seat, StudentRange, Workshop};
use wod::intake::message;
use wod::plan::{Facts, describe, plan};
use wod::ports::{Overlay, Phase};

const REWRITE: &str = "WOD_REWRITE";
const BAR: &str = "----\n";

/// Facts as a case writes them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    students: Option<StudentRange>,
    workshop: Option<BTreeMap<String, serde_yaml::Value>>,
    scripts: BTreeMap<Phase, Vec<Overlay>>,
    directory: bool,
    awaits_cleanup: bool,
}

impl Default for Given {
    fn default() -> Given {
        Given {
            students: None,
            workshop: Some(BTreeMap::new()),
            scripts: BTreeMap::new(),
            directory: false,
            awaits_cleanup: false,
        }
    }
}

struct Case {
    /// All before the expectation.
    input: String,
    action: Action,
    facts: Facts,
    expected: String,
}

impl Case {
    fn load(path: &Path) -> Case {
        let text = fs::read_to_string(path).unwrap();
        let parts: Vec<&str> = text.splitn(3, BAR).collect();
        let [mail, facts, expected] = parts[..] else {
            panic!("{}: expected two ---- lines", path.display());
        };
        let lines: Vec<&str> = mail.lines().collect();
        let [what, subject, body @ ..] = &lines[..] else {
            panic!("{}: expected a # line and a subject", path.display());
        };
        assert!(what.starts_with("# "), "{}", path.display());
        let mail = format!("Subject: {subject}\n\n{}\n", body.join("\n"));
        let action = message::read(mail.as_bytes()).unwrap().action;
        Case {
            input: text[..text.len() - expected.len()].to_owned(),
            facts: complete(given(facts, path), &action),
            action,
            expected: expected.to_owned(),
        }
    }

    fn outcome(&self) -> String {
        match plan(&self.action, &self.facts) {
            Ok(plan) => describe(&plan),
            Err(e) => format!("error: {e}\n"),
        }
    }
}

fn given(text: &str, path: &Path) -> Given {
    match text.trim().is_empty() {
        true => Given::default(),
        false => serde_yaml::from_str(text).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
    }
}

fn complete(given: Given, action: &Action) -> Facts {
    let students = given.students.unwrap_or_else(|| match action.seat {
        Seat::Students(students) => students,
        Seat::OfParticipant => panic!("the case has to name students"),
    });
    let asked = action.workshop.as_ref();
    Facts {
        students,
        workshop: asked
            .zip(given.workshop)
            .map(|(asked, differs)| workshop(asked.name.as_str(), differs)),
        scripts: given.scripts,
        directory: given.directory,
        awaits_cleanup: given.awaits_cleanup,
    }
}

/// A plain workshop, but for these fields.
fn workshop(name: &str, differs: BTreeMap<String, serde_yaml::Value>) -> Workshop {
    let plain = format!(
        "{{id: 7, name: {name}, title: a workshop, capacity: 20, range: null, reset: false, \
         ldap: false, varpass: false, monoappliance: false, multiappliance: false, compile: [], \
         duration: 4, active: true}}"
    );
    let mut fields: serde_yaml::Mapping = serde_yaml::from_str(&plain).unwrap();
    for (field, value) in differs {
        let before = fields.insert(field.clone().into(), value);
        assert!(before.is_some(), "a workshop has no field {field}");
    }
    serde_yaml::from_value(fields.into()).unwrap()
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/plan");
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "case"));
    paths.sort();
    paths
}

/// Line by line, as `diff -u` shows it.
fn diff(expected: &str, got: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), got.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = (old.len().min(new.len())) - same;
    let tail = old.iter().rev().zip(new.iter().rev());
    let same_end = tail.take(rest).take_while(|(a, b)| a == b).count();
    let mark = |sign: &str, lines: &[&str]| -> String {
        let shown = lines.iter().map(|line| format!("    {sign}{line}\n"));
        shown.collect()
    };
    mark(" ", &old[..same])
        + &mark("-", &old[same..old.len() - same_end])
        + &mark("+", &new[same..new.len() - same_end])
        + &mark(" ", &old[old.len() - same_end..])
}

#[test]
fn every_case_has_its_plan() {
    let rewrite = std::env::var_os(REWRITE).is_some();
    let paths = cases();
    println!("{} cases", paths.len());
    assert!(paths.len() >= 40, "only {} cases", paths.len());
    let mut wrong = String::new();
    for path in &paths {
        let case = Case::load(path);
        let got = case.outcome();
        if got != case.expected {
            let name = path.file_stem().unwrap().to_string_lossy();
            wrong += &format!("  {name}\n{}", diff(&case.expected, &got));
            if rewrite {
                fs::write(path, format!("{}{got}", case.input)).unwrap();
            }
        }
    }
    assert!(
        wrong.is_empty() || rewrite,
        "plans differ (- expected, + now); if they are right: {REWRITE}=1\n{wrong}"
    );
}

#[test]
fn a_difference_is_shown_as_one() {
    assert_eq!(
        diff("a\nb\nc\n", "a\nx\ny\nc\n"),
        "     a\n    -b\n    +x\n    +y\n     c\n"
    );
    assert_eq!(diff("a\na\n", "a\n"), "     a\n    -a\n");
}
