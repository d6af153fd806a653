//! `json_query`: the part of JMESPath that workshops use.
//!
//! Names, `[n]`, `[*]`, `[]`, `*` and `|`; filters and functions are an error, not a guess.

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error};

use super::{Given, wrong};
use crate::templates::python;

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter(
        "json_query",
        |Given(value): Given, query: String| -> Result<Value, Error> {
            let mut current = value;
            for part in query.split('|') {
                let steps = parse(part.trim(), &query)?;
                current = walk(&current, &steps)?;
            }
            Ok(current)
        },
    );
}

enum Step {
    Name(String),
    Index(i64),
    /// `[*]`: the steps after it apply to each item.
    Each,
    /// `[]`: as `[*]`, with lists among the items laid out flat.
    Flat,
    /// `*`: each value of a mapping.
    Values,
}

fn parse(text: &str, query: &str) -> Result<Vec<Step>, Error> {
    let unsupported = || {
        wrong(format!(
            "json_query `{query}` uses more than names, [n], [*], [], * and |; select with selectattr and map instead"
        ))
    };
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let (inside, tail) = tail.split_once(']').ok_or_else(unsupported)?;
            steps.push(match inside.trim() {
                "*" => Step::Each,
                "" => Step::Flat,
                number => Step::Index(number.parse().map_err(|_| unsupported())?),
            });
            rest = tail;
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let (name, tail) = name(rest).ok_or_else(unsupported)?;
        steps.push(name);
        rest = tail;
    }
    Ok(steps)
}

fn name(rest: &str) -> Option<(Step, &str)> {
    if let Some(tail) = rest.strip_prefix('*') {
        return Some((Step::Values, tail));
    }
    if let Some(tail) = rest.strip_prefix('"') {
        let (name, tail) = tail.split_once('"')?;
        return Some((Step::Name(name.to_owned()), tail));
    }
    let len = rest
        .find(|char: char| !char.is_ascii_alphanumeric() && char != '_')
        .unwrap_or(rest.len());
    let name = &rest[..len];
    let is_name = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
    is_name.then(|| (Step::Name(name.to_owned()), &rest[len..]))
}

/// What is not there is null, as in JMESPath.
fn walk(value: &Value, steps: &[Step]) -> Result<Value, Error> {
    let Some((step, later)) = steps.split_first() else {
        return Ok(value.clone());
    };
    let none = Value::from(());
    match (step, value.kind()) {
        (Step::Name(name), ValueKind::Map) => {
            let found = value.get_item(&Value::from(name.as_str()))?;
            walk(if found.is_undefined() { &none } else { &found }, later)
        }
        (Step::Index(at), ValueKind::Seq) => {
            let items: Vec<Value> = value.try_iter()?.collect();
            let from_end = items.len() as i64 + at;
            let at = if *at < 0 { from_end } else { *at };
            let found = usize::try_from(at).ok().and_then(|at| items.get(at));
            walk(found.unwrap_or(&none), later)
        }
        (Step::Each, ValueKind::Seq) => each(value.try_iter()?, later),
        (Step::Flat, ValueKind::Seq) => {
            let mut flat = Vec::new();
            for item in value.try_iter()? {
                match item.kind() {
                    ValueKind::Seq => flat.extend(item.try_iter()?),
                    _ => flat.push(item),
                }
            }
            each(flat.into_iter(), later)
        }
        (Step::Values, ValueKind::Map) => each(
            python::pairs(value)?.into_iter().map(|(_, item)| item),
            later,
        ),
        _ => Ok(none),
    }
}

/// A projection leaves out what comes to null.
fn each(items: impl Iterator<Item = Value>, later: &[Step]) -> Result<Value, Error> {
    let mut kept = Vec::new();
    for item in items {
        let found = walk(&item, later)?;
        if !found.is_none() {
            kept.push(found);
        }
    }
    Ok(Value::from(kept))
}
