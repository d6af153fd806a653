//! Inventories as `ansible-inventory --list` understands them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
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
    // Past the test program, which keeps what a passing test prints to itself.
    let equal = dirs.len() - wrong.len();
    let _ = writeln!(
        std::io::stderr(),
        "{} inventories, {equal} equal",
        dirs.len()
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

/// Facts that do not change between two looks at this host.
#[test]
fn this_host_has_the_facts_that_ansible_gathers() {
    let Some(venv) = venv() else {
        return;
    };
    let names = [
        "ansible_distribution",
        "ansible_distribution_version",
        "ansible_distribution_major_version",
        "ansible_distribution_release",
        "ansible_os_family",
        "ansible_pkg_mgr",
        "ansible_hostname",
        "ansible_nodename",
        "ansible_user_id",
        "ansible_user_dir",
        "ansible_user_shell",
    ];
    let nowhere = tempfile::tempdir().unwrap();
    let output = Command::new(venv.join("bin/ansible"))
        .args([
            "localhost",
            "-m",
            "setup",
            "-a",
            "gather_subset=!all,min,network,pkg_mgr",
        ])
        .current_dir(nowhere.path())
        .env("HOME", nowhere.path())
        .env("ANSIBLE_LOCALHOST_WARNING", "0")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let theirs: Json = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
    let theirs = &theirs["ansible_facts"];
    let us = theirs["ansible_user_id"].as_str().unwrap();
    fs::write(nowhere.path().join("hosts"), "localhost\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_wod"))
        .arg("-i")
        .arg(nowhere.path())
        .args([
            "-e",
            "WODHUB=none",
            "-e",
            &format!("WODUSER={us}"),
            "vars",
            "--json",
        ])
        .args(names)
        .args(["ansible_default_ipv4", "ansible_date_time"])
        .output()
        .unwrap();
    let ours: Json = serde_json::from_slice(&output.stdout).unwrap();
    for name in names {
        assert_eq!(ours[name], theirs[name], "{name}");
    }
    let address = |facts: &Json| facts["ansible_default_ipv4"]["address"].clone();
    assert_eq!(address(&ours), address(theirs));
    let parts = |facts: &Json| -> Vec<String> {
        facts["ansible_date_time"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let (mut ours, mut theirs) = (parts(&ours), parts(theirs));
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
}

/// One host's variables are those of the list, but that `!unsafe` texts are plain.
#[test]
fn one_host_is_printed_as_ansible_prints_it() {
    let Some(venv) = venv() else {
        return;
    };
    let dir =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/inventory/25-unsafe-and-vault");
    let run = |program: &Path, args: &[&str]| -> Json {
        let output = Command::new(program)
            .arg("-i")
            .arg(&dir)
            .args(args)
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let theirs = run(&venv.join("bin/ansible-inventory"), &["--host", "h"]);
    let wod = Path::new(env!("CARGO_BIN_EXE_wod"));
    assert_eq!(run(wod, &["inventory", "host", "h"]), theirs);
    let listed = run(wod, &["inventory", "list"]);
    assert_eq!(
        listed["_meta"]["hostvars"]["h"]["u"]["__ansible_unsafe"],
        "{{ never }}"
    );
}
