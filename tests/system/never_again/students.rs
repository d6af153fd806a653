//! What a student could do.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Instant;

use super::{
    API, CANARY, SCRIPTS, done, home_is_gone, occupied, processes, retry, takers, trash_is_empty,
};
use crate::support::backend::{STUDENTS, UID_BASE, home};
use crate::support::canary::{look, same};
use crate::support::client::sh_as;
use crate::support::dead_mount::DeadMount;
use crate::support::{on_private_host, patience, sh, wait_for};

/// Swaps what is in the home, and the home's own name if it could, for links, as fast as it can.
const PLANTER: &str = r#"
import os, itertools
home, canary = os.path.expanduser("~"), "/var/canary"
plan = {
    "WKSHP-API101": canary + "/etc", ".ssh": canary + "/root/.ssh", ".jupyter": canary + "/other",
    ".bashrc": canary + "/etc/passwd", "WKSHP-API101/0-ReadMeFirst.ipynb": canary + "/etc/shadow",
    "WKSHP-API101/.ipynb_checkpoints": canary + "/etc/cron.d", ".ssh/authorized_keys": canary + "/root/.ssh/authorized_keys",
}
os.chdir(home)
here = os.open(".", os.O_RDONLY)
count = itertools.count()
print(os.getpid(), flush=True)
while True:
    for name, target in plan.items():
        for step in (
            lambda: os.rename(name, f".old{os.getpid()}.{next(count)}"),
            lambda: os.symlink(target, name, dir_fd=here),
            lambda: os.symlink(target, home + "/" + name),
            lambda: os.unlink(name),
            lambda: os.mkdir(name),
            lambda: os.link(canary + "/other", name),
            lambda: os.symlink(canary, home),
            lambda: os.unlink(home),
        ):
            try: step()
            except OSError: pass
    for old in os.listdir(here)[:50]:
        if old.startswith(".old"):
            try: os.unlink(old)
            except OSError: pass
"#;

/// In the background, out of every session and group, as the student.
fn at_work(account: &str, line: &str) {
    let output = sh_as(
        account,
        &format!(
            "export HOME={STUDENTS}/{account}; {{ setsid {line} </dev/null >/dev/null 2>&1 & }}"
        ),
    );
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn planted_links_while_root_writes() {
    on_private_host(|| {
        let (backend, _) = occupied("WODATTEMPTS: 4");
        let before = look(&[CANARY]);
        fs::write("/var/canary.py", PLANTER).unwrap();
        for taker in takers() {
            for _ in 0..3 {
                at_work("student12", "/usr/bin/python3 /var/canary.py");
            }
            assert!(is_planted(12), "nobody plants links");
            done(backend.act(&taker));
            same(&before, &look(&[CANARY]), "the canary");
            assert_eq!(processes(12), "", "{taker:?}");
            if taker[0] != "CREATE" {
                assert!(home_is_gone(12), "{taker:?}");
                done(backend.act(&["CREATE", API, "12", "--participant", "825"]));
            }
            is_as_new(12);
        }
        trash_is_empty();
        same(&before, &look(&[CANARY]), "the canary");
    });
}

/// Should one get in after all (here: started by root while the workshop's script runs), root's
/// writes still reach nothing but the home: the action is done, or held as a violation.
#[test]
fn planted_links_under_roots_hands() {
    on_private_host(|| {
        let (backend, _) = occupied("WODATTEMPTS: 2");
        let before = look(&[CANARY]);
        fs::write("/var/canary.py", PLANTER).unwrap();
        for phase in ["create", "post-copy"] {
            let path = format!("{SCRIPTS}/{phase}-{API}.sh");
            // Open until the planters are at work.
            let text = format!(
                "#!/bin/bash\n[ $(cat /run/wod-phase) = {phase} ] || exit 0
                touch /run/wod-window; until [ -e /run/wod-shut ]; do sleep 0.02; done\n"
            );
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        sh("chmod 1777 /run");
        let mut ends = Vec::new();
        // Whether a planter is in the way at the right moment is chance: eight rounds, and more
        // until one was.
        for round in 0..40 {
            if round >= 8 && ends.iter().any(|end| end == "held") {
                break;
            }
            let phase = ["create", "post-copy"][round % 2];
            sh(&format!(
                "rm -f /run/wod-*; echo {phase} >/run/wod-phase; chown wodadmin {SCRIPTS}/*"
            ));
            let participant = (900 + round).to_string();
            let ended = std::thread::scope(|scope| {
                scope.spawn(|| {
                    let there = || fs::exists("/run/wod-window").unwrap().then_some(());
                    wait_for(20, "window", there);
                    for _ in 0..3 {
                        at_work("student12", "/usr/bin/python3 /var/canary.py");
                    }
                    let planted = is_planted(12);
                    fs::write("/run/wod-shut", "").unwrap();
                    assert!(planted, "nobody plants links");
                });
                backend.act(&["CREATE", API, "12", "--participant", &participant])
            });
            same(&before, &look(&[CANARY]), "the canary");
            ends.push(ended["state"].as_str().unwrap().to_owned());
            sh("pkill -KILL -U student12 || true");
        }
        println!("{ends:?}");
        assert!(
            ends.iter().all(|end| end == "done" || end == "held"),
            "{ends:?}"
        );
        assert!(
            ends.iter().any(|end| end == "held"),
            "nobody planted anything"
        );
        let log = backend.log();
        let problems = log.lines().filter(|line| line.contains("held:"));
        assert!(
            problems.clone().all(|line| line.contains("student12")),
            "{log}"
        );
    });
}

/// They plant and unplant so fast that only a look without a pause is sure to see one.
fn is_planted(student: u32) -> bool {
    let deadline = Instant::now() + patience(10);
    let place = home(student).join(API);
    while !place.is_symlink() {
        if Instant::now() > deadline {
            return false;
        }
    }
    true
}

/// A fresh home: all the student's, no link in it, the workshop rendered.
fn is_as_new(student: u32) {
    let mut todo = vec![home(student)];
    while let Some(path) = todo.pop() {
        let metadata = path.symlink_metadata().unwrap();
        assert!(!metadata.is_symlink(), "{}", path.display());
        assert_eq!(metadata.uid(), UID_BASE + student, "{}", path.display());
        if metadata.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
    }
    let readme = fs::read_to_string(home(student).join(API).join("0-ReadMeFirst.ipynb")).unwrap();
    assert!(!readme.contains("{{"), "{readme}");
}

/// What a student does to the home, after which nothing was erased.
const HARDENED: [(&str, &str); 6] = [
    (
        "closed",
        "chmod 700 ~; setfacl -bk ~; mkdir ~/in; touch ~/in/mine; chmod 000 ~/in ~",
    ),
    (
        "many",
        "python3 -c 'for i in range(12000): open(f\"{i:05}\" + \"n\" * 245, \"w\")'",
    ),
    (
        "dotted",
        "mkdir ~/.a ~/..c ~/...; touch ~/.a/x ~/.b ~/..c/.d ~/.../y ~/-rf '/'$HOME'/ *'",
    ),
    (
        "odd",
        "touch $'new\\nline' $'bad\\xff' '$(id)' '*' '~' 'a;id'; mkdir -p ' / '",
    ),
    (
        "deep",
        "python3 -c 'import os\nfor i in range(3000): os.mkdir(\"d\" * 100); os.chdir(\"d\" * 100)'",
    ),
    (
        "locked",
        "mkdir -p a/b; touch a/b/c; chmod 500 a/b; chmod 000 a; mkfifo pipe; truncate -s 1T sparse",
    ),
];

#[test]
fn a_home_that_does_not_want_to_go() {
    on_private_host(|| {
        let (backend, _) = occupied("");
        for (name, line) in HARDENED {
            let made = sh_as(
                "student12",
                &format!("export HOME={STUDENTS}/student12; cd ~; touch mine-{name}; {line}"),
            );
            assert!(made.status.success(), "{name}: {made:?}");
            let taker = match name {
                "closed" | "dotted" | "deep" => "PURGE",
                _ => "CLEANUP",
            };
            done(backend.act(&[taker, API, "12", "--participant", "825"]));
            assert!(home_is_gone(12), "{name}");
            assert_eq!(backend.seat(12).unwrap()["assigned"], false, "{name}");
            trash_is_empty();
            done(backend.act(&["CREATE", API, "12", "--participant", "825"]));
            is_as_new(12);
            let left = sh(&format!("find {STUDENTS} -name '*mine*' | head -3"));
            assert_eq!(left, "", "{name}");
        }
    });
}

/// None of these has the home, or the account's name, in its arguments.
const HIDDEN: [&str; 5] = [
    "bash -c 'cd /; exec -a kworker/0:1 sleep 1000'",
    "bash -c 'cd /; trap \"\" HUP INT TERM QUIT USR1; while :; do sleep 1000; done'",
    "python3 -c 'import os,time\nwhile True:\n  if os.fork() == 0: time.sleep(0.01)\n  else: os._exit(0)'",
    "python3 -c 'import os,signal\nos.kill(os.getpid(), signal.SIGSTOP)'",
    "python3 -c 'import os,time\nwhile True:\n  try: os.fork() or time.sleep(1000)\n  except OSError: pass\n  time.sleep(0.2)'",
];

#[test]
fn a_process_without_its_home_in_its_arguments() {
    on_private_host(|| {
        let (backend, _) = occupied("");
        for taker in takers() {
            for line in HIDDEN {
                at_work("student12", line);
            }
            wait_for(10, "hidden process", || {
                processes(12).contains("kworker").then_some(())
            });
            done(backend.act(&taker));
            assert_eq!(processes(12), "", "{taker:?}");
            if taker[0] != "CREATE" {
                done(backend.act(&["CREATE", API, "12", "--participant", "825"]));
            }
        }
    });
}

/// What cron does with the last one's crontab: it starts something as long as that is there. The
/// action is held meanwhile: it has ended all processes, and cannot erase the home.
#[test]
fn a_process_that_something_else_starts() {
    on_private_host(|| {
        let (backend, _) = occupied("");
        for taker in takers() {
            sh(&format!(
                "mount --bind {STUDENTS}/student12 {STUDENTS}/student12
                 t=/var/spool/cron/crontabs/student12; mkdir -p ${{t%/*}}; chmod 755 ${{t%/*}}; echo '* * * * * true' >$t
                 {{ while [ -e $t ]; do
                     setpriv --reuid=student12 --regid=student12 --clear-groups \
                         sh -c \"[ -e $t ] && exec sleep 1000\" & sleep 0.05
                 done >/dev/null 2>&1 & }}"
            ));
            let held = backend.act(&taker);
            assert_eq!(held["state"], "held", "{held}");
            wait_for(10, "job", || (!processes(12).is_empty()).then_some(()));
            sh(&format!("umount {STUDENTS}/student12"));
            retry(&backend, &held["id"]);
            // One that came too late sees that itself.
            wait_for(2, "quiet seat", || processes(12).is_empty().then_some(()));
            if taker[0] != "CREATE" {
                done(backend.act(&["CREATE", API, "12", "--participant", "825"]));
            }
        }
    });
}

#[test]
fn what_the_last_one_left_elsewhere() {
    on_private_host(|| {
        let (backend, _) = occupied("");
        let left = sh_as(
            "student12",
            "touch /tmp/mine-12 /dev/shm/mine-12 /var/tmp/mine-12; mkdir -p /tmp/mine-d/.x; touch /tmp/mine-d/.x/y
             ipcmk -M 4096 -Q -S 1",
        );
        assert!(left.status.success(), "{left:?}");
        done(backend.act(&["PURGE", API, "12", "--participant", "825"]));
        let files = sh("find /tmp /dev/shm /var/tmp -name 'mine-*'");
        assert_eq!(files, "");
        let objects = sh("cat /proc/sysvipc/shm /proc/sysvipc/msg /proc/sysvipc/sem");
        assert!(!objects.contains(&(UID_BASE + 12).to_string()), "{objects}");
    });
}

/// As sshfs over the whole home, whose server is gone or does not answer.
#[test]
fn a_file_system_over_the_home() {
    on_private_host(|| {
        let (backend, _) = occupied("WODATTEMPTS: 2");
        for taker in takers() {
            let Some(mut mount) = DeadMount::new(&home(12), UID_BASE + 12, b"") else {
                writeln!(std::io::stderr(), "skipped: no FUSE here").unwrap();
                return;
            };
            mount.die();
            done(backend.act(&taker));
            assert!(!sh("cat /proc/self/mountinfo").contains("student12"));
            if taker[0] != "CREATE" {
                assert!(home_is_gone(12), "{taker:?}");
                done(backend.act(&["CREATE", API, "12", "--participant", "825"]));
            }
        }
    });
}

/// Holes cost a student no disk; to read them all took a worker half a minute.
#[test]
fn notebooks_that_are_only_long() {
    on_private_host(|| {
        let (backend, _) = occupied("");
        let lines = format!(
            "cd {STUDENTS}/student12/{API}; for n in $(seq 1000); do truncate -s 64M $n.ipynb; done"
        );
        assert!(sh_as("student12", &lines).status.success());
        let (begun, before) = (Instant::now(), backend.processor_ms());
        done(backend.act(&["CLEANUP", API, "12", "--participant", "825"]));
        let used = backend.processor_ms() - before;
        let took = begun.elapsed();
        println!("CLEANUP after 1,000 notebooks of 64 MiB: {took:?}, {used} ms on processors");
        assert!(used < 8000, "{used} ms");
    });
}

#[test]
fn another_students_notebooks() {
    on_private_host(|| {
        let (backend, _) = occupied("");
        done(backend.act(&["CREATE", API, "13", "--participant", "826"]));
        let readme = format!("{STUDENTS}/student12/{API}/0-ReadMeFirst.ipynb");
        assert!(
            sh_as("student12", &format!("cat {readme}"))
                .status
                .success()
        );
        cannot(
            "student13",
            &[
                format!("cat {readme}"),
                format!("ls {STUDENTS}"),
                format!("ls {STUDENTS}/student12"),
                format!("cd {STUDENTS}/student12"),
                format!("cat {STUDENTS}/student12/.ssh/id_ed25519"),
                format!("touch {STUDENTS}/student12/x"),
                format!("touch {STUDENTS}/x"),
                format!("ls {STUDENTS}/.wod"),
                format!("ls {STUDENTS}/.wod/trash"),
                "ls /var/lib/wod/private".to_owned(),
                "ls /var/lib/wod/spool".to_owned(),
                "cat /etc/wod/inventory/group_vars/all.yml".to_owned(),
            ],
        );
        // Not even when the owner opens the door: the neighbour's name gives no way in.
        let opened = sh_as("student12", &format!("chmod 711 {STUDENTS}/student12"));
        assert!(opened.status.success());
        done(backend.act(&["CREATE", API, "12", "--participant", "825"]));
        assert_eq!(
            Path::new(STUDENTS)
                .join("student12")
                .metadata()
                .unwrap()
                .mode()
                & 0o007,
            0
        );
    });
}

fn cannot(account: &str, lines: &[String]) {
    for line in lines {
        assert!(
            !sh_as(account, line).status.success(),
            "{account} can: {line}"
        );
    }
}

/// Its task reported ok and changed nothing.
#[test]
fn default_acls() {
    on_private_host(|| {
        let (_backend, _) = occupied("");
        let made = sh_as(
            "student12",
            &format!(
                "cd {STUDENTS}/student12; umask 022; mkdir -p {API}/new/deep; echo hello >{API}/new/deep/file"
            ),
        );
        assert!(made.status.success(), "{made:?}");
        let read = sh_as(
            "wodadmin",
            &format!(
                "cat {STUDENTS}/student12/{API}/new/deep/file && touch {STUDENTS}/student12/{API}/new/note"
            ),
        );
        assert!(read.status.success(), "{read:?}");
    });
}
