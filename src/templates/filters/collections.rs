//! Ansible's filters on lists and mappings.

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error};

use super::{Arguments, Given, More, wrong};
use crate::templates::python;

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("combine", combine);
    engine.add_filter("dict2items", dict2items);
    engine.add_filter("items2dict", items2dict);
    engine.add_filter("flatten", flatten);
    engine.add_filter(
        "union",
        |Given(left): Given, Given(right): Given| -> Result<Vec<Value>, Error> {
            Ok(distinct(items(&left)?.into_iter().chain(items(&right)?)))
        },
    );
    engine.add_filter(
        "intersect",
        |Given(left): Given, Given(right): Given| -> Result<Vec<Value>, Error> {
            let right = items(&right)?;
            Ok(distinct(
                items(&left)?
                    .into_iter()
                    .filter(|item| right.contains(item)),
            ))
        },
    );
    engine.add_filter(
        "difference",
        |Given(left): Given, Given(right): Given| -> Result<Vec<Value>, Error> {
            let right = items(&right)?;
            Ok(distinct(
                items(&left)?
                    .into_iter()
                    .filter(|item| !right.contains(item)),
            ))
        },
    );
    engine.add_filter("symmetric_difference", symmetric_difference);
}

pub(super) fn items(value: &Value) -> Result<Vec<Value>, Error> {
    if value.kind() == ValueKind::String {
        return Err(wrong("a list is wanted here, not a text"));
    }
    value.try_iter().map(Iterator::collect)
}

fn distinct(items: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

fn symmetric_difference(Given(left): Given, Given(right): Given) -> Result<Vec<Value>, Error> {
    let (left, right) = (items(&left)?, items(&right)?);
    let only_left = left.iter().filter(|item| !right.contains(item));
    let only_right = right.iter().filter(|item| !left.contains(item));
    Ok(distinct(only_left.chain(only_right).cloned()))
}

/// What to do where two lists meet under one key.
#[derive(Clone, Copy)]
enum Lists {
    Replace,
    Keep,
    Append,
    Prepend,
    AppendNew,
    PrependNew,
}

fn combine(Given(first): Given, rest: More) -> Result<Value, Error> {
    let arguments = Arguments::new(rest)?;
    let recursive = arguments
        .named("recursive")
        .is_some_and(|value| value.is_true());
    let lists = match arguments
        .named("list_merge")
        .map(|value| python::str_of(&value))
        .transpose()?
        .as_deref()
    {
        None | Some("replace") => Lists::Replace,
        Some("keep") => Lists::Keep,
        Some("append") => Lists::Append,
        Some("prepend") => Lists::Prepend,
        Some("append_rp") => Lists::AppendNew,
        Some("prepend_rp") => Lists::PrependNew,
        Some(other) => return Err(wrong(format!("combine does not know list_merge={other}"))),
    };
    arguments.finish(usize::MAX)?;
    let mut merged = Vec::new();
    for term in std::iter::once(first).chain(arguments.positional) {
        let maps = if term.kind() == ValueKind::Map {
            vec![term]
        } else {
            items(&term)?
        };
        for map in maps {
            merged = merge(merged, &map, recursive, lists, 0)?;
        }
    }
    Ok(Value::from_pairs(merged))
}

type Pairs = Vec<(Value, Value)>;

fn merge(
    mut low: Pairs,
    high: &Value,
    recursive: bool,
    lists: Lists,
    depth: usize,
) -> Result<Pairs, Error> {
    const MAX_DEPTH: usize = 100;
    if high.kind() != ValueKind::Map {
        return Err(wrong(format!(
            "combine takes mappings, not a {}",
            high.kind()
        )));
    }
    if depth > MAX_DEPTH {
        return Err(wrong("combine got too deep a nesting"));
    }
    for (key, new) in python::pairs(high)? {
        let Some(slot) = low.iter_mut().find(|(have, _)| *have == key) else {
            low.push((key, new));
            continue;
        };
        let old = &slot.1;
        slot.1 = match (old.kind(), new.kind()) {
            (ValueKind::Map, ValueKind::Map) if recursive => Value::from_pairs(merge(
                python::pairs(old)?,
                &new,
                recursive,
                lists,
                depth + 1,
            )?),
            (ValueKind::Seq, ValueKind::Seq) => merge_lists(old, new, lists)?,
            _ => new,
        };
    }
    Ok(low)
}

fn merge_lists(old: &Value, new: Value, lists: Lists) -> Result<Value, Error> {
    let (low, high) = (items(old)?, items(&new)?);
    let absent = |high: &[Value]| {
        low.iter()
            .filter(|item| !high.contains(item))
            .cloned()
            .collect::<Vec<_>>()
    };
    Ok(match lists {
        Lists::Replace => new,
        Lists::Keep => old.clone(),
        Lists::Append => Value::from([low, high].concat()),
        Lists::Prepend => Value::from([high, low].concat()),
        Lists::AppendNew => Value::from([absent(&high), high].concat()),
        Lists::PrependNew => {
            let rest = absent(&high);
            Value::from([high, rest].concat())
        }
    })
}

fn names(arguments: &Arguments) -> Result<(Value, Value), Error> {
    let name = |place, parameter, default: &str| {
        arguments
            .get(place, parameter)
            .unwrap_or_else(|| Value::from(default))
    };
    let names = (name(0, "key_name", "key"), name(1, "value_name", "value"));
    arguments.finish(2)?;
    Ok(names)
}

fn dict2items(Given(map): Given, rest: More) -> Result<Value, Error> {
    let (key_name, value_name) = names(&Arguments::new(rest)?)?;
    if map.kind() != ValueKind::Map {
        return Err(wrong(format!(
            "dict2items takes a mapping, not a {}",
            map.kind()
        )));
    }
    let pairs = python::pairs(&map)?;
    Ok(pairs
        .into_iter()
        .map(|(key, value)| {
            Value::from_pairs([(key_name.clone(), key), (value_name.clone(), value)])
        })
        .collect())
}

fn items2dict(Given(list): Given, rest: More) -> Result<Value, Error> {
    let (key_name, value_name) = names(&Arguments::new(rest)?)?;
    let mut pairs = Vec::new();
    for item in items(&list)? {
        let (key, value) = (item.get_item(&key_name)?, item.get_item(&value_name)?);
        if key.is_undefined() || value.is_undefined() {
            return Err(wrong(format!(
                "items2dict wants {key_name} and {value_name} in each item"
            )));
        }
        pairs.push((key, value));
    }
    Ok(Value::from_pairs(pairs))
}

fn flatten(Given(list): Given, rest: More) -> Result<Vec<Value>, Error> {
    let arguments = Arguments::new(rest)?;
    let levels = arguments.number(0, "levels")?;
    let skip_nulls = arguments
        .get(1, "skip_nulls")
        .is_none_or(|value| value.is_true());
    arguments.finish(2)?;
    let mut flat = Vec::new();
    spread(&list, levels.unwrap_or(100), skip_nulls, &mut flat)?;
    Ok(flat)
}

fn spread(list: &Value, levels: i64, skip_nulls: bool, flat: &mut Vec<Value>) -> Result<(), Error> {
    for item in items(list)? {
        let is_null = item.is_none() || matches!(item.as_str(), Some("None" | "null"));
        if is_null && skip_nulls {
            continue;
        }
        if item.kind() == ValueKind::Seq && levels >= 1 {
            spread(&item, levels - 1, skip_nulls, flat)?;
        } else {
            flat.push(item);
        }
    }
    Ok(())
}
