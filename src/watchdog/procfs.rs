//! What /proc says of one process. Everything in it may be a student's: names, arguments, paths are
//! any bytes, and a file behind `exe` may be on a file system that answers never.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, Statx, StatxFlags, openat, readlinkat, statx};
use rustix::io::{pread, read};

use super::loader::Loaders;
use super::mapped::mapped;
use super::memory::{Memory, Work};
use super::mounts::{self, Mounts};
use super::proc_dir::ProcDir;
use super::process::{Exe, Process, ProcessId, TOO_LONG};

/// As much of the arguments as is kept, in bytes.
pub const MOST_ARGV: usize = 4096;

/// The open /proc of this host.
#[derive(Debug)]
pub struct Proc {
    dir: Arc<ProcDir>,
    ticks: u64,
    page: u64,
    mounts: Mounts,
    memory: Memory,
    loaders: Loaders,
}

/// What changes all the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub start: u64,
    pub parent: u32,
    pub session: u32,
    pub name: String,
    pub state: char,
    pub nice: i32,
    pub threads: u32,
    pub cpu_ms: u64,
    pub reaped_cpu_ms: u64,
    pub resident: u64,
    /// Differs after an exec: where the kernel put the stack and the arguments.
    pub image: (u64, u64),
}

/// Real and effective uid, and the pid of the debugger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub uid: u32,
    pub effective_uid: u32,
    pub tracer: u32,
}

impl AsFd for Proc {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Proc {
    pub fn open() -> io::Result<Proc> {
        Ok(Proc {
            dir: Arc::new(ProcDir::open()?),
            ticks: rustix::param::clock_ticks_per_second(),
            page: rustix::param::page_size() as u64,
            mounts: Mounts::default(),
            memory: Memory::default(),
            loaders: Loaders::default(),
        })
    }

    pub fn pids(&self) -> io::Result<Vec<u32>> {
        numbers(&*self.dir)
    }

    pub fn open_file(&self, path: &str) -> io::Result<OwnedFd> {
        self.dir.open_file(path)
    }

    /// All of a small file. Not of one that shows a process's memory.
    pub fn text(&self, path: &str, most: usize) -> io::Result<Vec<u8>> {
        self.dir.text(path, most)
    }

    /// A file that shows the memory of a process of that uid's; None where nobody can tell.
    pub fn memory(&self, uid: u32, path: String, most: usize) -> Option<Vec<u8>> {
        let dir = Arc::clone(&self.dir);
        let work = move || dir.text(&path, most).unwrap_or_default();
        self.memory.read(uid, work)
    }

    /// Handles on the files of which a process has code in its memory, each once; those first that
    /// are no libraries by their names, and at most so many. They need CAP_CHECKPOINT_RESTORE.
    pub fn mapped(&self, uid: u32, teller: &str, most: usize) -> Vec<OwnedFd> {
        let (dir, teller) = (Arc::clone(&self.dir), teller.to_owned());
        let work = move || mapped(&dir, &teller, most);
        self.memory.ask(uid, work).unwrap_or_default()
    }

    /// The same of open ones, each with its uid; all there is comes with one read.
    pub fn memory_of_all(&self, files: Vec<(u32, OwnedFd)>, most: usize) -> Vec<Option<Vec<u8>>> {
        let works = files.into_iter().map(|(uid, file)| {
            let work: Work = Box::new(move || {
                let mut bytes = Vec::with_capacity(most);
                let _ = read(&file, spare_capacity(&mut bytes));
                bytes
            });
            (uid, work)
        });
        self.memory.read_all(works.collect())
    }

    pub fn link(&self, path: &str) -> io::Result<PathBuf> {
        self.dir.link(path)
    }

    /// Whether what was said of the file behind `PID/exe` is the host's word; it was asked for with
    /// [`mounts::MOUNT`].
    fn is_hosts_word(&self, exe: &str, stat: &Statx) -> bool {
        self.mounts.is_hosts_word(&self.dir, exe, stat)
    }

    pub fn is_on_the_hosts(&self, teller: &str, handle: &impl AsFd) -> Option<bool> {
        mounts::is_on_the_hosts(&self.dir, teller, handle)
    }

    /// A handle on its `stat` that goes on meaning this process whatever becomes of its pid.
    pub fn open_stat(&self, pid: u32) -> io::Result<OwnedFd> {
        self.open_file(&format!("{pid}/stat"))
    }

    /// None when the process is gone.
    pub fn read_stat(&self, file: BorrowedFd<'_>) -> Option<Stat> {
        let mut bytes = [0; 1024];
        let length = pread(file, &mut bytes, 0).ok()?;
        self.parse_stat(&bytes[..length])
    }

    fn parse_stat(&self, bytes: &[u8]) -> Option<Stat> {
        let open = bytes.iter().position(|&b| b == b'(')?;
        let close = bytes.iter().rposition(|&b| b == b')')?;
        let name = String::from_utf8_lossy(bytes.get(open + 1..close)?).into_owned();
        let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
        let mut fields = [""; 50];
        for (slot, field) in fields.iter_mut().zip(rest.split_ascii_whitespace()) {
            *slot = field;
        }
        // proc(5) counts from 1 with pid and name; here the state is 0.
        let number = |at: usize| fields[at - 3].parse::<u64>().unwrap_or(0);
        let small = |at: usize| u32::try_from(number(at)).unwrap_or(0);
        let ms = |ticks: u64| ticks * 1000 / self.ticks;
        Some(Stat {
            name,
            state: fields[0].chars().next()?,
            parent: small(4),
            session: small(6),
            cpu_ms: ms(number(14) + number(15)),
            reaped_cpu_ms: ms(number(16) + number(17)),
            nice: fields[19 - 3].parse().unwrap_or(0),
            threads: small(20),
            start: ms(fields[22 - 3].parse().ok()?),
            resident: number(24) * self.page,
            image: (number(28), number(48)),
        })
    }

    /// Bytes in memory. The stat of a process whose first thread has ended has none.
    pub fn resident(&self, pid: u32, stat: &Stat) -> u64 {
        if stat.state != 'Z' || stat.threads < 2 {
            return stat.resident;
        }
        let text = self.text(&format!("{}/statm", self.teller(pid)), 4096);
        let text = String::from_utf8(text.unwrap_or_default()).unwrap_or_default();
        let pages = text.split_ascii_whitespace().nth(1);
        pages
            .and_then(|pages| pages.parse::<u64>().ok())
            .unwrap_or(0)
            * self.page
    }

    pub fn status(&self, pid: u32) -> Option<Status> {
        let file = self.open_file(&format!("{pid}/status")).ok()?;
        let mut bytes = [0; 1024];
        let length = read(&file, &mut bytes).ok()?;
        parse_status(&bytes[..length])
    }

    /// Everything but its connections. None when it is gone.
    pub fn process(&self, pid: u32) -> Option<(Process, OwnedFd, Stat)> {
        let status = self.status(pid)?;
        self.process_of(pid, status)
    }

    /// What it runs, whose it is and where it comes from, when its status has just been read.
    pub fn started(&self, pid: u32, status: Status) -> Option<Process> {
        let handle = self.open_stat(pid).ok()?;
        let mut process = bare(pid, status, &self.read_stat(handle.as_fd())?);
        // It is its first thread that lives on through an exec.
        let teller = pid.to_string();
        process.exe = self.exe(&teller);
        process.argv = self.argv(status.uid, &teller);
        Some(process)
    }

    fn process_of(&self, pid: u32, status: Status) -> Option<(Process, OwnedFd, Stat)> {
        let handle = self.open_stat(pid).ok()?;
        let stat = self.read_stat(handle.as_fd())?;
        let mut process = bare(pid, status, &stat);
        process.resident = self.resident(pid, &stat);
        self.look_closer(&mut process, status);
        Some((process, handle, stat))
    }

    /// What an exec changes, and what else is dear to read.
    pub fn look_closer(&self, process: &mut Process, status: Status) {
        let pid = process.id.pid;
        process.uid = status.uid;
        process.effective_uid = status.effective_uid;
        process.tracer = status.tracer;
        let sum = process.exe.sha256.take();
        let teller = self.teller(pid);
        let exe = self.exe(&teller);
        if exe == process.exe {
            process.exe.sha256 = sum;
        } else {
            process.exe = exe;
        }
        process.argv = self.argv(status.uid, &teller);
        process.cwd = self.link(&format!("{teller}/cwd")).ok();
        process.cgroup = self.cgroup(pid);
    }

    /// The directory below which a process tells what it runs, and has open: its own, or when its
    /// first thread has ended, that of another one.
    pub fn teller(&self, pid: u32) -> String {
        let own = pid.to_string();
        if self.tells(&own) {
            return own;
        }
        let others = self.threads(pid).unwrap_or_default().into_iter();
        let mut others = others.map(|thread| format!("{pid}/task/{thread}"));
        others.find(|thread| self.tells(thread)).unwrap_or(own)
    }

    fn tells(&self, teller: &str) -> bool {
        readlinkat(&*self.dir, format!("{teller}/exe"), Vec::new()).is_ok()
    }

    fn threads(&self, pid: u32) -> io::Result<Vec<u32>> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        numbers(&openat(
            &*self.dir,
            format!("{pid}/task"),
            flags,
            Mode::empty(),
        )?)
    }

    fn argv(&self, uid: u32, teller: &str) -> Vec<String> {
        let bytes = self.memory(uid, format!("{teller}/cmdline"), MOST_ARGV);
        let bytes = bytes.unwrap_or_default();
        let bytes = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
        if bytes.is_empty() {
            return Vec::new();
        }
        let words = bytes.split(|&b| b == 0);
        words
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    }

    /// Nobody is asked who could keep us waiting: of a file system of the student's own (FUSE) only
    /// what the kernel remembers is read. That root owns a file is not believed of it.
    fn exe(&self, teller: &str) -> Exe {
        use std::os::unix::ffi::OsStrExt;
        const DELETED: &[u8] = b" (deleted)";
        let path = format!("{teller}/exe");
        let link = match self.link(&path) {
            Ok(link) => link,
            Err(e) if e.kind() == io::ErrorKind::InvalidFilename => PathBuf::from(TOO_LONG),
            Err(_) => return Exe::default(),
        };
        let flags = AtFlags::STATX_DONT_SYNC;
        let wanted = StatxFlags::BASIC_STATS | mounts::MOUNT;
        let known = statx(&*self.dir, &path, flags, wanted).ok();
        let bytes = link.as_os_str().as_bytes();
        let named = bytes.strip_suffix(DELETED);
        let deleted = named.is_some() || known.as_ref().is_some_and(|stat| stat.stx_nlink == 0);
        Exe {
            path: Some(match named {
                Some(name) => PathBuf::from(std::ffi::OsStr::from_bytes(name)),
                None => link,
            }),
            deleted,
            owner: known
                .filter(|stat| stat.stx_uid != 0 || self.is_roots(&path, stat))
                .map(|stat| stat.stx_uid),
            sha256: None,
        }
    }

    /// Whether what root owns by that stat of `PID/exe` is root's, and runs nothing but itself.
    pub fn is_roots(&self, exe: &str, stat: &Statx) -> bool {
        self.is_hosts_word(exe, stat) && !self.loaders.have(stat, || self.open_same(exe, stat))
    }

    /// It may have become another program meanwhile, which may be on anybody's file system.
    fn open_same(&self, exe: &str, stat: &Statx) -> Option<OwnedFd> {
        let handle = openat(
            &*self.dir,
            exe,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .ok()?;
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let now = statx(&handle, "", flags, StatxFlags::INO | mounts::MOUNT).ok()?;
        let file = |s: &Statx| (s.stx_mnt_id, s.stx_dev_major, s.stx_dev_minor, s.stx_ino);
        let own = format!("self/fd/{}", handle.as_raw_fd());
        (file(&now) == file(stat)).then(|| self.open_file(&own).ok())?
    }

    /// Of the unified hierarchy.
    fn cgroup(&self, pid: u32) -> Option<String> {
        let text = self.text(&format!("{pid}/cgroup"), 4096).ok()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        Some(own.to_owned())
    }
}

/// Those of a directory's names that are numbers.
fn numbers(dir: &impl AsFd) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = std::str::from_utf8(entry.file_name().to_bytes()).ok();
        numbers.extend(name.and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(numbers)
}

/// A process of which only status and stat were read.
fn bare(pid: u32, status: Status, stat: &Stat) -> Process {
    let mut process = Process {
        id: ProcessId {
            pid,
            start: stat.start,
        },
        parent: 0,
        session: 0,
        uid: status.uid,
        effective_uid: status.effective_uid,
        exe: Exe::default(),
        name: String::new(),
        argv: Vec::new(),
        cwd: None,
        state: stat.state,
        tracer: status.tracer,
        nice: 0,
        threads: 0,
        cpu_ms: 0,
        reaped_cpu_ms: 0,
        resident: 0,
        peers: Vec::new(),
        cgroup: None,
    };
    process.take(stat);
    process
}

impl Process {
    pub(super) fn take(&mut self, stat: &Stat) {
        self.parent = stat.parent;
        self.session = stat.session;
        if self.name != stat.name {
            self.name.clone_from(&stat.name);
        }
        self.state = stat.state;
        self.nice = stat.nice;
        self.threads = stat.threads;
        self.cpu_ms = stat.cpu_ms;
        self.reaped_cpu_ms = stat.reaped_cpu_ms;
        self.resident = stat.resident;
    }
}

fn parse_status(bytes: &[u8]) -> Option<Status> {
    let field = |name: &[u8]| {
        let mut lines = bytes.split(|&b| b == b'\n');
        let line = lines.find_map(|line| line.strip_prefix(name))?;
        std::str::from_utf8(line).ok()
    };
    let mut uids = field(b"Uid:")?.split_ascii_whitespace();
    Some(Status {
        uid: uids.next()?.parse().ok()?,
        effective_uid: uids.next()?.parse().ok()?,
        tracer: field(b"TracerPid:")
            .and_then(|pid| pid.trim().parse().ok())
            .unwrap_or(0),
    })
}

/// Milliseconds since the host started, time asleep included.
pub fn since_boot() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_anything() {
        let proc = Proc::open().unwrap();
        let tail = b" S 1 10 9 0 -1 0 0 0 0 0 250 50 7 3 20 -5 4 0 12345 999 100 0 1 2 77";
        for name in ["x", ") R 1 1 (", "a b)", "\u{1b}[31m\n", "ni\\ne"] {
            let stat = [b"10 (", name.as_bytes(), b")", tail].concat();
            let stat = proc.parse_stat(&stat).unwrap();
            assert_eq!(
                (stat.name.as_str(), stat.state, stat.parent),
                (name, 'S', 1)
            );
            assert_eq!((stat.nice, stat.threads), (-5, 4));
            assert_eq!(stat.start, 12345 * 1000 / proc.ticks);
            assert_eq!(stat.cpu_ms, 300 * 1000 / proc.ticks);
        }
        assert!(
            proc.parse_stat(b"10 (\xff\xfe) S 1").is_none(),
            "it has no start"
        );
        assert!(proc.parse_stat(b"").is_none());
    }

    #[test]
    fn a_status_is_read_by_its_fields() {
        let text = b"Name:\tUid:\t0\nState:\tS\nTracerPid:\t31\nUid:\t2012\t0\t0\t0\n";
        let status = parse_status(text).unwrap();
        assert_eq!(
            (status.uid, status.effective_uid, status.tracer),
            (2012, 0, 31)
        );
        assert_eq!(parse_status(b"Name:\tx\n"), None);
    }

    #[test]
    fn we_see_ourselves() {
        let proc = Proc::open().unwrap();
        let (own, handle, _) = proc.process(std::process::id()).unwrap();
        assert_eq!(own.exe.path, std::env::current_exe().ok());
        assert_eq!(own.argv.len(), std::env::args_os().count());
        assert!(own.id.start <= since_boot());
        assert!(proc.read_stat(handle.as_fd()).is_some());
        assert!(proc.pids().unwrap().contains(&std::process::id()));
    }
}
