//! Work with the file permissions of another account. The kernel keeps these per
//! thread, so each piece of work gets a thread of its own that then ends: no
//! way back is needed, and none can be forgotten.

use std::path::Path;
use std::thread;

use nix::unistd::{setfsgid, setfsuid};
use rustix::process::{Gid, geteuid};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_thread_groups};

use crate::safefs::error::{Cause, Error, Result};
use crate::safefs::sys::Raw;

const OP: &str = "act as";

/// The ids the kernel checks file access against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

/// Runs `f` in a new thread that the kernel treats as the given account in
/// every file access. Handles that are already open keep what they may do, but
/// each lookup beneath them is checked anew. A panic of `f` goes on here.
///
/// Threads that `f` starts inherit the account; programs must not be started
/// from `f` (exec would make a root process of it). When not root, only our own
/// uid can be taken on: else `Cause::NotRoot`.
pub fn as_user<T: Send>(
    uid: u32,
    gid: u32,
    groups: &[u32],
    f: impl FnOnce() -> T + Send,
) -> Result<T> {
    let fail = |cause| Error::new(OP, Path::new(&format!("uid {uid}")), cause);
    if !geteuid().is_root() {
        return match geteuid().as_raw() == uid {
            true => Ok(f()),
            false => Err(fail(Cause::NotRoot { uid })),
        };
    }
    let work = || -> Raw<T> {
        become_account(uid, gid, groups)?;
        Ok(f())
    };
    let ended = thread::scope(|scope| {
        let started = thread::Builder::new()
            .name(format!("uid-{uid}"))
            .spawn_scoped(scope, work);
        started.map(|thread| thread.join())
    });
    match ended {
        Err(e) => Err(fail(e.into())),
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Ok(Ok(done)) => done.map_err(fail),
    }
}

fn become_account(uid: u32, gid: u32, groups: &[u32]) -> Raw<()> {
    let groups: Vec<Gid> = groups.iter().map(|&g| Gid::from_raw(g)).collect();
    set_thread_groups(&groups)?;
    setfsgid(gid.into());
    setfsuid(uid.into());
    // setfsuid does not report failure: only asking again tells.
    if fs_uid() != uid || fs_gid() != gid {
        return Err(Cause::NotRoot { uid });
    }
    // Leaving fsuid 0 has dropped the file capabilities; with the permitted set
    // gone as well, nothing that runs here can take them back.
    set_capabilities(None, NO_CAPABILITIES)?;
    Ok(())
}

const NO_CAPABILITIES: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};

/// The uid this thread creates files as. An id that is not valid changes
/// nothing, and the answer is the present one.
pub(super) fn fs_uid() -> u32 {
    setfsuid(u32::MAX.into()).as_raw()
}

fn fs_gid() -> u32 {
    setfsgid(u32::MAX.into()).as_raw()
}
