//! The units under systemd itself, as the first process of a Debian of its own: they start, hold what they
//! promise, and can do their work with what they left themselves.
//!
//! Needs root, cgroup2, debootstrap and a mirror; says so and passes without them. The Debian with its packages
//! is kept below target/, so that only the first run fetches it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::install::fresh_debian;
use crate::support::support;

/// What host.yml wants, and what a Debian that is no minimal one has.
const PACKAGES: &str = "dbus libpam-systemd ca-certificates iproute2 acl at cron git logrotate openssh-server \
    postfix procmail procps sudo python3 python3-venv python3-systemd fail2ban ufw chrony";

fn with_packages(base: &Path) -> Result<PathBuf, String> {
    let new = base.with_file_name("debian-booted");
    if new.is_dir() {
        return Ok(new);
    }
    let made = Command::new(support("with-packages.sh"))
        .arg(base)
        .arg(&new)
        .args(PACKAGES.split_whitespace())
        .output()
        .unwrap();
    match made.status.success() {
        true => Ok(new),
        false => Err(text(&made)),
    }
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn units_do_their_work_under_systemd() {
    let leave_out = |why: &str| {
        let line = format!("units_do_their_work_under_systemd is left out: {why}");
        writeln!(std::io::stderr(), "{line}").unwrap();
    };
    if !nix::unistd::geteuid().is_root() {
        return leave_out("it needs root");
    }
    let base = match fresh_debian().and_then(|base| with_packages(&base)) {
        Ok(base) => base,
        Err(why) => return leave_out(&why),
    };
    let output = Command::new(support("booted-debian.sh"))
        .arg(base)
        .arg(env!("CARGO_BIN_EXE_wod"))
        .arg(support("booted-units.sh"))
        .output()
        .unwrap();
    let said = text(&output);
    /// Of booted-debian.sh: there can be none here.
    const NOT_BOOTED: i32 = 71;
    if output.status.code() == Some(NOT_BOOTED) {
        return leave_out(&said);
    }
    println!("{said}");
    assert!(output.status.success(), "{said}");
    assert!(said.lines().any(|line| line == "WORKS"), "{said}");
}
