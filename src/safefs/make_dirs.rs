//! Directories below one that is held, each with its mode. Whoever makes them may be killed
//! between the two calls that this takes: what was half made is ended the next time.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::safefs::error::Cause;
use crate::safefs::fsuser::fs_uid;
use crate::safefs::sys::{self, Batch, Raw, Stat};

/// Mode of the directories that are made on the way.
const ON_THE_WAY: u32 = 0o755;

/// The last directory of `rel`, which must be plain.
pub(super) fn make_dirs(top: BorrowedFd<'_>, rel: &Path, mode: u32) -> Raw<OwnedFd> {
    let mut below: Option<OwnedFd> = None;
    let mut parts = rel.iter().peekable();
    while let Some(name) = parts.next() {
        let holder = below.as_ref().map_or(top, |fd| fd.as_fd());
        let last = parts.peek().is_none();
        let wanted = if last { mode } else { ON_THE_WAY };
        let made = match rustix::fs::mkdirat(holder, name, Mode::from_raw_mode(wanted & 0o777)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(sys::told_of_flags(e.into(), holder)),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = sys::open_beneath(holder, Path::new(name), flags)?;
        let stat = sys::stat(&fd)?;
        // The umask has taken bits away from a new one.
        if stat.mode != wanted && (made || last || is_half_made(&fd, &stat)?) {
            sys::set_mode(&fd, wanted).map_err(|c| sys::told_of_flags(c, &fd))?;
        }
        below = Some(fd);
    }
    below.ok_or(Cause::Escapes)
}

/// Ours, empty, and as the umask leaves it.
fn is_half_made(fd: &OwnedFd, stat: &Stat) -> Raw<bool> {
    let less = stat.mode & !ON_THE_WAY == 0;
    Ok(less && stat.uid == fs_uid() && sys::list(fd, 1)? == (Vec::new(), Batch::Whole))
}
