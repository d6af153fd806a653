//! The sample workshops are what an author would copy from: complete, rendered without a fault in
//! both variants, and valid notebooks before and after.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use wod::adapters::registry_local::Shelves;
use wod::inventory::{self, Vars};
use wod::templates::{Passwords, Renderer, Scope};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workshops")
}

fn notebooks(workshop: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(workshop).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "ipynb"))
        .collect();
    found.sort();
    found
}

#[test]
fn each_has_its_metadata_and_three_notebooks() {
    let shelves = Shelves {
        dirs: vec![samples()],
        admin: None,
    };
    let (workshops, unusable) = shelves.list().unwrap();
    assert!(unusable.is_empty(), "{unusable:?}");
    assert!(workshops.len() >= 3);
    assert!(workshops.iter().any(|workshop| workshop.reset));
    for workshop in &workshops {
        assert!(
            workshop.active && workshop.range.is_some(),
            "{}",
            workshop.name
        );
        assert_eq!(workshop.range.unwrap().count(), workshop.capacity);
        let all = notebooks(&samples().join(workshop.name.as_str()));
        assert_eq!(all.len(), 3, "{}", workshop.name);
        assert!(all[0].ends_with("0-ReadMeFirst.ipynb"));
    }
    for (at, one) in workshops.iter().enumerate() {
        for other in &workshops[at + 1..] {
            let (a, b) = (one.range.unwrap(), other.range.unwrap());
            assert!(
                a.last() < b.first() || b.last() < a.first(),
                "{} and {}",
                one.name,
                other.name
            );
        }
    }
}

#[test]
fn notebooks_are_valid_and_clean() {
    for workshop in ["WKSHP-Shell101", "WKSHP-API101", "WKSHP-Git101"] {
        for path in notebooks(&samples().join(workshop)) {
            is_clean_notebook(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}

fn is_clean_notebook(path: &Path, text: &str) {
    let shown = path.display();
    let notebook: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{shown}: {e}"));
    assert_eq!(notebook["nbformat"], 4, "{shown}");
    let cells = notebook["cells"].as_array().unwrap();
    assert!(cells.len() > 3, "{shown}");
    for cell in cells.iter().filter(|cell| cell["cell_type"] == "code") {
        assert!(cell["execution_count"].is_null(), "{shown}");
        assert_eq!(cell["outputs"], serde_json::json!([]), "{shown}");
    }
}

/// The variables of one seat, over those that the shipped inventory explains.
fn scope(workshop: &str, variant: &str) -> Scope {
    let mut vars = Vars::default();
    let inventory = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventory/group_vars/all.yml");
    vars.read_over(&inventory, None).unwrap();
    let text =
        |name: &str, text: &str| (name.to_owned(), inventory::Value::Unsafe(text.to_owned()));
    Scope::new(vars, Passwords::default()).with([
        ("STDID".to_owned(), inventory::Value::Int(12)),
        text("WORKSHOP", workshop),
        text("CHALLENGE", workshop),
        text("MODEWS", variant),
        text("DIR", ""),
    ])
}

#[test]
fn both_variants_render_with_the_shipped_inventory() {
    for workshop in ["WKSHP-Shell101", "WKSHP-API101", "WKSHP-Git101"] {
        for variant in ["WKSHP", "CHLG"] {
            let renderer = Renderer::new(scope(workshop, variant));
            for path in notebooks(&samples().join(workshop)) {
                let source = fs::read_to_string(&path).unwrap();
                let name = path.display().to_string();
                let text = renderer.render(&name, &source).unwrap();
                assert!(!text.contains("{%") && !text.contains("MODEWS"), "{name}");
                is_clean_notebook(&path, &text);
            }
        }
    }
}
