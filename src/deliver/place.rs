//! Paths of the host, and whose rights count there. Never a path below a student's home.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use rustix::process::geteuid;

use crate::ports::Fault;
use crate::safefs::{self, Cause, Dir, Kind, Owner, Stat, as_user, remove_abandoned};

/// Larger files are none that deliver writes.
const LARGEST: u64 = 16 << 20;

/// Owner and group by name or number, resolved when they are needed: an account may be made in the same run.
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
        let uid = user.parse().ok();
        let uid = uid.or_else(|| Some(users::get_user_by_name(user)?.uid()));
        let gid = group.parse().ok();
        let gid = gid.or_else(|| Some(users::get_group_by_name(group)?.gid()));
        Ok(Owner {
            uid: uid.ok_or_else(|| missing("account", user))?,
            gid: gid.ok_or_else(|| missing("group", group))?,
        })
    }
}

/// A directory of the host that is there. Where somebody else than us could have put a link on the
/// way to it, everything is done with their rights, and no link is followed.
pub struct Room {
    dir: Dir,
    rights: Option<Owner>,
    /// Only we can change what is in it, and how it is reached.
    trusted: bool,
}

impl Room {
    /// None when the directory is missing.
    pub fn open(path: &Path) -> Result<Option<Room>, Fault> {
        match Room::find(path) {
            Err(e) if e.is_not_found() => Ok(None),
            found => found.map(Some).map_err(|e| of_files(path, &e)),
        }
    }

    fn find(path: &Path) -> Result<Room, safefs::Error> {
        let mut trusted_dir = Dir::open_root(Path::new("/"))?;
        let mut parts = path
            .components()
            .filter(|part| *part != Component::RootDir)
            .peekable();
        loop {
            let rights = foreign(&trusted_dir)?;
            if parts.peek().is_none() || rights.is_some() {
                let rest: PathBuf = parts.collect();
                let trusted = rights.is_none();
                let rights = rights.flatten();
                let open = || match rest.as_os_str().is_empty() {
                    true => trusted_dir.try_clone(),
                    false => trusted_dir.open_dir(&rest),
                };
                // Only looked at: with whose rights it is changed is another matter.
                let dir = open()?;
                // Ours again, but on a way that is not: its owner could have brought us here.
                let rights = rights.or(foreign(&dir)?.flatten());
                return Ok(Room {
                    dir,
                    rights,
                    trusted,
                });
            }
            if let Some(part) = parts.next() {
                trusted_dir = Dir::open_root(&trusted_dir.path().join(part))?;
            }
        }
    }

    /// With the rights that count here.
    pub fn act<T: Send>(
        &self,
        work: impl FnOnce(&Dir) -> safefs::Result<T> + Send,
    ) -> safefs::Result<T> {
        with(self.rights, || work(&self.dir))?
    }
}

/// None for a directory in which only we can change anything; else whose rights are to be used,
/// where they are not ours.
fn foreign(dir: &Dir) -> Result<Option<Option<Owner>>, safefs::Error> {
    let Some(stat) = dir.stat(Path::new("."))? else {
        return Ok(None);
    };
    let us = geteuid().as_raw();
    Ok(match stat.uid {
        uid if uid != us && uid != 0 => Some(Some(Owner { uid, gid: stat.gid })),
        _ if stat.mode & 0o022 != 0 => Some(None),
        _ => None,
    })
}

fn with<T: Send>(rights: Option<Owner>, work: impl FnOnce() -> T + Send) -> safefs::Result<T> {
    match rights {
        None => Ok(work()),
        Some(owner) => as_user(owner.uid, owner.gid, &[owner.gid], work),
    }
}

/// A name in a directory that may not be there yet.
pub struct Place {
    path: PathBuf,
    name: PathBuf,
    room: Option<Room>,
}

impl Place {
    /// Permanent for a path without a name in it.
    pub fn open(path: &Path) -> Result<Place, Fault> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            let shown = path.display();
            return Err(Fault::permanent(format!("{shown} is no path of a file")));
        };
        Ok(Place {
            path: path.to_owned(),
            name: PathBuf::from(name),
            room: Room::open(parent)?,
        })
    }

    pub fn stat(&self) -> Result<Option<Stat>, Fault> {
        match &self.room {
            None => Ok(None),
            Some(room) => self.told(room.dir.stat(&self.name)),
        }
    }

    /// As `stat`, of a directory that may be a mount point, or behind a link of ours.
    pub fn stat_dir(&self) -> Result<Option<Stat>, Fault> {
        match self.itself()? {
            Some(dir) => self.told(dir.stat(Path::new("."))),
            None => self.stat(),
        }
    }

    /// The directory that has this name, where nobody else could have put another one there.
    fn itself(&self) -> Result<Option<Dir>, Fault> {
        if !self.room.as_ref().is_some_and(|room| room.trusted) {
            return Ok(None);
        }
        match Dir::open_root(&self.path) {
            Ok(dir) => Ok(Some(dir)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) if matches!(e.cause(), Cause::NotDirectory) => Ok(None),
            Err(e) => Err(of_files(&self.path, &e)),
        }
    }

    /// No link is followed, and nothing is read that the owner of the directory may have linked
    /// to from here.
    pub fn read(&self) -> Result<Vec<u8>, Fault> {
        if let (Some(owner), Some(stat)) = (self.owner(), self.stat()?)
            && stat.uid != owner.uid
            && stat.nlink > 1
        {
            return Err(Fault::violation(format!(
                "{} is a second name of a file of uid {}; remove it",
                self.path.display(),
                stat.uid
            )));
        }
        self.told(self.room()?.dir.read(&self.name, LARGEST))
    }

    pub fn read_link(&self) -> Result<PathBuf, Fault> {
        self.told(self.room()?.dir.read_link(&self.name))
    }

    /// Whom a file here must belong to, when that is not free.
    pub fn owner(&self) -> Option<Owner> {
        self.room.as_ref().and_then(|room| room.rights)
    }

    /// In one step, and on the disk when this is done: what is written here may lock an admin out.
    pub fn write(&self, bytes: &[u8], mode: u32, owner: Owner) -> Result<(), Fault> {
        let owner = self.given_to(owner)?;
        // Of a run that was killed: some programs read every file that there is.
        self.act(remove_abandoned)?;
        self.act(|dir| match owner {
            Some(owner) => dir.write_owned_durable(&self.name, bytes, mode, owner),
            None => dir.write_durable(&self.name, bytes, mode),
        })
    }

    pub fn symlink(&self, to: &Path) -> Result<(), Fault> {
        self.act(|dir| dir.symlink(to, &self.name))
    }

    /// Makes what is not there, closed until it has its owner.
    pub fn make_dir(&self, mode: u32, owner: Owner) -> Result<(), Fault> {
        if let Some(dir) = self.itself()? {
            let here = Path::new(".");
            let set = dir
                .set_owner(here, owner)
                .and_then(|()| dir.set_mode(here, mode));
            return self.told(set);
        }
        let wanted = owner;
        let owner = self.given_to(owner)?;
        if let (None, Some(room)) = (owner, &self.room) {
            // What is another's here its owner cannot give away; no link is followed.
            let there = self.stat()?;
            let foreign = |stat: &Stat| stat.kind == Kind::Directory && stat.uid != wanted.uid;
            if there.as_ref().is_some_and(foreign) {
                self.told(room.dir.set_owner(&self.name, wanted))?;
            }
        }
        self.act(|dir| {
            if dir.stat(&self.name)?.is_none() {
                dir.make_dir(&self.name, 0o700)?;
            }
            if let Some(owner) = owner {
                dir.set_owner(&self.name, owner)?;
            }
            dir.set_mode(&self.name, mode)
        })
    }

    /// None where everything belongs to whose rights are used.
    fn given_to(&self, wanted: Owner) -> Result<Option<Owner>, Fault> {
        match self.owner() {
            None => Ok(Some(wanted)),
            Some(owner) if owner.uid == wanted.uid => Ok(None),
            Some(owner) => Err(Fault::permanent(format!(
                "{} is in a directory of uid {}, so it cannot belong to uid {}; give the \
                 directory to root, or the file to that account",
                self.path.display(),
                owner.uid,
                wanted.uid
            ))),
        }
    }

    fn act<T: Send>(
        &self,
        work: impl FnOnce(&Dir) -> safefs::Result<T> + Send,
    ) -> Result<T, Fault> {
        self.told(self.room()?.act(work))
    }

    fn room(&self) -> Result<&Room, Fault> {
        self.room.as_ref().ok_or_else(|| {
            let parent = self.path.parent().unwrap_or(&self.path);
            Fault::permanent(format!("there is no directory {}", parent.display()))
        })
    }

    fn told<T>(&self, result: safefs::Result<T>) -> Result<T, Fault> {
        result.map_err(|e| of_files(&self.path, &e))
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

/// Whether a program that is named is on this host, or a path is there.
pub fn is_here(program: &str) -> bool {
    let at = |path: &Path| {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return false;
        };
        let dir = Dir::open_root(parent);
        dir.is_ok_and(|dir| matches!(dir.stat(name.as_ref()), Ok(Some(_))))
    };
    match program.starts_with('/') {
        true => at(Path::new(program)),
        false => crate::exec::PATH
            .split(':')
            .any(|dir| at(&Path::new(dir).join(program))),
    }
}
