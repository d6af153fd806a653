//! The policy as a file: published by the engine, read again by the door when it has changed.
//!
//! No verdict is made here; the gate does that.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::domain::Time;

use super::gate::{self, Envelope, Policy};
use super::message::Request;
use super::refusal::{Kind, Refusal};

const NAME: &str = "gate.json";
/// 100,000 seats are 2 MiB.
const LARGEST: u64 = 16 << 20;
const PAUSE: Duration = Duration::from_millis(50);

/// `gate.json` in a directory, with what was last read from it.
#[derive(Debug)]
pub struct GateFile {
    path: PathBuf,
    patience: Duration,
    last: Mutex<Option<(Stamp, Arc<Policy>)>>,
}

/// What changes when the file is replaced: mtime (seconds, nanoseconds), inode, size.
type Stamp = (i64, i64, u64, u64);

impl GateFile {
    pub fn new(dir: &Path) -> GateFile {
        GateFile {
            path: dir.join(NAME),
            patience: Duration::from_secs(1),
            last: Mutex::new(None),
        }
    }

    /// How long an unknown seat is looked for again; a second unless told otherwise.
    pub fn with_patience(self, patience: Duration) -> GateFile {
        GateFile { patience, ..self }
    }

    /// The policy as it is now. One stat(2) when it has not changed.
    ///
    /// Fails with [`Kind::Temporary`] when the file is missing or unreadable.
    pub fn policy(&self) -> Result<Arc<Policy>, Refusal> {
        self.read_if_changed().map_err(|fault| {
            let file = self.path.display();
            let line = match fault.kind() {
                io::ErrorKind::NotFound => format!(
                    "no gate policy in {file}: the engine has not published it yet; start wod serve"
                ),
                _ => format!("gate policy in {file} cannot be read ({fault}); restart wod serve"),
            };
            Refusal::new(Kind::Temporary, line)
        })
    }

    /// The gate's verdict under the policy of now. A seat that is not known yet is waited for:
    /// the engine may be about to publish the very CREATE that took it.
    pub fn judge(&self, envelope: &Envelope, mail: &[u8]) -> Result<Request, Refusal> {
        let until = Instant::now() + self.patience;
        loop {
            let verdict = gate::judge(&*self.policy()?, envelope, mail, Time::now());
            match verdict {
                Err(Refusal {
                    kind: Kind::UnknownSeat,
                    ..
                }) if Instant::now() < until => sleep(PAUSE),
                verdict => return verdict,
            }
        }
    }

    fn read_if_changed(&self) -> io::Result<Arc<Policy>> {
        // A poisoned lock still holds a whole value: it is only ever replaced.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&fs::metadata(&self.path)?);
        if let Some((then, policy)) = &*last
            && *then == now
        {
            return Ok(Arc::clone(policy));
        }
        let file = File::open(&self.path)?;
        let read = stamp(&file.metadata()?);
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text)?;
        let policy: Arc<Policy> = Arc::new(serde_json::from_slice(&text)?);
        *last = Some((read, Arc::clone(&policy)));
        Ok(policy)
    }
}

fn stamp(meta: &fs::Metadata) -> Stamp {
    (meta.mtime(), meta.mtime_nsec(), meta.ino(), meta.size())
}

/// Whether [`publish`] had anything to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    Changed,
    AsBefore,
}

/// The engine's side: puts the policy into `dir`, whole or not at all, readable by everyone who
/// may enter the directory. Only the engine may be able to write to `dir`.
pub fn publish(dir: &Path, policy: &Policy) -> io::Result<Published> {
    let text = serde_json::to_vec(policy)?;
    let path = dir.join(NAME);
    let temporary = dir.join(format!(".{NAME}.tmp"));
    // Of one that was killed, even where what it was to publish is published.
    match fs::remove_file(&temporary) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    if fs::read(&path).is_ok_and(|before| before == text) {
        return Ok(Published::AsBefore);
    }
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&temporary)?;
    file.write_all(&text)?;
    // The umask of a daemon is not to decide this.
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    File::open(dir)?.sync_all()?;
    Ok(Published::Changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(seats: &str) -> Policy {
        let text = format!(
            r#"{{"window":[1,20],"workshops":["WKSHP-A"],"peers":[],"senders":["a@b"],
                "recipients":[],"seats":{seats},"seats_complete":true}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn local() -> Envelope {
        Envelope {
            peer: gate::Peer::Local { uid: 0 },
            sender: "a@b".to_owned(),
            recipients: Vec::new(),
        }
    }

    #[test]
    fn missing_or_broken_is_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let gate = GateFile::new(dir.path());
        let missing = gate.policy().unwrap_err();
        assert_eq!(missing.kind, Kind::Temporary);
        assert!(missing.line.ends_with("start wod serve"), "{missing}");
        fs::write(dir.path().join(NAME), "{").unwrap();
        assert_eq!(gate.policy().unwrap_err().kind, Kind::Temporary);
        assert_eq!(
            publish(dir.path(), &policy("{}")).unwrap(),
            Published::Changed
        );
        assert_eq!(*gate.policy().unwrap(), policy("{}"));
    }

    #[test]
    fn a_replaced_file_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let gate = GateFile::new(dir.path());
        for number in 1..20 {
            let policy = policy(&format!("{{\"{number}\":{number}}}"));
            assert_eq!(publish(dir.path(), &policy).unwrap(), Published::Changed);
            assert_eq!(publish(dir.path(), &policy).unwrap(), Published::AsBefore);
            assert_eq!(*gate.policy().unwrap(), policy);
        }
    }

    #[test]
    fn a_seat_about_to_be_published_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        publish(dir.path(), &policy("{}")).unwrap();
        let gate = GateFile::new(dir.path());
        let mail = b"Subject: PURGE [object Promise] 12\n\nVOID\n";
        std::thread::scope(|scope| {
            let verdict = scope.spawn(|| gate.judge(&local(), mail));
            sleep(Duration::from_millis(200));
            publish(dir.path(), &policy(r#"{"12":7}"#)).unwrap();
            let request = verdict.join().unwrap().unwrap();
            assert_eq!(
                super::super::one_line(&request.action),
                "PURGE student7 participant 12"
            );
        });
        publish(dir.path(), &policy("{}")).unwrap();
        let gate = gate.with_patience(Duration::ZERO);
        assert_eq!(
            gate.judge(&local(), mail).unwrap_err().kind,
            Kind::UnknownSeat
        );
    }
}
