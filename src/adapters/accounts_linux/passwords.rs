//! Passwords of accounts, by chpasswd's stdin. Requests that come while one chpasswd runs go
//! together into the next: a hundred at once are a handful of processes.

use std::fs;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::adapters::mask::Masker;
use crate::domain::Secret;
use crate::exec::Cmd;
use crate::ports::Fault;

/// Hashing takes 20 ms each: a batch stays well within its time limit.
const BATCH: usize = 200;

/// PAM takes no more.
const LONGEST: usize = 500;

/// No hash begins with it, so nothing that is typed fits.
const NO_PASSWORD: &str = "!";

#[derive(Default)]
pub struct Passwords {
    waiting: Mutex<Vec<Job>>,
    /// Whoever has it runs chpasswd for all who wait.
    turn: Mutex<()>,
}

struct Job {
    name: String,
    change: Change,
    done: SyncSender<Result<(), Fault>>,
}

enum Change {
    Lock,
    Set(Secret),
}

impl Passwords {
    pub fn lock(&self, name: &str) -> Result<(), Fault> {
        self.commit(name, Change::Lock)
    }

    /// Permanent when chpasswd could not take it as one line, or there is no such account.
    pub fn set(&self, name: &str, password: &Secret) -> Result<(), Fault> {
        let text = password.expose();
        if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err(Fault::permanent(format!(
                "the new password of {name} is empty, longer than {LONGEST} bytes or has control \
                 characters in it"
            )));
        }
        if field("/etc/passwd", name)?.is_none() {
            return Err(Fault::permanent(format!(
                "cannot set the password of {name}: it is not in /etc/passwd; run wod deliver"
            )));
        }
        self.commit(name, Change::Set(password.clone()))
    }

    fn commit(&self, name: &str, change: Change) -> Result<(), Fault> {
        let (done, answer) = sync_channel(1);
        held(&self.waiting).push(Job {
            name: name.to_owned(),
            change,
            done,
        });
        let _turn = held(&self.turn);
        if let Ok(result) = answer.try_recv() {
            // Whoever had the turn before us took ours along.
            return result;
        }
        let jobs = std::mem::take(&mut *held(&self.waiting));
        for batch in jobs.chunks(BATCH) {
            let (locks, sets): (Vec<&Job>, Vec<&Job>) = batch
                .iter()
                .partition(|job| matches!(job.change, Change::Lock));
            finish(&locks, &["-e"]);
            finish(&sets, &[]);
        }
        drop(jobs);
        answer.recv().unwrap_or_else(|_| {
            Err(Fault::retry(format!(
                "the password of {name} was not changed"
            )))
        })
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When a batch fails, each of it is tried alone, so that everybody learns their own fault
/// (`chpasswd -e` applies nothing when one account is missing).
fn finish(jobs: &[&Job], options: &[&str]) {
    match jobs {
        [] => {}
        [job] => {
            let _ = job.done.send(chpasswd(jobs, options));
        }
        _ => match chpasswd(jobs, options) {
            Ok(()) => jobs.iter().for_each(|job| drop(job.done.send(Ok(())))),
            Err(_) => jobs.iter().for_each(|job| finish(&[job], options)),
        },
    }
}

fn chpasswd(jobs: &[&Job], options: &[&str]) -> Result<(), Fault> {
    // Sized beforehand: growing would leave copies behind.
    let room = jobs.iter().map(|job| job.name.len() + LONGEST + 2).sum();
    let mut lines = Vec::with_capacity(room);
    for job in jobs {
        let word = match &job.change {
            Change::Lock => NO_PASSWORD,
            Change::Set(password) => password.expose(),
        };
        for part in [&job.name, ":", word, "\n"] {
            lines.extend_from_slice(part.as_bytes());
        }
    }
    let seconds = 30 + u64::try_from(jobs.len()).unwrap_or(0) / 4;
    Cmd::new("chpasswd")
        .args(options)
        .stdin(lines)
        .timeout(Duration::from_secs(seconds))
        .run()
        .map(drop)
        .map_err(|error| fault(jobs, &error.to_string()))
}

fn fault(jobs: &[&Job], error: &str) -> Fault {
    let secrets = jobs.iter().filter_map(|job| match &job.change {
        Change::Lock => None,
        Change::Set(password) => Some(password),
    });
    let error = Masker::new(secrets).mask(error);
    let names: Vec<_> = jobs.iter().map(|job| job.name.as_str()).collect();
    Fault::retry(format!(
        "cannot change the password of {}: {error}",
        names.join(", ")
    ))
}

/// Whether no password of this host's files fits; None when they do not have the account.
pub fn is_locked(name: &str) -> Result<Option<bool>, Fault> {
    let Some(passwd) = field("/etc/passwd", name)? else {
        return Ok(None);
    };
    if passwd.as_str() != "x" {
        return Ok(Some(false));
    }
    let hash = field("/etc/shadow", name)?;
    Ok(Some(hash.is_some_and(|hash| {
        hash.starts_with('!') || hash.starts_with('*')
    })))
}

/// The second field of the account's line. Read from the file itself: no cache can be stale.
fn field(file: &str, name: &str) -> Result<Option<Zeroizing<String>>, Fault> {
    let bytes = fs::read(file)
        .map(Zeroizing::new)
        .map_err(|e| Fault::retry(format!("cannot look up {name} in {file}")).because(&e))?;
    Ok(bytes
        .split(|&b| b == b'\n')
        .filter_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))
        .filter_map(|rest| rest.split(|&b| b == b':').next())
        .map(|field| Zeroizing::new(String::from_utf8_lossy(field).into_owned()))
        .next())
}
