//! Reads directories of workshops: with the rights the publisher has, below handles, following no link.

use std::path::{Path, PathBuf};

use crate::content::{Admin, CONTENT_BYTES, CONTENT_FILES, DEEPEST};
use crate::safefs::{self, Cause, Dir, Kind, shown};

use super::finding::{Finding, Place};
use super::rules;

/// Larger templates do not render.
const TEXT_BYTES: u64 = 16 << 20;

/// An open directory, and whose rights decide what can be read in it.
pub struct Reader {
    dir: Dir,
    shown: PathBuf,
    admin: Option<Admin>,
}

/// One entry of a tree.
#[derive(Debug)]
pub struct Item {
    /// Below the directory of the reader.
    pub path: PathBuf,
    pub kind: Kind,
    pub mode: u32,
}

/// All entries of a tree, and what is wrong with them as entries.
#[derive(Debug, Default)]
pub struct Listing {
    pub items: Vec<Item>,
    pub found: Vec<Finding>,
    bytes: u64,
    is_full: bool,
}

impl Reader {
    /// `shown` is how findings name the directory.
    pub fn open(dir: &Path, shown: &Path, admin: Option<&Admin>) -> safefs::Result<Reader> {
        let open = || Dir::open_root(dir);
        let dir = with_rights(admin, open)?;
        Ok(Reader {
            dir,
            shown: shown.to_owned(),
            admin: admin.cloned(),
        })
    }

    /// How findings name an entry.
    pub fn name(&self, path: &Path) -> String {
        shown(&self.shown.join(path))
    }

    pub fn entries(&self) -> safefs::Result<Vec<safefs::Entry>> {
        with_rights(self.admin.as_ref(), || self.dir.entries())
    }

    /// A text file, or the one thing that keeps it from being read.
    pub fn text(&self, path: &Path) -> Result<String, Box<Finding>> {
        let read = || self.dir.read(path, TEXT_BYTES);
        let bytes =
            with_rights(self.admin.as_ref(), read).map_err(|e| Box::new(self.refused(path, &e)))?;
        String::from_utf8(bytes).map_err(|e| Box::new(self.not_text(path, &e)))
    }

    /// As `text`; None when there is nothing of that name.
    pub fn text_if_there(&self, path: &Path) -> Option<String> {
        self.text(path).ok()
    }

    pub fn mode(&self, path: &Path) -> Option<u32> {
        let stat = with_rights(self.admin.as_ref(), || self.dir.stat(path));
        Some(stat.ok()??.mode)
    }

    /// Whether it is a link to something in this directory or below it.
    pub fn is_inner_link(&self, path: &Path) -> bool {
        let target = with_rights(self.admin.as_ref(), || self.dir.read_link(path));
        target.is_ok_and(|target| !leads_out(&target, 0))
    }

    pub fn is_link_to(&self, path: &Path, end: &str) -> bool {
        let target = with_rights(self.admin.as_ref(), || self.dir.read_link(path));
        target.is_ok_and(|target| target.ends_with(end))
    }

    /// What is below a directory. Nothing is read but names and kinds.
    pub fn list(&self, below: &Path) -> Listing {
        let mut listing = Listing::default();
        let walk = || {
            self.walk(below, 0, &mut listing);
            Ok(())
        };
        if let Err(e) = with_rights(self.admin.as_ref(), walk) {
            listing.found.push(self.refused(below, &e));
        }
        listing
    }

    fn walk(&self, below: &Path, depth: usize, listing: &mut Listing) {
        let entries = self.dir.open_dir(below).and_then(|dir| dir.entries());
        let entries = match entries {
            Ok(entries) => entries,
            Err(e) => return listing.found.push(self.refused(below, &e)),
        };
        for entry in entries {
            if listing.is_full {
                return;
            }
            let path = below.join(&entry.name);
            self.entry(&path, entry.kind, depth, listing);
        }
    }

    fn entry(&self, path: &Path, kind: Kind, depth: usize, listing: &mut Listing) {
        let (mode, size) = match self.dir.stat(path) {
            Ok(Some(stat)) => (stat.mode, stat.size),
            Ok(None) => return,
            Err(e) => return listing.found.push(self.refused(path, &e)),
        };
        listing.items.push(Item {
            path: path.to_owned(),
            kind,
            mode,
        });
        match kind {
            Kind::File => listing.bytes = listing.bytes.saturating_add(size),
            Kind::Directory if depth + 1 < DEEPEST => self.walk(path, depth + 1, listing),
            Kind::Directory => listing.found.push(self.too_deep(path)),
            Kind::Link => listing.found.extend(self.link(path, depth)),
            Kind::Fifo | Kind::Socket | Kind::Device => {
                listing.found.push(self.special(path, kind))
            }
        }
        self.check_amount(path, listing);
    }

    fn check_amount(&self, path: &Path, listing: &mut Listing) {
        let many = listing.items.len() as u64 > CONTENT_FILES;
        let large = listing.bytes > CONTENT_BYTES;
        if listing.is_full || !(many || large) {
            return;
        }
        listing.is_full = true;
        let place = Place::whole(self.name(path));
        listing.found.push(match many {
            true => Finding::new(
                &rules::FILE_MANY,
                place,
                format!("more than {CONTENT_FILES} files, counted up to this one: it is not published"),
            ),
            false => Finding::new(
                &rules::FILE_LARGE,
                place,
                format!("more than {} GiB, counted up to this file: it is not published", CONTENT_BYTES >> 30),
            ),
        }
        .help("leave out what can be fetched, or packed"));
    }

    fn too_deep(&self, path: &Path) -> Finding {
        let message = format!("below {DEEPEST} directories nothing is rendered");
        Finding::new(&rules::FILE_DEEP, Place::whole(self.name(path)), message)
            .help("use fewer directories")
    }

    fn special(&self, path: &Path, kind: Kind) -> Finding {
        let what = match kind {
            Kind::Fifo => "a named pipe",
            Kind::Socket => "a socket",
            _ => "a device",
        };
        let message = format!("{what} is not published");
        Finding::new(&rules::FILE_SPECIAL, Place::whole(self.name(path)), message)
            .help("make it in a create script, where a student needs one")
    }

    /// A link is copied as it is: fine, as long as it stays inside and is no template.
    fn link(&self, path: &Path, depth: usize) -> Option<Finding> {
        let target = self.dir.read_link(path).ok()?;
        let place = Place::whole(self.name(path));
        if leads_out(&target, depth) {
            let message = format!(
                "the link to {} leads out of the workshop; a student gets the link alone",
                shown(&target)
            );
            let finding = Finding::new(&rules::FILE_LINK, place, message);
            return Some(finding.help("put the file itself there"));
        }
        let is_template = crate::content::is_template(path, crate::content::Tree::Public);
        is_template.then(|| {
            let message = "a link is copied as it is, and what it leads to is not rendered";
            Finding::new(&rules::FILE_LINK, place, message).help("put the file itself there")
        })
    }

    fn refused(&self, path: &Path, e: &safefs::Error) -> Finding {
        let place = Place::whole(self.name(path));
        match e.cause() {
            Cause::Link => Finding::new(
                &rules::FILE_LINK,
                place,
                "a link stands for the file; it is not followed",
            )
            .help("put the file itself there"),
            Cause::NotRegular | Cause::Device => {
                Finding::new(&rules::FILE_SPECIAL, place, "is not a regular file")
                    .help("put a file there")
            }
            Cause::TooLarge { limit } => {
                let message = format!("larger than the {} MiB that can be rendered", limit >> 20);
                Finding::new(&rules::FILE_LARGE, place, message).help(
                    "clear its outputs, or split it; data that is no template has another suffix",
                )
            }
            cause => {
                let who = match &self.admin {
                    Some(admin) => format!("by uid {}", admin.uid),
                    None => "by us".to_owned(),
                };
                let message = format!("cannot be read {who}: {cause}");
                Finding::new(&rules::FILE_UNREADABLE, place, message)
                    .help("WODUSER has to own it, or to be allowed to read it")
            }
        }
    }

    fn not_text(&self, path: &Path, e: &std::string::FromUtf8Error) -> Finding {
        let good = e.utf8_error().valid_up_to();
        let before = &e.as_bytes()[..good];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let begin = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let chars = before[begin..].iter().filter(|&&byte| byte & 0xc0 != 0x80);
        let column = 1 + chars.count();
        let place = Place {
            line,
            column,
            end_column: column + 1,
            ..Place::whole(self.name(path))
        };
        Finding::new(
            &rules::FILE_TEXT,
            place,
            "not UTF-8 from here on, so it is not published",
        )
        .help("save it as UTF-8, or give it a suffix that is not rendered")
    }
}

/// Whether a link at this depth below a workshop leads out of it, by its words alone.
fn leads_out(target: &Path, depth: usize) -> bool {
    use std::path::Component;
    let mut level = depth;
    for part in target.components() {
        match part {
            Component::RootDir | Component::Prefix(_) => return true,
            Component::ParentDir if level == 0 => return true,
            Component::ParentDir => level -= 1,
            Component::Normal(_) => level += 1,
            Component::CurDir => {}
        }
    }
    false
}

fn with_rights<T: Send>(
    admin: Option<&Admin>,
    work: impl FnOnce() -> safefs::Result<T> + Send,
) -> safefs::Result<T> {
    match admin {
        None => work(),
        Some(admin) => safefs::as_user(admin.uid, admin.gid, &admin.groups, work)?,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_judged_by_their_words() {
        for (target, depth, out) in [
            ("/etc/shadow", 0, true),
            ("a", 0, false),
            ("../a", 0, true),
            ("../a", 1, false),
            ("b/../../a", 0, true),
            ("b/../a", 0, false),
        ] {
            assert_eq!(leads_out(Path::new(target), depth), out, "{target} {depth}");
        }
    }
}
