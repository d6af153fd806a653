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
            ValueKind::Seq | ValueKind::Iterable | ValueKind::Map | ValueKind::String
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
    register_outcomes(engine);
    register_uris(engine);
    for name in ["nan", "isnan"] {
        engine.add_test(name, |Given(value): Given| {
            python::as_float(&value).is_some_and(f64::is_nan)
        });
    }
    engine.add_test("callable", |value: &Value| {
        value.as_object().is_some() && value.kind() == ValueKind::Plain
    });
    for name in ["abs", "is_abs"] {
        engine.add_test(name, |Given(path): Given| {
            python::str_of(&path).map(|path| path.starts_with('/'))
        });
    }
    let on_the_host = [
        "directory",
        "is_dir",
        "file",
        "is_file",
        "link",
        "is_link",
        "exists",
        "link_exists",
        "same_file",
        "is_same_file",
        "mount",
        "is_mount",
        "vaulted_file",
    ];
    for name in on_the_host {
        engine.add_test(name, move |_: More| -> Result<bool, Error> {
            Err(wrong(format!(
                "the test {name} looks at the host, which no template may; set a variable instead"
            )))
        });
    }
    for name in ["subset", "issubset"] {
        engine.add_test(
            name,
            |Given(left): Given, Given(right): Given| -> Result<bool, Error> {
                let right = items(&right)?;
                Ok(items(&left)?.iter().all(|item| right.contains(item)))
            },
        );
    }
    for name in ["superset", "issuperset"] {
        engine.add_test(
            name,
            |Given(left): Given, Given(right): Given| -> Result<bool, Error> {
                let left = items(&left)?;
                Ok(items(&right)?.iter().all(|item| left.contains(item)))
            },
        );
    }
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

/// What became of a task, as its registered result says.
fn register_outcomes(engine: &mut Environment<'static>) {
    let outcomes: [(&str, &str, bool); 15] = [
        ("failed", "failed", true),
        ("failure", "failed", true),
        ("succeeded", "failed", false),
        ("success", "failed", false),
        ("successful", "failed", false),
        ("reachable", "unreachable", false),
        ("unreachable", "unreachable", true),
        ("timedout", "timedout", true),
        ("changed", "changed", true),
        ("change", "changed", true),
        ("skipped", "skipped", true),
        ("skip", "skipped", true),
        ("finished", "finished", true),
        ("started", "started", true),
        ("escaped", "__html__", true),
    ];
    for (name, key, wanted) in outcomes {
        engine.add_test(name, move |Given(result): Given| -> Result<bool, Error> {
            if key == "__html__" {
                return Ok(false);
            }
            if result.kind() != ValueKind::Map {
                return Err(wrong(format!(
                    "the test {name} takes a task's result, not a {}",
                    result.kind()
                )));
            }
            Ok(result.get_item(&Value::from(key))?.is_true() == wanted)
        });
    }
}

fn register_uris(engine: &mut Environment<'static>) {
    let scheme = |text: &str| -> String {
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_one = scheme
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char));
        if is_one {
            scheme.to_lowercase()
        } else {
            String::new()
        }
    };
    let among = move |text: &str, schemes: Option<Value>| -> Result<bool, Error> {
        match schemes.filter(|schemes| !schemes.is_none()) {
            None => Ok(true),
            Some(schemes) => Ok(items(&schemes)?.contains(&Value::from(scheme(text)))),
        }
    };
    engine.add_test("uri", move |Given(value): Given, schemes: Option<Value>| {
        among(value.as_str().unwrap_or_default(), schemes)
    });
    engine.add_test("url", move |Given(value): Given, schemes: Option<Value>| {
        let text = value.as_str().unwrap_or_default();
        let rest = text.split_once(':').map_or(text, |(_, rest)| rest);
        let has_host = rest
            .strip_prefix("//")
            .is_some_and(|rest| !rest.starts_with(['/', '?', '#']) && !rest.is_empty());
        Ok::<_, Error>((has_host || scheme(text) == "file") && among(text, schemes)?)
    });
    engine.add_test("urn", move |Given(value): Given| {
        scheme(value.as_str().unwrap_or_default()) == "urn"
    });
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
    let order = compare(&have, &want)?;
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

/// Fails where a number would have to be less or more than a word.
fn compare(have: &str, want: &str) -> Result<Ordering, Error> {
    let (have, want) = (parts(have), parts(want));
    let differing = have.iter().zip(&want).find(|(left, right)| left != right);
    match differing {
        Some((Part::Number(_), Part::Word(_)) | (Part::Word(_), Part::Number(_))) => Err(wrong(
            "the version test cannot compare a number with a word",
        )),
        _ => Ok(have.cmp(&want)),
    }
}
