//! The machine: room, time, kernel, what others see of processes.

use std::fs;
use std::path::Path;

use rustix::fs::{StatVfs, getxattr, statvfs};

use crate::exec::Cmd;
use crate::intake::confine::{self, Demand};
use crate::safefs::Dir;

use super::{Found, Look, advice, problem};

/// Percent in use at which a file system counts as nearly full.
const NEARLY: u64 = 90;

/// Whether a directory's file system keeps ACLs. Nothing is written.
pub fn has_acl(dir: &Path) -> bool {
    let mut buffer = [0_u8; 4096];
    let asked = getxattr(dir, "system.posix_acl_access", &mut buffer[..]);
    !matches!(asked, Err(rustix::io::Errno::OPNOTSUPP))
}

pub fn disks(look: &Look<'_>) -> Vec<Found> {
    let settings = &look.site.settings;
    let dirs = [
        ("WODSTATEDIR", settings.state_dir.as_path()),
        ("WODSTUDDIR", settings.students_dir.as_path()),
        ("logs", Path::new("/var/log")),
        ("root", Path::new("/")),
    ];
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for (what, dir) in dirs {
        let Ok(disk) = statvfs(dir) else { continue };
        if seen.contains(&disk.f_fsid) && disk.f_fsid != 0 {
            continue;
        }
        seen.push(disk.f_fsid);
        let dir = dir.display();
        for (percent, kind) in fullness(&disk) {
            if percent >= NEARLY {
                found.push(problem(
                    format!("{percent} % of the {kind} of {dir} ({what}) are in use"),
                    format!("du -xh {dir} | sort -h | tail; make room, or give it more"),
                ));
            }
        }
    }
    found
}

/// Percent of blocks and of inodes in use; what only root may use counts as used.
fn fullness(disk: &StatVfs) -> [(u64, &'static str); 2] {
    let percent = |all: u64, free: u64| match all {
        0 => 0,
        all => (all.saturating_sub(free)).saturating_mul(100) / all,
    };
    [
        (percent(disk.f_blocks, disk.f_bavail), "room"),
        (percent(disk.f_files, disk.f_favail), "inodes"),
    ]
}

pub fn clock(_: &Look<'_>) -> Vec<Found> {
    if !crate::deliver::is_here("/run/systemd/system") {
        return Vec::new();
    }
    let said = Cmd::new("timedatectl").args(["show", "-p", "NTPSynchronized", "--value"]);
    match said.run() {
        Ok(said) if said.stdout.starts_with(b"no") => vec![problem(
            "the clock is not synchronised: signed mails may be refused",
            "systemctl enable --now chrony (chronyd on Rocky); chronyc tracking",
        )],
        // Not known is not wrong.
        _ => Vec::new(),
    }
}

pub fn kernel(look: &Look<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    // By name a directory is opened as anything is; what is below it, by openat2. On one file system.
    let opened =
        Dir::open_root(Path::new("/proc/self")).and_then(|own| own.open_dir(Path::new("task")));
    if let Err(e) = opened {
        found.push(problem(
            format!("this kernel has no openat2, without which no home is touched: {e}"),
            "use a kernel of 5.6 or later",
        ));
    }
    if !confine::is_possible() {
        let line = "this kernel has no Landlock: the intake keeps its view of the files";
        let mend = "add landlock to lsm= on the kernel's command line, or use 5.13 or later";
        found.push(match look.site.settings.confine {
            Demand::Required => problem(format!("{line}; WODCONFINE is required"), mend),
            Demand::Possible => advice(line, mend),
        });
    }
    if !fs::read_to_string("/proc/net/connector").is_ok_and(|text| text.contains("cn_proc")) {
        found.push(advice(
            "no process connector here: the watchdog only samples",
            "use a kernel with CONFIG_PROC_EVENTS, and this network namespace of the host",
        ));
    }
    found
}

pub fn processes(_: &Look<'_>) -> Vec<Found> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    match hides(&mounts) {
        true => Vec::new(),
        false => vec![advice(
            "students see each other's command lines in /proc",
            "mount -o remount,hidepid=invisible /proc, and in /etc/fstab",
        )],
    }
}

/// Whether /proc, as the last mount of it, shows each account its own processes only.
fn hides(mounts: &str) -> bool {
    let proc = mounts.lines().rev().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (path, kind, options) = (words.next()?, words.next()?, words.next()?);
        (path == "/proc" && kind == "proc").then_some(options)
    });
    let hidden = [
        "hidepid=1",
        "hidepid=2",
        "hidepid=noaccess",
        "hidepid=invisible",
    ];
    proc.is_some_and(|options| options.split(',').any(|option| hidden.contains(&option)))
}

pub fn reboot(_: &Look<'_>) -> Vec<Found> {
    match Path::new("/run/reboot-required").exists() {
        true => vec![advice(
            "an update of the system wants this host to be started again",
            "when no seat is in use (wod students list): systemctl reboot",
        )],
        false => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mount_of_proc_counts() {
        let shown = "proc /proc proc rw,nosuid 0 0\n";
        let hidden = "proc /proc proc rw,nosuid,hidepid=invisible,gid=4 0 0\n";
        assert!(!hides(shown));
        assert!(hides(&format!("{shown}{hidden}")));
        assert!(!hides(&format!("{hidden}{shown}")));
        assert!(!hides("proc /proc proc rw,hidepid=0 0 0\n"));
    }
}
