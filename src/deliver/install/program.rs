//! The program itself, where units and cron lines look for it.

use std::path::{Path, PathBuf};

use crate::ports::Fault;
use crate::safefs::{Dir, Owner};

use super::super::item::{Change, Resource};

const LARGEST: u64 = 1 << 30;
const MODE: u32 = 0o755;
const ROOT: Owner = Owner { uid: 0, gid: 0 };

pub struct Program {
    pub from: PathBuf,
    pub to: PathBuf,
}

impl Resource for Program {
    fn name(&self) -> String {
        format!("program {}", self.to.display())
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        if self.from == self.to {
            return Ok(Vec::new());
        }
        let (dir, name) = split(&self.to)?;
        let stat = dir.stat(name).map_err(|e| of(&self.to, &e))?;
        let new = read(&self.from)?;
        let is_same = stat.is_some_and(|stat| stat.mode == MODE && (stat.uid, stat.gid) == (0, 0))
            && read(&self.to).is_ok_and(|old| old == new);
        Ok(match is_same {
            true => Vec::new(),
            false => vec![Box::new(Put {
                to: self.to.clone(),
                bytes: new,
            })],
        })
    }
}

struct Put {
    to: PathBuf,
    bytes: Vec<u8>,
}

impl Change for Put {
    fn line(&self) -> String {
        format!("put there, {} MiB", self.bytes.len() >> 20)
    }

    fn apply(&self) -> Result<(), Fault> {
        let (dir, name) = split(&self.to)?;
        dir.write_owned_durable(name, &self.bytes, MODE, ROOT)
            .map_err(|e| of(&self.to, &e))
    }
}

fn split(path: &Path) -> Result<(Dir, &Path), Fault> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Fault::permanent(format!("{} is no file", path.display())));
    };
    let dir = Dir::open_root(parent).map_err(|e| of(parent, &e))?;
    Ok((dir, Path::new(name)))
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let (dir, name) = split(path)?;
    dir.read(name, LARGEST).map_err(|e| of(path, &e))
}

fn of(path: &Path, error: &crate::safefs::Error) -> Fault {
    Fault::of_files(format!("{} cannot be used", path.display()), error)
}
