//! The processes of one account, found by their uids and ended whatever they do against it:
//! ignore TERM, leave their session, stop themselves, fork faster than they are counted.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::getresuid;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Uid, pidfd_open, pidfd_send_signal};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_thread_res_uid,
};

use super::fuse;
use crate::ports::{Account, Fault};

/// A uid that no process has; see [`as_sender`].
const NOBODY_AT_ALL: u32 = u32::MAX - 2;

/// A process that can die has done so by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// Subordinate uids begin higher on every distribution.
const FIRST_SUBORDINATE: u32 = 65_536;

/// The uids under which an account can have processes: its own, and those that /etc/subuid
/// gives it (rootless containers).
pub struct Uids {
    own: u32,
    subordinate: Vec<RangeInclusive<u32>>,
}

impl Uids {
    /// By the files of `etc`, which is /etc but for tests. Fails when one of them cannot be read:
    /// without passwd, somebody else's processes could be taken for the account's.
    pub fn of(etc: &Path, account: &Account, students: &RangeInclusive<u32>) -> io::Result<Uids> {
        let passwd = text_of(fs::read(etc.join("passwd"))?);
        Ok(Uids::told_by(&subuid(etc)?, &passwd, account, students))
    }

    /// The account's own and no other.
    pub fn own(account: &Account) -> Uids {
        Uids {
            own: account.uid,
            subordinate: Vec::new(),
        }
    }

    /// By the texts of /etc/subuid and /etc/passwd. Subordinate ranges that overlap the students'
    /// own uids, or have the uid of any account, are not believed.
    pub fn told_by(
        subuid: &str,
        passwd: &str,
        account: &Account,
        students: &RangeInclusive<u32>,
    ) -> Uids {
        let uids = passwd
            .lines()
            .filter_map(|line| line.split(':').nth(2)?.parse().ok());
        let taken: BTreeSet<u32> = uids.collect();
        let subordinate = subuid
            .lines()
            .filter_map(|line| subordinate(line, account))
            .filter(|range| *range.start() >= FIRST_SUBORDINATE)
            .filter(|range| range.end() < students.start() || range.start() > students.end())
            .filter(|range| taken.range(range.clone()).next().is_none())
            .collect();
        Uids {
            own: account.uid,
            subordinate,
        }
    }

    pub fn have(&self, uid: u32) -> bool {
        uid == self.own || self.subordinate.iter().any(|range| range.contains(&uid))
    }

    /// Whether a process with this text of /proc/PID/status lives, and is the account's.
    pub fn are_of(&self, status: &[u8]) -> bool {
        parse(status, self).is_some()
    }
}

/// The text of its subuid; a host need not have the file.
pub fn subuid(etc: &Path) -> io::Result<String> {
    match fs::read(etc.join("subuid")) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map(text_of),
    }
}

/// One comment that is not UTF-8 must not hide all the lines.
fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `NAME:FIRST:COUNT`, or with the uid for the name.
fn subordinate(line: &str, account: &Account) -> Option<RangeInclusive<u32>> {
    let mut fields = line.split(':');
    let who = fields.next()?;
    if who != account.name && who.parse() != Ok(account.uid) {
        return None;
    }
    let first: u32 = fields.next()?.parse().ok()?;
    let count: u32 = fields.next()?.trim().parse().ok()?;
    Some(first..=first.checked_add(count.checked_sub(1)?)?)
}

/// A living process of the account.
struct Process {
    pid: Pid,
    name: String,
    /// Those of its uids that are the account's.
    uids: BTreeSet<u32>,
}

impl Process {
    fn line(&self) -> String {
        format!("process {} ({})", self.pid, self.name)
    }
}

/// One line for each process of the account.
pub fn lines(account: &str, uids: &Uids) -> Result<Vec<String>, Fault> {
    Ok(scan(account, uids)?.iter().map(Process::line).collect())
}

/// One line for each process that has a uid of the range, with that uid.
pub fn of_range(range: RangeInclusive<u32>) -> Result<Vec<(u32, String)>, Fault> {
    let uids = Uids {
        own: NOBODY_AT_ALL,
        subordinate: vec![range],
    };
    let look = || -> io::Result<Vec<Process>> {
        let proc = proc_dir()?;
        let mut found = Vec::new();
        for pid in pids(&proc)? {
            found.extend(process(&proc, &pid.to_string(), pid, &uids)?);
        }
        Ok(found)
    };
    let found = look()
        .map_err(|e| Fault::retry("cannot list the processes of the students").because(&e))?;
    let lines = |process: Process| {
        let line = process.line();
        process.uids.into_iter().map(move |uid| (uid, line.clone()))
    };
    Ok(found.into_iter().flat_map(lines).collect())
}

fn proc_dir() -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, "/proc", flags, Mode::empty())?)
}

/// Kills them all; Retry when some are left after `limit`. Kills before it looks: with a
/// thousand processes at work, a look around takes its time. What the account serves is cut off
/// when some are left after a while.
pub fn end(account: &str, uids: &Uids, limit: Duration) -> Result<(), Fault> {
    let deadline = Instant::now() + limit;
    let mut patience = Some(Instant::now() + PATIENCE);
    kill_all(uids.own);
    let mut left = scan(account, uids)?;
    let mut pause = Duration::from_millis(1);
    while !left.is_empty() {
        if Instant::now() >= deadline {
            return Err(still_there(account, &left, limit));
        }
        kill_round(&left, uids);
        if patience.take_if(|until| Instant::now() >= *until).is_some() {
            fuse::cut_off(uids.own);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
        left = scan(account, uids)?;
    }
    Ok(())
}

fn still_there(account: &str, left: &[Process], limit: Duration) -> Fault {
    const SHOWN: usize = 5;
    let shown = left.iter().take(SHOWN);
    let mut named: Vec<_> = shown
        .map(|process| format!("{}{}", process.line(), wait(process.pid)))
        .collect();
    if left.len() > SHOWN {
        named.push(format!("{} more", left.len() - SHOWN));
    }
    Fault::retry(format!(
        "{account} still has processes {} s after they were killed: {}; see what they wait for",
        limit.as_secs(),
        named.join(", ")
    ))
}

/// `, which hangs in request_wait_answer`: of its first thread that cannot be interrupted.
fn wait(pid: Pid) -> String {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let mut hanging = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| {
            let stat = fs::read(thread.path().join("stat")).ok()?;
            let stat = String::from_utf8_lossy(&stat).into_owned();
            let state = stat.rsplit_once(") ")?.1.chars().next()?;
            let at = fs::read_to_string(thread.path().join("wchan")).ok()?;
            (state == 'D').then_some(at)
        });
    match hanging.next() {
        Some(at) => format!(", which hangs in {at}"),
        None => String::new(),
    }
}

fn kill_round(processes: &[Process], uids: &Uids) {
    let all: BTreeSet<u32> = processes.iter().flat_map(|p| &p.uids).copied().collect();
    all.into_iter().for_each(kill_all);
    // Whom the account itself may not signal: effective uid only.
    for process in processes {
        signal_one(process.pid, uids, rustix::process::Signal::KILL);
    }
}

/// Checked again under a pidfd: a pid may have become somebody else's since it was listed.
fn signal_one(pid: Pid, uids: &Uids, signal: rustix::process::Signal) {
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    if let Ok(Some(_)) = process(CWD, &format!("/proc/{pid}"), pid, uids) {
        let _ = pidfd_send_signal(&handle, signal);
    }
}

/// Kills every process that the account may signal in one call of the kernel. It holds off
/// forks meanwhile, so a fork bomb has nowhere to go; killing one by one hardly catches up.
fn kill_all(uid: u32) {
    signal_all(uid, Signal::SIGKILL);
}

/// Stops every process that the account may signal, likewise; those of subordinate uids, and all
/// where we cannot take the account's uid, one after the other.
pub fn stop_all(uids: &Uids) {
    let is_done = signal_all(uids.own, Signal::SIGSTOP);
    if is_done && uids.subordinate.is_empty() {
        return;
    }
    for process in find(uids).unwrap_or_default() {
        signal_one(process.pid, uids, rustix::process::Signal::STOP);
    }
}

pub fn kill_own(uids: &Uids) {
    kill_all(uids.own);
}

/// False when that cannot be done here.
fn signal_all(uid: u32, signal: Signal) -> bool {
    let everybody = nix::unistd::Pid::from_raw(-1);
    let sent = as_sender(uid, || kill(everybody, signal));
    if let Err(error) = &sent {
        tracing::warn!(uid, %error, %signal, "cannot signal all processes of a uid at once");
    }
    sent.is_ok()
}

/// The pids of the account's living processes.
pub fn pids_of(account: &str, uids: &Uids) -> Result<Vec<u32>, Fault> {
    let found = scan(account, uids)?;
    Ok(found
        .iter()
        .map(|p| p.pid.as_raw_pid().unsigned_abs())
        .collect())
}

/// Kills the account's process of that pid, if it started so many milliseconds after the host.
/// Under a pidfd: what is looked at afterwards is what is signalled.
pub fn kill_exactly(pid: u32, start: u64, uids: &Uids) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    let is_it = started(pid) == Some(start)
        && matches!(
            process(CWD, &format!("/proc/{pid}"), pid, uids),
            Ok(Some(_))
        );
    is_it && pidfd_send_signal(&handle, rustix::process::Signal::KILL).is_ok()
}

/// Milliseconds after the host: the 22nd field of its stat. The name before it may hold any bytes.
fn started(pid: Pid) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let ticks: u64 = fields.nth(19)?.parse().ok()?;
    Some(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

/// Those of the pids that the account may signal: its real or saved uid is theirs.
fn in_reach(uid: u32, pids: &[Pid]) -> io::Result<HashSet<Pid>> {
    let may = |pid: &Pid| kill(nix::unistd::Pid::from_raw(pid.as_raw_pid()), None).is_ok();
    as_sender(uid, || pids.iter().copied().filter(may).collect())
}

/// Sends signals as the account may. For this one thread of ours takes the account's
/// effective uid and nothing else of it: with the real and saved uid of nobody at all, no
/// process of the account may signal back, and no other account's are in its reach. The
/// thread ends with the work.
fn as_sender<T: Send>(uid: u32, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name(format!("signal-{uid}"))
            .spawn_scoped(scope, move || become_sender(uid).map(|()| work()))?
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    })
}

/// Fails unless this thread now has exactly these uids and no capability: with one more,
/// the next call would end the host.
fn become_sender(uid: u32) -> io::Result<()> {
    let nobody = Uid::from_raw(NOBODY_AT_ALL);
    set_thread_res_uid(nobody, Uid::from_raw(uid), nobody)?;
    set_capabilities(None, NO_CAPABILITIES)?;
    let now = getresuid()?;
    let ids = [now.real, now.effective, now.saved].map(nix::unistd::Uid::as_raw);
    let powerless = capabilities(None)?.effective.is_empty();
    match ids == [NOBODY_AT_ALL, uid, NOBODY_AT_ALL] && uid >= super::FIRST_UID && powerless {
        true => Ok(()),
        false => Err(io::Error::other("the thread could not change its uids")),
    }
}

const NO_CAPABILITIES: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};

/// Every living process with one of the uids. What cannot be read is an error: it might be one.
fn scan(account: &str, uids: &Uids) -> Result<Vec<Process>, Fault> {
    find(uids)
        .map_err(|e| Fault::retry(format!("cannot list the processes of {account}")).because(&e))
}

fn find(uids: &Uids) -> io::Result<Vec<Process>> {
    let proc = proc_dir()?;
    let pids = pids(&proc)?;
    // Where uids are limited (a container), each process is read.
    let in_reach = in_reach(uids.own, &pids).ok();
    let mut found = Vec::new();
    for pid in pids {
        let may_be = match &in_reach {
            Some(reach) => reach.contains(&pid) || owner_may_hide(&proc, pid, uids)?,
            None => true,
        };
        if may_be {
            found.extend(process(&proc, &pid.to_string(), pid, uids)?);
        }
    }
    Ok(found)
}

fn pids(proc: &OwnedFd) -> io::Result<Vec<Pid>> {
    let ourselves = rustix::process::getpid();
    let mut pids = Vec::new();
    for entry in Dir::read_from(proc)? {
        let name = entry?;
        let pid = name
            .file_name()
            .to_str()
            .ok()
            .and_then(|name| name.parse().ok());
        pids.extend(pid.and_then(Pid::from_raw).filter(|pid| *pid != ourselves));
    }
    Ok(pids)
}

/// Whether a process that is out of reach may still have the account's effective uid. That
/// uid owns /proc/PID, but for a process that is not dumpable it is root: so any other owner
/// says that it has not. Asking is much cheaper than reading its status.
fn owner_may_hide(proc: &OwnedFd, pid: Pid, uids: &Uids) -> io::Result<bool> {
    match statat(proc, pid.to_string(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(stat.st_uid == 0 || uids.have(stat.st_uid)),
        Err(Errno::NOENT | Errno::SRCH) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// `path` is its directory. None when it is gone, dead, or not the account's.
fn process(
    dir: impl rustix::fd::AsFd,
    path: &str,
    pid: Pid,
    uids: &Uids,
) -> io::Result<Option<Process>> {
    let mut bytes = [0; 4096];
    let length = match read_status(dir.as_fd(), &format!("{path}/status"), &mut bytes) {
        Ok(length) => length,
        Err(Errno::NOENT | Errno::SRCH) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    Ok(parse(&bytes[..length], uids).map(|(name, uids)| Process { pid, name, uids }))
}

fn read_status(dir: BorrowedFd<'_>, path: &str, bytes: &mut [u8]) -> rustix::io::Result<usize> {
    let file = openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::read(&file, bytes)
}

fn parse(status: &[u8], uids: &Uids) -> Option<(String, BTreeSet<u32>)> {
    let field = |name: &[u8]| {
        let line = status
            .split(|&b| b == b'\n')
            .find_map(|l| l.strip_prefix(name))?;
        Some(line.trim_ascii())
    };
    let owned: BTreeSet<u32> = std::str::from_utf8(field(b"Uid:")?)
        .ok()?
        .split_ascii_whitespace()
        .filter_map(|uid| uid.parse().ok())
        .filter(|uid| uids.have(*uid))
        .collect();
    if owned.is_empty() {
        return None;
    }
    // The first thread may have ended while others go on: such a process looks like a zombie.
    let dead = matches!(field(b"State:"), Some([b'Z' | b'X', ..]));
    if dead && matches!(field(b"Threads:"), Some(b"0" | b"1")) {
        return None;
    }
    let name = String::from_utf8_lossy(field(b"Name:").unwrap_or_default());
    Some((name.escape_default().to_string(), owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids() -> Uids {
        Uids {
            own: 2007,
            subordinate: vec![300_000..=365_535],
        }
    }

    fn status(state: &str, ids: &str, threads: u32) -> Vec<u8> {
        format!("Name:\tx\nUmask:\t0022\nState:\t{state}\nUid:\t{ids}\nThreads:\t{threads}\n")
            .into()
    }

    fn is_owned(state: &str, ids: &str, threads: u32) -> bool {
        parse(&status(state, ids, threads), &uids()).is_some()
    }

    #[test]
    fn any_of_the_four_uids_counts() {
        for ids in [
            "2007\t2007\t2007\t2007",
            "2007\t0\t0\t0",
            "0\t2007\t0\t0",
            "0\t0\t2007\t0",
            "0\t0\t0\t2007",
            "300000\t300000\t300000\t300000",
        ] {
            assert!(is_owned("S (sleeping)", ids, 1), "{ids}");
        }
        for ids in ["20071\t20071\t20071\t20071", "200\t7\t0\t0", "0\t0\t0\t0"] {
            assert!(!is_owned("S (sleeping)", ids, 1), "{ids}");
        }
    }

    #[test]
    fn a_zombie_is_dead_only_without_threads() {
        let ids = "2007\t2007\t2007\t2007";
        assert!(!is_owned("Z (zombie)", ids, 1));
        assert!(is_owned("Z (zombie)", ids, 2));
        assert!(is_owned("T (stopped)", ids, 1));
    }

    fn account() -> Account {
        Account {
            name: "student7".to_owned(),
            uid: 2007,
            gid: 2007,
        }
    }

    #[test]
    fn a_comment_in_latin_1_hides_nobody() {
        let etc = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| fs::write(etc.path().join(name), text).unwrap();
        let uids = || Uids::of(etc.path(), &account(), &(2001..=2040));
        write("passwd", b"other:x:300007:300007:J\xfcrgen:/:/bin/sh\n");
        assert!(!uids().unwrap().have(300_007), "a host without a subuid");
        write(
            "subuid",
            b"j\xfcrgen:500000:9\nstudent7:300000:65536\nstudent7:400000:9\n",
        );
        let uids_now = uids().unwrap();
        assert!(!uids_now.have(300_007), "somebody else's uid");
        assert!(uids_now.have(400_003), "a range of the account's own");
        fs::remove_file(etc.path().join("passwd")).unwrap();
        assert!(uids().is_err(), "nobody knows whose uids those are");
    }

    #[test]
    fn subordinate_uids_are_those_of_the_account_only() {
        let account = account();
        let of = |line| subordinate(line, &account);
        assert_eq!(of("student7:300000:65536"), Some(300_000..=365_535));
        assert_eq!(of("2007:300000:1"), Some(300_000..=300_000));
        for line in [
            "student71:300000:65536",
            "student7:x:1",
            "student7:1:0",
            "student7:4294967295:2",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
