//! Filters on path names: pure text, nothing is looked up on disk.

use minijinja::value::Value;
use minijinja::{Environment, Error};

use super::{Given, More, wrong};
use crate::templates::python;

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("basename", |Given(path): Given| {
        text(&path).map(|path| split(&path).1.to_owned())
    });
    engine.add_filter("dirname", |Given(path): Given| {
        text(&path).map(|path| split(&path).0.to_owned())
    });
    engine.add_filter("splitext", |Given(path): Given| {
        text(&path).map(|path| {
            let (root, extension) = split_extension(&path);
            vec![root.to_owned(), extension.to_owned()]
        })
    });
    engine.add_filter("path_join", path_join);
}

fn text(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(wrong(format!(
            "a path must be a text, not a {}",
            value.kind()
        ))),
    }
}

/// Python's `os.path.split`.
fn split(path: &str) -> (&str, &str) {
    let cut = path.rfind('/').map_or(0, |slash| slash + 1);
    let (head, tail) = path.split_at(cut);
    let trimmed = head.trim_end_matches('/');
    (if trimmed.is_empty() { head } else { trimmed }, tail)
}

/// Python's `os.path.splitext`: leading dots are no extension.
fn split_extension(path: &str) -> (&str, &str) {
    let name = split(path).1;
    let start = name.len() - name.trim_start_matches('.').len();
    match name[start..].rfind('.') {
        Some(dot) => path.split_at(path.len() - name.len() + start + dot),
        None => (path, ""),
    }
}

fn path_join(Given(parts): Given, _: More) -> Result<String, Error> {
    let parts = match parts.as_str() {
        Some(part) => vec![part.to_owned()],
        None => parts
            .try_iter()?
            .map(|part| python::str_of(&part))
            .collect::<Result<_, _>>()?,
    };
    let mut joined = String::new();
    for part in parts {
        if part.starts_with('/') {
            joined.clear();
        } else if !joined.is_empty() && !joined.ends_with('/') {
            joined.push('/');
        }
        joined.push_str(&part);
    }
    Ok(joined)
}
