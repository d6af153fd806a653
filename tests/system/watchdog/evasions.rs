//! What a miner does to be taken for something else, or not to be caught: each is stopped, and how
//! soon is printed, and noted in target/evasions.json. The policy's windows are seconds here, so most of the time is that until enough
//! was burnt to be certain.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Instant;

use rustix::process::setpriority_process;
use serde_json::Value;

use crate::support::measured::note_evasion;
use crate::support::watched::{POLICY, Watched, without_windows};
use crate::support::{among_all_processes, sh};

/// Starts it as that student, and measures until nothing of theirs is left; `rule` has to be what
/// said it.
fn stopped(watched: &Watched, rule: &str, student: u32, what: &str, path: &str, words: &[&str]) {
    let program = watched.copy(student, path);
    stopped_as(watched, rule, student, what, &program, words);
}

/// The same of a program that is there already.
fn stopped_as(
    watched: &Watched,
    rule: &str,
    student: u32,
    what: &str,
    program: &str,
    words: &[&str],
) {
    watched.seat(student, 800 + student);
    let since = Instant::now();
    let mut child = watched.run(student, program, words);
    let took = watched.gone(student, since);
    child.wait().unwrap();
    let incident = watched.incident(student);
    eprintln!(
        "{what}: stopped after {:.1} s by {} ({})",
        took.as_secs_f64(),
        incident["findings"][0]["rule"],
        incident["findings"][0]["sentence"],
    );
    note_evasion(what, took);
    assert_eq!(incident["response"], "stop-seat", "{what}: {incident}");
    let found = incident["findings"].as_array().unwrap();
    assert!(
        found.iter().any(|f| f["rule"] == rule),
        "{what}: {incident}"
    );
}

#[test]
fn another_place_or_name_tells_itself() {
    among_all_processes(|| {
        let watched = Watched::start(&without_windows(), "");
        let disguise = "python -m ipykernel_launcher -f k.json";
        stopped(
            &watched,
            "disguise",
            1,
            "disguised",
            "tool",
            &["disguised", disguise],
        );
        stopped(&watched, "place", 2, "deleted", "gone", &["deleted"]);
        stopped(&watched, "place", 3, "memfd", "loader", &["memfd"]);
        stopped(&watched, "place", 4, "hidden", ".x11/helper", &["burn"]);
        stopped(
            &watched,
            "place",
            5,
            "in /dev/shm",
            "/dev/shm/.s5/helper",
            &["burn"],
        );
        sh(r"mkdir -m 711 $'/dev/shm/.\xff'; ln -s $'/dev/shm/.\xff' /run/odd");
        stopped(
            &watched,
            "place",
            6,
            "a name that is no text",
            "/run/odd/helper",
            &["burn"],
        );
    });
}

#[test]
fn an_ordinary_name_does_not_hide_what_it_uses() {
    among_all_processes(|| {
        let watched = Watched::start(POLICY, "");
        stopped(&watched, "student-cpu", 1, "renamed", "notes", &["burn"]);
        stopped(
            &watched,
            "student-cpu",
            3,
            "first thread ended",
            "notes",
            &["leaderless"],
        );
        is_kept_with_its_program(&watched, 3, "notes");
        let loaded = watched.copy(4, "notes");
        let loader = sh("ls /lib*/ld-linux*.so.* | head -1");
        stopped_as(
            &watched,
            "student-cpu",
            4,
            "through the loader",
            loader.trim(),
            &[&loaded, "burn"],
        );
        let _group = Group::of_this_thread();
        stopped(&watched, "student-cpu", 2, "nice 19", "polite", &["nice"]);
    });
}

fn is_kept_with_its_program(watched: &Watched, student: u32, name: &str) {
    let id = watched.incident(student)["id"].to_string();
    let shown = watched.wod(&["watchdog", "show", &id, "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let report = &shown["report"];
    let described = &report["described"][0];
    let path = described["process"]["exe"]["path"].as_str();
    assert!(path.is_some_and(|path| path.ends_with(name)), "{report:#}");
    assert!(!described["environment"].as_array().unwrap().is_empty());
    assert!(report["programs"][0]["copy"].is_string(), "{report:#}");
}

#[test]
fn many_small_ones_add_up() {
    among_all_processes(|| {
        let watched = Watched::start(POLICY, "");
        stopped(
            &watched,
            "student-cpu",
            1,
            "again every second",
            "seed",
            &["again"],
        );
        stopped(
            &watched,
            "student-cpu",
            2,
            "split over 40",
            "seed",
            &["split", "40"],
        );
    });
}

#[test]
fn what_holds_on_to_life_is_ended() {
    among_all_processes(|| {
        let watched = Watched::start(POLICY, "");
        stopped(
            &watched,
            "student-cpu",
            1,
            "double fork",
            "seed",
            &["daemon"],
        );
        stopped(
            &watched,
            "student-cpu",
            2,
            "deaf and stopped",
            "seed",
            &["deaf"],
        );
        stopped(&watched, "student-cpu", 3, "traced", "seed", &["traced"]);
    });
}

#[test]
fn a_fork_bomb_does_not_outrun_its_end() {
    among_all_processes(|| {
        let watched = Watched::start(POLICY, "");
        stopped(
            &watched,
            "processes",
            1,
            "bomb of 500",
            "seed",
            &["bomb", "500"],
        );
    });
}

#[test]
fn a_client_of_a_pool_is_stopped() {
    among_all_processes(|| {
        let watched = Watched::start(&without_windows(), "");
        // Any that is on the list and free here.
        let port = [3333, 4444, 14444, 5555, 7777, 45700];
        let listener = port
            .into_iter()
            .find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
        let listener = listener.expect("a free port of the list");
        let port = listener.local_addr().unwrap().port();
        let pool = std::thread::spawn(move || {
            let (peer, _) = listener.accept().unwrap();
            let mut hello = String::new();
            let mut lines = BufReader::new(peer);
            lines.read_line(&mut hello).unwrap();
            // Held until the other end is gone.
            let _ = lines.read_line(&mut String::new());
            hello
        });
        stopped(
            &watched,
            "pool",
            1,
            "pool",
            ".c/agent",
            &["pool", &port.to_string()],
        );
        assert!(pool.join().unwrap().contains("mining.subscribe"));
        let incident = watched.incident(1);
        let report = watched.wod(&["watchdog", "show", &incident["id"].to_string(), "--json"]);
        let report = String::from_utf8(report.stdout).unwrap();
        assert!(report.contains("socket:["), "{report}");
    });
}

/// A processor's share of our own, as systemd gives each user: on a busy machine nice 19 would get
/// nothing at all, and so use nothing. What this thread starts is in it. Where there is none to be had,
/// it starts so much less nice.
struct Group(Option<PathBuf>);

impl Group {
    fn of_this_thread() -> Group {
        let dir = PathBuf::from(format!(
            "/sys/fs/cgroup/cpu/wod-test-{}",
            std::process::id()
        ));
        let own = nix::unistd::gettid().to_string();
        let made = fs::create_dir(&dir).and_then(|()| fs::write(dir.join("tasks"), own));
        if made.is_err() {
            setpriority_process(None, -10).unwrap();
        }
        Group(made.is_ok().then_some(dir))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(dir) = &self.0 {
            let own = nix::unistd::gettid().to_string();
            let _ = fs::write("/sys/fs/cgroup/cpu/tasks", own);
            let _ = fs::remove_dir(dir);
        } else {
            let _ = setpriority_process(None, 0);
        }
    }
}
