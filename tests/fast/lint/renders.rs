//! What renders is no fault: nothing is said about the templates that Ansible renders.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use wod::inventory::{self, Value};

use super::{findings, lint, site};

/// A section of a case, or its text as a JSON string.
fn section(case: &str, name: &str) -> Option<String> {
    let from = |head: String| {
        let (_, rest) = case.split_once(&head)?;
        Some(rest.split("\n--- ").next().unwrap_or(rest).to_owned())
    };
    let json = from(format!("--- {name} (json)\n"));
    json.map(|text| serde_json::from_str(&text).unwrap())
        .or_else(|| from(format!("--- {name}\n")))
}

#[test]
fn nothing_is_said_about_what_ansible_renders() {
    let site = site("base");
    let workshop = site.path().join("notebooks/WKSHP-Base");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/templates");
    // The cases ask for `nowhere` where it is not set and does no harm.
    let mut names = BTreeSet::from(["TOPIC".to_owned(), "nowhere".to_owned()]);
    let mut count = 0;
    for entry in fs::read_dir(cases).unwrap() {
        let path = entry.unwrap().path();
        let Ok(case) = fs::read_to_string(&path) else {
            continue;
        };
        let Some(template) = section(&case, "template") else {
            continue;
        };
        if !case.contains("\n--- expected") {
            continue;
        }
        let vars = section(&case, "vars").unwrap_or_default();
        if let Value::Map(map) = inventory::from_str("vars", &vars).unwrap().value {
            names.extend(
                map.iter()
                    .filter_map(|(key, _)| key.as_text())
                    .map(str::to_owned),
            );
        }
        let name = path.with_extension("py");
        fs::write(workshop.join(name.file_name().unwrap()), template).unwrap();
        count += 1;
    }
    let variables: String = names
        .iter()
        .map(|name| format!("\"{name}\": 1\n"))
        .collect();
    fs::write(
        site.path()
            .join("ansible/production/variables_WKSHP-Base.yml"),
        variables,
    )
    .unwrap();
    let output = lint(site.path(), &["--json", "notebooks"]);
    let all = findings(&output);
    let said: Vec<String> = all
        .iter()
        .map(|f| {
            format!(
                "{}:{}:{} {}",
                f["file"], f["line"], f["column"], f["message"]
            )
        })
        .collect();
    println!("{count} templates");
    assert!(count > 100, "{count}");
    assert!(said.is_empty(), "{}", said.join("\n"));
}
