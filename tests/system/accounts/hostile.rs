//! What strangers do with a real account: processes that resist, and all that they can leave
//! behind.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use wod::domain::Student;
use wod::ports::Accounts;

use crate::support::dead_mount::DeadMount;

use super::linux::{LinuxSite, UID_BASE, with_ids};
use super::{Site, student, wait_until};

fn count(site: &LinuxSite, student: Student) -> usize {
    let lines = site.0.leftovers(student).unwrap();
    lines
        .iter()
        .filter(|line| line.starts_with("process "))
        .count()
}

/// Other uids than the usual, a subordinate one (as of a rootless container), and a first thread that ended before the others.
pub fn resisting_processes_end(site: &LinuxSite) {
    const THREADS: &str = "import ctypes,threading,time
threading.Thread(target=time.sleep, args=(100,)).start()
ctypes.CDLL(None).pthread_exit(None)";
    fs::write("/etc/subuid", "student1:300000:65536\n").unwrap();
    let mut children = [
        with_ids(&["--ruid=61001", "--euid=61012"], &["sleep", "100"]),
        with_ids(&["--ruid=61012", "--euid=61001"], &["sleep", "100"]),
        Command::new("perl"),
        site.as_student(student(1), &["/usr/bin/python3", "-c", THREADS]),
        with_ids(&["--reuid=300005", "--clear-groups"], &["sleep", "100"]),
    ];
    // setresuid(0, 61001, 0): the effective uid only.
    children[2].args(["-e", "syscall(117, 0, 61001, 0); sleep 100"]);
    let mut children: Vec<_> = children.iter_mut().map(|c| c.spawn().unwrap()).collect();
    wait_until("the start", || count(site, student(1)) == 5);
    let status = format!("/proc/{}/status", children[3].id());
    wait_until("the end of the first thread", || {
        fs::read_to_string(&status).unwrap().contains("State:\tZ")
    });
    assert_eq!(count(site, student(1)), 5);
    site.0.end_processes(student(1)).unwrap();
    assert_eq!(count(site, student(1)), 0);
    children
        .iter_mut()
        .for_each(|child| assert!(!child.wait().unwrap().success()));
}

pub fn a_fork_bomb_ends(site: &LinuxSite) {
    const BOMB: &str = "$SIG{$_}='IGNORE' for qw(TERM HUP INT CHLD); while(1){fork;setpgrp}";
    for size in ["50", "500"] {
        let limit = format!("--nproc={size}");
        let mut bomb = site.start(student(3), &["prlimit", &limit, "perl", "-e", BOMB]);
        let full: usize = size.parse().unwrap();
        wait_until("the explosion", || count(site, student(3)) > full * 9 / 10);
        let started = Instant::now();
        site.0.end_processes(student(3)).unwrap();
        println!("fork bomb of {size}: ended in {:?}", started.elapsed());
        bomb.wait().unwrap();
        assert_eq!(count(site, student(3)), 0);
    }
}

/// Kills whatever it may, for ever: neither we nor what we start may be hit.
pub fn whoever_kills_back_ends(site: &LinuxSite) {
    let mut child = site.start(student(4), &["perl", "-e", "while(1){kill KILL => -1}"]);
    wait_until("the start", || count(site, student(4)) == 1);
    thread::sleep(Duration::from_millis(100));
    site.0.end_processes(student(4)).unwrap();
    child.wait().unwrap();
}

fn put(path: &str, uid: u32) {
    fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
    fs::write(path, "x").unwrap();
    chown(path, Some(uid), Some(uid)).unwrap();
}

pub fn everything_left_behind_is_swept(site: &LinuxSite) {
    let (own, other) = (UID_BASE + 5, UID_BASE + 50);
    for (n, uid) in [(5, own), (50, other)] {
        site.0.ensure(student(n)).unwrap();
        for path in [
            format!("/var/spool/cron/crontabs/student{n}"),
            format!("/var/spool/cron/crontabs/tmp.{n}"),
            format!("/var/spool/cron/atjobs/a0000{n}"),
            format!("/var/mail/student{n}"),
            format!("/var/mail/student{n}.lock"),
            format!("/run/user/{uid}/bus"),
            format!("/run/shared/.hidden-{n}"),
        ] {
            put(&path, uid);
        }
        put(&format!("/var/lib/systemd/linger/student{n}"), 0);
        let make_ipc = "ipcmk -M 100 -S 1 -Q; perl -e 'syscall(240, $ARGV[0], 0102, 0600, 0)' q$0";
        let argv = ["sh", "-c", make_ipc, &n.to_string()];
        let status = site
            .as_student(student(n), &argv)
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }
    let before = site.0.leftovers(student(5)).unwrap();
    assert_eq!(before.len(), 12, "{before:#?}");
    let others = site.0.leftovers(student(50)).unwrap();
    assert_eq!(others.len(), 12, "{others:#?}");
    site.0.sweep(student(5)).unwrap();
    assert_eq!(site.0.leftovers(student(5)).unwrap(), [""; 0]);
    assert_eq!(site.0.leftovers(student(50)).unwrap(), others);
    site.0.sweep(student(5)).unwrap();
    site.0.sweep(student(50)).unwrap();
}

/// A FUSE file system whose server is gone: every look into it fails.
pub fn a_fuse_mount_is_taken_off(site: &LinuxSite) {
    fs::create_dir("/run/shared/a b").unwrap();
    chown("/run/shared/a b", Some(UID_BASE + 5), None).unwrap();
    // A look before, so that the mount comes between two of them.
    let before = site.0.leftovers(student(5)).unwrap();
    assert_eq!(before, ["file /run/shared/a b"]);
    let Ok(fuse) = fs::File::options().read(true).write(true).open("/dev/fuse") else {
        writeln!(std::io::stderr(), "skipped: no FUSE here").unwrap();
        return;
    };
    let id = UID_BASE + 5;
    let fd = fuse.as_raw_fd();
    let data = format!("fd={fd},rootmode=40000,user_id={id},group_id={id}");
    let flags = nix::mount::MsFlags::empty();
    nix::mount::mount(
        Some("x"),
        "/run/shared/a b",
        Some("fuse.x"),
        flags,
        Some(data.as_str()),
    )
    .unwrap();
    drop(fuse);
    let lines = site.0.leftovers(student(5)).unwrap();
    assert!(
        lines.contains(&"mount /run/shared/a b".to_owned()),
        "{lines:?}"
    );
    site.0.sweep(student(5)).unwrap();
    assert_eq!(site.0.leftovers(student(5)).unwrap(), [""; 0]);
}

/// One whose name is no text; and one inside another, where root may not even look.
pub fn odd_fuse_mounts_are_taken_off(site: &LinuxSite) {
    let id = UID_BASE + 5;
    let odd = Path::new(OsStr::from_bytes(b"/run/shared/odd\xff"));
    let outer = Path::new("/run/shared/outer");
    for dir in [odd, outer] {
        fs::create_dir(dir).unwrap();
        chown(dir, Some(id), None).unwrap();
    }
    let mounts = (DeadMount::new(odd, id, b""), DeadMount::new(outer, id, b""));
    let (Some(_odd), Some(mut dead)) = mounts else {
        writeln!(std::io::stderr(), "skipped: no FUSE here").unwrap();
        return;
    };
    let inner = outer.join("xmrig");
    mount_as(id, &inner);
    dead.die();
    assert!(fs::symlink_metadata(&inner).is_err(), "root may not look");
    let lines = site.0.leftovers(student(5)).unwrap();
    let expected = [
        "mount /run/shared/odd\\xff",
        "mount /run/shared/outer",
        "mount /run/shared/outer/xmrig",
    ];
    assert!(
        expected.iter().all(|line| lines.iter().any(|l| l == line)),
        "{lines:?}"
    );
    site.0.sweep(student(5)).unwrap();
    assert_eq!(site.0.leftovers(student(5)).unwrap(), [""; 0]);
}

/// Mounts a FUSE file system over a file, as fusermount does for the account.
fn mount_as(id: u32, at: &Path) {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{
        CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities, set_thread_res_gid,
        set_thread_res_uid,
    };
    let fuse = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .unwrap();
    let data = format!(
        "fd={},rootmode=100000,user_id={id},group_id={id}",
        fuse.as_raw_fd()
    );
    let mount = || {
        let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
        let may_mount = CapabilitySets {
            effective: CapabilitySet::SYS_ADMIN,
            permitted: CapabilitySet::SYS_ADMIN,
            inheritable: CapabilitySet::empty(),
        };
        set_keep_capabilities(true).unwrap();
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        set_capabilities(None, may_mount).unwrap();
        let (kind, flags) = (Some("fuse.y"), nix::mount::MsFlags::empty());
        nix::mount::mount(Some("y"), at, kind, flags, Some(data.as_str())).unwrap();
    };
    thread::scope(|scope| scope.spawn(mount).join().unwrap());
}
