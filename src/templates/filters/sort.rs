//! Jinja2's `sort`, which takes its arguments by position too.

use std::cmp::Ordering;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error};

use super::{Arguments, Given, More, wrong};
use crate::templates::python;

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("sort", sort);
}

fn sort(Given(list): Given, rest: More) -> Result<Vec<Value>, Error> {
    let arguments = Arguments::new(rest)?;
    let reverse = arguments.flag(0, "reverse");
    let case_sensitive = arguments.flag(1, "case_sensitive");
    let attributes = arguments.get(2, "attribute").filter(|name| !name.is_none());
    arguments.finish(3)?;
    let attributes = attributes.map(|names| python::str_of(&names)).transpose()?;
    let mut keyed = Vec::new();
    for item in list.try_iter()? {
        keyed.push((key(&item, attributes.as_deref(), case_sensitive)?, item));
    }
    check_comparable(&keyed)?;
    // Python keeps equal items in order also when it sorts in reverse.
    keyed.sort_by(|(left, _), (right, _)| {
        if reverse {
            order(right, left)
        } else {
            order(left, right)
        }
    });
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}

fn order(left: &[Value], right: &[Value]) -> Ordering {
    left.cmp(right)
}

/// What an item is sorted by: one value for each attribute named.
fn key(item: &Value, attributes: Option<&str>, case_sensitive: bool) -> Result<Vec<Value>, Error> {
    let names = attributes.map_or(vec![""], |names| names.split(',').collect());
    names
        .into_iter()
        .map(|name| {
            let value = attribute(item, name)?;
            Ok(match value.as_str() {
                Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
                _ => value,
            })
        })
        .collect()
}

/// The value at a dotted path; an empty path is the item itself.
fn attribute(item: &Value, path: &str) -> Result<Value, Error> {
    let mut value = item.clone();
    for step in path.split('.').filter(|step| !step.is_empty()) {
        value = match step.parse::<usize>() {
            Ok(at) => value.get_item_by_index(at)?,
            Err(_) => value.get_attr(step)?,
        };
    }
    if value.is_undefined() {
        return Err(wrong(format!("sort finds no `{path}` in an item")));
    }
    Ok(value)
}

fn check_comparable(keyed: &[(Vec<Value>, Value)]) -> Result<(), Error> {
    let class = |value: &Value| match value.kind() {
        ValueKind::Bool => ValueKind::Number,
        kind => kind,
    };
    for pair in keyed.windows(2) {
        for (left, right) in pair[0].0.iter().zip(&pair[1].0) {
            if class(left) != class(right) {
                return Err(wrong(format!(
                    "sort cannot compare a {} with a {}",
                    left.kind(),
                    right.kind()
                )));
            }
        }
    }
    Ok(())
}
