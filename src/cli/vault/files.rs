//! Files that are read whole and replaced in one step, with mode and owner kept.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use crate::cli::out;
use crate::templates::{Opened, Passwords, Plain, VaultError, is_sealed};

const LARGEST: u64 = 256 << 20;

/// What is in a file or came from stdin.
pub struct Input {
    /// None for stdin. No link: those were followed.
    path: Option<PathBuf>,
    name: String,
    bytes: Plain,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Input {
    /// The whole of a regular file, or of stdin for `-`.
    pub fn read(path: &Path) -> anyhow::Result<Input> {
        if path == Path::new("-") {
            return Ok(Input {
                path: None,
                name: "stdin".to_owned(),
                bytes: whole(io::stdin().lock()).context("stdin cannot be read")?,
            });
        }
        let name = path.display().to_string();
        let path = real(path)?;
        let bytes = File::open(&path).and_then(whole);
        Ok(Input {
            bytes: bytes.with_context(|| format!("{name} cannot be read"))?,
            path: Some(path),
            name,
        })
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.expose()
    }

    pub fn into_plain(self) -> Plain {
        self.bytes
    }

    pub fn path(&self) -> anyhow::Result<&Path> {
        self.path
            .as_deref()
            .with_context(|| format!("{self} cannot be edited; name a file"))
    }

    pub fn open(&self, passwords: &Passwords) -> anyhow::Result<Opened> {
        if !is_sealed(self.bytes()) {
            bail!("{self} is not encrypted: it does not start with $ANSIBLE_VAULT");
        }
        passwords.open_bytes(self.bytes()).map_err(|e| {
            let (label, why) = match &e {
                VaultError::WrongPassword { label, tried: 1 } => (label, "the password is another"),
                VaultError::WrongPassword { label, .. } => {
                    (label, "none of the passwords opens it")
                }
                VaultError::NoPassword { label } => (label, "there is no password for it"),
                _ => return anyhow::Error::from(e).context(format!("{self} stays closed")),
            };
            let id = label.as_ref().map(|id| format!(" (vault id {id})"));
            anyhow!(
                "{self}{} stays closed: {why}; --vault-password-file or --vault-id names one",
                id.unwrap_or_default()
            )
        })
    }

    /// Where it came from; stdout for stdin.
    pub fn target(&self) -> Target {
        Target(self.path.clone())
    }
}

/// Where something is to be written; None is stdout.
pub struct Target(Option<PathBuf>);

impl Target {
    /// A file that is there or not, or `-` for stdout.
    pub fn at(path: &Path) -> anyhow::Result<Target> {
        Ok(Target(match path == Path::new("-") {
            true => None,
            false if path.symlink_metadata().is_ok() => Some(real(path)?),
            false => Some(path.to_owned()),
        }))
    }

    pub fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        match &self.0 {
            None => {
                out::bytes(bytes);
                Ok(())
            }
            Some(path) => {
                replace(path, bytes).with_context(|| format!("{} stays as it was", path.display()))
            }
        }
    }
}

fn whole(from: impl Read) -> io::Result<Plain> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    let bytes = Plain::new(bytes);
    match bytes.expose().len() as u64 > LARGEST {
        true => Err(io::Error::other("it is larger than 256 MiB")),
        false => Ok(bytes),
    }
}

fn real(path: &Path) -> anyhow::Result<PathBuf> {
    let shown = path.display();
    let real = path
        .canonicalize()
        .with_context(|| format!("{shown} cannot be read"))?;
    match real.metadata() {
        Ok(meta) if meta.is_file() => Ok(real),
        Ok(_) => bail!("{shown} is no file"),
        Err(e) => Err(e).with_context(|| format!("{shown} cannot be read")),
    }
}

/// Old or new, never half: a file of a random name is written, given the old one's mode and
/// owner, brought to the disk and renamed. What the old one held is wiped when nobody has it
/// under another name.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let random = getrandom::u64().map_err(|e| io::Error::other(e.to_string()))?;
    let temporary = dir.join(format!(".{name}.{random:016x}"));
    let old = match File::options().read(true).write(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        opened => Some(opened?),
    };
    let written =
        write_new(&temporary, bytes, old.as_ref()).and_then(|()| fs::rename(&temporary, path));
    if let Err(e) = written {
        let _ = fs::remove_file(&temporary);
        return Err(e);
    }
    File::open(dir)?.sync_all()?;
    match old {
        Some(old) => wipe(&old),
        None => Ok(()),
    }
}

fn write_new(temporary: &Path, bytes: &[u8], old: Option<&File>) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)?;
    file.write_all(bytes)?;
    if let Some(old) = old {
        keep_owner_and_mode(&file, &old.metadata()?)?;
    }
    file.sync_all()
}

fn keep_owner_and_mode(file: &File, old: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))
}

/// Overwrites what was in a file, if it has no name any more.
pub fn wipe(mut file: &File) -> io::Result<()> {
    let meta = file.metadata()?;
    if meta.nlink() > 0 {
        return Ok(());
    }
    let zeros = [0; 64 << 10];
    let mut left = meta.len();
    while left > 0 {
        let part = left.min(zeros.len() as u64);
        file.write_all(&zeros[..part as usize])?;
        left -= part;
    }
    file.sync_all()
}
