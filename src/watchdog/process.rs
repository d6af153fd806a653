//! One process, as it was seen at one moment. What it says of itself (name, arguments) is kept
//! apart from what the kernel says of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Names a process as long as the host runs: pids are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: u32,
    /// Milliseconds from the start of the host to that of the process.
    pub start: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub id: ProcessId,
    /// The pid of its parent; 1 when that has ended.
    pub parent: u32,
    pub session: u32,
    /// Real and effective uid.
    pub uid: u32,
    pub effective_uid: u32,
    pub exe: Exe,
    /// What it calls itself: `comm`, at most 15 bytes.
    pub name: String,
    /// What it says its arguments are, at most 4 KiB of them.
    pub argv: Vec<String>,
    pub cwd: Option<PathBuf>,
    /// As in /proc/PID/stat: `R`, `S`, `D`, `T`, `Z`, …
    pub state: char,
    /// The pid of its debugger; 0 is none.
    pub tracer: u32,
    pub nice: i32,
    pub threads: u32,
    /// Time on processors so far, of its own and of children that it has waited for.
    pub cpu_ms: u64,
    pub reaped_cpu_ms: u64,
    /// Bytes in memory.
    pub resident: u64,
    /// The other ends of its TCP connections.
    pub peers: Vec<SocketAddr>,
    /// `/system.slice/jupyterhub.service`; None where nobody can tell.
    pub cgroup: Option<String>,
}

/// A path that is longer than any call can tell; a real one begins with `/`.
pub const TOO_LONG: &str = "(a path too long to be told)";

/// The program that runs, as the kernel knows it. Who has a namespace can make it root's interpreter, and
/// gets no more by it than by having root's interpreter run the code.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exe {
    /// Without the kernel's ` (deleted)`; None for a process of the kernel, or one that is gone.
    pub path: Option<PathBuf>,
    /// No name leads to it any more; so it is with every memfd.
    pub deleted: bool,
    /// The uid that owns the file; None where only a file system says root whose word does not count,
    /// and where it is root's loader under another name.
    pub owner: Option<u32>,
    /// Hex; None until somebody has asked for it.
    pub sha256: Option<String>,
}

impl Process {
    /// It has ended, and its parent has not asked yet. Where only its first thread has, the others
    /// go on.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1
    }
}

impl Exe {
    /// Whether the program is not root's, and so may be anything; what root's loader was told to
    /// load may be, too. A program of which nobody can tell is not said to be.
    pub fn is_own(&self) -> bool {
        self.path.is_some() && (self.owner != Some(0) || self.is_loader())
    }

    /// Whether it has the name of the system's loader.
    fn is_loader(&self) -> bool {
        self.file_name()
            .is_some_and(|name| is_loader(name.as_bytes()))
    }

    /// Whether it may be the system's loader, and what it loaded is what runs.
    pub fn may_load(&self) -> bool {
        self.owner.is_none() || self.is_loader()
    }

    /// The last part of the program's path.
    pub fn file_name(&self) -> Option<&str> {
        self.path.as_ref()?.file_name()?.to_str()
    }
}

/// Whether that is the name of the system's loader, which runs any program that is an argument of
/// it: `ld-linux-x86-64.so.2`, `ld-2.31.so`, `ld-musl-x86_64.so.1`, `ld64.so.2`, `ld.so`.
pub fn is_loader(name: &[u8]) -> bool {
    let begins = [&b"ld-"[..], b"ld64.", b"ld.so"];
    begins.iter().any(|begin| name.starts_with(begin)) && name.windows(3).any(|part| part == b".so")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_is_known_by_its_name() {
        for name in [
            "ld-linux-x86-64.so.2",
            "ld-linux-aarch64.so.1",
            "ld-2.31.so",
            "ld-musl-x86_64.so.1",
            "ld64.so.2",
            "ld.so",
        ] {
            assert!(is_loader(name.as_bytes()), "{name}");
        }
        for name in [
            "ld",
            "ld.bfd",
            "ld.gold",
            "ld.lld",
            "ldd",
            "ldconfig",
            "old-x.so",
            "libc.so.6",
        ] {
            assert!(!is_loader(name.as_bytes()), "{name}");
        }
    }
}
