//! Paths of the host, and who owns what is there. Never a path below a student's home.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::ports::Fault;
use crate::safefs::{self, Dir, Owner, Stat};

/// Larger files are none that deliver writes.
const LARGEST: u64 = 16 << 20;

/// Owner and group by name, resolved when they are needed: an account may be made in the same run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owners {
    pub user: String,
    pub group: String,
}

impl Owners {
    /// Permanent when there is no such account or group.
    pub fn resolve(&self) -> Result<Owner, Fault> {
        let Owners { user, group } = self;
        let missing =
            |kind: &str, name: &str| Fault::permanent(format!("there is no {kind} {name}"));
        let uid = users::get_user_by_name(user).ok_or_else(|| missing("account", user))?;
        let gid = users::get_group_by_name(group).ok_or_else(|| missing("group", group))?;
        Ok(Owner {
            uid: uid.uid(),
            gid: gid.gid(),
        })
    }
}

/// A name in a directory that may not be there yet.
pub struct Place {
    /// None when the directory is missing.
    pub dir: Option<Dir>,
    pub name: PathBuf,
}

impl Place {
    /// Permanent for a path without a name in it.
    pub fn open(path: &Path) -> Result<Place, Fault> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            let shown = path.display();
            return Err(Fault::permanent(format!("{shown} is no path of a file")));
        };
        let dir = match Dir::open_root(parent) {
            Ok(dir) => Some(dir),
            Err(e) if e.is_not_found() => None,
            Err(e) => return Err(of_files(parent, &e)),
        };
        let name = PathBuf::from(name);
        Ok(Place { dir, name })
    }

    /// The directory, for a change to be made in it.
    pub fn dir(&self) -> Result<&Dir, Fault> {
        self.dir
            .as_ref()
            .ok_or_else(|| Fault::permanent("its directory is not there"))
    }

    pub fn stat(&self) -> Result<Option<Stat>, Fault> {
        let Some(dir) = &self.dir else {
            return Ok(None);
        };
        dir.stat(&self.name).map_err(|e| of_files(&self.name, &e))
    }

    pub fn read(&self) -> Result<Vec<u8>, Fault> {
        self.dir()?
            .read(&self.name, LARGEST)
            .map_err(|e| of_files(&self.name, &e))
    }
}

pub fn of_files(path: &Path, e: &safefs::Error) -> Fault {
    Fault::permanent(format!("{} cannot be looked at or changed", path.display())).because(e)
}

/// `a/b` as one name, for copies that are kept aside.
pub fn flat(path: &Path) -> String {
    let parts = path.iter().filter(|part| *part != OsStr::new("/"));
    let parts: Vec<_> = parts.map(|part| part.to_string_lossy()).collect();
    parts.join("%")
}
