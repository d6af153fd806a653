//! The keys that mails are signed with, as a file of the engine's own.
//!
//! Says nothing about what they are good for.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use zeroize::Zeroizing;

use crate::domain::signature::{Key, KeyId, Keyring, Retired};
use crate::domain::{Secret, Time};
use crate::ports::Fault;

const VERSION: u32 = 1;
const LARGEST: u64 = 1 << 20;

/// `keys.json`, with what was last read from it. No file is no key.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    last: Mutex<Option<(Stamp, Arc<Keyring>)>>,
}

/// What changes when the file is replaced: mtime (seconds, nanoseconds), inode, size.
type Stamp = (i64, i64, u64, u64);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    keys: Vec<StoredKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    id: KeyId,
    #[serde(deserialize_with = "secret")]
    secret: Secret,
    made: Time,
    retired: Option<Time>,
    until: Option<Time>,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
    String::deserialize(from).map(Secret::new)
}

impl KeyFile {
    pub fn new(path: &Path) -> KeyFile {
        KeyFile {
            path: path.to_owned(),
            last: Mutex::new(None),
        }
    }

    /// Whether there is such a file, and we may read it.
    pub fn is_readable(&self) -> bool {
        File::open(&self.path).is_ok()
    }

    /// The keys as they are now. One stat(2) when the file has not changed.
    ///
    /// Fails with [`crate::ports::Disposition::Retry`]: an admin can mend the file.
    pub fn read(&self) -> Result<Arc<Keyring>, Fault> {
        self.read_if_changed().map_err(|e| self.fault("read", &e))
    }

    /// Changes the keys for good, unless `change` refuses. Others who change them wait.
    pub fn change<T, E>(
        &self,
        change: impl FnOnce(&mut Keyring) -> Result<T, E>,
    ) -> Result<Result<T, E>, Fault> {
        let changed = || -> io::Result<Result<T, E>> {
            let dir = File::open(self.dir())?;
            let dir = Flock::lock(dir, FlockArg::LockExclusive).map_err(|(_, e)| e)?;
            let mut keys = Keyring::clone(&*self.read_if_changed()?);
            let done = match change(&mut keys) {
                Ok(done) => done,
                Err(refused) => return Ok(Err(refused)),
            };
            self.write(&keys)?;
            dir.sync_all()?;
            Ok(Ok(done))
        };
        changed().map_err(|e| self.fault("changed", &e))
    }

    fn fault(&self, what: &str, cause: &io::Error) -> Fault {
        let line = format!("keys in {} cannot be {what}", self.path.display());
        Fault::retry(line).because(cause)
    }

    fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn read_if_changed(&self) -> io::Result<Arc<Keyring>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Arc::default()),
            Err(e) => return Err(e),
        };
        let meta = file.metadata()?;
        let now = (meta.mtime(), meta.mtime_nsec(), meta.ino(), meta.size());
        if let Some((then, keys)) = &*last
            && *then == now
        {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(read(&mut file)?);
        *last = Some((now, Arc::clone(&keys)));
        Ok(keys)
    }

    fn write(&self, keys: &Keyring) -> io::Result<()> {
        let keys: Vec<_> = keys.0.iter().map(stored).collect();
        let text = Zeroizing::new(json!({"version": VERSION, "keys": keys}).to_string());
        let temporary = self.path.with_extension("tmp");
        match fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)
    }
}

fn stored(key: &Key) -> serde_json::Value {
    json!({
        "id": key.id,
        "secret": key.secret().expose(),
        "made": key.made,
        "retired": key.retired.map(|retired| retired.at),
        "until": key.retired.and_then(|retired| retired.until),
    })
}

fn read(file: &mut File) -> io::Result<Keyring> {
    let mut text = Zeroizing::new(Vec::new());
    file.take(LARGEST).read_to_end(&mut text)?;
    let stored: Stored = serde_json::from_slice(&text)?;
    if stored.version != VERSION {
        let line = format!("version {}; expected {VERSION}", stored.version);
        return Err(io::Error::other(line));
    }
    let keys = stored.keys.into_iter().map(|stored| {
        let mut key = Key::new(stored.id, stored.secret, stored.made);
        key.retired = stored.retired.map(|at| Retired {
            at,
            until: stored.until,
        });
        key
    });
    Ok(Keyring(keys.collect()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn add(file: &KeyFile, id: &str) {
        let key = Key::new(
            id.parse().unwrap(),
            Secret::new("s3cret".to_owned()),
            Time(1),
        );
        let added = file.change(|keys| {
            keys.0.push(key);
            Ok::<(), Infallible>(())
        });
        added.unwrap().unwrap();
    }

    fn ids(file: &KeyFile) -> Vec<String> {
        let keys = file.read().unwrap();
        keys.0.iter().map(|key| key.id.to_string()).collect()
    }

    #[test]
    fn what_one_changes_another_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let (engine, admin) = (KeyFile::new(&path), KeyFile::new(&path));
        assert!(ids(&engine).is_empty());
        add(&admin, "a");
        assert_eq!(ids(&engine), ["a"]);
        add(&admin, "b");
        assert_eq!(ids(&engine), ["a", "b"]);
        let retired = Retired {
            at: Time(5),
            until: Some(Time(9)),
        };
        let refused = admin.change(|keys| {
            keys.0.clear();
            Err::<(), &str>("no")
        });
        assert_eq!(refused.unwrap(), Err("no"));
        let done = admin.change(|keys| {
            keys.0[0].retired = Some(retired);
            Ok::<(), Infallible>(())
        });
        done.unwrap().unwrap();
        let keys = engine.read().unwrap();
        assert_eq!(keys.0[0].retired, Some(retired));
        assert_eq!(keys.0[1].secret().expose(), "s3cret");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&path).unwrap();
        assert!(ids(&engine).is_empty());
    }

    #[test]
    fn a_damaged_file_is_no_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        for text in ["", "{}", r#"{"version":2,"keys":[]}"#] {
            std::fs::write(&path, text).unwrap();
            let fault = KeyFile::new(&path).read().unwrap_err();
            assert!(fault.line().contains("cannot be read"), "{fault}");
        }
    }
}
