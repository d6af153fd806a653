//! A directory handle and the operations on entries below it. Lookups go through
//! `sys::open_beneath`, changes through a handle of the directory that holds the
//! entry and its plain name, so no link is ever followed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags, RenameFlags, StatVfsMountFlags};
use rustix::io::Errno;

use crate::safefs::acl::{self, Acl, Which};
use crate::safefs::error::{Cause, Error, Result};
use crate::safefs::fsuser;
use crate::safefs::make_dirs::make_dirs;
use crate::safefs::sys::{self, Kind, Parent, Pinned, Raw, Stat, Unlink};

/// An open directory, and the path it had when it was opened (for messages
/// only; nothing is looked up by it).
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub name: OsString,
    pub kind: Kind,
}

/// A uid and gid to give a file to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// What `rename_to` does when the new name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// Fail with EEXIST.
    Refuse,
    /// Replace a file by a file, or an empty directory by a directory.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    Cached,
    Synced,
}

/// The directory that holds an entry: the handle itself or one beneath it.
enum Holder<'a> {
    Own(BorrowedFd<'a>),
    Below(OwnedFd),
}

impl AsFd for Holder<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Holder::Own(fd) => *fd,
            Holder::Below(fd) => fd.as_fd(),
        }
    }
}

impl Holder<'_> {
    /// The directory of the handle is the caller's; one below it may be a
    /// student's, and then a flag on it is in our way.
    fn lock(&self) -> Parent {
        match self {
            Holder::Own(_) => Parent::Keep,
            Holder::Below(_) => Parent::Unlock,
        }
    }
}

impl Dir {
    /// Opens a configured, absolute path. It is the admin's, so links in it are
    /// followed; no part of it may be a student's.
    pub fn open_root(path: &Path) -> Result<Dir> {
        let fail = |cause| Error::new("open", path, cause);
        if !path.is_absolute() {
            return Err(fail(Cause::Escapes));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| match e {
            Errno::NOTDIR => fail(Cause::NotDirectory),
            e => fail(e.into()),
        })?;
        Ok(Dir {
            fd,
            path: path.to_owned(),
        })
    }

    /// The path this directory was opened by; for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its mount lets nothing below it be started as a program.
    pub fn is_noexec(&self) -> Result<bool> {
        let mount = rustix::fs::fstatvfs(&self.fd)
            .map_err(|e| Error::new("look at the mount of", &self.path, e))?;
        Ok(mount.f_flag.contains(StatVfsMountFlags::NOEXEC))
    }

    /// A second handle on the same directory.
    pub fn try_clone(&self) -> Result<Dir> {
        let fd = self
            .fd
            .try_clone()
            .map_err(|e| self.error("open", Path::new(""), e.into()))?;
        Ok(Dir {
            fd,
            path: self.path.clone(),
        })
    }

    /// Opens a directory below this one, which must be readable.
    pub fn open_dir(&self, rel: &Path) -> Result<Dir> {
        let open = || sys::open_beneath(&self.fd, &plain(rel)?, OFlags::RDONLY | OFlags::DIRECTORY);
        let fd = open().map_err(|c| self.error("open", rel, c))?;
        Ok(Dir {
            fd,
            path: self.path.join(rel),
        })
    }

    /// Makes a directory and those on the way to it (0755), or takes what is
    /// there already, and ends what a killed process began; the last one then
    /// has exactly `mode`. A link or file in
    /// the way is an error.
    pub fn make_dir(&self, rel: &Path, mode: u32) -> Result<Dir> {
        let fd = plain(rel)
            .and_then(|rel| make_dirs(self.fd(), &rel, mode))
            .map_err(|c| self.error("make directory", rel, c))?;
        Ok(Dir {
            fd,
            path: self.path.join(rel),
        })
    }

    /// A directory for ourselves alone (trash, staging): it is made or found,
    /// belongs to the effective account and has mode 0700. Anything else under
    /// the name is an error, for whoever made it may still hold it open.
    pub fn private_dir(&self, name: &OsStr) -> Result<Dir> {
        let fd = self
            .make_private(name)
            .map_err(|c| self.error("make private directory", Path::new(name), c))?;
        Ok(Dir {
            fd,
            path: self.path.join(name),
        })
    }

    fn make_private(&self, name: &OsStr) -> Raw<OwnedFd> {
        let name = single(name)?;
        match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
        let pinned = sys::pin(&self.fd, Path::new(name))?;
        match pinned.stat {
            Stat {
                kind: Kind::Link, ..
            } => return Err(Cause::Link),
            Stat {
                kind: Kind::Directory,
                ..
            } => {}
            _ => return Err(Cause::NotDirectory),
        }
        if pinned.stat.uid != fsuser::fs_uid() {
            return Err(Cause::Foreign {
                uid: pinned.stat.uid,
            });
        }
        if pinned.stat.mode != 0o700 {
            sys::set_mode(&pinned.fd, 0o700)?;
        }
        sys::open_listed(&pinned.fd)
    }

    /// The names in this directory, sorted by bytes. A name whose kind can only
    /// be told by looking (and is gone by then) is left out.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let fail = |cause| self.error("read directory", Path::new(""), cause);
        let mut entries = Vec::new();
        for (name, kind) in sys::list_all(&self.fd).map_err(fail)? {
            let kind = match kind {
                Some(kind) => Some(kind),
                None => sys::try_pin(&self.fd, Path::new(&name))
                    .map_err(fail)?
                    .map(|p| p.stat.kind),
            };
            entries.extend(kind.map(|kind| Entry { name, kind }));
        }
        Ok(entries)
    }

    /// Properties of an entry itself (of a link, not its target), of this
    /// directory for "."; `None` when the entry or a directory on the way is missing.
    pub fn stat(&self, rel: &Path) -> Result<Option<Stat>> {
        match self.pin(rel) {
            Ok(pinned) => Ok(Some(pinned.stat)),
            Err(c) if c.is(Errno::NOENT) => Ok(None),
            Err(c) => Err(self.error("look at", rel, c)),
        }
    }

    /// The content of a regular file of at most `limit` bytes.
    pub fn read(&self, rel: &Path, limit: u64) -> Result<Vec<u8>> {
        self.read_raw(rel, limit)
            .map_err(|c| self.error("read", rel, c))
    }

    fn read_raw(&self, rel: &Path, limit: u64) -> Raw<Vec<u8>> {
        let pinned = self.pin(rel)?;
        match pinned.stat.kind {
            Kind::File => {}
            Kind::Link => return Err(Cause::Link),
            _ => return Err(Cause::NotRegular),
        }
        if pinned.stat.size > limit {
            return Err(Cause::TooLarge { limit });
        }
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file that grows meanwhile.
        sys::open_file(&pinned)?
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)?;
        match bytes.len() as u64 > limit {
            true => Err(Cause::TooLarge { limit }),
            false => Ok(bytes),
        }
    }

    /// The target of a symbolic link, as it is written there.
    pub fn read_link(&self, rel: &Path) -> Result<PathBuf> {
        let read = || -> Raw<PathBuf> { read_link(&self.pin(rel)?) };
        read().map_err(|c| self.error("read link", rel, c))
    }

    /// Writes a file in one step: readers see the old or the new one. Whatever
    /// has the name and is no directory is replaced, a link itself and not its
    /// target. The file has exactly `mode` and belongs to who we are.
    pub fn write(&self, rel: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        self.put(rel, &mut &bytes[..], mode, None, Durability::Cached)
            .map(drop)
    }

    /// As `write`; the file belongs to `owner` before it can be seen.
    pub fn write_owned(&self, rel: &Path, bytes: &[u8], mode: u32, owner: Owner) -> Result<()> {
        self.put(rel, &mut &bytes[..], mode, Some(owner), Durability::Cached)
            .map(drop)
    }

    /// As `write`; on return the content and the name are on the disk.
    pub fn write_durable(&self, rel: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        self.put(rel, &mut &bytes[..], mode, None, Durability::Synced)
            .map(drop)
    }

    /// As `write_durable`; the file belongs to `owner` before it can be seen.
    pub fn write_owned_durable(
        &self,
        rel: &Path,
        bytes: &[u8],
        mode: u32,
        owner: Owner,
    ) -> Result<()> {
        self.put(rel, &mut &bytes[..], mode, Some(owner), Durability::Synced)
            .map(drop)
    }

    /// As `write`, from an open file, at most `limit` bytes. Returns the bytes written.
    pub(super) fn write_from(&self, rel: &Path, from: File, mode: u32, limit: u64) -> Result<u64> {
        let mut from = from.take(limit.saturating_add(1));
        let mut save = |file: &mut File| -> Raw<u64> {
            match std::io::copy(&mut from, file)? {
                n if n > limit => Err(Cause::TooLarge { limit }),
                n => Ok(n),
            }
        };
        let spec = Spec {
            mode,
            owner: None,
            durability: Durability::Cached,
        };
        self.replace(rel, &spec, &mut save)
            .map_err(|c| self.error("write", rel, c))
    }

    fn put(
        &self,
        rel: &Path,
        bytes: &mut &[u8],
        mode: u32,
        owner: Option<Owner>,
        durability: Durability,
    ) -> Result<u64> {
        let mut save = |file: &mut File| -> Raw<u64> {
            file.write_all(bytes)?;
            Ok(bytes.len() as u64)
        };
        let spec = Spec {
            mode,
            owner,
            durability,
        };
        self.replace(rel, &spec, &mut save)
            .map_err(|c| self.error("write", rel, c))
    }

    fn replace(
        &self,
        rel: &Path,
        spec: &Spec,
        save: &mut dyn FnMut(&mut File) -> Raw<u64>,
    ) -> Raw<u64> {
        let (holder, name) = self.holder(rel)?;
        let temp = temp_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = sys::open_beneath(&holder, Path::new(&temp), flags);
        let mut file = File::from(file.map_err(|c| sys::told_of_flags(c, &holder))?);
        let done = spec.fill(&mut file, save).and_then(|written| {
            put_in_place(&holder, &temp, &name)?;
            Ok(written)
        });
        if done.is_err() {
            let _ = sys::unlink(&holder, &temp, Unlink::File, Parent::Keep);
        } else if spec.durability == Durability::Synced {
            // A handle for lookups (O_PATH) cannot be synced.
            rustix::fs::fsync(sys::open_listed(&holder)?)?;
        }
        done
    }

    /// Makes a symbolic link; whatever has the name and is no directory is
    /// replaced. The target is not looked at.
    pub fn symlink(&self, target: &Path, rel: &Path) -> Result<()> {
        let link = || -> Raw<()> {
            let (holder, name) = self.holder(rel)?;
            let temp = temp_name();
            rustix::fs::symlinkat(target, &holder, &temp)
                .map_err(|e| sys::told_of_flags(e.into(), &holder))?;
            let done = put_in_place(&holder, &temp, &name);
            if done.is_err() {
                let _ = sys::unlink(&holder, &temp, Unlink::File, Parent::Keep);
            }
            done
        };
        link().map_err(|c| self.error("make link", rel, c))
    }

    /// Moves an entry of this directory into another one of the same file system.
    pub fn rename_to(
        &self,
        name: &OsStr,
        to: &Dir,
        to_name: &OsStr,
        replace: Replace,
    ) -> Result<()> {
        let flags = match replace {
            Replace::Refuse => RenameFlags::NOREPLACE,
            Replace::Over => RenameFlags::empty(),
        };
        let rename = || sys::rename(&self.fd, single(name)?, &to.fd, single(to_name)?, flags);
        rename().map_err(|c| self.error("rename", Path::new(name), c))
    }

    /// Removes one entry that is no directory; it may be missing.
    pub fn remove_file(&self, rel: &Path) -> Result<()> {
        let remove = || -> Raw<()> {
            let (holder, name) = self.holder(rel)?;
            sys::unlink(&holder, &name, Unlink::File, holder.lock())
        };
        match remove() {
            Err(c) if c.is(Errno::NOENT) => Ok(()),
            other => other.map_err(|c| self.error("remove", rel, c)),
        }
    }

    /// Gives an entry (a link itself; this directory for ".") to an account. A
    /// file of someone else that has a second name is refused: it was planted.
    pub fn set_owner(&self, rel: &Path, owner: Owner) -> Result<()> {
        let set = || -> Raw<()> {
            let pinned = self.pin(rel)?;
            refuse_planted(&pinned.stat, owner.uid)?;
            if (pinned.stat.uid, pinned.stat.gid) == (owner.uid, owner.gid) {
                return Ok(());
            }
            sys::set_owner(&pinned.fd, owner.uid, owner.gid)
        };
        set().map_err(|c| self.error("set owner of", rel, c))
    }

    /// Sets the mode of a file or directory (this one for "."). Refuses links,
    /// devices and, as `set_owner` does, files planted by a hard link.
    pub fn set_mode(&self, rel: &Path, mode: u32) -> Result<()> {
        let set = || -> Raw<()> {
            let pinned = self.pin(rel)?;
            match pinned.stat.kind {
                Kind::Link => return Err(Cause::Link),
                Kind::Device => return Err(Cause::Device),
                _ => refuse_planted(&pinned.stat, fsuser::fs_uid())?,
            }
            match pinned.stat.mode == mode {
                true => Ok(()),
                false => sys::set_mode(&pinned.fd, mode),
            }
        };
        set().map_err(|c| self.error("set mode of", rel, c))
    }

    /// These accounts may put entries into this directory and reach them by name, but not list
    /// it, nor take away what others put there; nobody else but its owner may enter it.
    pub fn let_in_writers(&self, uids: &[u32]) -> Result<()> {
        const WRITE_AND_ENTER: u16 = 0o3;
        let set = || -> Raw<()> {
            let this = sys::open_listed(&self.fd)?;
            rustix::fs::fchmod(&this, Mode::from_raw_mode(0o1700))?;
            let acl = Acl {
                owner: 0o7,
                users: uids.iter().map(|&uid| (uid, WRITE_AND_ENTER)).collect(),
                group: 0,
                groups: Vec::new(),
                mask: Some(WRITE_AND_ENTER),
                other: 0,
            };
            let wanted = (!uids.is_empty()).then_some(&acl);
            acl::set(&this, Which::Access, wanted)
        };
        set().map_err(|c| self.error("open to writers", Path::new(""), c))
    }

    /// Waits until the names in this directory are on the disk.
    pub fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.fd).map_err(|e| self.error("sync", Path::new(""), e.into()))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn error(&self, op: &'static str, rel: &Path, cause: Cause) -> Error {
        Error::new(op, &self.path.join(rel), cause)
    }

    /// Holds an entry, or this directory itself for ".".
    fn pin(&self, rel: &Path) -> Raw<Pinned> {
        let rel = plain(rel)?;
        let here = rel.as_os_str().is_empty();
        sys::pin(&self.fd, if here { Path::new(".") } else { &rel })
    }

    /// The directory that holds `rel`, and the name of `rel` in it.
    fn holder(&self, rel: &Path) -> Raw<(Holder<'_>, OsString)> {
        let rel = plain(rel)?;
        let name = rel.file_name().ok_or(Cause::Escapes)?.to_owned();
        let above = rel.parent().unwrap_or(Path::new(""));
        if above.as_os_str().is_empty() {
            return Ok((Holder::Own(self.fd()), name));
        }
        let fd = sys::open_beneath(&self.fd, above, OFlags::PATH | OFlags::DIRECTORY)?;
        Ok((Holder::Below(fd), name))
    }
}

/// Replaces what has the name, but for a directory.
fn put_in_place(holder: &Holder<'_>, temp: &OsStr, name: &OsStr) -> Raw<()> {
    match sys::rename(holder, temp, holder, name, RenameFlags::empty()) {
        Err(c) if c.is(Errno::ISDIR) => Err(Cause::NotRegular),
        Err(c) => Err(sys::told_of_flags(c, holder)),
        done => done,
    }
}

/// What a new file is to be, apart from its content.
struct Spec {
    mode: u32,
    owner: Option<Owner>,
    durability: Durability,
}

impl Spec {
    fn fill(&self, file: &mut File, save: &mut dyn FnMut(&mut File) -> Raw<u64>) -> Raw<u64> {
        let written = save(file)?;
        if let Some(owner) = self.owner {
            sys::set_owner(&*file, owner.uid, owner.gid)?;
        }
        // After the owner: a change of owner takes mode bits away.
        rustix::fs::fchmod(&*file, Mode::from_raw_mode(self.mode))?;
        if self.durability == Durability::Synced {
            rustix::fs::fsync(&*file)?;
        }
        Ok(written)
    }
}

pub(super) fn read_link(pinned: &Pinned) -> Raw<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let target = rustix::fs::readlinkat(&pinned.fd, "", Vec::new()).map_err(|e| match e {
        // The kernel's answer for a held inode that is no link.
        Errno::NOENT | Errno::INVAL => Cause::from(Errno::INVAL),
        e => e.into(),
    })?;
    Ok(OsString::from_vec(target.into_bytes()).into())
}

/// A file with a second name that is not the new owner's: giving it away (or
/// opening it up) would change something outside of the tree.
pub(super) fn refuse_planted(stat: &Stat, uid: u32) -> Raw<()> {
    if stat.kind != Kind::Directory && stat.nlink > 1 && stat.uid != uid {
        return Err(Cause::HardLink { uid: stat.uid });
    }
    Ok(())
}

/// A relative path of plain names; "." is dropped, ".." and "/" are refused.
fn plain(rel: &Path) -> Raw<PathBuf> {
    let mut out = PathBuf::new();
    for part in rel.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            _ => return Err(Cause::Escapes),
        }
    }
    Ok(out)
}

/// A name of one part.
pub(super) fn single(name: &OsStr) -> Raw<&OsStr> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        // Equal: "a/" has one part as well.
        (Some(Component::Normal(part)), None) if part == name => Ok(name),
        _ => Err(Cause::Escapes),
    }
}

/// A name nobody has thought of yet; creation is exclusive in any case.
pub(super) fn temp_name() -> OsString {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .map_or(0, |d| d.as_nanos() as u64);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(".wod-{:x}-{now:x}-{count:x}", std::process::id()).into()
}

/// Whether a name is one of those, of whatever process.
pub(super) fn is_unfinished(name: &OsStr) -> bool {
    let hex = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit());
    let rest = name.to_str().and_then(|name| name.strip_prefix(".wod-"));
    rest.is_some_and(|rest| rest.split('-').count() == 3 && rest.split('-').all(hex))
}
