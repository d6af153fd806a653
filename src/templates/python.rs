//! How Python writes values: `str()` and `repr()`, which templates print and join with.
//!
//! An undefined value anywhere inside is an error, as under Ansible.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// `str(value)`.
pub(super) fn str_of(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        _ => repr_of(value),
    }
}

/// `repr(value)`.
pub(super) fn repr_of(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write_repr(&mut out, value, Tuples::Kept, 0)?;
    Ok(out)
}

/// What `{{ value }}` prints: nothing for none, and tuples have become lists.
pub(super) fn printed(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    match value.kind() {
        ValueKind::None => {}
        ValueKind::String => out.push_str(value.as_str().unwrap_or_default()),
        _ => write_repr(&mut out, value, Tuples::AsLists, 0)?,
    }
    Ok(out)
}

#[derive(Clone, Copy, PartialEq)]
enum Tuples {
    Kept,
    AsLists,
}

/// A value can hold no more levels than this; the guard is against a circle.
const MAX_DEPTH: usize = 500;

fn write_repr(out: &mut String, value: &Value, tuples: Tuples, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "a value is nested too deeply to be printed",
        ));
    }
    match value.kind() {
        ValueKind::Undefined => return Err(undefined(value)),
        ValueKind::Invalid => return Err(invalid(value)),
        ValueKind::String => write_text(out, value.as_str().unwrap_or_default()),
        ValueKind::Number => match as_float(value) {
            Some(float) => out.push_str(&float_text(float)),
            None => out.push_str(&value.to_string()),
        },
        ValueKind::Seq | ValueKind::Iterable => write_list(out, value, tuples, depth)?,
        ValueKind::Map => write_map(out, value, tuples, depth)?,
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

fn write_list(out: &mut String, value: &Value, tuples: Tuples, depth: usize) -> Result<(), Error> {
    let is_tuple = value.is_tuple() && tuples == Tuples::Kept;
    let (open, close) = if is_tuple { ('(', ')') } else { ('[', ']') };
    let mut count = 0;
    out.push(open);
    for item in value.try_iter()? {
        if count > 0 {
            out.push_str(", ");
        }
        write_repr(out, &item, tuples, depth + 1)?;
        count += 1;
    }
    if is_tuple && count == 1 {
        out.push(',');
    }
    out.push(close);
    Ok(())
}

fn write_map(out: &mut String, value: &Value, tuples: Tuples, depth: usize) -> Result<(), Error> {
    out.push('{');
    for (at, (key, item)) in pairs(value)?.into_iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        write_repr(out, &key, tuples, depth + 1)?;
        out.push_str(": ");
        write_repr(out, &item, tuples, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

/// The pairs of a mapping, in its order.
pub(super) fn pairs(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    value
        .try_iter()?
        .map(|key| {
            let item = value.get_item(&key)?;
            Ok((key, item))
        })
        .collect()
}

/// The error that names what is undefined: asking such a value for anything gives it.
pub(super) fn undefined(value: &Value) -> Error {
    let asked = value.get_attr("").err();
    asked.unwrap_or_else(|| Error::from(ErrorKind::UndefinedError))
}

/// The error a value carries instead of a value.
pub(super) fn invalid(value: &Value) -> Error {
    // Only a checked iteration hands the error out.
    let carried = Value::from(vec![value.clone()])
        .try_iter()
        .ok()
        .and_then(|items| items.checked().find_map(Result::err));
    carried.unwrap_or_else(|| Error::new(ErrorKind::InvalidOperation, "an invalid value is used"))
}

/// The number, if it is a float (and not an integer).
pub(super) fn as_float(value: &Value) -> Option<f64> {
    if value.is_number() && !value.is_integer() {
        f64::try_from(value.clone()).ok()
    } else {
        None
    }
}

/// `repr(float)`: `1.0`, `1e+20`, `1e-05`.
pub(super) fn float_text(float: f64) -> String {
    if float.is_nan() {
        return "nan".into();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.into();
    }
    let (digits, exponent) = shortest(float);
    let sign = if float.is_sign_negative() { "-" } else { "" };
    let len = digits.len() as i32;
    match exponent {
        -4..0 => format!("{sign}0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
        0..16 if len <= exponent + 1 => {
            format!(
                "{sign}{digits}{}.0",
                "0".repeat((exponent + 1 - len) as usize)
            )
        }
        0..16 => {
            let (whole, fraction) = digits.split_at((exponent + 1) as usize);
            format!("{sign}{whole}.{fraction}")
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            let mark = if exponent < 0 { '-' } else { '+' };
            format!("{sign}{first}{dot}{rest}e{mark}{:02}", exponent.abs())
        }
    }
}

/// The fewest digits that give the same float back, and the power of ten of the first.
fn shortest(float: f64) -> (String, i32) {
    let split = |text: String| {
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        (digits, exponent.parse().unwrap_or(0))
    };
    let (digits, exponent) = split(format!("{float:e}"));
    // Of two equally short and near texts CPython takes the even one, Rust may not.
    let even = format!("{float:.*e}", digits.len() - 1);
    if even.parse() == Ok(float) {
        split(even)
    } else {
        (digits, exponent)
    }
}

fn write_text(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if char == quote => {
                out.push('\\');
                out.push(char);
            }
            _ if is_printable(char) => out.push(char),
            _ => match char as u32 {
                code @ ..=0xff => out.push_str(&format!("\\x{code:02x}")),
                code @ ..=0xffff => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
        }
    }
    out.push(quote);
}

/// Python's notion, as far as texts of this field reach: no controls, no
/// separators but the blank, no invisible format signs, nothing private.
fn is_printable(char: char) -> bool {
    let hidden = matches!(char,
        '\u{a0}' | '\u{ad}' | '\u{1680}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{3000}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' | '\u{f0000}'..);
    !char.is_control() && !hidden
}
