//! Items that stand for many: a directory's copy, the templates in a directory. Each file is an
//! item of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::safefs::{self, Kind};
use crate::templates::Renderer;

use super::place::Room;

const LARGEST: u64 = 16 << 20;
/// More are no skeleton and no scripts.
const MOST: usize = 10_000;

/// One entry of a directory, or of one below it.
pub struct Found {
    /// Below the directory that was looked through.
    pub rel: PathBuf,
    pub what: What,
    pub executable: bool,
    /// Of the directory that it is in.
    pub uid: u32,
    pub gid: u32,
}

pub enum What {
    Directory,
    File(Vec<u8>),
}

/// Everything below a directory that `wanted` takes, directories before what is in them; nothing
/// where there is no such directory. It is read with the rights of its owner, and links are left out.
pub fn look_through(
    root: &Path,
    wanted: &(dyn Fn(&Path, Kind) -> bool + Sync),
) -> Result<Vec<Found>, String> {
    let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", root.display());
    let Some(room) = Room::open(root).map_err(|e| failed(&e.chain()))? else {
        return Ok(Vec::new());
    };
    let found = room.act(|dir| {
        let mut found = Vec::new();
        let mut open = vec![PathBuf::new()];
        while let Some(rel) = open.pop() {
            look_in(dir, &rel, wanted, &mut found, &mut open)?;
        }
        Ok(found)
    });
    let mut found = found.map_err(|e| failed(&e))?;
    if found.len() > MOST {
        return Err(failed(&format!("more than {MOST} files are in there")));
    }
    found.sort_by(|a, b| a.rel.cmp(&b.rel));
    Ok(found)
}

fn look_in(
    dir: &safefs::Dir,
    rel: &Path,
    wanted: &(dyn Fn(&Path, Kind) -> bool + Sync),
    found: &mut Vec<Found>,
    open: &mut Vec<PathBuf>,
) -> safefs::Result<()> {
    let here = match rel.as_os_str().is_empty() {
        true => dir.try_clone()?,
        false => dir.open_dir(rel)?,
    };
    let Some(owner) = here.stat(Path::new("."))? else {
        return Ok(());
    };
    for entry in here.entries()? {
        let path = rel.join(&entry.name);
        if found.len() > MOST || !wanted(&path, entry.kind) {
            continue;
        }
        let Some(stat) = here.stat(entry.name.as_ref())? else {
            continue;
        };
        let what = match entry.kind {
            Kind::Directory => {
                open.push(path.clone());
                What::Directory
            }
            Kind::File => What::File(here.read(entry.name.as_ref(), LARGEST)?),
            _ => continue,
        };
        found.push(Found {
            rel: path,
            what,
            executable: stat.mode & 0o100 != 0,
            uid: owner.uid,
            gid: owner.gid,
        });
    }
    Ok(())
}

/// What a skeleton's entries may be read by: keys by nobody else.
pub fn skeleton_mode(found: &Found) -> u32 {
    let in_ssh = found.rel.iter().any(|part| part == ".ssh");
    let public = found.rel.extension() == Some(OsStr::new("pub"));
    match (&found.what, in_ssh) {
        (What::Directory, true) => 0o700,
        (What::Directory, false) => 0o755,
        (What::File(_), true) if !public => 0o600,
        (What::File(_), _) if found.executable => 0o755,
        (What::File(_), _) => 0o644,
    }
}

/// A template and where it goes.
pub struct Script {
    pub path: PathBuf,
    /// Why there is none is that file's own matter.
    pub content: Result<String, String>,
    pub uid: u32,
    pub gid: u32,
}

/// The templates in a directory, rendered: to the same name without `.j2`, beside itself or in `to`.
pub fn scripts(
    root: &Path,
    to: Option<&Path>,
    pattern: &Pattern,
    renderer: &Renderer,
) -> Result<Vec<Script>, String> {
    let wanted = |path: &Path, kind: Kind| match kind {
        Kind::File => pattern.takes(path),
        Kind::Directory => pattern.below && !is_hidden(path),
        _ => false,
    };
    let mut scripts = Vec::new();
    for found in look_through(root, &wanted)? {
        let What::File(bytes) = &found.what else {
            continue;
        };
        let shown = root.join(&found.rel).display().to_string();
        let text = std::str::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8"));
        let rendered =
            text.and_then(|text| renderer.render(&shown, text).map_err(|e| e.to_string()));
        scripts.push(Script {
            path: to.unwrap_or(root).join(found.rel.with_extension("")),
            content: rendered,
            uid: found.uid,
            gid: found.gid,
        });
    }
    Ok(scripts)
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

/// Which files are templates here.
pub struct Pattern {
    /// `*.sh*.j2`
    pub names: String,
    /// Names that begin so are left alone.
    pub but: Option<String>,
    /// Directories below count as well.
    pub below: bool,
}

impl Pattern {
    fn takes(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let left = self.but.as_ref().is_some_and(|but| name.starts_with(but));
        !left && name.ends_with(".j2") && matches(&self.names, &name)
    }
}

/// A pattern of a shell, of which only `*` is special.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(start) else {
        return false;
    };
    let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
    ends.into_iter().any(|at| matches(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        assert!(matches("*.sh*.j2", "create-WKSHP-A.sh.j2"));
        assert!(matches("*.sh*.j2", "a.sh.in.j2"));
        assert!(!matches("*.sh*.j2", "a.yml.j2"));
        assert!(matches("wod*.j2", "wod-update.j2"));
        assert!(!matches("wod*.j2", "my-wod.j2"));
    }

    #[test]
    fn what_is_for_compile_time_is_left_alone() {
        let pattern = Pattern {
            names: "*.sh*.j2".to_owned(),
            but: Some("get-".to_owned()),
            below: true,
        };
        assert!(pattern.takes(Path::new("x/create.sh.j2")));
        assert!(!pattern.takes(Path::new("x/get-token.sh.j2")));
        assert!(!pattern.takes(Path::new("x/create.sh")));
    }
}
