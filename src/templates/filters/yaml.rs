//! `to_yaml`, `to_nice_yaml` and `from_yaml`, in the manner of PyYAML's dumper.
//!
//! Long plain texts are not folded and long flow lists not broken as PyYAML
//! does at 80 columns; all else is its layout.

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error};

use super::{Arguments, Given, More, json, wrong};
use crate::inventory;
use crate::templates::{python, values};

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("to_yaml", |Given(value): Given, rest: More| {
        let style = Style {
            indent: 2,
            flow: Flow::Leaves,
            sort: true,
        };
        dump(&value, style.with(&Arguments::new(rest)?)?)
    });
    engine.add_filter("to_nice_yaml", |Given(value): Given, rest: More| {
        let style = Style {
            indent: 4,
            flow: Flow::Never,
            sort: true,
        };
        dump(&value, style.with(&Arguments::new(rest)?)?)
    });
    engine.add_filter("from_yaml", |Given(text): Given| -> Result<Value, Error> {
        let text = python::str_of(&text)?;
        let document =
            inventory::from_str("from_yaml", &text).map_err(|error| wrong(error.to_string()))?;
        Ok(values::plain(&document.value))
    });
    engine.add_filter(
        "from_yaml_all",
        |Given(text): Given| -> Result<Value, Error> {
            let text = python::str_of(&text)?;
            let mut documents = vec![String::new()];
            for line in text.lines() {
                match (line.strip_prefix("---"), documents.last_mut()) {
                    (Some(rest), last) if rest.is_empty() || rest.starts_with(' ') => {
                        match last.filter(|last| last.trim().is_empty()) {
                            Some(last) => *last = rest.to_owned(),
                            None => documents.push(rest.to_owned()),
                        }
                    }
                    (_, Some(last)) => {
                        last.push('\n');
                        last.push_str(line);
                    }
                    (_, None) => {}
                }
            }
            let read = |text: &String| {
                let document = inventory::from_str("from_yaml_all", text);
                document
                    .map(|document| values::plain(&document.value))
                    .map_err(|error| wrong(error.to_string()))
            };
            documents.iter().map(read).collect()
        },
    );
}

#[derive(Clone, Copy, PartialEq)]
enum Flow {
    Never,
    Always,
    /// `[a, b]` for collections that hold only scalars.
    Leaves,
}

#[derive(Clone, Copy)]
struct Style {
    indent: usize,
    flow: Flow,
    sort: bool,
}

impl Style {
    fn with(mut self, arguments: &Arguments) -> Result<Style, Error> {
        if let Some(indent) = arguments.number(0, "indent")? {
            self.indent = usize::try_from(indent)
                .ok()
                .filter(|indent| (2..10).contains(indent))
                .unwrap_or(2);
        }
        if let Some(flow) = arguments.named("default_flow_style") {
            self.flow = match flow.kind() {
                ValueKind::None => Flow::Leaves,
                _ if flow.is_true() => Flow::Always,
                _ => Flow::Never,
            };
        }
        if let Some(sort) = arguments.named("sort_keys") {
            self.sort = sort.is_true();
        }
        for ignored in ["width", "allow_unicode", "explicit_start"] {
            arguments.named(ignored);
        }
        arguments.finish(1)?;
        Ok(self)
    }
}

fn dump(value: &Value, style: Style) -> Result<String, Error> {
    let mut out = String::new();
    match value.kind() {
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable => {
            if is_flow(value, style)? {
                flow(&mut out, value, style)?;
                out.push('\n');
            } else {
                block(&mut out, value, style, 0, false)?;
            }
        }
        _ => {
            out = format!(
                "{}\n",
                scalar(
                    value,
                    Place::Block {
                        indent: style.indent
                    }
                )?
            )
        }
    }
    Ok(out)
}

fn is_collection(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable
    )
}

fn is_flow(value: &Value, style: Style) -> Result<bool, Error> {
    Ok(match style.flow {
        Flow::Always => true,
        _ if value.len() == Some(0) => true,
        Flow::Never => false,
        Flow::Leaves if value.kind() == ValueKind::Map => !python::pairs(value)?
            .iter()
            .any(|(_, item)| is_collection(item)),
        Flow::Leaves => !value.try_iter()?.any(|item| is_collection(&item)),
    })
}

fn pairs(value: &Value, style: Style) -> Result<Vec<(Value, Value)>, Error> {
    let mut pairs = python::pairs(value)?;
    if style.sort {
        pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
    }
    Ok(pairs)
}

fn flow(out: &mut String, value: &Value, style: Style) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Map => {
            out.push('{');
            for (at, (key, item)) in pairs(value, style)?.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                out.push_str(&scalar(key, Place::Flow)?);
                out.push_str(": ");
                flow(out, item, style)?;
            }
            out.push('}');
        }
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            for (at, item) in value.try_iter()?.enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                flow(out, &item, style)?;
            }
            out.push(']');
        }
        _ => out.push_str(&scalar(value, Place::Flow)?),
    }
    Ok(())
}

/// Writes a collection line by line; `inline` says that its first line has begun already.
fn block(
    out: &mut String,
    value: &Value,
    style: Style,
    column: usize,
    inline: bool,
) -> Result<(), Error> {
    const MAX_COLUMN: usize = 1000;
    if column > MAX_COLUMN {
        return Err(wrong("to_yaml got too deep a nesting"));
    }
    let lead = |out: &mut String, at: usize| {
        if at > 0 || !inline {
            out.push_str(&" ".repeat(column));
        }
    };
    if value.kind() == ValueKind::Map {
        for (at, (key, item)) in pairs(value, style)?.iter().enumerate() {
            lead(out, at);
            out.push_str(&scalar(key, Place::Block { indent: column })?);
            out.push(':');
            let is_list = item.kind() != ValueKind::Map;
            // A list stands as far left as the key that names it.
            let inner = if is_list {
                column
            } else {
                column + style.indent
            };
            below(out, item, style, inner)?;
        }
        return Ok(());
    }
    for (at, item) in value.try_iter()?.enumerate() {
        lead(out, at);
        out.push('-');
        if is_collection(&item) && !is_flow(&item, style)? {
            out.push_str(&" ".repeat(style.indent - 1));
            block(out, &item, style, column + style.indent, true)?;
        } else {
            below(out, &item, style, column)?;
        }
    }
    Ok(())
}

/// What follows a key or a dash.
fn below(out: &mut String, item: &Value, style: Style, column: usize) -> Result<(), Error> {
    if is_collection(item) && !is_flow(item, style)? {
        out.push('\n');
        return block(out, item, style, column, false);
    }
    out.push(' ');
    if is_collection(item) {
        flow(out, item, style)?;
    } else {
        out.push_str(&scalar(
            item,
            Place::Block {
                indent: column + style.indent,
            },
        )?);
    }
    out.push('\n');
    Ok(())
}

/// Where a scalar stands; `indent` is where its further lines begin.
#[derive(Clone, Copy)]
enum Place {
    Block { indent: usize },
    Flow,
}

fn scalar(value: &Value, place: Place) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::None => "null".into(),
        ValueKind::Bool => if value.is_true() { "true" } else { "false" }.into(),
        ValueKind::String => text(value.as_str().unwrap_or_default(), place),
        ValueKind::Number => match python::as_float(value) {
            Some(float) if float.is_nan() => ".nan".into(),
            Some(float) if float.is_infinite() => if float > 0.0 { ".inf" } else { "-.inf" }.into(),
            Some(float) => {
                let text = python::float_text(float);
                // `1e+20` alone would be a text to YAML 1.1.
                if text.contains('.') {
                    text
                } else {
                    text.replacen('e', ".0e", 1)
                }
            }
            None => value.to_string(),
        },
        _ => python::repr_of(value)?,
    })
}

/// A text plain where that reads back as the same text, else quoted.
fn text(text: &str, place: Place) -> String {
    let has_special = text
        .chars()
        .any(|char| char != '\n' && (char.is_control() || char == '\u{feff}'));
    if has_special {
        let mut out = String::new();
        json::write_text(&mut out, text, false);
        return out;
    }
    let is_plain = match place {
        Place::Block { .. } => is_plain(text),
        Place::Flow => is_plain(text) && !text.contains([',', '[', ']', '{', '}', '?', ':']),
    };
    if is_plain {
        return text.to_owned();
    }
    let indent = match place {
        Place::Block { indent } => indent,
        Place::Flow => 2,
    };
    let line = format!("\n\n{}", " ".repeat(indent));
    format!("'{}'", text.replace('\'', "''").replace('\n', &line))
}

/// Whether a text may stand without quotes outside of `[ ]` and `{ }`.
fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars.next().unwrap_or(' ');
    let second = chars.next().unwrap_or(' ');
    let starts_well = match first {
        '-' | '?' | ':' => !second.is_whitespace(),
        _ => !"#,[]{}&*!|>'\"%@` ".contains(first),
    };
    let has_marks = text.contains(": ")
        || text.contains(" #")
        || text.ends_with([':', ' '])
        || text.contains('\n');
    starts_well
        && !has_marks
        && !text.starts_with("---")
        && !text.starts_with("...")
        && inventory::is_plain_text(text)
}
