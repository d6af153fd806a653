//! The filters, tests and functions that Ansible adds to Jinja2, and those of Jinja2 that minijinja lacks.
//!
//! Each file below holds one kind; this one registers them and reads their
//! arguments the Python way, by position or by name.

mod builtin;
mod collections;
mod crypt;
mod dates;
mod encode;
mod json;
mod layout;
mod math;
mod names;
mod pairs;
mod paths;
mod pattern;
mod query;
mod random;
mod sort;
mod tests;
mod text;
mod vault;
mod yaml;

pub use names::{Known, known};

use minijinja::value::{ArgType, Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind};

use super::{mutable, python, tokens};

/// All arguments of a filter beside the value before the bar.
type More = Rest<ValueOrKwargs>;

/// An argument that must not be undefined. (Taken as a plain `Value` it could be.)
pub(super) struct Given(Value);

impl<'a> ArgType<'a> for Given {
    type Output = Given;

    fn from_value(value: Option<&'a Value>) -> Result<Given, Error> {
        let value = value.ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
        if value.is_undefined() {
            return Err(python::undefined(value));
        }
        Ok(Given(value.clone()))
    }
}

/// What a filter was called with, beside the value before the bar.
pub(super) struct Arguments {
    positional: Vec<Value>,
    named: Option<Kwargs>,
}

impl Arguments {
    fn new(rest: More) -> Result<Arguments, Error> {
        let mut positional = rest.into_values();
        let named = match positional.last() {
            Some(last) if last.is_kwargs() => {
                let last = positional.pop().expect("there is one");
                Some(Kwargs::try_from(last)?)
            }
            _ => None,
        };
        Ok(Arguments { positional, named })
    }

    /// The argument at `place` (from 0), or the one of that name.
    fn get(&self, place: usize, name: &str) -> Option<Value> {
        self.positional
            .get(place)
            .cloned()
            .or_else(|| self.named(name))
    }

    fn named(&self, name: &str) -> Option<Value> {
        let named = self.named.as_ref()?;
        if named.has(name) {
            named.get(name).ok()
        } else {
            None
        }
    }

    fn text(&self, place: usize, name: &str) -> Result<Option<String>, Error> {
        self.get(place, name)
            .map(|value| python::str_of(&value))
            .transpose()
    }

    fn flag(&self, place: usize, name: &str) -> bool {
        self.get(place, name).is_some_and(|value| value.is_true())
    }

    fn number(&self, place: usize, name: &str) -> Result<Option<i64>, Error> {
        let Some(value) = self.get(place, name).filter(|value| !value.is_none()) else {
            return Ok(None);
        };
        let number = value
            .as_i64()
            .ok_or_else(|| wrong(format!("{name} must be a whole number")))?;
        Ok(Some(number))
    }

    /// No argument may be left that the filter does not know.
    fn finish(&self, most: usize) -> Result<(), Error> {
        if self.positional.len() > most {
            return Err(Error::from(ErrorKind::TooManyArguments));
        }
        match &self.named {
            Some(named) => named.assert_all_used(),
            None => Ok(()),
        }
    }
}

/// An error that says what a filter could not do.
pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// `a.b['c']` for `default` and `is defined`: a missing step makes the whole undefined.
fn chain(base: &Value, steps: Rest<Value>) -> Result<Value, Error> {
    let mut value = base.clone();
    for step in steps.iter() {
        if value.is_undefined() || value.is_none() {
            return Ok(Value::UNDEFINED);
        }
        value = value.get_item(step)?;
        if value.kind() == ValueKind::Invalid {
            return Err(python::invalid(&value));
        }
    }
    Ok(value)
}

/// What a loop goes over.
fn each(Given(value): Given) -> Value {
    match value.as_str() {
        Some(text) => text
            .chars()
            .map(|char| Value::from(char.to_string()))
            .collect(),
        None => value,
    }
}

/// Adds everything to an environment.
pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_function(tokens::CHAIN, chain);
    engine.add_function(tokens::EACH, each);
    engine.add_function(mutable::MUTABLE, mutable::wrap);
    builtin::register(engine);
    collections::register(engine);
    crypt::register(engine);
    dates::register(engine);
    encode::register(engine);
    json::register(engine);
    layout::register(engine);
    math::register(engine);
    pairs::register(engine);
    paths::register(engine);
    pattern::register(engine);
    query::register(engine);
    random::register(engine);
    sort::register(engine);
    tests::register(engine);
    text::register(engine);
    vault::register(engine);
    yaml::register(engine);
}
