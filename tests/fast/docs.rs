//! What the README and the inventory say is true: commands parse, every setting is explained.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The lines after `$ ` in console blocks, without what follows a `#`.
fn commands(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .map(|line| line.split(" #").next().unwrap().trim().to_owned())
        .collect()
}

#[test]
fn the_readmes_wod_commands_are_understood() {
    let all = commands(&read("README.md"));
    let ours: Vec<&String> = all.iter().filter(|line| line.starts_with("wod ")).collect();
    assert!(ours.len() >= 8, "{all:?}");
    for line in ours {
        // With --help at the end nothing is done, but all words before it are looked at.
        let output = Command::new(env!("CARGO_BIN_EXE_wod"))
            .args(line.split_whitespace().skip(1))
            .arg("--help")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
    }
}

#[test]
fn the_readmes_two_commands_are_make_targets() {
    let all = commands(&read("README.md"));
    let makefile = read("Makefile");
    assert_eq!(all[..2], ["make demo", "make test"]);
    for line in &all[..2] {
        let target = line.trim_start_matches("make ");
        assert!(makefile.contains(&format!("\n{target}: ")), "{target}");
    }
}

/// Names that the typed settings ask for.
fn settings() -> BTreeSet<String> {
    let text = read("src/inventory/settings.rs");
    let product = text.split("#[cfg(test)]").next().unwrap();
    names(product.split('"').skip(1).step_by(2))
}

/// Names that the inventory sets or shows with their default.
fn explained() -> BTreeSet<String> {
    let text = read("inventory/group_vars/all.yml");
    names(
        text.lines()
            .filter_map(|line| line.trim_start_matches('#').split(':').next()),
    )
}

fn names<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    texts
        .filter(|text| {
            text.len() > 4
                && text.bytes().all(|b| b.is_ascii_uppercase())
                && (text.starts_with("WOD") || text.ends_with("BASE") || *text == "VAULTPWD")
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_setting_is_explained_in_the_inventory() {
    let missing: Vec<String> = settings().difference(&explained()).cloned().collect();
    assert!(
        missing.is_empty(),
        "inventory/group_vars/all.yml does not explain {missing:?}"
    );
}

/// Settings for templates and for parts that are not in `settings.rs`.
const READ_ELSEWHERE: &[&str] = &[
    "VAULTPWD",
    "WODBASESTDID",
    "WODHUBIDLESECONDS",
    "WODSTUDENTCPU",
    "WODSTUDENTMEMORY",
    "WODSTUDENTTASKS",
    "WODBETLSKEY",
    "WODBETLSCERT",
];

#[test]
fn nothing_is_explained_that_does_not_exist() {
    let known = settings();
    let unknown: Vec<String> = explained()
        .into_iter()
        .filter(|name| !known.contains(name) && !READ_ELSEWHERE.contains(&name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "nobody reads {unknown:?}");
}
