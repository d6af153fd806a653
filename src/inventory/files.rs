//! Variable files: which ones make up a group's or a host's variables, and one of them read.
//!
//! Names are tried in Ansible's order; what may not be looked at is a problem, not nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::value::Value;
use super::yaml::{self, Document};

/// One thing that is wrong with the files, as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Problem(pub String);

/// Opens a file that is vaulted as a whole: envelope in, text out.
pub type Unlock<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// The files that make up `<dir>/<name>`: a file with or without extension, or
/// a directory of files. As in Ansible the first form that exists is the only one.
pub(super) fn named_files(dir: &Path, name: &str, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    if !is_plain_name(name) {
        problems.push(Problem(format!(
            "group `{name}` cannot name a file in {}; WODGROUP is one plain word",
            dir.display()
        )));
        return Vec::new();
    }
    forms(dir, name, problems)
}

/// As [`named_files`], for a name of the hosts files, which may be a path below `dir`.
pub(super) fn entity_files(dir: &Path, name: &str, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let is_below = !name.is_empty() && !name.starts_with('/') && !name.contains('\0');
    if !is_below || name.split('/').any(|part| part == "..") {
        return Vec::new();
    }
    forms(dir, name, problems)
}

fn forms(dir: &Path, name: &str, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    for extension in ["", ".yml", ".yaml", ".json"] {
        let path = dir.join(format!("{name}{extension}"));
        match look(&path, problems) {
            Some(Found::Directory) => {
                let mut found = Vec::new();
                collect(&path, 0, &mut found, problems);
                return found;
            }
            Some(Found::File) => return vec![path],
            None => {}
        }
    }
    Vec::new()
}

pub(super) enum Found {
    Directory,
    File,
}

/// None when nothing is there. What may not be looked at is a problem, and told once for a
/// directory: taken for nothing, it would turn up as settings that are missing.
pub(super) fn look(path: &Path, problems: &mut Vec<Problem>) -> Option<Found> {
    let error = match fs::metadata(path) {
        Ok(there) if there.is_dir() => return Some(Found::Directory),
        Ok(_) => return Some(Found::File),
        Err(error) => error,
    };
    let place = path.parent().unwrap_or(path).display();
    let problem = Problem(match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => return None,
        ErrorKind::PermissionDenied => {
            format!("{place}: cannot look for variables in it: {error}; run wod with sudo")
        }
        _ => format!("{}: cannot look at it: {error}", path.display()),
    });
    if !problems.contains(&problem) {
        problems.push(problem);
    }
    None
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// The variable files of a directory in name order; hidden files, backups and
/// foreign extensions are passed over, as Ansible does.
fn collect(dir: &Path, depth: usize, found: &mut Vec<PathBuf>, problems: &mut Vec<Problem>) {
    const MAX_DEPTH: usize = 16;
    let names = match names(dir) {
        Ok(names) => names,
        Err(problem) => {
            problems.push(problem);
            return;
        }
    };
    for name in names {
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let path = dir.join(&name);
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            if extension.is_none() && depth < MAX_DEPTH {
                collect(&path, depth + 1, found, problems);
            }
        } else if path.is_file() && matches!(extension, None | Some("yml" | "yaml" | "json")) {
            found.push(path);
        }
    }
}

/// The sorted names of a directory.
pub(super) fn names(dir: &Path) -> Result<BTreeSet<String>, Problem> {
    let entries = fs::read_dir(dir)
        .map_err(|error| Problem(format!("{}: cannot list it: {error}", dir.display())))?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect())
}

/// A file's bytes, opened if it is vaulted as a whole.
pub(super) fn read_bytes(
    path: &Path,
    what: &str,
    unlock: Option<Unlock>,
) -> Result<Vec<u8>, Problem> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::PermissionDenied => "; run wod with sudo",
            _ => "",
        };
        Problem(format!("{shown}: cannot read the {what}: {error}{hint}"))
    })?;
    if !bytes.starts_with(b"$ANSIBLE_VAULT;") {
        return Ok(bytes);
    }
    let unlock = unlock.ok_or_else(|| {
        Problem(format!(
            "{shown}: vaulted, and no vault password is configured (vault_secret)"
        ))
    })?;
    let text = unlock(&String::from_utf8_lossy(&bytes));
    let text = text.map_err(|why| Problem(format!("{shown}: {why}")))?;
    Ok(text.into_bytes())
}

pub(super) fn read_document(path: &Path, unlock: Option<Unlock>) -> Result<Document, Problem> {
    document(path, read_bytes(path, "variables", unlock)?)
}

/// As Ansible: what is JSON is read as JSON (`1e3` is a number there), all else as YAML.
pub(super) fn document(path: &Path, bytes: Vec<u8>) -> Result<Document, Problem> {
    let shown = path.display();
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problem(format!(
            "{shown}: not UTF-8 from byte {at} on; save it as UTF-8"
        ))
    })?;
    if text.trim_start().starts_with(['{', '['])
        && let Ok(json) = serde_json::from_str::<serde_json::Value>(&text)
    {
        let mut document = Document::default();
        document.value = Value::from(json);
        return Ok(document);
    }
    yaml::from_str(&shown.to_string(), &text).map_err(|error| Problem(error.to_string()))
}
