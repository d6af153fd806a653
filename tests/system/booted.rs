//! The units under systemd itself, as the first process of a Debian of its own: they start, hold what they
//! promise, and can do their work with what they left themselves.
//!
//! Needs root, cgroup2, debootstrap and a mirror; says so and passes without them. The Debian with its packages
//! is kept below target/, so that only the first run fetches it. `make machine` has the same in a virtual machine
//! with a kernel of its own, where limits and the process connector are real, too.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::install::fresh_debian;
use crate::support::support;

/// What host.yml wants, and what a Debian that is no minimal one has.
const PACKAGES: &str = "dbus libpam-systemd ca-certificates iproute2 acl at cron git logrotate openssh-server \
    postfix procmail procps sudo python3 python3-venv python3-systemd fail2ban ufw chrony";
const KERNEL: &str = "linux-image-cloud-amd64 initramfs-tools zstd";

/// Of the scripts that boot: there can be none here.
const NOT_BOOTED: i32 = 71;

fn with_packages(base: &Path, name: &str, packages: &str) -> Result<PathBuf, String> {
    let new = base.with_file_name(name);
    if new.is_dir() {
        return Ok(new);
    }
    let made = Command::new(support("with-packages.sh"))
        .arg(base)
        .arg(&new)
        .args(packages.split_whitespace())
        .output()
        .unwrap();
    match made.status.success() {
        true => Ok(new),
        false => Err(text(&made)),
    }
}

fn booted() -> Result<PathBuf, String> {
    with_packages(&fresh_debian()?, "debian-booted", PACKAGES)
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// Has `boot` start the Debian and run the script of this file there.
fn units_work(test: &str, boot: &str, base: Result<PathBuf, String>) {
    let leave_out = |why: &str| {
        let line = format!("{test} is left out: {why}");
        writeln!(std::io::stderr(), "{line}").unwrap();
    };
    let base = match base {
        Ok(base) => base,
        Err(why) => return leave_out(&why),
    };
    let output = Command::new(support(boot))
        .arg(base)
        .arg(env!("CARGO_BIN_EXE_wod"))
        .arg(support("booted-units.sh"))
        .output()
        .unwrap();
    let said = text(&output);
    if output.status.code() == Some(NOT_BOOTED) {
        return leave_out(&said);
    }
    println!("{said}");
    assert!(output.status.success(), "{said}");
    assert!(said.lines().any(|line| line == "WORKS"), "{said}");
}

fn if_root(then: impl FnOnce() -> Result<PathBuf, String>) -> Result<PathBuf, String> {
    match nix::unistd::geteuid().is_root() {
        true => then(),
        false => Err("it needs root".to_owned()),
    }
}

#[test]
fn units_do_their_work_under_systemd() {
    let base = if_root(booted);
    units_work(
        "units_do_their_work_under_systemd",
        "booted-debian.sh",
        base,
    );
}

#[test]
fn they_do_it_in_a_machine_of_their_own() {
    let base = if_root(|| {
        if std::env::var_os("WOD_MACHINE").is_none() {
            return Err("it takes ten minutes (make machine)".to_owned());
        }
        with_packages(&booted()?, "debian-virtual", KERNEL)
    });
    units_work(
        "they_do_it_in_a_machine_of_their_own",
        "virtual-debian.sh",
        base,
    );
}
