//! Students without root: plain directories of our own account, passwords as hashes in one
//! file that our JupyterHub authenticator reads, processes told by a mark in their environment.
//! Separates nobody from anybody: for trying things out, not for strangers.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::{Secret, Student, StudentRange};
use crate::ports::{Account, Accounts, Fault, Search};
use crate::safefs::Dir;

/// Set by the hub's spawner in every process of a student: `WODSTUDENT=student7`.
pub const MARK: &str = "WODSTUDENT";

/// Modest: the file is ours alone (0600), and a login must not take a second.
const ROUNDS: u32 = 20_000;

const END_LIMIT: Duration = Duration::from_secs(10);

/// `student7` → `pbkdf2_sha256$ROUNDS$SALT$HASH` (both hexadecimal); no entry: locked.
type Hashes = BTreeMap<String, String>;

pub struct SandboxAccounts {
    students: StudentRange,
    /// E.g. WODSTATEDIR/accounts.json.
    file: PathBuf,
    changes: Mutex<()>,
}

impl SandboxAccounts {
    /// The file's directory must be there; the file is made with the first password.
    pub fn new(students: StudentRange, file: PathBuf) -> SandboxAccounts {
        SandboxAccounts {
            students,
            file,
            changes: Mutex::new(()),
        }
    }

    fn account(&self, student: Student) -> Result<Account, Fault> {
        let name = student.account();
        match self.students.contains(student) {
            true => Ok(Account {
                name,
                uid: users::get_effective_uid(),
                gid: users::get_effective_gid(),
            }),
            false => Err(Fault::violation(format!(
                "{name} is not a student of this backend (WODUSERMIN..WODUSERMAX is {}..{})",
                self.students.first(),
                self.students.last()
            ))),
        }
    }

    /// Writes the file again if `change` says that something is new; one at a time, also
    /// among processes.
    fn edit(&self, change: impl FnOnce(&mut Hashes) -> bool) -> Result<(), Fault> {
        let _turn = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        self.edit_alone(change).map_err(|e| {
            Fault::retry(format!("cannot keep passwords in {}", self.file.display())).because(&e)
        })
    }

    fn edit_alone(&self, change: impl FnOnce(&mut Hashes) -> bool) -> io::Result<()> {
        let _lock = lock_file(&self.file.with_extension("lock"))?;
        let mut hashes = self.read()?;
        if !change(&mut hashes) {
            return Ok(());
        }
        let (Some(dir), Some(name)) = (self.file.parent(), self.file.file_name()) else {
            return Err(io::Error::other("expected the path of a file"));
        };
        let text = serde_json::to_vec_pretty(&hashes)?;
        Dir::open_root(dir)
            .and_then(|dir| dir.write_durable(Path::new(name), &text, 0o600))
            .map_err(io::Error::other)
    }

    fn read(&self) -> io::Result<Hashes> {
        match fs::read(&self.file) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Hashes::new()),
            Err(e) => Err(e),
        }
    }
}

fn lock_file(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = openat(CWD, path, flags, Mode::RUSR | Mode::WUSR)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

impl Accounts for SandboxAccounts {
    fn ensure(&self, student: Student) -> Result<Account, Fault> {
        self.account(student)
    }

    fn lock(&self, student: Student) -> Result<(), Fault> {
        let account = self.account(student)?;
        self.edit(|hashes| hashes.remove(&account.name).is_some())
    }

    /// Permanent when a login form could not send it.
    fn set_password(&self, student: Student, password: &Secret) -> Result<(), Fault> {
        let account = self.account(student)?;
        let text = password.expose();
        if text.is_empty() || text.len() > 500 || text.chars().any(char::is_control) {
            return Err(Fault::permanent(format!(
                "the new password of {} is empty, too long or has control characters in it",
                account.name
            )));
        }
        let hash =
            hashed(password).map_err(|e| Fault::retry("no random salt to be had").because(&e))?;
        self.edit(|hashes| {
            hashes.insert(account.name, hash);
            true
        })
    }

    /// Only processes that carry the student's mark: every other one of this uid is ours.
    fn end_processes(&self, student: Student) -> Result<(), Fault> {
        let account = self.account(student)?;
        let deadline = Instant::now() + END_LIMIT;
        loop {
            let left = marked(&account)?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let pids: Vec<_> = left.iter().take(5).map(Pid::to_string).collect();
                return Err(Fault::retry(format!(
                    "{} still has processes after they were killed: {}",
                    account.name,
                    pids.join(", ")
                )));
            }
            for pid in left {
                kill_if_marked(pid, &account);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Nothing outside a home can be told to be a student's.
    fn sweep(&self, student: Student) -> Result<(), Fault> {
        self.account(student).map(drop)
    }

    fn leftovers(&self, student: Student) -> Result<Vec<String>, Fault> {
        let account = self.account(student)?;
        let marked = marked(&account)?;
        Ok(marked.iter().map(|pid| format!("process {pid}")).collect())
    }

    /// A student's files are told from ours by their place only, and that is the home.
    fn search(&self, student: Student, _: &[PathBuf]) -> Result<Search, Fault> {
        self.account(student).map(|_| Search::default())
    }

    fn is_locked(&self, student: Student) -> Result<bool, Fault> {
        let account = self.account(student)?;
        let hashes = self.read().map_err(|e| {
            Fault::retry(format!("cannot read passwords in {}", self.file.display())).because(&e)
        })?;
        Ok(!hashes.contains_key(&account.name))
    }
}

fn hashed(password: &Secret) -> Result<String, getrandom::Error> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)?;
    let mut hash = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password.expose().as_bytes(), &salt, ROUNDS, &mut *hash);
    Ok(format!(
        "pbkdf2_sha256${ROUNDS}${}${}",
        hex(&salt),
        hex(&*hash)
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn marked(account: &Account) -> Result<Vec<Pid>, Fault> {
    let listed = |e: io::Error| {
        Fault::retry(format!("cannot list the processes of {}", account.name)).because(&e)
    };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").map_err(listed)? {
        let name = entry.map_err(listed)?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        if let Some(pid) = pid.and_then(Pid::from_raw)
            && is_marked(pid, account)
        {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Never us, even when we were started from a student's terminal.
fn is_marked(pid: Pid, account: &Account) -> bool {
    let dir = PathBuf::from(format!("/proc/{pid}"));
    let ours = fs::metadata(&dir).is_ok_and(|m| m.uid() == account.uid);
    if !ours || pid == rustix::process::getpid() {
        return false;
    }
    let environment = fs::read(dir.join("environ")).unwrap_or_default();
    let mark = format!("{MARK}={}", account.name);
    environment
        .split(|&b| b == 0)
        .any(|variable| variable == mark.as_bytes())
}

fn kill_if_marked(pid: Pid, account: &Account) {
    if let Ok(handle) = pidfd_open(pid, PidfdFlags::empty())
        && is_marked(pid, account)
    {
        let _ = pidfd_send_signal(&handle, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_salted_and_what_python_computes() {
        let secret = Secret::new("password".to_owned());
        let (one, two) = (hashed(&secret).unwrap(), hashed(&secret).unwrap());
        assert_ne!(one, two);
        let parts: Vec<_> = one.split('$').collect();
        assert_eq!((parts[0], parts[1]), ("pbkdf2_sha256", "20000"));
        assert_eq!((parts[2].len(), parts[3].len()), (32, 64));
        // hashlib.pbkdf2_hmac('sha256', b'password', b'salt', 1).hex()
        let mut known = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(b"password", b"salt", 1, &mut known);
        assert!(hex(&known).starts_with("120fb6cffcf8b32c43e7225256c4f837a86548c9"));
    }
}
