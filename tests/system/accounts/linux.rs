//! Real accounts of a Linux host, in namespaces of their own over a copy of /etc and /var: the
//! host's accounts are never touched. Needs root.

use std::fs;
use std::path::Path;
use std::process::Command;

use wod::adapters::accounts_linux::{self, LinuxAccounts};
use wod::domain::Student;
use wod::exec::{Cmd, RunAs};
use wod::ports::{Accounts, Disposition};

use crate::support::seats::fits;
use crate::support::{on_private_host, sh};

use super::hostile;
use super::{Site, exercise, range, secret, student};

pub const UID_BASE: u32 = 61_000;

#[test]
fn linux_accounts() {
    on_private_host(|| {
        sh("mkdir -m 1777 /run/shared; mkdir /run/mq; mount -t mqueue none /run/mq");
        let site = linux();
        exercise(&site);
        accounts_are_mended(&site);
        an_account_is_made_without_sysusers();
        others_accounts_are_left_alone(&site);
        a_missing_account_is_locked_and_takes_no_password(&site);
        hostile::resisting_processes_end(&site);
        hostile::a_fork_bomb_ends(&site);
        hostile::whoever_kills_back_ends(&site);
        hostile::everything_left_behind_is_swept(&site);
        hostile::a_fuse_mount_is_taken_off(&site);
        hostile::odd_fuse_mounts_are_taken_off(&site);
        a_login_has_the_groups_of_its_account();
    });
}

pub struct LinuxSite(pub LinuxAccounts);

fn linux() -> LinuxSite {
    LinuxSite(LinuxAccounts::new(config()).unwrap())
}

fn config() -> accounts_linux::Config {
    accounts_linux::Config {
        uid_base: UID_BASE,
        gid_base: UID_BASE,
        students: range(),
        students_dir: "/student".into(),
        shell: "/bin/bash".into(),
        shared_dirs: vec![
            "/run/shared".into(),
            "/run/mq".into(),
            "/run/no-such".into(),
        ],
    }
}

impl Site for LinuxSite {
    fn accounts(&self) -> &dyn Accounts {
        &self.0
    }

    fn fits(&self, student: Student, password: &str) -> bool {
        fits(student.number(), password)
    }

    fn as_student(&self, student: Student, argv: &[&str]) -> Command {
        let id = UID_BASE + student.number();
        with_ids(
            &[
                &format!("--reuid={id}"),
                &format!("--regid={id}"),
                "--clear-groups",
            ],
            argv,
        )
    }
}

pub fn with_ids(options: &[&str], argv: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(options).args(argv).current_dir("/");
    command
}

fn entry(database: &str, key: &str) -> String {
    let output = Command::new("getent")
        .args([database, key])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn tool(argv: &[&str]) {
    let status = Command::new(argv[0]).args(&argv[1..]).status().unwrap();
    assert!(status.success(), "{argv:?}");
}

fn accounts_are_mended(site: &LinuxSite) {
    let right = "student1:x:61001:61001:student1:/student/student1:/bin/bash";
    assert_eq!(entry("passwd", "student1"), right);
    assert_eq!(entry("group", "student1"), "student1:x:61001:");
    assert!(!Path::new("/student/student1").exists());
    tool(&[
        "usermod", "-s", "/bin/sh", "-c", "Mallory", "-d", "/", "-g", "0", "student1",
    ]);
    site.0.ensure(student(1)).unwrap();
    assert_eq!(entry("passwd", "student1"), right);
    tool(&["userdel", "student1"]);
    site.0.ensure(student(1)).unwrap();
    assert_eq!(entry("passwd", "student1"), right);
    assert!(!site.fits(student(1), "x"));
}

/// As on a host without systemd.
fn an_account_is_made_without_sysusers() {
    tool(&["mount", "--bind", "/bin/false", "/usr/bin/systemd-sysusers"]);
    let other = LinuxAccounts::new(accounts_linux::Config {
        gid_base: UID_BASE + 500,
        ..config()
    });
    other.unwrap().ensure(student(40)).unwrap();
    tool(&["umount", "/usr/bin/systemd-sysusers"]);
    let right = "student40:x:61040:61540:student40:/student/student40:/bin/bash";
    assert_eq!(entry("passwd", "student40"), right);
    assert!(entry("shadow", "student40").starts_with("student40:!:"));
    let subordinate = fs::read_to_string("/etc/subuid").unwrap_or_default();
    assert!(!subordinate.contains("student40"));
    assert!(!Path::new("/var/mail/student40").exists());
}

fn others_accounts_are_left_alone(site: &LinuxSite) {
    tool(&["useradd", "-M", "-u", "61100", "alice"]);
    tool(&["useradd", "-M", "-N", "-u", "62000", "student101"]);
    tool(&["groupadd", "-g", "61102", "team"]);
    let before = fs::read("/etc/passwd").unwrap();
    let mut alices = with_ids(&["--reuid=61100", "--clear-groups"], &["sleep", "100"]);
    let mut alices = alices.spawn().unwrap();
    for (n, expected) in [
        (100, "uid 61100 of student100 belongs to account alice"),
        (
            101,
            "account student101 has uid 62000, but UIDBASE wants 61101",
        ),
        (102, "gid 61102 of student102 belongs to group team"),
    ] {
        let fault = site.0.ensure(student(n)).unwrap_err();
        assert_eq!(fault.disposition, Disposition::Permanent);
        assert!(fault.line().contains(expected), "{}", fault.line());
    }
    for n in [100, 101] {
        for result in [site.0.end_processes(student(n)), site.0.sweep(student(n))] {
            assert_eq!(result.unwrap_err().disposition, Disposition::Violation);
        }
    }
    assert!(alices.try_wait().unwrap().is_none());
    alices.kill().unwrap();
    alices.wait().unwrap();
    assert_eq!(fs::read("/etc/passwd").unwrap(), before);
    let low = LinuxAccounts::new(accounts_linux::Config {
        uid_base: 900,
        ..config()
    })
    .unwrap();
    let fault = low.end_processes(student(50)).unwrap_err();
    assert_eq!(fault.disposition, Disposition::Violation);
    assert!(fault.line().contains("check UIDBASE"), "{}", fault.line());
}

fn a_missing_account_is_locked_and_takes_no_password(site: &LinuxSite) {
    site.0.lock(student(99)).unwrap();
    let fault = site.0.set_password(student(99), &secret("x")).unwrap_err();
    assert_eq!(fault.disposition, Disposition::Permanent);
    assert_eq!(entry("passwd", "student99"), "");
    // A password in the old place, as no tool leaves it but an attacker might.
    tool(&["sed", "-i", "s/^student1:x:/student1::/", "/etc/passwd"]);
    assert!(entry("passwd", "student1").starts_with("student1::"));
    site.0.lock(student(1)).unwrap();
    assert!(!entry("passwd", "student1").starts_with("student1::"));
    assert!(!site.fits(student(1), ""));
    tool(&[
        "sed",
        "-i",
        "s/^student1:[^:]*:/student1:x:/",
        "/etc/passwd",
    ]);
}

/// WODUSER's sudo rules may go by group.
fn a_login_has_the_groups_of_its_account() {
    tool(&["groupadd", "-g", "62001", "operators"]);
    tool(&[
        "useradd",
        "-M",
        "-N",
        "-u",
        "62002",
        "-g",
        "100",
        "-G",
        "operators",
        "wodadmin",
    ]);
    let groups = |who: &RunAs| {
        let output = Cmd::new("id").arg("-G").run_as(Some(who)).run().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(groups(&RunAs::login(62002, 100)), "100 62001\n");
    assert_eq!(groups(&RunAs::bare(62002, 100)), "100\n");
}
