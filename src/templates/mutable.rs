//! Python's methods on values, and lists and mappings that can be changed in place.
//!
//! minijinja's own collections never change; a template that calls `.append()`
//! or `.update()` gets ones that do (see `tokens`).

use std::sync::{Arc, Mutex, MutexGuard};

use minijinja::value::{Enumerator, Object, ObjectRepr, Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

use super::python;

/// Wraps a literal; see `tokens::make_mutable`.
pub(super) const MUTABLE: &str = "__mutable";

/// A slice; see `tokens::rewrite_slices`.
pub(super) const SLICE: &str = "__slice";

/// The methods that change what they are called on.
pub(super) const CHANGING: [&str; 8] = [
    "append",
    "extend",
    "insert",
    "remove",
    "clear",
    "update",
    "setdefault",
    "pop",
];

/// A list or mapping as a value that can be changed.
pub(super) fn wrap(value: Value) -> Result<Value, Error> {
    Ok(match value.kind() {
        ValueKind::Map => Value::from_object(Dict(Mutex::new(python::pairs(&value)?))),
        _ => Value::from_object(List(Mutex::new(value.try_iter()?.collect()))),
    })
}

/// Methods the engine does not know by itself.
pub(super) fn method(
    state: &mut State,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match (value.kind(), name) {
        (_, SLICE) => slice(value, args),
        (ValueKind::String, "title") => {
            let () = from_args(args)?;
            Ok(Value::from(title(value.as_str().unwrap_or_default())))
        }
        (ValueKind::String, "casefold") => {
            let () = from_args(args)?;
            let text = value.as_str().unwrap_or_default();
            Ok(Value::from(text.to_lowercase().replace('ß', "ss")))
        }
        (ValueKind::String, "expandtabs") => {
            let (size,): (Option<usize>,) = from_args(args)?;
            let size = size.unwrap_or(8);
            check_width(size)?;
            Ok(Value::from(expand_tabs(
                value.as_str().unwrap_or_default(),
                size,
            )))
        }
        (ValueKind::String, "zfill") => {
            let (width,): (usize,) = from_args(args)?;
            Ok(Value::from(zfill(
                value.as_str().unwrap_or_default(),
                width,
            )?))
        }
        (ValueKind::String, "ljust" | "rjust" | "center") => {
            let (width, fill): (usize, Option<&str>) = from_args(args)?;
            pad(
                value.as_str().unwrap_or_default(),
                name,
                width,
                fill.unwrap_or(" "),
            )
            .map(Value::from)
        }
        (ValueKind::Seq | ValueKind::Map, name) if CHANGING.contains(&name) => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!(
                "this value cannot be changed by .{name}(); build a new one, e.g. with + or combine"
            ),
        )),
        (
            ValueKind::String,
            "rsplit" | "partition" | "rpartition" | "swapcase" | "removeprefix" | "removesuffix",
        ) => text_method(value.as_str().unwrap_or_default(), name, args),
        (ValueKind::Map, "keys") => Ok(value.try_iter()?.collect()),
        (ValueKind::Map, "values") => Ok(python::pairs(value)?
            .into_iter()
            .map(|(_, item)| item)
            .collect()),
        (ValueKind::Map, "items") => {
            let pairs = python::pairs(value)?.into_iter();
            Ok(pairs
                .map(|(key, item)| Value::from(Tuple::from([key, item])))
                .collect())
        }
        (ValueKind::Map, "copy") => Ok(value.clone()),
        (ValueKind::String, "index") => {
            let (part,): (&str,) = from_args(args)?;
            let text = value.as_str().unwrap_or_default();
            let at = text.find(part).map(|at| text[..at].chars().count());
            at.map(Value::from).ok_or_else(|| absent("text"))
        }
        (ValueKind::Seq, "index") => {
            let (wanted,): (&Value,) = from_args(args)?;
            let at = value.try_iter()?.position(|item| item == *wanted);
            at.map(Value::from).ok_or_else(|| absent("list"))
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
    }
}

/// Python's `str.title`: what follows no letter is a capital.
fn title(text: &str) -> String {
    let mut after_letter = false;
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if after_letter {
            out.extend(char.to_lowercase());
        } else {
            out.extend(char.to_uppercase());
        }
        after_letter = char.is_alphabetic();
    }
    out
}

fn expand_tabs(text: &str, size: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for char in text.chars() {
        match char {
            '\t' if size > 0 => {
                let blanks = size - column % size;
                out.push_str(&" ".repeat(blanks));
                column += blanks;
            }
            '\t' => {}
            _ => {
                out.push(char);
                column = if char == '\n' || char == '\r' {
                    0
                } else {
                    column + 1
                };
            }
        }
    }
    out
}

/// `value[start:stop:step]` of a text, a list or a tuple.
fn slice(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let bound = |at: usize| -> Result<Option<i64>, Error> {
        match args.get(at).filter(|bound| !bound.is_none()) {
            None => Ok(None),
            Some(bound) if bound.is_undefined() => Err(python::undefined(bound)),
            Some(bound) => bound.as_i64().map(Some).ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidOperation,
                    "a slice is bounded by whole numbers",
                )
            }),
        }
    };
    let bounds = (bound(0)?, bound(1)?, bound(2)?.unwrap_or(1));
    if bounds.2 == 0 {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "a slice cannot take steps of 0",
        ));
    }
    match value.kind() {
        ValueKind::Undefined => Err(python::undefined(value)),
        ValueKind::String => {
            let chars: Vec<char> = value.as_str().unwrap_or_default().chars().collect();
            let chosen = places(chars.len(), bounds);
            Ok(Value::from(
                chosen.into_iter().map(|at| chars[at]).collect::<String>(),
            ))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            let chosen: Vec<Value> = places(items.len(), bounds)
                .into_iter()
                .map(|at| items[at].clone())
                .collect();
            Ok(match value.is_tuple() {
                true => Value::from(Tuple::from(chosen)),
                false => Value::from(chosen),
            })
        }
        kind => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a {kind} cannot be sliced"),
        )),
    }
}

/// The places that CPython's slice picks out of `len`.
fn places(len: usize, (start, stop, step): (Option<i64>, Option<i64>, i64)) -> Vec<usize> {
    let len = len as i64;
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let clamp = |bound: i64| {
        if bound < 0 {
            bound.saturating_add(len)
        } else {
            bound
        }
        .clamp(low, high)
    };
    let start = start.map_or(if step > 0 { low } else { high }, clamp);
    let stop = stop.map_or(if step > 0 { high } else { low }, clamp);
    let mut chosen = Vec::new();
    let mut at = start;
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        chosen.push(at as usize);
        at = at.saturating_add(step);
    }
    chosen
}

fn text_method(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    if name == "swapcase" {
        let swap = |char: char| -> String {
            if char.is_uppercase() {
                char.to_lowercase().collect()
            } else {
                char.to_uppercase().collect()
            }
        };
        return Ok(Value::from(text.chars().map(swap).collect::<String>()));
    }
    if name == "rsplit" {
        let (separator, most): (Option<&str>, Option<usize>) = from_args(args)?;
        let most = most.unwrap_or(usize::MAX - 1) + 1;
        let mut parts: Vec<&str> = match separator {
            Some(separator) => text.rsplitn(most, separator).collect(),
            None => text
                .trim_end()
                .rsplitn(most, char::is_whitespace)
                .filter(|part| !part.is_empty())
                .collect(),
        };
        parts.reverse();
        return Ok(parts.into_iter().map(Value::from).collect());
    }
    let (part,): (&str,) = from_args(args)?;
    Ok(match name {
        "removeprefix" => Value::from(text.strip_prefix(part).unwrap_or(text)),
        "removesuffix" => Value::from(text.strip_suffix(part).unwrap_or(text)),
        "partition" => three(
            text.split_once(part)
                .map_or([text, "", ""], |(head, tail)| [head, part, tail]),
        ),
        _ => three(
            text.rsplit_once(part)
                .map_or(["", "", text], |(head, tail)| [head, part, tail]),
        ),
    })
}

fn three(parts: [&str; 3]) -> Value {
    parts.into_iter().map(Value::from).collect()
}

/// More than any line needs; a guard on memory.
const MAX_WIDTH: usize = 1 << 20;

fn check_width(width: usize) -> Result<(), Error> {
    if width > MAX_WIDTH {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a width of {width} is too large"),
        ));
    }
    Ok(())
}

pub(super) fn zfill(text: &str, width: usize) -> Result<String, Error> {
    check_width(width)?;
    let zeros = "0".repeat(width.saturating_sub(text.chars().count()));
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign = &text[..text.len() - digits.len()];
    Ok(format!("{sign}{zeros}{digits}"))
}

pub(super) fn pad(text: &str, side: &str, width: usize, fill: &str) -> Result<String, Error> {
    check_width(width)?;
    let room = width.saturating_sub(text.chars().count());
    // CPython's rounding: the odd blank goes left when the width is odd.
    let left = match side {
        "ljust" => 0,
        "rjust" => room,
        _ => room / 2 + (room & width & 1),
    };
    Ok(format!(
        "{}{text}{}",
        fill.repeat(left),
        fill.repeat(room - left)
    ))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|held| held.into_inner())
}

#[derive(Debug)]
struct List(Mutex<Vec<Value>>);

impl List {
    fn refuse_circle(self: &Arc<Self>, item: &Value) -> Result<(), Error> {
        refuse_circle(item, Arc::as_ptr(self).cast(), 0)
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        lock(&self.0).get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(lock(&self.0).clone())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State,
        name: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let nothing = Ok(Value::from(()));
        match name {
            "append" => {
                let (item,): (Value,) = from_args(args)?;
                self.refuse_circle(&item)?;
                lock(&self.0).push(item);
                nothing
            }
            "extend" => {
                let (more,): (&Value,) = from_args(args)?;
                let more: Vec<Value> = more.try_iter()?.collect();
                more.iter().try_for_each(|item| self.refuse_circle(item))?;
                lock(&self.0).extend(more);
                nothing
            }
            "insert" => {
                let (at, item): (i64, Value) = from_args(args)?;
                self.refuse_circle(&item)?;
                let mut items = lock(&self.0);
                let at = position(at, items.len()).min(items.len());
                items.insert(at, item);
                nothing
            }
            "remove" => {
                let (item,): (&Value,) = from_args(args)?;
                // Compared outside the lock: the item may be the list itself.
                let items = lock(&self.0).clone();
                let at = items
                    .iter()
                    .position(|have| have == item)
                    .ok_or_else(|| absent("list"))?;
                lock(&self.0).remove(at);
                nothing
            }
            "pop" => {
                let (at,): (Option<i64>,) = from_args(args)?;
                let mut items = lock(&self.0);
                let at = position(at.unwrap_or(-1), items.len());
                if at < items.len() {
                    Ok(items.remove(at))
                } else {
                    Err(absent("list"))
                }
            }
            "clear" => {
                lock(&self.0).clear();
                nothing
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// A Python index, which counts from the end when negative.
fn position(at: i64, len: usize) -> usize {
    usize::try_from(at).unwrap_or_else(|_| {
        let back = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
        len.saturating_sub(back)
    })
}

/// A collection must not come to hold itself: whoever walks it would never end.
fn refuse_circle(item: &Value, whole: *const (), depth: usize) -> Result<(), Error> {
    const MAX_DEPTH: usize = 50;
    let own = item
        .downcast_object_ref::<List>()
        .map(|list| std::ptr::from_ref(list).cast());
    let own = own.or_else(|| {
        item.downcast_object_ref::<Dict>()
            .map(|dict| std::ptr::from_ref(dict).cast())
    });
    if own == Some(whole) || depth > MAX_DEPTH {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "a collection cannot be put into itself",
        ));
    }
    match item.kind() {
        ValueKind::Seq => item
            .try_iter()?
            .try_for_each(|inner| refuse_circle(&inner, whole, depth + 1)),
        ValueKind::Map => python::pairs(item)?
            .iter()
            .try_for_each(|(_, inner)| refuse_circle(inner, whole, depth + 1)),
        _ => Ok(()),
    }
}

fn absent(what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!("the {what} has no such item"),
    )
}

#[derive(Debug)]
struct Dict(Mutex<Vec<(Value, Value)>>);

impl Dict {
    fn put(self: &Arc<Self>, key: Value, value: Value) -> Result<(), Error> {
        refuse_circle(&value, Arc::as_ptr(self).cast(), 0)?;
        if key.as_object().is_some() {
            return Err(Error::new(
                ErrorKind::NonKey,
                "a list or a mapping cannot be a key",
            ));
        }
        let mut pairs = lock(&self.0);
        match pairs.iter_mut().find(|(have, _)| *have == key) {
            Some(slot) => slot.1 = value,
            None => pairs.push((key, value)),
        }
        Ok(())
    }

    fn find(&self, key: &Value) -> Option<Value> {
        if key.as_object().is_some() {
            return None;
        }
        lock(&self.0)
            .iter()
            .find(|(have, _)| have == key)
            .map(|(_, value)| value.clone())
    }
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.find(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(lock(&self.0).iter().map(|(key, _)| key.clone()).collect())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State,
        name: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match name {
            "update" => {
                for more in args {
                    for (key, value) in python::pairs(more)? {
                        self.put(key, value)?;
                    }
                }
                Ok(Value::from(()))
            }
            "setdefault" => {
                let (key, value): (Value, Option<Value>) = from_args(args)?;
                if let Some(have) = self.find(&key) {
                    return Ok(have);
                }
                let value = value.unwrap_or_else(|| Value::from(()));
                self.put(key, value.clone())?;
                Ok(value)
            }
            "pop" => {
                let (key, default): (&Value, Option<Value>) = from_args(args)?;
                match self.find(key) {
                    Some(value) => {
                        lock(&self.0).retain(|(have, _)| have != key);
                        Ok(value)
                    }
                    None => default.ok_or_else(|| absent("mapping")),
                }
            }
            "clear" => {
                lock(&self.0).clear();
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}
