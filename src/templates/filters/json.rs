//! JSON as Python's `json` module writes it, which is not how serde_json does.
//!
//! `", "` and `": "` between items, ASCII only unless told otherwise.

use std::fmt::Write;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error};

use super::{Arguments, Given, More, wrong};
use crate::templates::{python, values};

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("to_json", |Given(value): Given, rest: More| {
        dumps(
            &value,
            &Style::from(&Arguments::new(rest)?, Style::default())?,
        )
    });
    engine.add_filter("to_nice_json", |Given(value): Given, rest: More| {
        let nice = Style {
            indent: Some(4),
            sort_keys: true,
            ..Style::default()
        };
        let style = Style::from(&Arguments::new(rest)?, nice)?;
        dumps(
            &value,
            &Style {
                separators: Some((",".into(), ": ".into())),
                ..style
            },
        )
    });
    engine.add_filter("tojson", |Given(value): Given, indent: Option<usize>| {
        let style = Style {
            indent,
            sort_keys: true,
            ..Style::default()
        };
        // Jinja2 makes it safe inside HTML.
        dumps(&value, &style).map(|text| {
            text.replace('<', "\\u003c")
                .replace('>', "\\u003e")
                .replace('&', "\\u0026")
                .replace('\'', "\\u0027")
        })
    });
    engine.add_filter("from_json", |Given(text): Given| {
        let text = python::str_of(&text)?;
        let json = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("from_json got something that is not JSON: {error}")))?;
        Ok::<_, Error>(values::from_json(&json))
    });
}

/// How to write.
struct Style {
    indent: Option<usize>,
    sort_keys: bool,
    ascii: bool,
    separators: Option<(String, String)>,
}

impl Default for Style {
    fn default() -> Style {
        Style {
            indent: None,
            sort_keys: false,
            ascii: true,
            separators: None,
        }
    }
}

impl Style {
    fn from(arguments: &Arguments, default: Style) -> Result<Style, Error> {
        const MAX_INDENT: i64 = 100;
        let flag = |name, default| {
            arguments
                .named(name)
                .map_or(default, |value| value.is_true())
        };
        let indent = match arguments.named("indent") {
            None => default.indent,
            Some(none) if none.is_none() => None,
            Some(_) => arguments
                .number(usize::MAX, "indent")?
                .map(|indent| indent.clamp(0, MAX_INDENT) as usize),
        };
        let separators = match arguments
            .named("separators")
            .filter(|value| !value.is_none())
        {
            Some(pair) => {
                let part = |at| {
                    pair.get_item_by_index(at)
                        .and_then(|part| python::str_of(&part))
                };
                Some((part(0)?, part(1)?))
            }
            None => default.separators,
        };
        let style = Style {
            indent,
            sort_keys: flag("sort_keys", default.sort_keys),
            ascii: flag("ensure_ascii", default.ascii),
            separators,
        };
        for ignored in ["vault_to_text", "preprocess_unsafe", "profile"] {
            arguments.named(ignored);
        }
        arguments.finish(0)?;
        Ok(style)
    }

    /// Between items and after a key.
    fn signs(&self) -> (&str, &str) {
        match &self.separators {
            Some((item, key)) => (item, key),
            None if self.indent.is_some() => (",", ": "),
            None => (", ", ": "),
        }
    }
}

fn dumps(value: &Value, style: &Style) -> Result<String, Error> {
    let mut out = String::new();
    write(&mut out, value, style, 0)?;
    Ok(out)
}

fn write(out: &mut String, value: &Value, style: &Style, depth: usize) -> Result<(), Error> {
    const MAX_DEPTH: usize = 200;
    if depth > MAX_DEPTH {
        return Err(wrong(format!("more than {MAX_DEPTH} levels of nesting")));
    }
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => match python::as_float(value) {
            Some(float) => out.push_str(&float_text(float)),
            None => out.push_str(&value.to_string()),
        },
        ValueKind::String => write_text(out, value.as_str().unwrap_or_default(), style.ascii),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            write_items(out, style, depth, ('[', ']'), items.len(), |out, at| {
                write(out, &items[at], style, depth + 1)
            })?;
        }
        ValueKind::Map => {
            let mut pairs = python::pairs(value)?;
            if style.sort_keys {
                pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
            }
            write_items(out, style, depth, ('{', '}'), pairs.len(), |out, at| {
                let (key, item) = &pairs[at];
                write_text(out, &values::key_text(key)?, style.ascii);
                out.push_str(style.signs().1);
                write(out, item, style, depth + 1)
            })?;
        }
        // An undefined value, or an error in a value's place.
        _ => {
            values::to_json(value)?;
            return Err(wrong(format!(
                "a {} cannot be written as JSON",
                value.kind()
            )));
        }
    }
    Ok(())
}

fn write_items(
    out: &mut String,
    style: &Style,
    depth: usize,
    (open, close): (char, char),
    count: usize,
    mut item: impl FnMut(&mut String, usize) -> Result<(), Error>,
) -> Result<(), Error> {
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = style.indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent * depth));
        }
    };
    out.push(open);
    for at in 0..count {
        if at > 0 {
            out.push_str(style.signs().0);
        }
        line(out, depth + 1);
        item(out, at)?;
    }
    if count > 0 {
        line(out, depth);
    }
    out.push(close);
    Ok(())
}

fn float_text(float: f64) -> String {
    if float.is_nan() {
        "NaN".into()
    } else if float.is_infinite() {
        if float > 0.0 { "Infinity" } else { "-Infinity" }.into()
    } else {
        python::float_text(float)
    }
}

/// A text with its quotes.
pub(super) fn write_text(out: &mut String, text: &str, ascii: bool) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            ' '..='~' => out.push(char),
            _ if !ascii && char >= ' ' => out.push(char),
            _ => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}
