//! The system calls of `safefs`, one thin function each. Everything here takes
//! a directory handle and stays beneath it, or works on an inode already held.

use std::collections::BTreeSet;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, IFlags, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, StatxFlags,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};

use crate::safefs::error::Cause;

/// A result that does not know the path yet; the caller adds it.
pub(super) type Raw<T> = Result<T, Cause>;

/// Directories with more entries are refused: their names alone would fill the
/// memory of a process that all students share.
const MAX_ENTRIES: usize = 4_000_000;

/// Attempts at a lookup that a concurrent rename disturbs (EAGAIN of openat2).
const LOOKUPS: usize = 64;

/// What an entry is; the entry itself, never what a link points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    File,
    Directory,
    Link,
    Fifo,
    Socket,
    Device,
}

/// An entry's properties: `mode` is the low twelve bits, `size` is in bytes,
/// `mtime` in seconds since 1970 (and nanoseconds).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub nlink: u32,
    pub dev: u64,
    pub ino: u64,
    pub mtime: (i64, u32),
}

impl Stat {
    /// Device and inode number: the same for two names of one thing.
    pub fn id(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }
}

/// An inode held with O_PATH: whatever happens to its name, this is the thing
/// that was looked at. Holding it opens nothing: no FIFO, device or lease reacts.
#[derive(Debug, Clone)]
pub(super) struct Pinned {
    pub fd: Arc<OwnedFd>,
    pub stat: Stat,
}

/// Whether `unlink` and `rename` may also lift the flags of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parent {
    Keep,
    Unlock,
}

pub(super) fn is_root() -> bool {
    geteuid().is_root()
}

/// Opens `rel` beneath `dir` without links, magic links and mounts in between.
pub(super) fn open_beneath(dir: impl AsFd, rel: &Path, flags: OFlags) -> Raw<OwnedFd> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = if flags.contains(OFlags::CREATE) {
        Mode::RUSR | Mode::WUSR
    } else {
        Mode::empty()
    };
    let mut left = LOOKUPS;
    loop {
        return match rustix::fs::openat2(&dir, rel, flags, mode, resolve) {
            Ok(fd) => Ok(fd),
            Err(Errno::AGAIN | Errno::INTR) if left > 0 => {
                left -= 1;
                continue;
            }
            Err(Errno::LOOP) => Err(Cause::Link),
            Err(Errno::XDEV) => Err(Cause::Mount),
            Err(Errno::NOTDIR) => Err(Cause::NotDirectory),
            Err(e) => Err(e.into()),
        };
    }
}

/// Holds the entry `rel` itself, a link included.
pub(super) fn pin(dir: impl AsFd, rel: &Path) -> Raw<Pinned> {
    let fd = open_beneath(dir, rel, OFlags::PATH)?;
    let stat = stat(&fd)?;
    let fd = Arc::new(fd);
    Ok(Pinned { fd, stat })
}

/// As `pin`, with `None` for an entry that does not exist.
pub(super) fn try_pin(dir: impl AsFd, rel: &Path) -> Raw<Option<Pinned>> {
    match pin(dir, rel) {
        Ok(pinned) => Ok(Some(pinned)),
        Err(c) if c.is(Errno::NOENT) => Ok(None),
        Err(c) => Err(c),
    }
}

pub(super) fn stat(fd: impl AsFd) -> Raw<Stat> {
    let x = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
    Ok(Stat {
        kind: kind_of(FileType::from_raw_mode(x.stx_mode.into())).unwrap_or(Kind::Device),
        mode: u32::from(x.stx_mode) & 0o7777,
        uid: x.stx_uid,
        gid: x.stx_gid,
        size: x.stx_size,
        nlink: x.stx_nlink,
        dev: u64::from(x.stx_dev_major) << 32 | u64::from(x.stx_dev_minor),
        ino: x.stx_ino,
        mtime: (x.stx_mtime.tv_sec, x.stx_mtime.tv_nsec),
    })
}

fn kind_of(file_type: FileType) -> Option<Kind> {
    match file_type {
        FileType::RegularFile => Some(Kind::File),
        FileType::Directory => Some(Kind::Directory),
        FileType::Symlink => Some(Kind::Link),
        FileType::Fifo => Some(Kind::Fifo),
        FileType::Socket => Some(Kind::Socket),
        FileType::CharacterDevice | FileType::BlockDevice => Some(Kind::Device),
        FileType::Unknown => None,
    }
}

/// Opens a held directory for reading. By ".", so it is the held inode.
pub(super) fn open_listed(dir: impl AsFd) -> Raw<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, ".", flags, Mode::empty())?)
}

/// Opens a held regular file for reading; a lease on it gives EAGAIN at once
/// instead of a wait of `lease-break-time` seconds that its owner chose.
pub(super) fn open_file(pinned: &Pinned) -> Raw<File> {
    if pinned.stat.kind != Kind::File {
        return Err(Cause::NotRegular);
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(
        proc_path(&pinned.fd),
        flags,
        Mode::empty(),
    )?))
}

/// The kernel's own name of a held inode: the only way to chmod, set an
/// attribute or open for reading what is held with O_PATH.
pub(super) fn proc_path(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

pub(super) fn set_mode(fd: impl AsFd, mode: u32) -> Raw<()> {
    Ok(rustix::fs::chmod(proc_path(fd), Mode::from_raw_mode(mode))?)
}

pub(super) fn set_owner(fd: impl AsFd, uid: u32, gid: u32) -> Raw<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(rustix::fs::chownat(
        fd,
        "",
        Some(uid),
        Some(gid),
        AtFlags::EMPTY_PATH,
    )?)
}

/// A name and its kind; `None` where the file system does not say.
pub(super) type Name = (OsString, Option<Kind>);

/// What a batch of names is: all of the directory, or as many as were asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Batch {
    Whole,
    Part,
}

/// Up to `most` names, in the file system's order.
pub(super) fn list(dir: impl AsFd, most: usize) -> Raw<(Vec<Name>, Batch)> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if names.len() == most {
            return Ok((names, Batch::Part));
        }
        names.push((
            OsStr::from_bytes(name).to_owned(),
            kind_of(entry.file_type()),
        ));
    }
    Ok((names, Batch::Whole))
}

/// All names, sorted by bytes.
pub(super) fn list_all(dir: impl AsFd) -> Raw<Vec<Name>> {
    let (mut names, batch) = list(dir, MAX_ENTRIES)?;
    if batch == Batch::Part {
        return Err(Cause::TooLarge {
            limit: MAX_ENTRIES as u64,
        });
    }
    names.sort_unstable();
    Ok(names)
}

/// Of a directory that was just opened, the names that are wanted, sorted by bytes. Those that
/// are not cost nothing: no memory, no place among `MAX_ENTRIES`.
pub(super) fn list_wanted(
    dir: &OwnedFd,
    wanted: impl Fn(&CStr, Option<Kind>) -> bool,
) -> Raw<Vec<OsString>> {
    let mut names = Vec::new();
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    let mut all = RawDir::new(dir, &mut buffer);
    while let Some(entry) = all.next() {
        let entry = entry?;
        let name = entry.file_name();
        let itself = matches!(name.to_bytes(), b"." | b"..");
        if itself || !wanted(name, kind_of(entry.file_type())) {
            continue;
        }
        if names.len() == MAX_ENTRIES {
            let limit = MAX_ENTRIES as u64;
            return Err(Cause::TooLarge { limit });
        }
        names.push(OsStr::from_bytes(name.to_bytes()).to_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Flags that were lifted from an inode, with the handle to set them again.
#[derive(Debug)]
pub(super) struct Lifted {
    file: OwnedFd,
    flags: IFlags,
}

/// Lifts what keeps root (immutable, append-only) or an ordinary user (a
/// directory without u+rwx) from changing an inode. Quiet where it cannot: the
/// operation that is tried again says what is wrong.
pub(super) fn unlock(pinned: &Pinned) -> Option<Lifted> {
    let stat = &pinned.stat;
    if stat.kind == Kind::Directory && !is_root() && stat.mode & 0o700 != 0o700 {
        let _ = set_mode(&pinned.fd, stat.mode | 0o700);
    }
    lift(pinned, IFlags::IMMUTABLE | IFlags::APPEND)
}

/// Takes the given flags from an inode; `None` when it had none of them.
pub(super) fn lift(pinned: &Pinned, unwanted: IFlags) -> Option<Lifted> {
    let file = match pinned.stat.kind {
        Kind::Directory => open_listed(&pinned.fd).ok()?,
        Kind::File => open_file(pinned).ok()?.into(),
        _ => return None,
    };
    let flags = rustix::fs::ioctl_getflags(&file).ok()?;
    if !flags.intersects(unwanted) {
        return None;
    }
    rustix::fs::ioctl_setflags(&file, flags - unwanted).ok()?;
    Some(Lifted { file, flags })
}

/// Unlocks a file for as long as its name is removed or moved. When it has
/// another name, perhaps elsewhere, its flags are not ours to take for good.
#[derive(Debug)]
struct Unlocked(Option<Lifted>);

impl Unlocked {
    fn new(pinned: &Pinned) -> Self {
        let lifted = unlock(pinned);
        let shared = pinned.stat.kind == Kind::File && pinned.stat.nlink > 1;
        Self(lifted.filter(|_| shared))
    }
}

impl Drop for Unlocked {
    fn drop(&mut self) {
        if let Some(lifted) = &self.0 {
            let _ = rustix::fs::ioctl_setflags(&lifted.file, lifted.flags);
        }
    }
}

fn unlock_dir(dir: BorrowedFd<'_>) {
    if let Ok(pinned) = pin(dir, Path::new(".")) {
        unlock(&pinned);
    }
}

/// As a first look, much cheaper than `pin`; what follows from it has to be checked again.
pub(super) fn is_owned_by(dir: impl AsFd, name: &CStr, uids: &BTreeSet<u32>) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statat(dir, name, flags).is_ok_and(|stat| uids.contains(&stat.st_uid))
}

/// An error about an entry of `dir`, told more clearly where a flag of `dir` is why.
pub(super) fn told_of_flags(cause: Cause, dir: impl AsFd) -> Cause {
    let unwanted = IFlags::IMMUTABLE | IFlags::APPEND;
    let flags = || rustix::fs::ioctl_getflags(open_listed(dir.as_fd()).ok()?).ok();
    match cause.is_locked() && flags().is_some_and(|flags| flags.intersects(unwanted)) {
        true => Cause::Flagged,
        false => cause,
    }
}

/// Which of the two calls of unlink(2) is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unlink {
    File,
    EmptyDirectory,
}

/// Removes one name; when a flag or mode forbids it, lifts that and tries again.
pub(super) fn unlink(dir: impl AsFd, name: &OsStr, what: Unlink, parent: Parent) -> Raw<()> {
    let dir = dir.as_fd();
    let flags = match what {
        Unlink::File => AtFlags::empty(),
        Unlink::EmptyDirectory => AtFlags::REMOVEDIR,
    };
    let first = match rustix::fs::unlinkat(dir, name, flags) {
        Ok(()) => return Ok(()),
        Err(e) => Cause::from(e),
    };
    if !first.is_locked() {
        return Err(first);
    }
    if parent == Parent::Unlock {
        unlock_dir(dir);
    }
    let pinned = pin(dir, Path::new(name))?;
    let _unlocked = Unlocked::new(&pinned);
    Ok(rustix::fs::unlinkat(dir, name, flags)?)
}

/// Renames one name to another; when a flag or mode forbids it, lifts that from
/// what is moved and from what is replaced and tries again.
pub(super) fn rename(
    from: impl AsFd,
    name: &OsStr,
    to: impl AsFd,
    to_name: &OsStr,
    flags: RenameFlags,
) -> Raw<()> {
    let (from, to) = (from.as_fd(), to.as_fd());
    let attempt = || rustix::fs::renameat_with(from, name, to, to_name, flags);
    let first = match attempt() {
        Ok(()) => return Ok(()),
        Err(e) => Cause::from(e),
    };
    if !first.is_locked() {
        return Err(first);
    }
    let moved = try_pin(from, Path::new(name))?;
    let replaced = try_pin(to, Path::new(to_name))?;
    let _unlocked = (
        moved.as_ref().map(Unlocked::new),
        replaced.as_ref().map(Unlocked::new),
    );
    Ok(attempt()?)
}
