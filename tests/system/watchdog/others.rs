//! Nobody but the student is ever touched, whatever they are called and whatever they run.

use std::fs;
use std::time::{Duration, Instant};

use wod::adapters::accounts_linux::StudentUids;
use wod::domain::Student;

use crate::support::watched::{NOBODYS, POLICY, SUSPECT, Watched, end_all, processes};
use crate::support::{among_all_processes, on_private_host, sh};

#[test]
fn others_are_not_touched_whatever_they_run() {
    among_all_processes(|| {
        let watched = Watched::site(POLICY, "WODUSERMAX: 20");
        let base = watched.uid(0);
        let alike = watched.look_alikes();
        let mut watched = watched;
        watched.start_watchdog();
        sh(&format!(
            "cp {SUSPECT} /run/suspect/xmrig; chmod 755 /run/suspect/xmrig"
        ));
        let xmrig = "/run/suspect/xmrig";
        let wodadmin: u32 = sh("id -u wodadmin").trim().parse().unwrap();
        let mut untouched: Vec<_> = [0, wodadmin, base + 25]
            .into_iter()
            .chain(alike)
            .map(|uid| (uid, watched.run_as(uid, "/", xmrig, &["idle"])))
            .collect();
        for student in 10..20 {
            if student != NOBODYS {
                let uid = watched.uid(student);
                untouched.push((uid, watched.run(student, "/usr/bin/sleep", &["60"])));
            }
        }
        let since = Instant::now();
        let mut miner = watched.run(1, xmrig, &["idle"]);
        watched.gone(1, since);
        miner.wait().unwrap();
        watched.incident(1);
        // Some samples later.
        std::thread::sleep(Duration::from_secs(3));
        for (uid, child) in &mut untouched {
            assert!(child.try_wait().unwrap().is_none(), "uid {uid} was touched");
            let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            assert!(stat.contains(") S "), "uid {uid}: {stat}");
        }
        assert_eq!(watched.incidents().len(), 1, "{:?}", watched.incidents());
        for (_, mut child) in untouched {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    });
}

#[test]
fn a_pid_that_is_used_again_is_not_killed() {
    on_private_host(|| {
        let uid = 64_007;
        sh("echo 'student7:x:64007:64007::/:/bin/bash' >>/etc/passwd");
        let uids = StudentUids {
            base: 64_000,
            students: "1,20".parse().unwrap(),
        };
        let suspect = uids.suspect(Student::new(7).unwrap()).unwrap();
        let start = |pid: u32| -> u64 {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let ticks = stat
                .rsplit_once(')')
                .unwrap()
                .1
                .split_whitespace()
                .nth(19)
                .unwrap();
            ticks.parse::<u64>().unwrap() * 10
        };
        let sleeper = || {
            let mut command = std::process::Command::new("/usr/bin/sleep");
            std::os::unix::process::CommandExt::uid(&mut command, uid);
            command.arg("60").spawn().unwrap()
        };
        let mut first = sleeper();
        let (pid, began) = (first.id(), start(first.id()));
        first.kill().unwrap();
        first.wait().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        let mut second = sleeper();
        assert_eq!(second.id(), pid, "the pid was to be used again");
        assert!(!suspect.kill_one(pid, began), "it is another process");
        assert!(second.try_wait().unwrap().is_none());
        assert!(suspect.kill_one(pid, start(pid)));
        second.wait().unwrap();
        // Not even with the right start is anybody else's killed.
        let mut roots = std::process::Command::new("/usr/bin/sleep")
            .arg("60")
            .spawn()
            .unwrap();
        assert!(!suspect.kill_one(roots.id(), start(roots.id())));
        roots.kill().unwrap();
        roots.wait().unwrap();
        end_all(uid);
        assert!(processes(uid).is_empty());
    });
}
