//! The tests of Ansible, and those of Jinja2 that must not accept an undefined value.

use std::cmp::Ordering;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error};

use super::collections::items;
use super::{Arguments, Given, More, wrong};
use crate::templates::python;

pub(super) fn register(engine: &mut Environment<'static>) {
    // Taking the value itself makes an undefined one an error, as under Ansible.
    engine.add_test("none", |Given(value): Given| value.is_none());
    engine.add_test("string", |Given(value): Given| {
        value.kind() == ValueKind::String
    });
    engine.add_test("number", |Given(value): Given| {
        matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
    });
    engine.add_test("boolean", |Given(value): Given| {
        value.kind() == ValueKind::Bool
    });
    engine.add_test("integer", |Given(value): Given| value.is_integer());
    engine.add_test("float", |Given(value): Given| {
        python::as_float(&value).is_some()
    });
    engine.add_test("mapping", |Given(value): Given| {
        value.kind() == ValueKind::Map
    });
    engine.add_test("iterable", |Given(value): Given| value.try_iter().is_ok());
    engine.add_test("sequence", |Given(value): Given| {
        matches!(
            value.kind(),
            ValueKind::Seq | ValueKind::Map | ValueKind::String
        )
    });
    engine.add_test("truthy", |Given(value): Given| value.is_true());
    engine.add_test("falsy", |Given(value): Given| !value.is_true());
    engine.add_test("all", |Given(list): Given| {
        Ok::<_, Error>(items(&list)?.iter().all(Value::is_true))
    });
    engine.add_test("any", |Given(list): Given| {
        Ok::<_, Error>(items(&list)?.iter().any(Value::is_true))
    });
    engine.add_test("version", version);
    engine.add_test("version_compare", version);
    engine.add_test(
        "subset",
        |Given(left): Given, Given(right): Given| -> Result<bool, Error> {
            let right = items(&right)?;
            Ok(items(&left)?.iter().all(|item| right.contains(item)))
        },
    );
    engine.add_test(
        "superset",
        |Given(left): Given, Given(right): Given| -> Result<bool, Error> {
            let left = items(&left)?;
            Ok(items(&right)?.iter().all(|item| left.contains(item)))
        },
    );
    engine.add_test(
        "contains",
        |Given(left): Given, Given(item): Given| -> Result<bool, Error> {
            if let (Some(text), Some(part)) = (left.as_str(), item.as_str()) {
                return Ok(text.contains(part));
            }
            Ok(items(&left)?.contains(&item))
        },
    );
}

/// `'22.04' is version('20.04', '>=')`, in the loose way that is Ansible's default.
fn version(Given(have): Given, rest: More) -> Result<bool, Error> {
    let arguments = Arguments::new(rest)?;
    let want = arguments.text(0, "version")?.unwrap_or_default();
    let operator = arguments
        .text(1, "operator")?
        .unwrap_or_else(|| "eq".into());
    for kind in [arguments.get(2, "strict"), arguments.get(3, "version_type")]
        .into_iter()
        .flatten()
    {
        if kind.is_true() && kind.as_str() != Some("loose") {
            return Err(wrong(
                "the version test compares loosely only; leave strict and version_type out",
            ));
        }
    }
    arguments.finish(4)?;
    let have = python::str_of(&have)?;
    if have.is_empty() || want.is_empty() {
        return Err(wrong("the version test got an empty version"));
    }
    let order = compare(&have, &want);
    Ok(match operator.as_str() {
        "==" | "=" | "eq" => order.is_eq(),
        "!=" | "<>" | "ne" => order.is_ne(),
        "<" | "lt" => order.is_lt(),
        "<=" | "le" => order.is_le(),
        ">" | "gt" => order.is_gt(),
        ">=" | "ge" => order.is_ge(),
        other => {
            return Err(wrong(format!(
                "the version test does not know the operator {other}"
            )));
        }
    })
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

/// Numbers and words as Python's LooseVersion splits them.
fn parts(version: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let same = |char: char| char.is_ascii_digit() == first.is_ascii_digit() && char != '.';
        let len = if first == '.' {
            1
        } else {
            rest.find(|char| !same(char)).unwrap_or(rest.len())
        };
        let (part, tail) = rest.split_at(len);
        match part.parse() {
            _ if part == "." => {}
            Ok(number) => parts.push(Part::Number(number)),
            Err(_) => parts.push(Part::Word(part.to_owned())),
        }
        rest = tail;
    }
    parts
}

fn compare(have: &str, want: &str) -> Ordering {
    parts(have).cmp(&parts(want))
}
