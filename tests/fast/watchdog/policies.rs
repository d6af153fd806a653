//! Policies with mistakes, each with the lines that tell of them; and the one that explains itself.

use std::fs;
use std::path::Path;

use wod::watchdog::Policy;

use super::{REWRITE, files};

#[test]
fn the_policy_that_explains_every_field_is_the_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/watchdog/policy.yml");
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(Policy::parse(&text).unwrap(), Policy::default());
    assert_eq!(Policy::parse("").unwrap(), Policy::default());
}

/// The expectation stands in `# ` lines at the end.
#[test]
fn every_mistake_is_told() {
    let mut wrong = Vec::new();
    for path in files("watchdog-policy", "yml") {
        let text = fs::read_to_string(&path).unwrap();
        let (input, expected) = text.split_once("\n# told\n").unwrap_or((&text, ""));
        let told = match Policy::parse(input) {
            Ok(_) => "# nothing\n".to_owned(),
            Err(all) => all.iter().map(|wrong| format!("# {wrong}\n")).collect(),
        };
        if told != expected {
            if std::env::var_os(REWRITE).is_some() {
                fs::write(&path, format!("{}\n# told\n{told}", input.trim_end())).unwrap();
            }
            wrong.push(format!("{}\n{told}", path.display()));
        }
        assert_ne!(
            told,
            "# nothing\n",
            "{}: is there a mistake?",
            path.display()
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
