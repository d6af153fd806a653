//! Jinja2's own filters where minijinja's differ or are missing.

use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, filters};

use super::{Arguments, Given, More, wrong};
use crate::templates::{mutable, python};

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("int", int);
    engine.add_filter("float", float);
    engine.add_filter("string", |Given(value): Given| python::str_of(&value));
    engine.add_filter("join", join);
    engine.add_filter("round", round);
    register_named(engine);
    engine.add_function("cycler", |items: Rest<Value>| {
        minijinja_contrib::globals::cycler(items.0)
    });
    engine.add_function("joiner", minijinja_contrib::globals::joiner);
    engine.add_filter("center", center);
    engine.add_filter("wordcount", |Given(text): Given| -> Result<usize, Error> {
        let text = python::str_of(&text)?;
        Ok(text
            .split(|char: char| !char.is_alphanumeric() && char != '_')
            .filter(|word| !word.is_empty())
            .count())
    });
    engine.add_filter("truncate", truncate);
    engine.add_filter("indent", indent);
    engine.add_filter("replace", replace);
    engine.add_filter("trim", trim);
    engine.add_filter("title", |Given(text): Given| {
        python::str_of(&text).map(|text| title(&text))
    });
}

/// minijinja's own, which would not name an undefined value (`e` would even print it as nothing).
fn register_named(engine: &mut Environment<'static>) {
    engine.add_filter("abs", |Given(value): Given| filters::abs(value));
    engine.add_filter("first", |Given(value): Given| filters::first(&value));
    engine.add_filter("last", |Given(value): Given| filters::last(value));
    engine.add_filter("list", |state: &State, Given(value): Given| {
        filters::list(state, value)
    });
    engine.add_filter("items", |Given(value): Given| {
        filters::items(&value)?.try_iter().map(Value::from_iter)
    });
    engine.add_filter(
        "split",
        |Given(value): Given, by: Option<String>, most: Option<i64>| {
            filters::split(&value, by.map(Into::into), most)?
                .try_iter()
                .map(Value::from_iter)
        },
    );
    for name in ["e", "escape", "forceescape"] {
        engine.add_filter(name, |Given(value): Given| {
            python::str_of(&value).map(|text| escape(&text))
        });
    }
}

/// As Python's markupsafe writes the five characters.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&#34;")
}

/// Jinja2's `int`: what is no number is the default, 0.
fn int(Given(value): Given, rest: More) -> Result<Value, Error> {
    let arguments = Arguments::new(rest)?;
    let default = arguments
        .get(0, "default")
        .unwrap_or_else(|| Value::from(0));
    let base = arguments.number(1, "base")?.unwrap_or(10);
    arguments.finish(2)?;
    Ok(match value.kind() {
        ValueKind::Bool => Value::from(i64::from(value.is_true())),
        ValueKind::Number => match python::as_float(&value) {
            Some(float) => truncated(float).unwrap_or(default),
            None => value,
        },
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            let whole = whole_number(text, base).map(Value::from);
            whole
                .or_else(|| parse_float(text).and_then(truncated))
                .unwrap_or(default)
        }
        _ => default,
    })
}

fn truncated(float: f64) -> Option<Value> {
    float
        .is_finite()
        .then(|| float.trunc() as i128)
        .map(|whole| match i64::try_from(whole) {
            Ok(small) => Value::from(small),
            Err(_) => Value::from(whole),
        })
}

/// Python's `int(text, base)`.
fn whole_number(text: &str, base: i64) -> Option<i128> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_lowercase();
    let prefixed = |prefix: &str| lower.strip_prefix(prefix).map(str::to_owned);
    let (radix, digits) = match base {
        0 => [("0x", 16), ("0o", 8), ("0b", 2)]
            .into_iter()
            .find_map(|(prefix, radix)| prefixed(prefix).map(|digits| (radix, digits)))
            .unwrap_or((10, lower)),
        2 => (2, prefixed("0b").unwrap_or(lower)),
        8 => (8, prefixed("0o").unwrap_or(lower)),
        16 => (16, prefixed("0x").unwrap_or(lower)),
        3..=36 => (base as u32, lower),
        _ => return None,
    };
    let digits = without_underscores(&digits)?;
    if !digits.starts_with(|char: char| char.is_digit(radix)) {
        return None;
    }
    i128::from_str_radix(&digits, radix)
        .ok()
        .map(|number| sign * number)
}

/// Python allows single underscores between digits.
fn without_underscores(digits: &str) -> Option<String> {
    let misplaced = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    (!misplaced).then(|| digits.replace('_', ""))
}

fn parse_float(text: &str) -> Option<f64> {
    without_underscores(text.trim())?.parse().ok()
}

fn float(Given(value): Given, rest: More) -> Result<Value, Error> {
    let arguments = Arguments::new(rest)?;
    let default = arguments
        .get(0, "default")
        .unwrap_or_else(|| Value::from(0.0));
    arguments.finish(1)?;
    Ok(match value.kind() {
        ValueKind::Bool => Value::from(if value.is_true() { 1.0 } else { 0.0 }),
        ValueKind::Number => Value::from(f64::try_from(value)?),
        ValueKind::String => {
            parse_float(value.as_str().unwrap_or_default()).map_or(default, Value::from)
        }
        _ => default,
    })
}

fn join(Given(value): Given, rest: More) -> Result<String, Error> {
    let arguments = Arguments::new(rest)?;
    let between = arguments.text(0, "d")?.unwrap_or_default();
    let attribute = arguments.get(1, "attribute");
    arguments.finish(2)?;
    let mut texts = Vec::new();
    for item in value.try_iter()? {
        let item = match &attribute {
            Some(name) => item.get_item(name)?,
            None => item,
        };
        texts.push(python::str_of(&item)?);
    }
    Ok(texts.join(&between))
}

/// Jinja2's `round`: a float stays one, and a whole number too unless floor or ceil are asked for.
fn round(Given(value): Given, rest: More) -> Result<Value, Error> {
    let arguments = Arguments::new(rest)?;
    let precision = arguments.number(0, "precision")?.unwrap_or(0);
    let method = arguments
        .text(1, "method")?
        .unwrap_or_else(|| "common".into());
    arguments.finish(2)?;
    if !value.is_number() {
        return Err(wrong(format!(
            "round takes a number, not a {}",
            value.kind()
        )));
    }
    if value.is_integer() && precision >= 0 && method == "common" {
        return Ok(value);
    }
    let number = f64::try_from(value)?;
    let scale = 10_f64.powi(i32::try_from(precision).unwrap_or(0));
    match method.as_str() {
        "ceil" => Ok(Value::from((number * scale).ceil() / scale)),
        "floor" => Ok(Value::from((number * scale).floor() / scale)),
        "common" => Ok(Value::from(round_half_even(number, precision, scale))),
        other => Err(wrong(format!(
            "round knows common, ceil and floor, not {other}"
        ))),
    }
}

/// Formatting rounds the exact binary value, as CPython does.
fn round_half_even(number: f64, precision: i64, scale: f64) -> f64 {
    match usize::try_from(precision) {
        Ok(digits @ ..=300) => format!("{number:.digits$}").parse().unwrap_or(number),
        Ok(_) => number,
        Err(_) => (number * scale).round_ties_even() / scale,
    }
}

fn center(Given(text): Given, width: Option<usize>) -> Result<String, Error> {
    mutable::pad(&python::str_of(&text)?, "center", width.unwrap_or(80), " ")
}

fn truncate(_: &State, Given(text): Given, rest: More) -> Result<String, Error> {
    let arguments = Arguments::new(rest)?;
    let size = |number: Option<i64>, default| {
        number.map_or(default, |size| usize::try_from(size).unwrap_or(0))
    };
    let length = size(arguments.number(0, "length")?, 255);
    let kill_words = arguments.flag(1, "killwords");
    let end = arguments.text(2, "end")?.unwrap_or_else(|| "...".into());
    let leeway = size(arguments.number(3, "leeway")?, 5);
    arguments.finish(4)?;
    let text = python::str_of(&text)?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let kept: String = text
        .chars()
        .take(length.saturating_sub(end.chars().count()))
        .collect();
    let kept = if kill_words {
        &kept
    } else {
        kept.rsplit_once(' ')
            .map_or(kept.as_str(), |(head, _)| head)
    };
    Ok(format!("{kept}{end}"))
}

fn indent(Given(text): Given, rest: More) -> Result<String, Error> {
    const MAX_WIDTH: i64 = 1000;
    let arguments = Arguments::new(rest)?;
    let lead = match arguments.get(0, "width") {
        Some(width) if width.as_str().is_some() => python::str_of(&width)?,
        Some(_) => " ".repeat(
            arguments
                .number(0, "width")?
                .unwrap_or(4)
                .clamp(0, MAX_WIDTH) as usize,
        ),
        None => "    ".to_owned(),
    };
    let first = arguments.flag(1, "first");
    let blank = arguments.flag(2, "blank");
    arguments.finish(3)?;
    let text = python::str_of(&text)?;
    let mut out = String::new();
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        if if at == 0 {
            first
        } else {
            blank || !line.is_empty()
        } {
            out.push_str(&lead);
        }
        out.push_str(line);
    }
    Ok(out)
}

fn replace(Given(text): Given, rest: More) -> Result<String, Error> {
    let arguments = Arguments::new(rest)?;
    let missing = || Error::from(ErrorKind::MissingArgument);
    let old = arguments.text(0, "old")?.ok_or_else(missing)?;
    let new = arguments.text(1, "new")?.ok_or_else(missing)?;
    let count = arguments.number(2, "count")?;
    arguments.finish(3)?;
    let text = python::str_of(&text)?;
    Ok(match count.and_then(|count| usize::try_from(count).ok()) {
        Some(count) => text.replacen(&old, &new, count),
        None => text.replace(&old, &new),
    })
}

fn trim(Given(text): Given, rest: More) -> Result<String, Error> {
    let arguments = Arguments::new(rest)?;
    let chars = arguments.get(0, "chars").filter(|chars| !chars.is_none());
    let chars = chars.map(|chars| python::str_of(&chars)).transpose()?;
    arguments.finish(1)?;
    let text = python::str_of(&text)?;
    Ok(match chars {
        Some(chars) => text.trim_matches(|char| chars.contains(char)).to_owned(),
        None => text.trim().to_owned(),
    })
}

/// Jinja2's `title`: a word begins after white space or an opening bracket or dash.
fn title(text: &str) -> String {
    let mut begins = true;
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if begins {
            out.extend(char.to_uppercase());
        } else {
            out.extend(char.to_lowercase());
        }
        begins = char.is_whitespace() || "-({[<".contains(char);
    }
    out
}
