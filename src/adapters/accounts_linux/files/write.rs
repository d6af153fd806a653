//! The account files on the disk: read at once, and changed as the shadow suite changes them, under
//! its locks, each replaced in one step. /etc is root's alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use nix::sys::signal::kill;
use nix::unistd::Pid;
use rustix::fs::{FlockOperation, XattrFlags, fcntl_lock};
use zeroize::Zeroizing;

use crate::ports::Fault;

use super::{Edit, FILES, Files};

/// As long as the tools wait themselves.
const PATIENCE: Duration = Duration::from_secs(15);
const GLANCE: Duration = Duration::from_millis(20);
const LABEL: &str = "security.selinux";

/// `etc` is /etc but for tests.
pub fn read(etc: &Path) -> Result<Files, Fault> {
    let mut files = Files::default();
    for (text, name) in files.0.iter_mut().zip(FILES) {
        *text = match fs::read(etc.join(name)) {
            Ok(bytes) => Some(Zeroizing::new(bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound && !is_needed(name) => None,
            Err(e) => return Err(fault("read", &etc.join(name), &e)),
        };
    }
    Ok(files)
}

fn is_needed(name: &str) -> bool {
    matches!(name, "passwd" | "group")
}

/// Makes the change to what the files say by now. Whatever ends us in between, each file is the
/// old or the new one, and nobody is in passwd without an entry in shadow.
pub fn change(etc: &Path, edit: Edit<'_>) -> Result<(), Fault> {
    let _locks = Locks::take(etc)?;
    let before = read(etc)?;
    let day = UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_secs() / 86_400);
    let after = before.edited(edit, day);
    let mut order: Vec<usize> = (0..FILES.len()).collect();
    if let Edit::Remove(_) = edit {
        order.reverse();
    }
    for file in order
        .into_iter()
        .filter(|&file| before.0[file] != after.0[file])
    {
        if let Some(text) = &after.0[file] {
            let path = etc.join(FILES[file]);
            replace(&path, text).map_err(|e| fault("replace", &path, &e))?;
        }
    }
    Ok(())
}

fn fault(doing: &str, path: &Path, e: &io::Error) -> Fault {
    Fault::retry(format!("cannot {doing} {}", path.display())).because(e)
}

/// Owner, mode and label stay; the old one is kept beside it, as the tools do.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let like = fs::metadata(path)?;
    let new = beside(path, "+");
    remove(&new)?;
    let done = write_new(&new, text, path, &like).and_then(|()| {
        let old = beside(path, "-");
        remove(&old)?;
        fs::hard_link(path, &old)?;
        fs::rename(&new, path)
    });
    if done.is_err() {
        let _ = remove(&new);
    }
    done?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

fn write_new(new: &Path, text: &[u8], path: &Path, like: &fs::Metadata) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)?;
    file.write_all(text)?;
    fchown(&file, Some(like.uid()), Some(like.gid()))?;
    file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o7777))?;
    let mut label = vec![0; 256];
    if let Ok(length) = rustix::fs::getxattr(path, LABEL, &mut label[..]) {
        rustix::fs::setxattr(new, LABEL, &label[..length], XattrFlags::empty())?;
    }
    file.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// What libc's lckpwdf and the shadow suite take: a record lock that ends with us, and a file for
/// each file, which a dead one leaves and the next one takes over.
struct Locks {
    _first: File,
    files: Vec<PathBuf>,
}

impl Locks {
    fn take(etc: &Path) -> Result<Locks, Fault> {
        let until = Instant::now() + PATIENCE;
        let path = etc.join(".pwd.lock");
        let opened = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path);
        let first = opened.map_err(|e| fault("open", &path, &e))?;
        while let Err(e) = fcntl_lock(&first, FlockOperation::NonBlockingLockExclusive) {
            wait(until, &path, &e.to_string())?;
        }
        let mut locks = Locks {
            _first: first,
            files: Vec::new(),
        };
        for name in FILES.into_iter().filter(|name| etc.join(name).exists()) {
            let file = beside(&etc.join(name), ".lock");
            while let Some(holder) = try_file(&file).map_err(|e| fault("make", &file, &e))? {
                wait(until, &file, &format!("process {holder} has it"))?;
            }
            locks.files.push(file);
        }
        Ok(locks)
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = remove(file);
        }
    }
}

fn wait(until: Instant, path: &Path, why: &str) -> Result<(), Fault> {
    if Instant::now() >= until {
        let shown = path.display();
        return Err(Fault::retry(format!(
            "the account files are locked by another program for {} s: {shown}: {why}",
            PATIENCE.as_secs()
        )));
    }
    thread::sleep(GLANCE);
    Ok(())
}

/// None when it is ours now, else whose it is.
fn try_file(lock: &Path) -> io::Result<Option<i32>> {
    let own = beside(lock, &format!(".{}", std::process::id()));
    remove(&own)?;
    let written = fs::write(&own, format!("{}\0", std::process::id()));
    let linked = written.map(|()| fs::hard_link(&own, lock));
    remove(&own)?;
    match linked? {
        Ok(()) => Ok(None),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let holder = fs::read_to_string(lock).unwrap_or_default();
            let holder = holder.trim_end_matches(['\0', '\n']).parse().unwrap_or(0);
            let lives = holder > 0 && kill(Pid::from_raw(holder), None) != Err(nix::Error::ESRCH);
            let ourselves = u32::try_from(holder) == Ok(std::process::id());
            if !lives || ourselves {
                // We have the record lock, so nobody else is about to take it over.
                remove(lock)?;
                return try_file(lock);
            }
            Ok(Some(holder))
        }
        Err(e) => Err(e),
    }
}
