//! What can go wrong below a directory handle, told so that an operator can act
//! on it. Paths are escaped here: a file name is student input, also in a log.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation: what was being done, to which path, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {op} {path}: {cause}")]
pub struct Error {
    op: &'static str,
    path: String,
    cause: Cause,
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error("{0}")]
    Io(io::Error),
    #[error("the path is absolute or climbs with \"..\"")]
    Escapes,
    #[error("a symbolic link is in the way")]
    Link,
    #[error("another file system is mounted there")]
    Mount,
    #[error("not a regular file")]
    NotRegular,
    #[error("not a directory")]
    NotDirectory,
    #[error("a device node")]
    Device,
    #[error("it is immutable or append-only; see lsattr")]
    Flagged,
    #[error("larger than the limit of {limit}")]
    TooLarge { limit: u64 },
    #[error("belongs to uid {uid}")]
    Foreign { uid: u32 },
    #[error("a hard link to a file of uid {uid}")]
    HardLink { uid: u32 },
    #[error("something keeps creating entries there; end the account's processes first")]
    KeepsFilling,
    #[error("directories were moved while they were being read; end the account's processes first")]
    Moved,
    #[error("the file system has no ACL support; mount it with acl")]
    NoAcl,
    #[error("uid {uid} can be taken on by root only")]
    NotRoot { uid: u32 },
    #[error("uid 0 is not an account whose files may be searched for and removed")]
    Protected,
}

impl Error {
    pub(super) fn new(op: &'static str, path: &Path, cause: impl Into<Cause>) -> Self {
        Self {
            op,
            path: shown(path),
            cause: cause.into(),
        }
    }

    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    pub fn is_not_found(&self) -> bool {
        self.cause.is(Errno::NOENT)
    }

    /// Something of that name is there already.
    pub fn is_taken(&self) -> bool {
        self.cause.is(Errno::EXIST)
    }

    /// The disk, its inodes or a quota are used up: worth another attempt later.
    pub fn is_no_space(&self) -> bool {
        self.cause.is_no_space()
    }

    /// The host is short of something, or its disk fails: nothing that is in the tree is why.
    pub fn is_of_host(&self) -> bool {
        let host = [Errno::IO, Errno::MFILE, Errno::NFILE, Errno::NOMEM];
        host.into_iter().any(|errno| self.cause.is(errno))
    }

    /// The tree holds something that no honest use leaves there; another attempt
    /// will not help as long as nobody looks at it.
    pub fn is_violation(&self) -> bool {
        use Cause::{
            Device, Escapes, Flagged, Foreign, HardLink, Link, Mount, NotDirectory, NotRegular,
        };
        matches!(
            self.cause,
            Escapes
                | Link
                | Mount
                | NotRegular
                | NotDirectory
                | Device
                | Flagged
                | Foreign { .. }
                | HardLink { .. }
        )
    }
}

impl Cause {
    pub(super) fn is(&self, errno: Errno) -> bool {
        match self {
            Cause::Io(e) => Errno::from_io_error(e) == Some(errno),
            _ => false,
        }
    }

    pub(super) fn is_no_space(&self) -> bool {
        self.is(Errno::NOSPC) || self.is(Errno::DQUOT)
    }

    /// The kernel's answers that an immutable flag or a mode can cause.
    pub(super) fn is_locked(&self) -> bool {
        self.is(Errno::PERM) || self.is(Errno::ACCESS)
    }
}

impl From<Errno> for Cause {
    fn from(e: Errno) -> Self {
        Cause::Io(e.into())
    }
}

impl From<io::Error> for Cause {
    fn from(e: io::Error) -> Self {
        Cause::Io(e)
    }
}

/// A path as operators see it: one line, no control characters, bytes that are
/// not UTF-8 as `\xNN`, and a long one with its middle left out.
pub fn shown(path: &Path) -> String {
    const ENDS: usize = 120;
    let mut out = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            // Not only control characters: bidi marks reorder a log line.
            if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
            {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    let count = out.chars().count();
    if count <= 2 * ENDS {
        return out;
    }
    let head: String = out.chars().take(ENDS).collect();
    let tail: String = out.chars().skip(count - ENDS).collect();
    format!("{head}...{tail}")
}
