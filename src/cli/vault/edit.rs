//! An encrypted file in an editor: the plain text lies in memory, in a directory of its own.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{FsWord, statfs};

use crate::exec::Cmd;
use crate::templates::{Passwords, Plain};

use super::files::{self, Input};

/// `statfs(2)`
const TMPFS: FsWord = 0x0102_1994;
const RAMFS: FsWord = 0x8584_58f6;

pub fn edit(input: &Input, passwords: &Passwords) -> anyhow::Result<()> {
    let path = input.path()?;
    let opened = input.open(passwords)?;
    let place = Place::make()?;
    let name = path.file_name().unwrap_or_default();
    let file = place.put(name.as_ref(), opened.plain.expose())?;
    let (editor, args) = editor();
    let status = Cmd::new(&editor)
        .args(args)
        .arg(&file)
        .dir(&place.dir)
        .run_at_terminal()
        .with_context(|| format!("editor {editor} cannot be used; set EDITOR"))?;
    if !status.success() {
        bail!("editor {editor} failed ({status}); {input} stays as it was");
    }
    let edited = fs::read(&file)
        .map(Plain::new)
        .with_context(|| format!("what {editor} wrote cannot be read; {input} stays as it was"))?;
    if edited == opened.plain {
        errln!("wod: {input} is not changed");
        return Ok(());
    }
    let sealed = passwords.seal_as(&opened, edited.expose())?;
    let written = match Input::read(path) {
        Ok(now) if now.bytes() == input.bytes() => input.target().write(sealed.as_bytes()),
        _ => Err(anyhow::anyhow!(
            "{input} was changed by somebody else meanwhile"
        )),
    };
    written.or_else(|e| {
        let kept = place.keep(name.as_ref(), sealed.as_bytes())?;
        Err(e).with_context(|| format!("what you wrote is kept, encrypted, in {}", kept.display()))
    })
}

/// VISUAL or EDITOR, with its arguments, as a shell would split them at blanks.
fn editor() -> (String, Vec<String>) {
    let named = ["VISUAL", "EDITOR"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|text| !text.trim().is_empty())
        .unwrap_or_else(|| "vi".to_owned());
    let mut words = named.split_whitespace().map(str::to_owned);
    let program = words.next().unwrap_or_default();
    (program, words.collect())
}

/// A directory that only we can enter, in memory where there is such a place. What is in it is
/// wiped when it goes.
struct Place {
    dir: PathBuf,
    kept: std::cell::Cell<bool>,
}

impl Place {
    fn make() -> anyhow::Result<Place> {
        let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let in_memory =
            |dir: &PathBuf| statfs(dir).is_ok_and(|fs| [TMPFS, RAMFS].contains(&fs.f_type));
        let parents = [own, Some("/dev/shm".into()), Some("/run".into())];
        let mut parents: Vec<PathBuf> = parents.into_iter().flatten().filter(in_memory).collect();
        parents.push(std::env::temp_dir());
        let random = getrandom::u64().context("there is no randomness")?;
        let name = format!("wod-vault-{random:016x}");
        let made = parents
            .iter()
            .map(|parent| parent.join(&name))
            .find(|dir| DirBuilder::new().mode(0o700).create(dir).is_ok());
        let dir = made.context("no directory can be made for the editor; set TMPDIR")?;
        Ok(Place {
            dir,
            kept: false.into(),
        })
    }

    fn put(&self, name: &Path, bytes: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.dir.join(name);
        write(&path, bytes).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }

    /// Leaves one encrypted file behind.
    fn keep(&self, name: &Path, sealed: &[u8]) -> anyhow::Result<PathBuf> {
        self.clear();
        let path = self.put(name, sealed)?;
        self.kept.set(true);
        Ok(path)
    }

    /// Whatever an editor left: backups and swap files, too.
    fn clear(&self) {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for entry in entries {
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            let file = File::options().write(true).open(entry.path());
            match fs::remove_file(entry.path()) {
                Ok(()) => {}
                Err(_) => drop(fs::remove_dir_all(entry.path())),
            }
            if let (true, Ok(file)) = (is_file, file) {
                let _ = files::wipe(&file);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept.get() {
            self.clear();
            let _ = fs::remove_dir(&self.dir);
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}
