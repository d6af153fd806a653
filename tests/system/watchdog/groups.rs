//! Control groups that hold a student's processes: frozen before anything else, and to be used again
//! afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::watched::{POLICY, Watched, end_all};
use crate::support::{among_all_processes, patience, sh, wait_for};

/// A group of our own in the unified hierarchy, gone in the end.
struct Group(PathBuf);

impl Group {
    /// None, with the reason, where there is no freezer.
    fn new(name: &str) -> Option<Group> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = table.lines().find(|line| line.contains(" - cgroup2 "));
        let Some(mount) = line.and_then(|line| line.split(' ').nth(4)) else {
            eprintln!("left out: no unified control groups are mounted here");
            return None;
        };
        let dir = Path::new(mount).join(format!("wod-test-{}-{name}", std::process::id()));
        if let Err(e) = fs::create_dir(&dir) {
            eprintln!("left out: no group can be made below {mount}: {e}");
            return None;
        }
        let group = Group(dir);
        if !group.0.join("cgroup.freeze").exists() {
            eprintln!("left out: this kernel has no freezer for {mount}");
            return None;
        }
        Some(group)
    }

    fn take(&self, child: &Child) {
        fs::write(self.0.join("cgroup.procs"), child.id().to_string()).unwrap();
    }

    fn says(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    fn is_frozen(&self) -> bool {
        self.says("cgroup.events").contains("frozen 1")
    }

    fn line(&self) -> String {
        format!("frozen group {}", self.0.display())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.freeze"), "0");
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        eprintln!("{} is left behind", self.0.display());
    }
}

fn is_there(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// What the watchdog does to processes, in its order: from the trace of its calls.
fn deeds(calls: &str, group: &Group) -> Vec<String> {
    let freeze = group.0.join("cgroup.freeze").display().to_string();
    let mut deeds: Vec<String> = Vec::new();
    for line in calls.lines() {
        let deed = if line.contains("write(") && line.contains(&freeze) {
            let state = if line.contains("\"1\"") {
                "freeze"
            } else {
                "thaw"
            };
            state.to_owned()
        } else if line.contains("kill(-1, SIG") {
            let signal = line.split("kill(-1, ").nth(1).unwrap();
            signal[..7].to_owned()
        } else if line.contains("openat(") && line.contains("/environ\"") {
            "evidence".to_owned()
        } else {
            continue;
        };
        if deeds.last() != Some(&deed) {
            deeds.push(deed);
        }
    }
    deeds
}

#[test]
fn a_group_of_the_students_own_is_frozen_first() {
    among_all_processes(|| {
        let Some(group) = Group::new("own") else {
            return;
        };
        const STRACE: &str = "/usr/bin/strace";
        const CALLS: &str = "/run/calls";
        let is_traced = Path::new(STRACE).exists();
        let mut watched = Watched::site(POLICY, "");
        watched.seat(3, 803);
        match is_traced {
            true => {
                let words = [
                    STRACE,
                    "-D",
                    "-f",
                    "-y",
                    "-qq",
                    "-e",
                    "trace=write,openat,kill",
                ];
                watched.start_watchdog_below(&[&words[..], &["-o", CALLS]].concat(), &[]);
            }
            false => {
                eprintln!("the order of what is done is left out: it needs {STRACE}");
                watched.start_watchdog_with(&[]);
            }
        }
        watched.is_watching();
        // Of a container: out of reach of the account's own signals.
        let subordinate = 1_200_000_000 + watched.uid(0) % 900_000_000;
        sh(&format!("echo student3:{subordinate}:5 >>/etc/subuid"));
        let mut others: Vec<Child> = (0..120)
            .map(|_| watched.run(3, "/usr/bin/sleep", &["300"]))
            .collect();
        others.push(watched.run_as(subordinate + 4, "/", "/usr/bin/sleep", &["300"]));
        let suspect = watched.copy(3, "busy");
        others.push(watched.run(3, &suspect, &["storm", "50"]));
        others.iter().for_each(|child| group.take(child));
        let miner = watched.copy(3, "xmrig");
        watched.run(3, &miner, &["idle"]).wait().unwrap();
        for child in &mut others {
            child.wait().unwrap();
        }
        let incident = watched.incident(3);
        let done = incident["done"].to_string();
        assert!(done.contains(&group.line()), "{done}");
        // One more is there while the storm starts the next.
        let is_all = |count| done.contains(&format!("killed {count} processes"));
        assert!(is_all(123) || is_all(124), "{done}");
        if is_traced {
            let deeds = deeds(&fs::read_to_string(CALLS).unwrap(), &group);
            let expected = ["SIGSTOP", "freeze", "evidence", "SIGKILL", "thaw"];
            // Whatever still moved was stopped once more.
            let once: Vec<&String> = deeds.iter().filter(|d| *d != "SIGSTOP").collect();
            assert_eq!(once, &expected[1..], "{deeds:?}");
            assert_eq!(deeds[..2], expected[..2], "{deeds:?}");
        }
        // To be used again.
        assert_eq!(group.says("cgroup.freeze"), "0\n");
        let ran = sh(&format!(
            "echo $$ >{0}/cgroup.procs; echo ran; echo $$ >$(dirname {0})/cgroup.procs",
            group.0.display()
        ));
        assert_eq!(ran, "ran\n");
        end_all(subordinate + 4);
    });
}

#[test]
fn a_group_with_anybody_else_in_it_is_never_frozen() {
    among_all_processes(|| {
        let Some(group) = Group::new("mixed") else {
            return;
        };
        let watched = Watched::start(POLICY, "");
        let others: Vec<(u32, Child)> = [0, watched.uid(13), watched.uid(3)]
            .into_iter()
            .map(|uid| (uid, watched.run_as(uid, "/", "/usr/bin/sleep", &["300"])))
            .collect();
        others.iter().for_each(|(_, child)| group.take(child));
        let miner = watched.copy(3, "xmrig");
        watched.run(3, &miner, &["idle"]).wait().unwrap();
        let incident = watched.incident(3);
        assert!(
            !incident["done"].to_string().contains("frozen group"),
            "{incident}"
        );
        for (uid, mut child) in others {
            let is_alive = is_there(child.id());
            assert_eq!(is_alive, uid != watched.uid(3), "uid {uid}");
            let _ = child.kill();
            child.wait().unwrap();
        }
    });
}

/// Kills the watchdog while the group is frozen; false when it was too quick.
fn killed_half_way(watched: &mut Watched, group: &Group, student: u32) -> bool {
    let miner = watched.copy(student, "xmrig");
    let mut others: Vec<Child> = (0..150)
        .map(|_| watched.run(student, "/usr/bin/sleep", &["300"]))
        .collect();
    others.iter().for_each(|child| group.take(child));
    others.push(watched.run(student, &miner, &["idle"]));
    let first = others[0].id();
    let is_held = || is_there(first) && group.is_frozen();
    let until = Instant::now() + patience(20);
    let mut was = false;
    while is_there(first) && !was {
        assert!(Instant::now() < until, "nothing is frozen or ended");
        was = group.is_frozen() && watched.kill_watchdog_while(is_held);
    }
    if was {
        let open = watched.journal().open_incidents().unwrap();
        assert!(
            open[0].done.contains(&group.line()),
            "it was written down before: {open:?}"
        );
        // Nobody else lets it go.
        thread::sleep(Duration::from_millis(200));
        assert!(group.is_frozen() && is_there(first));
    }
    if was {
        watched.start_watchdog();
    }
    watched.gone(student, Instant::now());
    for child in &mut others {
        child.wait().unwrap();
    }
    let incident = watched.incident(student);
    assert!(
        incident["done"].to_string().contains("sent PURGE"),
        "{incident}"
    );
    wait_for(10, "thawed group", || {
        (group.says("cgroup.freeze") == "0\n").then_some(())
    });
    was
}

#[test]
fn a_group_that_a_killed_watchdog_froze_is_found_by_the_next() {
    among_all_processes(|| {
        let Some(group) = Group::new("killed") else {
            return;
        };
        let mut watched = Watched::start(POLICY, "");
        let was = (1..=20).any(|student| killed_half_way(&mut watched, &group, student));
        assert!(
            was,
            "the watchdog was never caught while a group was frozen"
        );
    });
}
