//! Kills an engine right before a chosen effect: a system call of one of its threads that can
//! change something outside of it. What is no effect is listed; every other call is one, so a
//! new kind of effect is counted without anybody thinking of it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

/// A thread of the engine, in the order in which they were started, and how many effects it has
/// had before. Helpers that a thread starts count as the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    pub thread: usize,
    pub before: usize,
}

#[derive(Debug, Clone)]
pub struct Effect {
    pub point: Point,
    pub call: String,
    /// The files that it is about, for people.
    pub about: String,
}

/// One engine under the eyes of a thread of ours, until it ends.
pub struct Tracer {
    seen: Arc<Mutex<Vec<Effect>>>,
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Tracer {
    /// Nothing that the engine does after this goes unseen. Until it has ended nobody else may
    /// wait for it as a child: the stops of its first thread would be taken away.
    pub fn attach(engine: u32, kill_at: Option<Point>) -> Tracer {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (attached, wait) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let theirs = Arc::clone(&seen);
        let thread = std::thread::spawn(move || {
            let engine = Pid::from_raw(i32::try_from(engine).unwrap());
            let mut watch = Watch {
                engine,
                kill_at,
                seen: theirs,
                threads: HashMap::new(),
                counts: HashMap::new(),
                early: HashSet::new(),
                inside: HashSet::new(),
                looks: HashMap::new(),
            };
            watch.seize_all();
            // Whoever is let go stops again while the process counts as stopped.
            kill(watch.engine, Signal::SIGCONT).unwrap();
            attached.send(()).unwrap();
            watch.go_on();
            let _ = end.send(());
        });
        wait.recv().unwrap();
        Tracer {
            seen,
            ended,
            thread: Some(thread),
        }
    }

    pub fn seen(&self) -> Vec<Effect> {
        self.seen.lock().unwrap().clone()
    }

    /// Whether the engine ended, looked at for so long.
    pub fn has_ended(&self, patience: std::time::Duration) -> bool {
        !matches!(
            self.ended.recv_timeout(patience),
            Err(mpsc::RecvTimeoutError::Timeout)
        )
    }

    /// To be called when the engine has ended or was sent SIGKILL; gives back all effects.
    pub fn finish(mut self) -> Vec<Effect> {
        self.thread.take().unwrap().join().unwrap();
        self.seen()
    }
}

/// A helper that has only looked for so many calls in a row goes on looking: it is let go, or a look over
/// the whole host would take for ever.
const ONLY_LOOKS: usize = 4000;

struct Watch {
    engine: Pid,
    kill_at: Option<Point>,
    seen: Arc<Mutex<Vec<Effect>>>,
    threads: HashMap<Pid, usize>,
    counts: HashMap<usize, usize>,
    /// New threads that were here before the news of them.
    early: HashSet<Pid>,
    /// Threads between the begin and the end of a call.
    inside: HashSet<Pid>,
    /// Calls of helpers since their last effect.
    looks: HashMap<Pid, usize>,
}

impl Watch {
    fn seize_all(&mut self) {
        // Children of other kinds (programs that are started) are let go.
        let options = ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_TRACECLONE;
        loop {
            let mut new: Vec<i32> = fs::read_dir(format!("/proc/{}/task", self.engine))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .map(|name| name.to_str().unwrap().parse().unwrap())
                .filter(|&tid| !self.threads.contains_key(&Pid::from_raw(tid)))
                .collect();
            if new.is_empty() {
                return;
            }
            new.sort_unstable();
            for tid in new.into_iter().map(Pid::from_raw) {
                if ptrace::seize(tid, options).is_ok() {
                    ptrace::interrupt(tid).unwrap();
                }
                self.threads.insert(tid, self.threads.len());
            }
        }
    }

    /// Until the engine has ended; its own parent asks for its status.
    fn go_on(&mut self) {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let look = flags | WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
        loop {
            let tid = match waitid(Id::All, look) {
                Ok(WaitStatus::Exited(tid, _) | WaitStatus::Signaled(tid, ..))
                    if tid == self.engine =>
                {
                    return;
                }
                Ok(status) => status.pid().unwrap(),
                Err(Errno::ECHILD) => return,
                Err(e) => panic!("{e}"),
            };
            if let Ok(status) = waitpid(tid, Some(flags)) {
                self.stopped(tid, status);
            }
        }
    }

    fn stopped(&mut self, tid: Pid, status: WaitStatus) {
        let mut signal = None;
        match status {
            WaitStatus::PtraceSyscall(_) if self.inside.remove(&tid) => {
                if let Some(looks) = self.looks.get_mut(&tid) {
                    *looks += 1;
                    if *looks > ONLY_LOOKS {
                        let _ = ptrace::detach(tid, None);
                        return;
                    }
                }
            }
            WaitStatus::PtraceSyscall(_) => {
                self.inside.insert(tid);
                self.begins(tid);
            }
            WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_CLONE) => {
                let new = Pid::from_raw(i32::try_from(ptrace::getevent(tid).unwrap_or(0)).unwrap());
                self.threads.insert(new, self.threads[&tid]);
                self.looks.insert(new, 0);
                if self.early.remove(&new) {
                    let _ = ptrace::syscall(new, None);
                }
            }
            WaitStatus::PtraceEvent(..) if !self.threads.contains_key(&tid) => {
                self.early.insert(tid);
                return;
            }
            WaitStatus::PtraceEvent(..) => {}
            WaitStatus::Stopped(_, told) => signal = Some(told),
            _ => return,
        }
        // One that is being killed is gone.
        let _ = ptrace::syscall(tid, signal);
    }

    fn begins(&mut self, tid: Pid) {
        let Some((number, args)) = call(tid) else {
            return;
        };
        let Some((name, about)) = effect(tid, number, &args) else {
            return;
        };
        self.looks.entry(tid).and_modify(|looks| *looks = 0);
        let thread = self.threads[&tid];
        let count = self.counts.entry(thread).or_default();
        let point = Point {
            thread,
            before: *count,
        };
        *count += 1;
        if self.kill_at == Some(point) {
            kill(self.engine, Signal::SIGKILL).unwrap();
        }
        self.seen.lock().unwrap().push(Effect {
            point,
            call: name,
            about,
        });
    }
}

/// Number and arguments of the call that a stopped thread begins.
fn call(tid: Pid) -> Option<(c_long, Vec<u64>)> {
    #[cfg(target_arch = "x86_64")]
    if let Ok(regs) = ptrace::getregs(tid) {
        let args = vec![regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
        return Some((regs.orig_rax.cast_signed(), args));
    }
    let text = fs::read_to_string(format!("/proc/{tid}/syscall")).ok()?;
    let mut words = text.split_whitespace();
    let number = words.next()?.parse().ok()?;
    let args = words.map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap());
    Some((number, args.collect()))
}

/// Reads, waits, memory, looks at oneself: nothing outside is changed by these.
const HARMLESS: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_preadv,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_lseek,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_fadvise64,
    // Locks end with the process.
    libc::SYS_flock,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_membarrier,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_getrandom,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_prctl,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_capget,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_umask,
    libc::SYS_prlimit64,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_pidfd_open,
    libc::SYS_exit,
];

#[cfg(target_arch = "x86_64")]
const OLDER_HARMLESS: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_poll,
    libc::SYS_dup2,
    libc::SYS_epoll_wait,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_HARMLESS: &[c_long] = &[];

/// What an argument is, for people.
#[derive(Debug, Clone, Copy)]
enum Arg {
    Path(usize),
    File(usize),
}

use Arg::{File, Path};

/// Names of effects; one that is missing here is a number.
const NAMES: &[(c_long, &str, &[Arg])] = &[
    (libc::SYS_openat, "open", &[Path(1)]),
    (libc::SYS_openat2, "open", &[Path(1)]),
    (libc::SYS_write, "write", &[File(0)]),
    (libc::SYS_writev, "write", &[File(0)]),
    (libc::SYS_pwrite64, "write", &[File(0)]),
    (libc::SYS_pwritev, "write", &[File(0)]),
    (libc::SYS_sendfile, "copy", &[File(0)]),
    (libc::SYS_copy_file_range, "copy", &[File(2)]),
    (libc::SYS_splice, "copy", &[File(2)]),
    (libc::SYS_sendto, "send", &[File(0)]),
    (libc::SYS_sendmsg, "send", &[File(0)]),
    (libc::SYS_connect, "connect", &[File(0)]),
    (libc::SYS_shutdown, "shutdown", &[File(0)]),
    (libc::SYS_fsync, "sync", &[File(0)]),
    (libc::SYS_fdatasync, "sync", &[File(0)]),
    (libc::SYS_ftruncate, "truncate", &[File(0)]),
    (libc::SYS_fallocate, "allocate", &[File(0)]),
    (libc::SYS_renameat, "rename", &[Path(1), Path(3)]),
    (libc::SYS_renameat2, "rename", &[Path(1), Path(3)]),
    (libc::SYS_mkdirat, "mkdir", &[Path(1)]),
    (libc::SYS_unlinkat, "unlink", &[Path(1)]),
    (libc::SYS_symlinkat, "symlink", &[Path(2)]),
    (libc::SYS_linkat, "link", &[Path(3)]),
    (libc::SYS_fchmod, "chmod", &[File(0)]),
    (libc::SYS_fchmodat, "chmod", &[Path(1)]),
    (libc::SYS_fchown, "chown", &[File(0)]),
    (libc::SYS_fchownat, "chown", &[Path(1)]),
    (libc::SYS_fsetxattr, "setxattr", &[File(0), Path(1)]),
    (libc::SYS_setxattr, "setxattr", &[Path(0), Path(1)]),
    (libc::SYS_lsetxattr, "setxattr", &[Path(0), Path(1)]),
    (libc::SYS_fremovexattr, "removexattr", &[File(0), Path(1)]),
    (libc::SYS_removexattr, "removexattr", &[Path(0), Path(1)]),
    (libc::SYS_lremovexattr, "removexattr", &[Path(0), Path(1)]),
    (libc::SYS_utimensat, "utimens", &[]),
    (libc::SYS_clone, "start", &[]),
    (libc::SYS_clone3, "start", &[]),
    (libc::SYS_kill, "kill", &[]),
    (libc::SYS_tgkill, "kill", &[]),
    (libc::SYS_pidfd_send_signal, "kill", &[]),
    (libc::SYS_setresuid, "setuid", &[]),
    (libc::SYS_setresgid, "setgid", &[]),
    (libc::SYS_setgroups, "setgroups", &[]),
    (libc::SYS_setfsuid, "setfsuid", &[]),
    (libc::SYS_setfsgid, "setfsgid", &[]),
    (libc::SYS_capset, "capset", &[]),
    (libc::SYS_shmctl, "shmctl", &[]),
    (libc::SYS_semctl, "semctl", &[]),
    (libc::SYS_msgctl, "msgctl", &[]),
    (libc::SYS_mount, "mount", &[]),
    (libc::SYS_unshare, "unshare", &[]),
];

#[cfg(target_arch = "x86_64")]
const OLDER_NAMES: &[(c_long, &str, &[Arg])] = &[
    (libc::SYS_open, "open", &[Path(0)]),
    (libc::SYS_rename, "rename", &[Path(0), Path(1)]),
    (libc::SYS_mkdir, "mkdir", &[Path(0)]),
    (libc::SYS_rmdir, "unlink", &[Path(0)]),
    (libc::SYS_unlink, "unlink", &[Path(0)]),
    (libc::SYS_symlink, "symlink", &[Path(1)]),
    (libc::SYS_link, "link", &[Path(1)]),
    (libc::SYS_chmod, "chmod", &[Path(0)]),
    (libc::SYS_chown, "chown", &[Path(0)]),
    (libc::SYS_fork, "start", &[]),
    (libc::SYS_vfork, "start", &[]),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_NAMES: &[(c_long, &str, &[Arg])] = &[];

/// Name of the call and what it is about; None for one that changes nothing.
fn effect(tid: Pid, number: c_long, args: &[u64]) -> Option<(String, String)> {
    if HARMLESS.contains(&number) || OLDER_HARMLESS.contains(&number) {
        return None;
    }
    if number == libc::SYS_openat && !opens_to_write(args[2]) {
        return None;
    }
    #[cfg(target_arch = "x86_64")]
    if number == libc::SYS_open && !opens_to_write(args[1]) {
        return None;
    }
    if number == libc::SYS_openat2 {
        let how = memory(tid, args[2], 8);
        if !opens_to_write(u64::from_ne_bytes(how.try_into().unwrap_or([0xff; 8]))) {
            return None;
        }
    }
    let mut known = NAMES.iter().chain(OLDER_NAMES);
    let Some((_, name, shown)) = known.find(|(known, ..)| *known == number) else {
        return Some((format!("call {number}"), String::new()));
    };
    let about: Vec<String> = shown
        .iter()
        .map(|arg| match arg {
            Path(at) => text(tid, args[*at]),
            File(at) => file(tid, args[*at]),
        })
        .collect();
    let about = about.join(" ");
    // To the log, and from thread to thread.
    let own = ["/run/serve.log", "anon_inode:"];
    (!own.iter().any(|own| about.starts_with(own))).then(|| ((*name).to_owned(), about))
}

fn opens_to_write(flags: u64) -> bool {
    let writes = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC;
    flags & u64::try_from(writes).unwrap() != 0
}

fn file(tid: Pid, fd: u64) -> String {
    let link = fs::read_link(format!("/proc/{tid}/fd/{fd}"));
    link.map_or_else(|_| format!("file {fd}"), |to| to.display().to_string())
}

fn text(tid: Pid, at: u64) -> String {
    let bytes = memory(tid, at, 256);
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn memory(tid: Pid, at: u64, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(mut memory) = fs::File::open(format!("/proc/{tid}/mem"))
        && memory.seek(SeekFrom::Start(at)).is_ok()
    {
        let _ = memory.take(most).read_to_end(&mut bytes);
    }
    bytes
}
