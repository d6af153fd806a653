//! Every directory in `tests/cases/lint/` is a site with something wrong in a workshop, and what
//! `wod workshops lint` has to say about it.
//!
//! A case holds only what differs from the clean site in `base`: files over it, and a file `remove`
//! that names files to leave out. `expected` has a line `level rule file line column` for each
//! finding, in order. With WOD_REWRITE=1 in the environment the expectations are written anew: look
//! at the difference before you commit it.

mod hostile;
mod output;
mod renders;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const REWRITE: &str = "WOD_REWRITE";

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/lint")
}

/// A copy of the clean site, with a case laid over it.
fn site(case: &str) -> TempDir {
    let site = tempfile::tempdir().unwrap();
    lay(&cases().join("base"), site.path());
    if case != "base" {
        lay(&cases().join(case), site.path());
    }
    if let Ok(names) = fs::read_to_string(site.path().join("remove")) {
        for name in names.lines() {
            fs::remove_file(site.path().join(name)).unwrap();
        }
    }
    site
}

fn lay(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => lay(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// `wod workshops lint` with the site's own inventory.
fn lint(site: &Path, arguments: &[&str]) -> Output {
    let variables = format!("WODANSIBLEDIR={}", site.join("ansible").display());
    Command::new(env!("CARGO_BIN_EXE_wod"))
        .current_dir(site)
        .env_remove("WODINVENTORY")
        .args(["--inventory", "inventory", "-e", &variables])
        .args(["workshops", "lint"])
        .args(arguments)
        .output()
        .unwrap()
}

/// Without any inventory.
fn lint_alone(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wod"))
        .current_dir(dir)
        .env_remove("WODINVENTORY")
        .args(["workshops", "lint"])
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn findings(output: &Output) -> Vec<Value> {
    let lines = stdout(output);
    let lines = lines.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn told(finding: &Value) -> String {
    let text = |name: &str| finding[name].as_str().unwrap();
    format!(
        "{} {} {} {} {}\n",
        text("level"),
        text("rule"),
        text("file"),
        finding["line"],
        finding["column"]
    )
}

fn has_shellcheck() -> bool {
    let asked = Command::new("shellcheck").arg("--version").output();
    asked.is_ok_and(|output| output.status.success())
}

#[test]
fn each_seeded_fault_is_found_at_its_place() {
    let mut names: Vec<String> = fs::read_dir(cases())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let (mut faults, mut wrong) = (0, Vec::new());
    for name in &names {
        let site = site(name);
        let output = lint(site.path(), &["--json", "notebooks"]);
        let all = findings(&output);
        let said: String = all.iter().map(told).collect();
        let path = cases().join(name).join("expected");
        if std::env::var_os(REWRITE).is_some() {
            fs::write(&path, &said).unwrap();
        }
        let mut expected = fs::read_to_string(&path).unwrap_or_default();
        if !has_shellcheck() {
            let kept = expected
                .lines()
                .filter(|line| !line.contains("script/shellcheck"));
            expected = kept.map(|line| format!("{line}\n")).collect();
        }
        faults += expected.lines().count();
        let fails = expected.contains("error ");
        if said != expected || output.status.code() != Some(i32::from(fails)) {
            let errors = String::from_utf8_lossy(&output.stderr);
            wrong.push(format!(
                "{name} ({:?}):\n--- expected\n{expected}--- said\n{said}{errors}",
                output.status.code()
            ));
        }
        for finding in &all {
            assert!(finding["help"].is_string(), "{name}: what next? {finding}");
        }
        let is_fine = name == "base" || name.starts_with("fine-");
        assert_eq!(expected.is_empty(), is_fine, "{name} expects {expected:?}");
    }
    println!("{} cases, {faults} findings", names.len());
    assert!(faults >= 40, "{faults}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_samples_are_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let samples = root.join("workshops");
    let output = Command::new(env!("CARGO_BIN_EXE_wod"))
        .current_dir(root)
        .args(["--inventory", "inventory", "workshops", "lint", "--strict"])
        .arg(&samples)
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "nothing to say about 3 workshops\n");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let alone = tempfile::tempdir().unwrap();
    let output = lint_alone(alone.path(), &["--json", samples.to_str().unwrap()]);
    assert_eq!(stdout(&output), "");
    assert!(output.status.success());
}
