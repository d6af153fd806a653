//! Inventories as `ansible-inventory --list` understands them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;
use wod::inventory::{Inventory, Vars};

use crate::ansible::venv;

/// What one reader made of an inventory: its JSON, or that it refused it.
type Listed = Result<Json, String>;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/inventory");
    let mut dirs: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    dirs.sort();
    dirs
}

fn name(dir: &Path) -> String {
    dir.file_name().unwrap().to_str().unwrap().to_owned()
}

/// One process lists them all: by name, its JSON or null.
fn by_ansible(venv: &Path, dirs: &[PathBuf]) -> BTreeMap<String, Option<Json>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/list_inventories.py");
    let nowhere = tempfile::tempdir().unwrap();
    let output = Command::new(venv.join("bin/python"))
        .arg(here)
        .args(dirs)
        .current_dir(nowhere.path())
        .env("HOME", nowhere.path())
        .env("ANSIBLE_LOCALHOST_WARNING", "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn by_us(dir: &Path) -> Listed {
    let line = |all: Vec<wod::inventory::Problem>| {
        let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
        lines.join(" / ")
    };
    let inventory = Inventory::read(dir, None).map_err(line)?;
    inventory.listing(&Vars::default()).map_err(line)
}

#[test]
fn inventories_are_listed_as_ansible_lists_them() {
    let Some(venv) = venv() else {
        return;
    };
    let dirs = cases();
    let mut theirs = by_ansible(&venv, &dirs);
    let mut wrong = Vec::new();
    for dir in &dirs {
        let name = name(dir);
        let theirs = theirs.remove(&name).expect("each case is listed");
        match (by_us(dir), theirs) {
            (Ok(ours), Some(theirs)) if ours == theirs => {}
            (Err(_), None) => {}
            (ours, theirs) => {
                let shown =
                    ours.map_or_else(|why| format!("refused: {why}"), |ours| ours.to_string());
                let theirs = theirs.map_or("refused".to_owned(), |theirs| theirs.to_string());
                wrong.push(format!("{name}:\n  got  {shown}\n  want {theirs}"));
            }
        }
    }
    println!(
        "{} inventories, {} equal",
        dirs.len(),
        dirs.len() - wrong.len()
    );
    assert!(dirs.len() >= 30 && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is refused is told with the file, in one line; a case that is named so is refused.
#[test]
fn a_bad_inventory_is_told_in_one_line() {
    for dir in cases() {
        let is_bad = name(&dir).starts_with("bad-");
        match by_us(&dir) {
            Ok(_) => assert!(!is_bad, "{}", dir.display()),
            Err(why) => {
                assert!(is_bad, "{}: {why}", dir.display());
                assert!(
                    why.starts_with(dir.to_str().unwrap()) && !why.contains('\n'),
                    "{why}"
                );
            }
        }
    }
}
