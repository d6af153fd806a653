//! Whether a file system's word counts. One that a student serves (FUSE) says what the student likes, also
//! that a program belongs to root, and may keep whoever asks it waiting for ever. It is told by its
//! mount, which the kernel knows; it is never asked itself.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    AtFlags, MemfdFlags, Mode, OFlags, Statx, StatxFlags, memfd_create, openat, statx,
};

use super::proc_dir::ProcDir;

/// STATX_MNT_ID_UNIQUE: a number that no other mount ever gets. Kernels before 6.8 answer with one
/// that the next mount may have.
pub const MOUNT: StatxFlags = StatxFlags::from_bits_retain(0x4000);

const REMEMBERED: usize = 4096;
/// Of the host's table; students can make it long, but what the host mounted comes first.
const MOST: u64 = 16 << 20;
/// Of a table of a student's own, which may be read for each program that starts: what is behind is
/// nobody's word.
const MOST_OF_OTHERS: u64 = 512 << 10;

/// Mounts that were looked up: whether their word counts.
#[derive(Debug, Default)]
pub struct Mounts(Mutex<HashMap<u64, bool>>);

impl Mounts {
    fn known(&self, mount: u64) -> Option<bool> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&mount).copied()
    }

    fn learn(&self, mount: u64, counts: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > REMEMBERED {
            known.clear();
        }
        known.insert(mount, counts);
    }

    /// Whether what was said of the file behind `PID/exe` is the host's word; it was asked for with
    /// [`MOUNT`].
    pub fn is_hosts_word(&self, proc: &ProcDir, exe: &str, stat: &Statx) -> bool {
        // Only root mounts a device.
        if stat.stx_dev_major != 0 {
            return true;
        }
        let is_unique = stat.stx_mask & MOUNT.bits() != 0;
        if is_unique && let Some(known) = self.known(stat.stx_mnt_id) {
            return known;
        }
        let looked_up = look_up(proc, exe, stat);
        if is_unique && let Some(counts) = looked_up {
            self.learn(stat.stx_mnt_id, counts);
        }
        looked_up.unwrap_or(false)
    }
}

fn look_up(proc: &ProcDir, exe: &str, stat: &Statx) -> Option<bool> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let handle = openat(proc, exe, flags, Mode::empty()).ok()?;
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let now = statx(&handle, "", flags, MOUNT).ok()?;
    // It may have become another program meanwhile.
    let is_same = now.stx_mnt_id == stat.stx_mnt_id;
    let teller = exe.strip_suffix("/exe")?;
    is_same.then(|| is_on_the_hosts(proc, teller, &handle))?
}

/// Whether a file that this process or thread has is on a file system whose word counts. None
/// when no table has its mount: it was detached, or is in a namespace that is gone.
pub fn is_on_the_hosts(proc: &ProcDir, teller: &str, handle: &impl AsFd) -> Option<bool> {
    // The handle holds the mount, so that its number stays its own.
    let mount = mount_of(proc, handle)?;
    let of_root = ["1", "self"].into_iter();
    if let Some(entry) = of_root.filter_map(|of| entry(proc, of, &mount)).next() {
        return Some(!entry.is_served());
    }
    if let Some(entry) = entry(proc, teller, &mount) {
        let space = |of: &str| proc.link(&format!("{of}/ns/user")).ok();
        return Some(match space(teller) == space("self") {
            true => !entry.is_served(),
            false => entry.is_store(),
        });
    }
    // What is in memory only is on a mount of the kernel's own, in nobody's table.
    let memory = memfd_create("mount", MemfdFlags::CLOEXEC).ok()?;
    (mount_of(proc, &memory)? == mount).then_some(true)
}

fn mount_of(proc: &ProcDir, handle: &impl AsFd) -> Option<String> {
    let raw = handle.as_fd().as_raw_fd();
    let info = proc.text(&format!("self/fdinfo/{raw}"), 4096).ok()?;
    let info = String::from_utf8(info).ok()?;
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    Some(mount.trim().to_owned())
}

fn entry(proc: &ProcDir, of: &str, mount: &str) -> Option<Entry> {
    let table = File::from(proc.open_file(&format!("{of}/mountinfo")).ok()?);
    let most = match of {
        "1" | "self" => MOST,
        _ => MOST_OF_OTHERS,
    };
    let lines = BufReader::new(table.take(most)).split(b'\n');
    lines
        .map_while(Result::ok)
        .find_map(|line| Entry::parse(&String::from_utf8_lossy(&line), mount))
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    is_device: bool,
    kind: String,
}

impl Entry {
    /// `36 35 98:0 / / rw,noatime shared:1 - ext4 /dev/root rw`
    fn parse(line: &str, mount: &str) -> Option<Entry> {
        let mut fields = line.split(' ');
        if fields.next() != Some(mount) {
            return None;
        }
        let device = fields.nth(1)?;
        let kind = line.split_once(" - ")?.1.split(' ').next()?;
        Some(Entry {
            is_device: !device.starts_with("0:"),
            kind: kind.to_owned(),
        })
    }

    /// Somebody's process answers for it. A 9p or NFS server is the choice of whoever mounted it.
    fn is_served(&self) -> bool {
        self.kind.starts_with("fuse") || self.kind == "autofs"
    }

    /// In a namespace of their own students mount, too: overlays, which say what is below them says.
    /// This holds its files itself.
    fn is_store(&self) -> bool {
        const STORES: [&str; 4] = ["btrfs", "ramfs", "tmpfs", "zfs"];
        !self.is_served() && (self.is_device || STORES.contains(&self.kind.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mount: &str) -> Option<Entry> {
        let table = "21 1 254:0 / / rw - ext4 /dev/root rw\n\
                     44 21 0:50 / /home/s/m rw - fuse.sshfs host: rw\n\
                     45 21 0:51 / /a\\040-\\040b rw shared:3 - tmpfs t rw\n\
                     46 21 7:1 / /n rw - fuseblk /dev/loop1 rw\n\
                     47 21 0:52 / /o rw - overlay o rw\n";
        table.lines().find_map(|line| Entry::parse(line, mount))
    }

    #[test]
    fn a_mount_is_told_by_its_kind() {
        let told = |mount| {
            let entry = entry(mount).unwrap();
            (!entry.is_served(), entry.is_store())
        };
        assert_eq!(told("21"), (true, true));
        assert_eq!(told("44"), (false, false));
        assert_eq!(told("45"), (true, true));
        assert_eq!(told("46"), (false, false));
        assert_eq!(told("47"), (true, false));
        assert_eq!(entry("4"), None);
    }

    #[test]
    fn what_is_in_memory_and_what_is_deleted_is_the_hosts() {
        let proc = ProcDir::open().unwrap();
        let own = std::process::id().to_string();
        let memory = memfd_create("x", MemfdFlags::CLOEXEC).unwrap();
        assert_eq!(is_on_the_hosts(&proc, &own, &memory), Some(true));
        let gone = tempfile::tempfile().unwrap();
        assert_eq!(is_on_the_hosts(&proc, &own, &gone), Some(true));
        // A mount of the kernel's own that is not memory.
        let (pipe, _) = std::io::pipe().unwrap();
        assert_eq!(is_on_the_hosts(&proc, &own, &pipe), None);
    }
}
