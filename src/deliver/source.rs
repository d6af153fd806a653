//! What a manifest is made from: templates in the sys directories, and what texts are rendered with.

use std::path::{Path, PathBuf};

use crate::safefs::Dir;
use crate::templates::Renderer;

use super::ledger::Ledger;
use super::packages::Missing;

/// Of a file in a sys directory.
const LARGEST: u64 = 16 << 20;

/// The site's and the overlay's directories of templates, the overlay's first.
#[derive(Debug, Clone)]
pub struct Source {
    pub dirs: Vec<PathBuf>,
}

/// What texts in a manifest are rendered with, and where copies are kept.
pub struct Facts<'a> {
    pub renderer: &'a Renderer,
    pub ledger: Ledger,
    /// `Debian` or `RedHat`, as Ansible calls them.
    pub family: String,
    pub packages: Missing,
}

impl Source {
    /// None when it is not there.
    pub fn text_of(&self, path: &Path) -> Result<Option<String>, String> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let read = Dir::open_root(parent).and_then(|dir| dir.read(name.as_ref(), LARGEST));
        match read {
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(format!("{}: {e}", path.display())),
            Ok(bytes) => String::from_utf8(bytes)
                .map(Some)
                .map_err(|_| format!("{} is not UTF-8", path.display())),
        }
    }

    /// The first directory that has it wins.
    pub fn template(&self, name: &str) -> Result<String, String> {
        for dir in &self.dirs {
            if let Some(text) = self.text_of(&dir.join(name))? {
                return Ok(text);
            }
        }
        Err(format!("there is no template {name} in any sys directory"))
    }
}
