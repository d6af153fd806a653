//! `wod deliver` for 2,000 students on a private host: without a hub, against Ansible's own tasks for
//! the same, and with one. Prints a table, adds its keys to target/bench.json. BENCHMARKS.md has the
//! method.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark starts what it measures"
)]

#[path = "../tests/system/support/mod.rs"]
mod support;

#[path = "shared/figures.rs"]
mod figures;

#[path = "deliver/hub.rs"]
mod hub;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use figures::Figures;
use serde_json::Value;
use support::backend::{Backend, Options, SHARE, STATE, STUDENTS};
use support::{root, sh};

const INSIDE: &str = "WOD_BENCH_INSIDE";
const WANTED: u32 = 2000;
/// Ansible gets so many, or this would take an hour.
const FOR_ANSIBLE: u32 = 100;
/// The others go.
const LEFT: u32 = 10;
const PLAYBOOK: &str = "/opt/ansible/bin/ansible-playbook";
const HOMES_OF_ANSIBLE: &str = "/var/student-ansible";

type Part = (&'static str, fn(&mut Figures));

/// Each on a host of its own, of the same name in WOD_BENCH alone.
const PARTS: [Part; 2] = [("plain", without_a_hub), ("hub", hub::run)];

fn main() {
    let only = std::env::var("WOD_BENCH").ok();
    let inside = std::env::var(INSIDE).ok();
    for (name, part) in PARTS {
        match &inside {
            None if only.as_ref().is_none_or(|only| only == name) => on_private_host(name),
            Some(inside) if inside == name => measure(part),
            _ => {}
        }
    }
}

fn measure(part: fn(&mut Figures)) {
    let disk = root().join("target/bench-deliver");
    on_the_real_disk(&disk);
    let mut figures = Figures::default();
    part(&mut figures);
    figures.tell();
    let _ = fs::remove_dir_all(disk);
}

fn without_a_hub(figures: &mut Figures) {
    let ansible = with_ansible();
    let inventory = format!("WODSYSDIR: {SHARE}/sys\nWODUSERMAX: {WANTED}");
    let mut backend = Backend::start(Options {
        inventory: &inventory,
        ..Options::default()
    });
    backend.stop_engine();
    homes();
    let first = deliver(&[]);
    assert_eq!(first.changed, 2, "accounts and homes");
    let mut again: Vec<Seen> = (0..5).map(|_| deliver(&[])).collect();
    assert!(again.iter().all(|run| run.changed == 0));
    again.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let again = &again[2];
    figures.note("deliver2000_s", first.seconds);
    figures.note("deliver2000_again_s", again.seconds);
    figures.note("deliver_rss_mb", first.peak_mb.max(again.peak_mb));
    figures.note("deliver2000_away_s", fewer().seconds);
    if let Some((ansible_first, ansible_again)) = ansible {
        let scale = f64::from(WANTED / FOR_ANSIBLE);
        println!(
            "ansible, {FOR_ANSIBLE} students: {ansible_first:.1} s, again {ansible_again:.1} s"
        );
        figures.note(
            "deliver_vs_ansible_ratio",
            ansible_first * scale / first.seconds,
        );
        let ratio = ansible_again * scale / again.seconds;
        figures.note("deliver_again_vs_ansible_ratio", ratio);
    }
}

fn on_private_host(part: &str) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("the benchmark is left out: it needs root for real accounts on a private host");
        return;
    }
    let status = Command::new(support::support("private-host.sh"))
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, part)
        .status()
        .unwrap();
    assert!(status.success(), "the benchmark failed: {status}");
}

/// A private host's /var is in memory: homes and state are put on the disk that the project is on.
fn on_the_real_disk(disk: &Path) {
    let _ = fs::remove_dir_all(disk);
    let places = [
        ("state", STATE),
        ("student", STUDENTS),
        ("ansible", HOMES_OF_ANSIBLE),
    ];
    for (dir, place) in places {
        sh(&format!(
            "mkdir -p {disk}/{dir} {place}; mount --bind {disk}/{dir} {place}",
            disk = disk.display()
        ));
    }
}

/// As they are when they were copied by hand: root's, open, six files each.
fn homes() {
    sh(&format!(
        "mkdir -p {STUDENTS}/student1/.ssh {STUDENTS}/student1/work; cd {STUDENTS}/student1
         echo x | tee .bashrc .profile .ssh/id .ssh/id.pub work/a work/b >/dev/null
         cd ..; for n in $(seq 2 {WANTED}); do cp -R student1 student$n; done"
    ));
}

/// All but the first students go.
fn fewer() -> Seen {
    deliver(&["-e", &format!("WODUSERMAX={LEFT}")])
}

struct Seen {
    seconds: f64,
    peak_mb: f64,
    changed: u64,
}

fn deliver(more: &[&str]) -> Seen {
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_wod"))
        .args(["deliver", "--tags", "students", "--json"])
        .args(more)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kb.unwrap_or(0));
        thread::sleep(Duration::from_millis(2));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let recap: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    Seen {
        seconds,
        peak_mb: f64::from(peak) / 1024.0,
        changed: recap["total"]["changed"].as_u64().unwrap(),
    }
}

/// Seconds of the first and of the second run; None where there is no Ansible.
fn with_ansible() -> Option<(f64, f64)> {
    if !Path::new(PLAYBOOK).exists() {
        println!("there is no {PLAYBOOK}: nothing to compare with");
        return None;
    }
    // `acl` is not in ansible-core: setfacl in a `command` is the nearest, and no slower.
    let playbook = format!(
        "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n\
         \x20   - group: {{name: 'ans{{{{ item }}}}', gid: '{{{{ 70000 + item | int }}}}'}}\n\
         \x20     loop: '{{{{ range(1, {last}) | list }}}}'\n\
         \x20   - user: {{name: 'ans{{{{ item }}}}', uid: '{{{{ 70000 + item | int }}}}', group: 'ans{{{{ item }}}}',\n\
         \x20            home: '{HOMES_OF_ANSIBLE}/ans{{{{ item }}}}', comment: 'ans{{{{ item }}}}', shell: /bin/bash}}\n\
         \x20     loop: '{{{{ range(1, {last}) | list }}}}'\n\
         \x20   - file: {{path: '{HOMES_OF_ANSIBLE}/ans{{{{ item }}}}', state: directory, owner: 'ans{{{{ item }}}}',\n\
         \x20            group: 'ans{{{{ item }}}}', mode: 'u=rwX,o='}}\n\
         \x20     loop: '{{{{ range(1, {last}) | list }}}}'\n\
         \x20   - command: setfacl -R -m u:wodadmin:rwX,d:u:wodadmin:rwX {HOMES_OF_ANSIBLE}/ans{{{{ item }}}}\n\
         \x20     loop: '{{{{ range(1, {last}) | list }}}}'\n",
        last = FOR_ANSIBLE + 1
    );
    fs::write("/run/students.yml", playbook).unwrap();
    sh("id wodadmin >/dev/null 2>&1 || useradd --system --create-home --shell /bin/bash wodadmin");
    let run = || {
        let begun = Instant::now();
        sh(&format!(
            "LC_ALL=C.UTF-8 ANSIBLE_NOCOWS=1 {PLAYBOOK} -i localhost, -e ansible_python_interpreter=/usr/bin/python3 /run/students.yml"
        ));
        begun.elapsed().as_secs_f64()
    };
    Some((run(), run()))
}
