//! Homes of guests who want something outside to be theirs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{deliver, quiet_site};
use crate::support::backend::UID_BASE;
use crate::support::canary::{look, plant, same};
use crate::support::{on_private_host, root, sh, wait_for};

const CANARY: &str = "/var/canary";

/// Which cases cannot be made here, or take what the test machine has no room for.
fn build(case: &Path, student: u32) -> bool {
    let home = format!("/var/student/student{student}");
    fs::create_dir_all(&home).unwrap();
    let made = Command::new("sh")
        .arg("-eu")
        .arg(case)
        .current_dir(&home)
        .env("HOME_DIR", &home)
        .env("OUTSIDE", CANARY)
        .env("STUDENT_UID", (UID_BASE + student).to_string())
        .env("OTHER_UID", (UID_BASE + 99).to_string())
        .env("WOD_UID", sh("id -u wodadmin").trim())
        .env("LC_ALL", "C")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    made.success()
}

/// What the cases of tests/cases/hostile link to.
fn outside() {
    plant(CANARY, UID_BASE + 99);
    sh(&format!(
        "cd {CANARY}; mkdir -p home/.ssh bin workshop empty; echo canary >home/.ssh/authorized_keys
         echo canary >home/notes; chmod 666 home/notes; chown -R {0}:{0} home; echo x >bin/tool
         chmod 4755 bin/tool; echo x >workshop/README; ln -s README workshop/link",
        UID_BASE + 99
    ));
}

#[test]
fn no_hostile_home_reaches_outside() {
    on_private_host(|| {
        let backend = quiet_site("WODUSERMAX: 98");
        assert_eq!(deliver(&backend, &[]).status, 0);
        outside();
        // Overlays know no flags: homes on a file system that does.
        let cases = root().join("tests/cases/hostile");
        let mut cases: Vec<_> = fs::read_dir(cases)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        cases.sort();
        let big = [
            "files-100000",
            "tree-wide",
            "tree-4096-deep",
            "tree-long-names-deep",
        ];
        cases.retain(|case| !big.iter().any(|big| case.file_stem().unwrap() == *big));
        let mut built = 0;
        for (student, case) in (1..).zip(&cases) {
            built += u32::from(build(case, student));
        }
        assert!(
            built > 40,
            "only {built} of {} homes could be made",
            cases.len()
        );
        let before = look(&[CANARY, "/etc"]);
        let first = deliver(&backend, &[]);
        same(&before, &look(&[CANARY, "/etc"]), "the outside");
        // What was planted is told and left; everything else is done, and stays done.
        for line in first.all("failed") {
            assert!(line.starts_with("student"), "{line}");
        }
        let again = deliver(&backend, &[]);
        same(&before, &look(&[CANARY, "/etc"]), "the outside");
        assert_eq!(again.total["changed"], 0, "{}", again.said);
        assert_eq!(
            again.all("failed").len(),
            first.all("failed").len(),
            "{}",
            again.said
        );
        println!("{built} hostile homes, {} told", first.all("failed").len());
        let clean = deliver(&backend, &["-e", "CLEAN=true"]);
        same(
            &apart_from_names(&before),
            &apart_from_names(&look(&[CANARY, "/etc"])),
            "the outside",
        );
        assert_eq!(sh("ls -A /var/student").trim(), ".wod", "{}", clean.said);
    });
}

/// Of the canary only: a CLEAN changes the account files.
fn apart_from_names(seen: &crate::support::canary::Seen) -> crate::support::canary::Seen {
    let outside = seen.iter().filter(|(path, _)| path.starts_with(CANARY));
    // The second names that were in the homes are gone with them.
    let without_links = |line: &String| {
        let words: Vec<&str> = line.split(' ').collect();
        [&words[..2], &words[4..]].concat().join(" ")
    };
    outside
        .map(|(path, line)| (path.clone(), without_links(line)))
        .collect()
}

/// Exchanges directories for links as fast as it can.
const SWAPPER: &str = r#"
import ctypes, os
libc = ctypes.CDLL(None)
home = "/var/student/student1"
os.chdir(home)
for name, target in (("a", "/var/canary/etc"), ("b", "/var/canary/other"), ("c", "/etc")):
    os.makedirs(name + "/shadow/cron.d/.ssh", exist_ok=True)
    for n in range(300):
        os.makedirs(f"{name}/{n}")
        open(f"{name}/{n}/f", "w").close()
    os.symlink(target, "link-" + name)
print("ready", flush=True)
def swap(x, y):
    libc.renameat2(-100, x.encode(), -100, y.encode(), 2)
while True:
    for name in "abc":
        swap(name, "link-" + name)
        swap(name, "link-" + name)
    swap("a/shadow", "b/shadow")
    for name in "abc":
        try: os.chmod(f"{name}/7", 0o700)
        except OSError: pass
"#;

#[test]
fn who_exchanges_directories_for_links_gains_nothing() {
    on_private_host(|| {
        let backend = quiet_site("WODUSERMAX: 3");
        assert_eq!(deliver(&backend, &[]).status, 0);
        outside();
        sh("mkdir /var/student/student1; chown student1: /var/student/student1");
        assert_eq!(deliver(&backend, &[]).status, 0);
        fs::write("/var/share/swap.py", SWAPPER).unwrap();
        let id = (UID_BASE + 1).to_string();
        let mut swapper = Command::new("setpriv")
            .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
            .args(["/usr/bin/python3", "/var/share/swap.py"])
            .spawn()
            .unwrap();
        wait_for(10, "swapper", || {
            Path::new("/var/student/student1/link-c")
                .is_symlink()
                .then_some(())
        });
        let before = look(&[CANARY, "/etc"]);
        let until = Instant::now() + Duration::from_secs(8);
        let (mut runs, mut well, mut changed) = (0, 0, 0);
        while Instant::now() < until || runs < 5 || changed <= 3 {
            assert!(runs < 200, "only {changed} with changes");
            sh("chmod 777 /var/student/student1 2>/dev/null || true");
            let run = deliver(&backend, &[]);
            well += u32::from(run.status == 0);
            changed += run.total["changed"].as_u64().unwrap();
            runs += 1;
        }
        same(&before, &look(&[CANARY, "/etc"]), "the outside");
        swapper.kill().unwrap();
        swapper.wait().unwrap();
        println!("{runs} runs, {changed} with changes, {well} without a fault");
        let run = deliver(&backend, &[]);
        assert_eq!(run.status, 0, "{}", run.said);
        deliver(&backend, &[]).changes_nothing();
    });
}
