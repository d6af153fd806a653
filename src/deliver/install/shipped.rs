//! The files that are in the program: what deliver puts on a host, a skeleton, sample workshops.

use std::path::{Path, PathBuf};

use crate::ports::Fault;
use crate::safefs::{Dir, Kind, Owner};

use super::super::item::{Change, Resource};
use super::super::place::of_files;

/// Path, mode, text.
const SHIPPED: &[(&str, u32, &str)] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));
const LARGEST: u64 = 16 << 20;
const ROOT: Owner = Owner { uid: 0, gid: 0 };

/// All of them below one directory, which is root's. A site changes them by its private overlay; but a
/// workshop, or a script of one, that is there already is the site's own.
pub struct Shipped {
    pub share: PathBuf,
}

impl Resource for Shipped {
    fn name(&self) -> String {
        format!("files below {}", self.share.display())
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let share = match Dir::open_root(&self.share) {
            Ok(dir) => Some(dir),
            Err(e) if e.is_not_found() => None,
            Err(e) => return Err(of_files(&self.share, &e)),
        };
        let mut wrong = Vec::new();
        for (name, mode, text) in SHIPPED {
            let path = place_of(name);
            let is_right = match &share {
                None => false,
                Some(share) => is_of_the_site(share, name)? || is_there(share, &path, *mode, text)?,
            };
            if !is_right {
                wrong.push(Put {
                    path,
                    mode: *mode,
                    text,
                });
            }
        }
        Ok(match wrong.is_empty() {
            true => Vec::new(),
            false => vec![Box::new(PutAll {
                share: self.share.clone(),
                files: wrong,
            })],
        })
    }
}

/// Below the directory: the skeleton has one of its own.
fn place_of(name: &str) -> PathBuf {
    PathBuf::from(
        name.strip_prefix("sys/")
            .filter(|rest| rest.starts_with("skel/"))
            .unwrap_or(name),
    )
}

fn is_of_the_site(share: &Dir, name: &str) -> Result<bool, Fault> {
    let mut words = name.split('/');
    let (Some("workshops"), Some(second)) = (words.next(), words.next()) else {
        return Ok(false);
    };
    let top = match second {
        "scripts" => PathBuf::from(name),
        workshop => Path::new("workshops").join(workshop),
    };
    Ok(stat(share, &top)?.is_some())
}

fn is_there(share: &Dir, path: &Path, mode: u32, text: &str) -> Result<bool, Fault> {
    let Some(there) = stat(share, path)? else {
        return Ok(false);
    };
    if there.kind != Kind::File || there.mode != mode || (there.uid, there.gid) != (0, 0) {
        return Ok(false);
    }
    let bytes = share.read(path, LARGEST).map_err(|e| of_files(path, &e))?;
    Ok(bytes == text.as_bytes())
}

fn stat(share: &Dir, path: &Path) -> Result<Option<crate::safefs::Stat>, Fault> {
    match share.stat(path) {
        Err(e) if e.is_not_found() => Ok(None),
        found => found.map_err(|e| of_files(path, &e)),
    }
}

struct Put {
    path: PathBuf,
    mode: u32,
    text: &'static str,
}

struct PutAll {
    share: PathBuf,
    files: Vec<Put>,
}

impl Change for PutAll {
    fn line(&self) -> String {
        format!("{} put there", self.files.len())
    }

    fn apply(&self) -> Result<(), Fault> {
        let (Some(parent), Some(name)) = (self.share.parent(), self.share.file_name()) else {
            let line = format!("{} is no directory for files", self.share.display());
            return Err(Fault::permanent(line));
        };
        let share = Dir::open_root(parent)
            .and_then(|parent| parent.make_dir(Path::new(name), 0o755))
            .map_err(|e| of_files(&self.share, &e))?;
        for Put { path, mode, text } in &self.files {
            if let Some(dir) = path.parent() {
                share.make_dir(dir, 0o755).map_err(|e| of_files(dir, &e))?;
            }
            share
                .write_owned(path, text.as_bytes(), *mode, ROOT)
                .map_err(|e| of_files(path, &e))?;
        }
        share.sync().map_err(|e| of_files(&self.share, &e))
    }
}
