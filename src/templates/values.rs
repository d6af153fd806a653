//! Raw values turned into what the engine computes with, and its results into JSON.
//!
//! No template is rendered here; `scope` decides what needs that.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};
use serde_json::Value as Json;

use super::python;
use crate::inventory::Value as Raw;

/// Whether resolving the value takes more than copying it.
pub(super) fn is_lazy(raw: &Raw) -> bool {
    match raw {
        Raw::Text(text) => looks_like_template(text),
        Raw::Vault(_) => true,
        Raw::List(items) => items.iter().any(is_lazy),
        Raw::Map(map) => map.iter().any(|(_, value)| is_lazy(value)),
        _ => false,
    }
}

/// Ansible's own quick look.
pub(super) fn looks_like_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|start| text.contains(start)) || text.starts_with("#jinja2:")
}

/// The engine's form of a value in which nothing is lazy.
pub(super) fn plain(raw: &Raw) -> Value {
    match raw {
        Raw::Null => Value::from(()),
        Raw::Bool(flag) => Value::from(*flag),
        Raw::Int(number) => match i64::try_from(*number) {
            Ok(small) => Value::from(small),
            Err(_) => Value::from(*number),
        },
        Raw::Float(number) => Value::from(*number),
        Raw::Text(text) | Raw::Unsafe(text) | Raw::Vault(text) => Value::from(text.as_str()),
        Raw::List(items) => items.iter().map(plain).collect(),
        Raw::Map(map) => {
            Value::from_pairs(map.iter().map(|(key, value)| (plain(key), plain(value))))
        }
    }
}

/// A result as JSON. Fails where an undefined value or an error hides inside.
pub(super) fn to_json(value: &Value) -> Result<Json, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(python::undefined(value)),
        ValueKind::Invalid => return Err(python::invalid(value)),
        ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => number(value),
        ValueKind::String => Json::String(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Seq | ValueKind::Iterable => Json::Array(
            value
                .try_iter()?
                .map(|item| to_json(&item))
                .collect::<Result<_, _>>()?,
        ),
        ValueKind::Map => Json::Object(
            python::pairs(value)?
                .into_iter()
                .map(|(key, item)| Ok((key_text(&key)?, to_json(&item)?)))
                .collect::<Result<_, Error>>()?,
        ),
        _ => Json::String(value.to_string()),
    })
}

/// A mapping's key as Python's `json` writes it.
pub(super) fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.into()),
        ValueKind::None => Ok("null".into()),
        _ => python::str_of(key),
    }
}

fn number(value: &Value) -> Json {
    if let Some(float) = python::as_float(value) {
        return serde_json::Number::from_f64(float).map_or(Json::Null, Json::Number);
    }
    match value.as_i64() {
        Some(small) => Json::from(small),
        None => {
            u64::try_from(value.clone()).map_or_else(|_| Json::from(value.to_string()), Json::from)
        }
    }
}

/// JSON as the engine's value.
pub(super) fn from_json(json: &Json) -> Value {
    plain(&Raw::from(json.clone()))
}
