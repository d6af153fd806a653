//! `wod install` on a fresh Debian: from nothing to a workshop that a mail makes.
//!
//! Needs root, debootstrap and a mirror; says so and passes without them. The empty Debian is kept below
//! target/, so that only the first run fetches it.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{root, support};

const SUITE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";

/// Why there is none, where there is none.
pub fn fresh_debian() -> Result<PathBuf, String> {
    let base = root().join(format!("target/debian-{SUITE}"));
    if base.is_dir() {
        return Ok(base);
    }
    let new = base.with_extension(format!("new-{}", std::process::id()));
    let made = Command::new("debootstrap")
        // A real one has systemd; here it never runs.
        .args(["--variant=minbase", "--include=systemd", SUITE])
        .arg(&new)
        .arg(MIRROR)
        .output()
        .map_err(|e| format!("debootstrap cannot be started: {e}"))?;
    if !made.status.success() {
        let _ = fs::remove_dir_all(&new);
        return Err(String::from_utf8_lossy(&made.stdout).into_owned());
    }
    // Somebody else may have been faster.
    if fs::rename(&new, &base).is_err() {
        fs::remove_dir_all(&new).unwrap();
    }
    Ok(base)
}

#[test]
fn a_fresh_debian_becomes_a_backend() {
    let leave_out = |why: &str| {
        let line = format!("a_fresh_debian_becomes_a_backend is left out: {why}");
        writeln!(std::io::stderr(), "{line}").unwrap();
    };
    if !nix::unistd::geteuid().is_root() {
        return leave_out("it needs root");
    }
    let base = match fresh_debian() {
        Ok(base) => base,
        Err(why) => return leave_out(&why),
    };
    let output = Command::new(support("fresh-debian.sh"))
        .arg(base)
        .arg(env!("CARGO_BIN_EXE_wod"))
        .arg(support("fresh-install.sh"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success(), "{errors}");
    let part = |from: &str, to: &str| {
        let rest = said.split_once(from).unwrap().1;
        rest.split_once(to).unwrap().0.to_owned()
    };
    // The first run did every step, the second none.
    let first = part("FIRST\n", "INSTALLED");
    for step in [
        "packages 1",
        "program /usr/local/bin/wod",
        "files below",
        "inventory",
        "jupyterhub",
    ] {
        let done = first
            .lines()
            .any(|l| l.starts_with("changed") && l.contains(step));
        assert!(done, "{step}: {first}");
    }
    let again = part("AGAIN\n", "SAME");
    assert!(
        !again.lines().any(|line| line.starts_with("changed")),
        "{again}"
    );
    assert!(!again.contains("changed=1"), "{again}");
    let mended = part("MEND\n", "WORKS");
    assert!(mended.contains("files below /usr/share/wod:"), "{mended}");
    assert!(
        mended.contains("installed: configurable-http-proxy"),
        "{mended}"
    );
}
