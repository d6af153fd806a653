//! What a process that reads strangers' mail gives up before it does: account, capabilities,
//! network, files, signals, threads.
//!
//! Most of it binds the calling thread and what that starts: to be called while there is only
//! one. Says nothing about mails.

use std::fmt;
use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope, make_bitflags,
};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::fs::{FileType, fstat};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// An account that has nothing but this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

/// Whether a kernel without Landlock will do (WODCONFINE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Demand {
    /// What the kernel can do is used, and the log says how much that is.
    #[default]
    Possible,
    Required,
}

/// All that is left of the file system.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// Files may be made, written and removed here.
    pub spool: &'a Path,
    /// Files may be read here.
    pub public: &'a Path,
}

/// What was given up, for one line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given(Vec<String>);

impl Given {
    fn note(&mut self, what: impl Into<String>) {
        self.0.push(what.into());
    }

    pub fn and(mut self, other: Given) -> Given {
        self.0.extend(other.0);
        self
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// The newest rights that are known here and were tried out.
const TRIED: ABI = ABI::V7;

/// Gives up the account, every capability in every set, and the network: what is connected or
/// listens already stays, everything new finds no network. Without an `account` we stay who we
/// are. Fails when anything of a privileged process would be left.
pub fn give_up_privileges(account: Option<Account>) -> io::Result<Given> {
    let mut given = Given::default();
    let bounding = empty_bounding_set();
    // Only who may give it away can have one of its own; Landlock keeps TCP from the others.
    let network = unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC);
    if let Some(account) = account {
        let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        setgroups(&[])?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        given.note(format!("uid {}", account.uid));
    }
    given.0.extend(no_capabilities(bounding)?.0);
    given.note(match network {
        Ok(()) => "empty network",
        Err(_) => "network as it was",
    });
    Ok(given)
}

/// Of a process that keeps its account and its network.
pub fn give_up_capabilities() -> io::Result<Given> {
    no_capabilities(empty_bounding_set())
}

fn empty_bounding_set() -> Result<(), Errno> {
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        match capability_is_in_bounding_set(one) {
            Ok(true) => remove_capability_from_bounding_set(one)
                .map_err(|e| Errno::from_raw(e.raw_os_error()))?,
            Ok(false) => {}
            // Beyond the last one that the kernel knows.
            Err(_) => break,
        }
    }
    Ok(())
}

fn no_capabilities(bounding: Result<(), Errno>) -> io::Result<Given> {
    let mut given = Given::default();
    // EINVAL: a kernel that has none.
    match clear_ambient_capability_set() {
        Ok(()) | Err(rustix::io::Errno::INVAL) => {}
        Err(e) => return Err(e.into()),
    }
    let none = CapabilitySet::empty();
    set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )?;
    prctl::set_no_new_privs()?;
    prctl::set_dumpable(false)?;
    given.note(match bounding {
        Ok(()) => "no capabilities",
        // Who had none cannot shrink it, and without new privileges never gets one from it.
        Err(_) => "no capabilities (bounding set as it was)",
    });
    given.note("no new privileges");
    Ok(given)
}

/// Whether this kernel can do what [`Demand::Required`] asks for.
pub fn is_possible() -> bool {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create)
        .is_ok()
}

/// Gives up all files but the ground, all of TCP, and signals to others, as far as the kernel
/// can. Open files and sockets stay usable.
pub fn shut_in(ground: Ground<'_>, demand: Demand) -> io::Result<Given> {
    let mut given = Given::default();
    match landlock(ground).map_err(io::Error::other)? {
        LandlockStatus::Available { effective_abi, .. } => {
            let abi = effective_abi as i32;
            let all = [
                (1, "files"),
                (4, "tcp"),
                (6, "signals and abstract sockets"),
            ];
            let held = all.iter().filter(|(since, _)| *since <= abi);
            let held: Vec<&str> = held.map(|(_, what)| *what).collect();
            given.note(format!("landlock abi {abi} ({})", held.join(", ")));
        }
        missing if demand == Demand::Required => {
            let line = format!("WODCONFINE is required, and {}", without(missing));
            return Err(io::Error::other(line));
        }
        missing => given.note(without(missing)),
    }
    Ok(given)
}

fn without(status: LandlockStatus) -> &'static str {
    match status {
        LandlockStatus::NotEnabled => "this kernel has landlock switched off",
        _ => "this kernel has no landlock",
    }
}

fn landlock(
    ground: Ground<'_>,
) -> Result<LandlockStatus, Box<dyn std::error::Error + Send + Sync>> {
    let spool = make_bitflags!(AccessFs::{MakeReg | WriteFile | RemoveFile});
    let public = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let allowed = |path: &Path, rights: BitFlags<AccessFs>| {
        PathFd::new(path).map(|fd| PathBeneath::new(fd, rights))
    };
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(TRIED))?
        .handle_access(AccessNet::from_all(TRIED))?
        .scope(Scope::from_all(TRIED))?
        .create()?
        .add_rule(allowed(ground.spool, spool)?)?
        .add_rule(allowed(ground.public, public)?)?
        .restrict_self()?;
    Ok(restricted.landlock)
}

/// More than [`super::listener::Limits`] lets in at a time, with room for those that wait.
const OPEN_FILES: u64 = 1024;
/// A spooled record has 16 KiB.
const FILE_BYTES: u64 = 64 << 10;
/// Many mails of usual size, and the policy of a large site.
const DATA_BYTES: u64 = 1 << 30;

/// Limits of what is left: open files, memory, the size of what is written.
pub fn limit() -> io::Result<Given> {
    let mut given = Given::default();
    lower(Resource::Core, 0)?;
    lower(Resource::Nofile, OPEN_FILES)?;
    lower(Resource::Data, DATA_BYTES)?;
    given.note(format!(
        "at most {OPEN_FILES} open files and {} MiB of memory",
        DATA_BYTES >> 20
    ));
    // A log in a plain file grows beyond any limit that helps the spool.
    if !is_plain(io::stdout()) && !is_plain(io::stderr()) {
        lower(Resource::Fsize, FILE_BYTES)?;
        given.note(format!("files up to {} KiB", FILE_BYTES >> 10));
    }
    Ok(given)
}

/// From here on no thread and no process can be started. For the kernel's root this is no limit.
pub fn start_nothing_more() -> io::Result<Given> {
    lower(Resource::Nproc, 0)?;
    let mut given = Given::default();
    given.note("no further threads or processes");
    Ok(given)
}

fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let now = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let most = Some(most.min(now));
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    Ok(setrlimit(resource, limit)?)
}

fn is_plain(file: impl std::os::fd::AsFd) -> bool {
    fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}
