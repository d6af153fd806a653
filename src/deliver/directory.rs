//! A directory with owner and mode.

use std::path::PathBuf;

use crate::ports::Fault;
use crate::safefs::{Kind, Stat};

use super::item::{Change, Resource};
use super::place::{Owners, Place};

#[derive(Clone)]
pub struct Directory {
    pub path: PathBuf,
    pub owners: Owners,
    pub mode: u32,
}

impl Resource for Directory {
    fn name(&self) -> String {
        format!("directory {}", self.path.display())
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let line = match Place::open(&self.path)?.stat_dir()? {
            None => format!("made, mode {:04o}", self.mode),
            Some(stat) if stat.kind == Kind::Directory && self.is_right(&stat) => {
                return Ok(Vec::new());
            }
            Some(stat) if stat.kind == Kind::Directory => format!(
                "owner and mode {}:{} {:04o} -> {}:{} {:04o}",
                stat.uid, stat.gid, stat.mode, self.owners.user, self.owners.group, self.mode
            ),
            Some(stat) => {
                return Err(Fault::permanent(format!(
                    "{} is no directory but a {:?}; move it away",
                    self.path.display(),
                    stat.kind
                )));
            }
        };
        Ok(vec![Box::new(Make {
            line,
            directory: self.clone(),
        })])
    }
}

impl Directory {
    fn is_right(&self, stat: &Stat) -> bool {
        let owner = self.owners.resolve().ok();
        stat.mode == self.mode
            && owner.is_some_and(|owner| (owner.uid, owner.gid) == (stat.uid, stat.gid))
    }
}

struct Make {
    line: String,
    directory: Directory,
}

impl Change for Make {
    fn line(&self) -> String {
        self.line.clone()
    }

    fn apply(&self) -> Result<(), Fault> {
        let Directory { path, owners, mode } = &self.directory;
        let place = Place::open(path)?;
        place.make_dir(*mode, owners.resolve()?)
    }
}
