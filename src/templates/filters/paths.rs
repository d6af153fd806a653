//! Filters on path names: pure text, nothing is looked up on disk.

use minijinja::value::Value;
use minijinja::{Environment, Error};

use super::{Arguments, Given, More, wrong};
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
    engine.add_filter("normpath", |Given(path): Given| {
        text(&path).map(|path| normal(&path))
    });
    engine.add_filter("relpath", relative);
    engine.add_filter("commonpath", common);
    engine.add_filter("win_basename", |Given(path): Given| {
        text(&path).map(|path| windows(&path).2.to_owned())
    });
    engine.add_filter("win_dirname", |Given(path): Given| {
        text(&path).map(|path| {
            let (drive, head, _) = windows(&path);
            let trimmed = head.trim_end_matches(['/', '\\']);
            format!("{drive}{}", if trimmed.is_empty() { head } else { trimmed })
        })
    });
    engine.add_filter("win_splitdrive", |Given(path): Given| {
        text(&path).map(|path| {
            let (drive, head, tail) = windows(&path);
            vec![drive.to_owned(), format!("{head}{tail}")]
        })
    });
    for name in ["expanduser", "expandvars", "realpath", "fileglob"] {
        engine.add_filter(name, move |_: More| -> Result<Value, Error> {
            Err(wrong(format!(
                "{name} looks at the host, which no template may; put the path into a variable"
            )))
        });
    }
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

/// Python's `os.path.normpath`.
fn normal(path: &str) -> String {
    let root = match path {
        _ if path.starts_with("//") && !path.starts_with("///") => "//",
        _ if path.starts_with('/') => "/",
        _ => "",
    };
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            ".." if !root.is_empty() => {}
            _ => kept.push(part),
        }
    }
    match root.len() + kept.len() {
        0 => ".".to_owned(),
        _ => format!("{root}{}", kept.join("/")),
    }
}

fn relative(Given(path): Given, rest: More) -> Result<String, Error> {
    let arguments = Arguments::new(rest)?;
    let start = arguments
        .text(0, "start")?
        .ok_or_else(|| wrong("relpath takes the directory to start from"))?;
    arguments.finish(1)?;
    let (path, start) = (normal(&text(&path)?), normal(&start));
    if path.starts_with('/') != start.starts_with('/') {
        return Err(wrong(
            "relpath takes two absolute paths, or two relative ones",
        ));
    }
    let parts = |path: &str| -> Vec<String> {
        let parts = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".");
        parts.map(str::to_owned).collect()
    };
    let (path, start) = (parts(&path), parts(&start));
    let same = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", start.len() - same);
    let made: Vec<&str> = up.chain(path[same..].iter().map(String::as_str)).collect();
    Ok(match made.is_empty() {
        true => ".".to_owned(),
        false => made.join("/"),
    })
}

fn common(Given(paths): Given) -> Result<String, Error> {
    let paths: Vec<String> = super::collections::items(&paths)?
        .iter()
        .map(text)
        .collect::<Result<_, _>>()?;
    let first = paths
        .first()
        .ok_or_else(|| wrong("commonpath got no path"))?;
    let is_absolute = first.starts_with('/');
    if paths
        .iter()
        .any(|path| path.starts_with('/') != is_absolute)
    {
        return Err(wrong(
            "commonpath takes absolute paths, or relative ones, not both",
        ));
    }
    let parts = |path: &str| -> Vec<String> {
        let parts = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".");
        parts.map(str::to_owned).collect()
    };
    let mut shared = parts(first);
    for path in &paths[1..] {
        let same = parts(path)
            .iter()
            .zip(&shared)
            .take_while(|(a, b)| a == b)
            .count();
        shared.truncate(same);
    }
    Ok(format!(
        "{}{}",
        if is_absolute { "/" } else { "" },
        shared.join("/")
    ))
}

/// Drive, the path up to its last separator, and what follows.
fn windows(path: &str) -> (&str, &str, &str) {
    let has_drive = path.as_bytes().get(1) == Some(&b':') && path.is_char_boundary(2);
    let (drive, rest) = path.split_at(if has_drive { 2 } else { 0 });
    let cut = rest.rfind(['/', '\\']).map_or(0, |at| at + 1);
    (drive, &rest[..cut], &rest[cut..])
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
