//! What deliver remembers between runs, below WODSTATEDIR/private/deliver: first copies of what it
//! replaced, commands that are still to be run.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::ports::Fault;
use crate::safefs::{self, Dir, remove_abandoned};

use super::place::{flat, of_files};

const LARGEST: u64 = 64 << 20;
const TRY: &str = "try";

#[derive(Debug, Clone)]
pub struct Ledger {
    root: PathBuf,
}

impl Ledger {
    /// `root` is made when something is first kept in it.
    pub fn new(root: PathBuf) -> Ledger {
        Ledger { root }
    }

    /// A directory of root's own, to try a file in before it goes live.
    pub fn try_out(&self) -> Result<Dir, Fault> {
        self.dir(TRY)
    }

    /// Removes what runs that were killed were writing or trying here.
    pub fn tidy(&self) -> Result<(), Fault> {
        tidy(&self.root, remove_abandoned)?;
        tidy(&self.root.join("before"), remove_abandoned)?;
        tidy(&self.root.join(TRY), remove_files)
    }

    /// Keeps what was at a path before deliver first replaced it.
    pub fn keep_first(&self, path: &Path, bytes: &[u8]) -> Result<(), Fault> {
        let dir = self.dir("before")?;
        let name = PathBuf::from(flat(path));
        match dir.stat(&name).map_err(|e| of_files(&name, &e))? {
            Some(_) => Ok(()),
            None => dir
                .write_durable(&name, bytes, 0o600)
                .map_err(|e| of_files(&name, &e)),
        }
    }

    /// Commands that have to be run because of a change that is about to be made.
    pub fn pending(&self) -> Result<Vec<Vec<String>>, Fault> {
        match self.read("pending.json")? {
            None => Ok(Vec::new()),
            Some(value) => serde_json::from_value(value)
                .map_err(|e| Fault::permanent("pending.json cannot be read").because(&e)),
        }
    }

    /// On the disk before the change that wants them.
    pub fn set_pending(&self, commands: &[Vec<String>]) -> Result<(), Fault> {
        self.write("pending.json", &serde_json::json!(commands))
    }

    fn dir(&self, name: &str) -> Result<Dir, Fault> {
        let parent = self.root.parent().unwrap_or(&self.root);
        let own = self.root.file_name().unwrap_or_default();
        Dir::open_root(parent)
            .and_then(|dir| dir.make_dir(&Path::new(own).join(name), 0o700))
            .map_err(|e| of_files(&self.root, &e))
    }

    fn read(&self, name: &str) -> Result<Option<Value>, Fault> {
        let dir = match Dir::open_root(&self.root) {
            Err(e) if e.is_not_found() => return Ok(None),
            opened => opened.map_err(|e| of_files(&self.root, &e))?,
        };
        match dir.read(Path::new(name), LARGEST) {
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(of_files(Path::new(name), &e)),
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| {
                let path = self.root.join(name);
                let line = format!("{} is damaged; remove it", path.display());
                Fault::permanent(line).because(&e)
            }),
        }
    }

    fn write(&self, name: &str, value: &Value) -> Result<(), Fault> {
        let dir = self.dir("")?;
        dir.write_durable(Path::new(name), value.to_string().as_bytes(), 0o600)
            .map_err(|e| of_files(Path::new(name), &e))
    }
}

fn tidy(dir: &Path, how: fn(&Dir) -> safefs::Result<()>) -> Result<(), Fault> {
    match Dir::open_root(dir).and_then(|dir| how(&dir)) {
        Err(e) if !e.is_not_found() => Err(of_files(dir, &e)),
        _ => Ok(()),
    }
}

/// Whatever is tried, its run takes it away again.
fn remove_files(dir: &Dir) -> safefs::Result<()> {
    dir.entries()?
        .iter()
        .try_for_each(|entry| dir.remove_file(Path::new(&entry.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_what_a_killed_run_tried() {
        let place = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(place.path().join("deliver"));
        ledger.tidy().unwrap();
        let tried = ledger.try_out().unwrap();
        let gone = PathBuf::from(format!(".wod-{:x}-1-2", i32::MAX));
        for name in [&gone, &PathBuf::from("sudoers")] {
            tried.write(name, b"half", 0o600).unwrap();
        }
        ledger.set_pending(&[]).unwrap();
        ledger.tidy().unwrap();
        assert_eq!(tried.entries().unwrap().len(), 0);
        assert_eq!(ledger.pending().unwrap(), Vec::<Vec<String>>::new());
    }
}
