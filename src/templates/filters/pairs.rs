//! Filters that put lists together: zip, product, combinations, and what picks out of mappings.

use minijinja::value::{Rest, Tuple, Value, ValueKind};
use minijinja::{Environment, Error};

use super::collections::items;
use super::{Arguments, Given, More, wrong};
use crate::templates::python;

/// More rows than any template needs; a guard on memory.
const MAX_ROWS: usize = 1 << 20;

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("zip", |Given(first): Given, rest: Rest<Value>| {
        let lists = lists(first, &rest)?;
        let len = lists.iter().map(Vec::len).min().unwrap_or(0);
        rows(len, |at| {
            lists.iter().map(|list| list[at].clone()).collect()
        })
    });
    engine.add_filter("zip_longest", zip_longest);
    engine.add_filter("product", product);
    engine.add_filter("permutations", |Given(list): Given, size: Option<usize>| {
        choose(&list, size, Order::Any)
    });
    engine.add_filter("combinations", |Given(list): Given, size: usize| {
        choose(&list, Some(size), Order::Kept)
    });
    engine.add_filter("extract", extract);
    engine.add_filter("subelements", subelements);
    engine.add_filter("rekey_on_member", rekey);
    engine.add_function("dict", dict);
}

fn lists(first: Value, rest: &[Value]) -> Result<Vec<Vec<Value>>, Error> {
    std::iter::once(&first)
        .chain(rest)
        .map(|list| match list.is_undefined() {
            true => Err(python::undefined(list)),
            false => Ok(list.try_iter()?.collect()),
        })
        .collect()
}

fn row(items: Vec<Value>) -> Value {
    Value::from(Tuple::from(items))
}

fn rows(count: usize, make: impl Fn(usize) -> Vec<Value>) -> Result<Vec<Value>, Error> {
    check(count)?;
    Ok((0..count).map(|at| row(make(at))).collect())
}

fn check(count: usize) -> Result<(), Error> {
    match count > MAX_ROWS {
        true => Err(wrong(format!("more than {MAX_ROWS} rows"))),
        false => Ok(()),
    }
}

fn zip_longest(Given(first): Given, rest: More) -> Result<Vec<Value>, Error> {
    let arguments = Arguments::new(rest)?;
    let fill = arguments
        .named("fillvalue")
        .unwrap_or_else(|| Value::from(()));
    arguments.finish(usize::MAX)?;
    let lists = lists(first, &arguments.positional)?;
    let len = lists.iter().map(Vec::len).max().unwrap_or(0);
    rows(len, |at| {
        let item = |list: &Vec<Value>| list.get(at).unwrap_or(&fill).clone();
        lists.iter().map(item).collect()
    })
}

fn product(Given(first): Given, rest: More) -> Result<Vec<Value>, Error> {
    let arguments = Arguments::new(rest)?;
    let mut repeat = 1;
    if arguments.named("repeat").is_some() {
        let times = arguments.number(usize::MAX, "repeat")?.unwrap_or(1);
        repeat = usize::try_from(times).map_err(|_| wrong("repeat cannot be below 0"))?;
    }
    arguments.finish(usize::MAX)?;
    check(repeat)?;
    let once = lists(first, &arguments.positional)?;
    let mut made: Vec<Vec<Value>> = vec![Vec::new()];
    for list in std::iter::repeat_n(&once, repeat).flatten() {
        check(made.len().saturating_mul(list.len()))?;
        let longer = |row: &Vec<Value>| -> Vec<Vec<Value>> {
            let with = |item: &Value| [row.as_slice(), std::slice::from_ref(item)].concat();
            list.iter().map(with).collect()
        };
        made = made.iter().flat_map(longer).collect();
    }
    Ok(made.into_iter().map(row).collect())
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    Kept,
    Any,
}

/// All ways to choose `size` items, in the order of Python's itertools.
fn choose(list: &Value, size: Option<usize>, order: Order) -> Result<Vec<Value>, Error> {
    let items: Vec<Value> = list.try_iter()?.collect();
    let size = size.unwrap_or(items.len());
    let mut made = Vec::new();
    if size <= items.len() {
        grow(&items, size, order, &mut Vec::new(), &mut made)?;
    }
    Ok(made)
}

fn grow(
    items: &[Value],
    size: usize,
    order: Order,
    chosen: &mut Vec<usize>,
    made: &mut Vec<Value>,
) -> Result<(), Error> {
    if chosen.len() == size {
        check(made.len() + 1)?;
        made.push(row(chosen.iter().map(|at| items[*at].clone()).collect()));
        return Ok(());
    }
    let from = match order {
        Order::Kept => chosen.last().map_or(0, |last| last + 1),
        Order::Any => 0,
    };
    for at in from..items.len() {
        if order == Order::Kept || !chosen.contains(&at) {
            chosen.push(at);
            grow(items, size, order, chosen, made)?;
            chosen.pop();
        }
    }
    Ok(())
}

/// `key | extract(container, more)`: the item of a list or mapping, and further down.
fn extract(Given(key): Given, rest: More) -> Result<Value, Error> {
    let arguments = Arguments::new(rest)?;
    let container = arguments
        .get(0, "container")
        .ok_or_else(|| wrong("extract takes a list or a mapping"))?;
    let more = arguments.get(1, "morekeys").filter(|more| !more.is_none());
    arguments.finish(2)?;
    let more = match more {
        None => Vec::new(),
        Some(more) if more.kind() == ValueKind::Seq => items(&more)?,
        Some(more) => vec![more],
    };
    let mut value = container;
    for step in std::iter::once(key).chain(more) {
        value = value.get_item(&step)?;
    }
    match value.is_undefined() {
        true => Err(wrong("extract finds no such item")),
        false => Ok(value),
    }
}

fn subelements(Given(list): Given, rest: More) -> Result<Vec<Value>, Error> {
    let arguments = Arguments::new(rest)?;
    let path = arguments
        .get(0, "subelements")
        .ok_or_else(|| wrong("subelements takes the name of a list in each item"))?;
    let skip = arguments.flag(1, "skip_missing");
    arguments.finish(2)?;
    let steps: Vec<Value> = match path.as_str() {
        Some(path) => path.split('.').map(Value::from).collect(),
        None => items(&path)?,
    };
    let elements: Vec<Value> = match list.kind() {
        ValueKind::Map => python::pairs(&list)?
            .into_iter()
            .map(|(_, item)| item)
            .collect(),
        _ => items(&list)?,
    };
    let mut made = Vec::new();
    for element in elements {
        let mut below = element.clone();
        for step in &steps {
            below = below.get_item(step)?;
            if below.is_undefined() && skip {
                below = Value::from(Vec::<Value>::new());
                break;
            }
            if below.is_undefined() {
                return Err(wrong(format!("subelements finds no {step} in an item")));
            }
        }
        if below.kind() != ValueKind::Seq {
            return Err(wrong("subelements wants a list in each item"));
        }
        for item in items(&below)? {
            check(made.len() + 1)?;
            made.push(row(vec![element.clone(), item]));
        }
    }
    Ok(made)
}

fn rekey(Given(data): Given, rest: More) -> Result<Value, Error> {
    let arguments = Arguments::new(rest)?;
    let key = arguments
        .get(0, "key")
        .ok_or_else(|| wrong("rekey_on_member takes the name of a member"))?;
    let duplicates = arguments
        .text(1, "duplicates")?
        .unwrap_or_else(|| "error".into());
    arguments.finish(2)?;
    let overwrite = match duplicates.as_str() {
        "error" => false,
        "overwrite" => true,
        other => {
            return Err(wrong(format!(
                "duplicates is error or overwrite, not {other}"
            )));
        }
    };
    let elements = match data.kind() {
        ValueKind::Map => python::pairs(&data)?
            .into_iter()
            .map(|(_, item)| item)
            .collect(),
        _ => items(&data)?,
    };
    let mut made: Vec<(Value, Value)> = Vec::new();
    for element in elements {
        if element.kind() != ValueKind::Map {
            return Err(wrong("rekey_on_member wants a mapping in each item"));
        }
        let name = element.get_item(&key)?;
        if name.is_undefined() {
            return Err(wrong(format!("rekey_on_member finds no {key} in an item")));
        }
        match made.iter_mut().find(|(have, _)| *have == name) {
            Some(_) if !overwrite => {
                return Err(wrong(format!("rekey_on_member finds {name} twice")));
            }
            Some(slot) => slot.1 = element,
            None => made.push((name, element)),
        }
    }
    Ok(Value::from_pairs(made))
}

/// Python's `dict`: of a mapping, of pairs, of names.
fn dict(rest: More) -> Result<Value, Error> {
    let arguments = Arguments::new(rest)?;
    if arguments.positional.len() > 1 {
        return Err(wrong("dict takes one mapping or list of pairs"));
    }
    let mut made: Vec<(Value, Value)> = Vec::new();
    let mut put = |key: Value, value: Value| match made.iter_mut().find(|(have, _)| *have == key) {
        Some(slot) => slot.1 = value,
        None => made.push((key, value)),
    };
    if let Some(first) = arguments.positional.first() {
        if first.is_undefined() {
            return Err(python::undefined(first));
        }
        if first.kind() == ValueKind::Map {
            python::pairs(first)?
                .into_iter()
                .for_each(|(key, value)| put(key, value));
        } else {
            for pair in first.try_iter()? {
                let mut pair = pair.try_iter()?;
                match (pair.next(), pair.next(), pair.next()) {
                    (Some(key), Some(value), None) => put(key, value),
                    _ => return Err(wrong("dict takes pairs")),
                }
            }
        }
    }
    if let Some(named) = &arguments.named {
        for name in named.args() {
            put(Value::from(name), named.get(name)?);
        }
    }
    Ok(Value::from_pairs(made))
}
