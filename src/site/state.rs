//! The state directory: what is in it, and who may do what there.

use std::fs::{File, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use crate::content::Admin;
use crate::ports::Fault;
use crate::safefs::{self, Dir};

/// WODSTATEDIR. Only `spool` takes anything from others, only `public` shows anything to them.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
}

const FUNCTIONS: &str = "functions.sh";
const FUNCTIONS_TEXT: &str = include_str!("../../templates/functions.sh");

const GLANCE: Duration = Duration::from_millis(200);

/// Held as long as an engine runs on the state directory.
pub struct HostLock {
    _lock: Flock<File>,
}

impl State {
    pub fn new(root: &Path) -> State {
        State {
            root: root.to_owned(),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn journal(&self) -> PathBuf {
        self.root.join("private/journal.db")
    }

    pub fn spool(&self) -> PathBuf {
        self.root.join("spool")
    }

    /// Holds the gate's policy.
    pub fn public(&self) -> PathBuf {
        self.root.join("public")
    }

    /// Holds `functions.sh`, for the scripts of workshops.
    pub fn lib(&self) -> PathBuf {
        self.root.join("lib")
    }

    /// Touched by the commands after they wrote a wish into the journal.
    pub fn wake(&self) -> PathBuf {
        self.root.join("private/wake")
    }

    /// What mails are signed with.
    pub fn keys(&self) -> PathBuf {
        self.root.join("private/keys.json")
    }

    pub fn scratch(&self) -> PathBuf {
        self.root.join("private/scratch")
    }

    pub fn logs(&self) -> PathBuf {
        self.root.join("private/log")
    }

    /// What the watchdog kept of what it stopped.
    pub fn evidence(&self) -> PathBuf {
        self.root.join("private/evidence")
    }

    /// What the watchdog did so far.
    pub fn watchdog_figures(&self) -> PathBuf {
        self.root.join("private/watchdog.json")
    }

    pub fn prepare_evidence(&self) -> Result<(), Fault> {
        let dir = self.evidence();
        directory(&dir, 0o700, WHOLE).map_err(|e| {
            Fault::permanent(format!("{} cannot be made or used", dir.display())).because(&e)
        })
    }

    /// What deliver remembers.
    pub fn deliver(&self) -> PathBuf {
        self.root.join("private/deliver")
    }

    pub fn sandbox_accounts(&self) -> PathBuf {
        self.root.join("private/accounts.json")
    }

    fn lock_file(&self) -> PathBuf {
        self.root.join("private/engine.lock")
    }

    /// Makes what is missing and mends modes. `writers` may put mail into the spool, without
    /// seeing what others put there.
    pub fn prepare(&self, writers: &[Admin]) -> Result<(), Fault> {
        let made = [
            (self.root.clone(), 0o711, WHOLE),
            (self.root.join("private"), 0o700, WHOLE),
            (self.scratch(), 0o700, WHOLE),
            (self.logs(), 0o700, WHOLE),
            (self.wake(), 0o700, WHOLE),
            (self.public(), 0o755, WHOLE),
            (self.lib(), 0o755, WHOLE),
            (self.spool(), 0o700, UNMASKED),
        ];
        for (dir, mode, counts) in made {
            directory(&dir, mode, counts).map_err(|e| {
                Fault::permanent(format!("{} cannot be made or used", dir.display())).because(&e)
            })?;
        }
        let uids: Vec<u32> = writers.iter().map(|writer| writer.uid).collect();
        Dir::open_root(&self.spool())
            .and_then(|spool| spool.let_in_writers(&uids))
            .map_err(|e| Fault::of_files("the spool cannot be opened to the intake", &e))?;
        // What an engine that was killed was writing there.
        for dir in [self.lib(), self.public()] {
            Dir::open_root(&dir)
                .and_then(|dir| safefs::remove_unfinished(&dir))
                .map_err(|e| Fault::of_files(format!("{} cannot be tidied", dir.display()), &e))?;
        }
        Dir::open_root(&self.lib())
            .and_then(|lib| lib.write(FUNCTIONS.as_ref(), FUNCTIONS_TEXT.as_bytes(), 0o644))
            .map_err(|e| Fault::of_files(format!("{FUNCTIONS} cannot be written"), &e))?;
        let journal = self.journal();
        // SQLite gives its side files the mode of the database.
        File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&journal)
            .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
            .map_err(|e| {
                Fault::permanent(format!("{} cannot be made", journal.display())).because(&e)
            })
    }

    /// `functions.sh` in a site's script directory, as a link, for scripts that name it there. One
    /// of the site's own stays.
    pub fn offer_functions(&self, scripts: &Path) -> Result<(), Fault> {
        let ours = self.lib().join(FUNCTIONS);
        let fault = |e: &safefs::Error| {
            let at = scripts.display();
            Fault::of_files(format!("{FUNCTIONS} cannot be linked into {at}"), e)
        };
        let dir = Dir::open_root(scripts).map_err(|e| fault(&e))?;
        let there = dir.stat(FUNCTIONS.as_ref()).map_err(|e| fault(&e))?;
        // A link of ours to where WODSTATEDIR was before leads nowhere now.
        let is_stale = |link: PathBuf| link.ends_with("lib/functions.sh") && !link.exists();
        let stale = || dir.read_link(FUNCTIONS.as_ref()).is_ok_and(is_stale);
        match there.is_none() || stale() {
            true => dir
                .symlink(&ours, FUNCTIONS.as_ref())
                .map_err(|e| fault(&e)),
            false => Ok(()),
        }
    }

    /// Permanent when another engine runs here.
    pub fn lock(&self) -> Result<HostLock, Fault> {
        locked(&self.lock_file(), || {
            format!(
                "another engine already runs on {}; stop it first, or give this one a \
                 WODSTATEDIR of its own",
                self.root.display()
            )
        })
    }

    /// For one run of deliver that changes something; makes what it needs. Permanent while there
    /// is another one.
    pub fn lock_deliver(&self) -> Result<HostLock, Fault> {
        for (dir, mode) in [
            (self.root.clone(), 0o711),
            (self.root.join("private"), 0o700),
        ] {
            directory(&dir, mode, WHOLE).map_err(|e| {
                Fault::permanent(format!("{} cannot be made or used", dir.display())).because(&e)
            })?;
        }
        locked(&self.root.join("private/deliver.lock"), || {
            "another wod deliver is on its way; wait for its end".to_owned()
        })
    }

    /// Permanent when another watchdog watches for this state directory.
    pub fn lock_watchdog(&self) -> Result<HostLock, Fault> {
        locked(&self.watchdog_lock(), || {
            format!(
                "another watchdog already watches for {}; WODWATCHDOG says who runs it",
                self.root.display()
            )
        })
    }

    pub fn is_watchdog_running(&self) -> bool {
        is_locked(&self.watchdog_lock())
    }

    fn watchdog_lock(&self) -> PathBuf {
        self.root.join("private/watchdog.lock")
    }

    /// For sending the letters of deliver; None while another process does.
    pub fn lock_letters(&self) -> Result<Option<HostLock>, Fault> {
        let path = self.root.join("private/letters.lock");
        let file = open_lock(&path)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        Ok(lock.ok().map(|lock| HostLock { _lock: lock }))
    }

    /// Whether a run of deliver that changes something is on its way.
    pub fn is_deliver_running(&self) -> bool {
        is_locked(&self.root.join("private/deliver.lock"))
    }

    /// Whether an engine runs here.
    pub fn is_engine_running(&self) -> bool {
        is_locked(&self.lock_file())
    }

    /// Lets a running engine look at the journal. Without one there is nothing to wake.
    pub fn wake_engine(&self) {
        let file = self.wake().join("now");
        if let Err(e) = File::create(&file) {
            tracing::warn!("the engine cannot be woken ({e}); it looks by itself later");
        }
    }
}

fn open_lock(path: &Path) -> Result<File, Fault> {
    File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| Fault::permanent(format!("{} cannot be opened", path.display())).because(&e))
}

fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::options().append(true).open(path) else {
        return false;
    };
    Flock::lock(file, FlockArg::LockSharedNonblock).is_err()
}

fn locked(path: &Path, taken: impl Fn() -> String) -> Result<HostLock, Fault> {
    let file = open_lock(path)?;
    let until = Instant::now() + GLANCE;
    let mut attempt = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    loop {
        attempt = match attempt {
            Ok(lock) => return Ok(HostLock { _lock: lock }),
            // A command that only looks whether an engine runs holds it for a moment.
            Err((file, _)) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
                Flock::lock(file, FlockArg::LockExclusiveNonblock)
            }
            Err(_) => return Err(Fault::permanent(taken())),
        };
    }
}

/// All of a mode.
const WHOLE: u32 = 0o777;
/// The spool's group bits are its ACL's mask; what the ACL says is mended elsewhere.
const UNMASKED: u32 = 0o707;

fn directory(path: &Path, mode: u32, counts: u32) -> std::io::Result<()> {
    if !path.is_dir() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(path)?;
    }
    let there = std::fs::metadata(path)?.permissions();
    if there.mode() & counts != mode & counts {
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(())
}
