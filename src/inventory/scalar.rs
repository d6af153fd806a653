//! What a plain YAML scalar means: PyYAML's resolver table for YAML 1.1.
//!
//! The patterns are those of the 1.1 type repository as PyYAML applies them;
//! `0751` is octal, `yes` is true, `1:30` is ninety.

use std::sync::LazyLock;

use regex::Regex;

use super::Value;

static INT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+",
    )
});

static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    )
});

static TIMESTAMP: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]*))?(?:[ \t]*(Z|([-+])([0-9]{1,2})(?::([0-9]{2}))?))?",
    )
});

static DATE: LazyLock<Regex> = LazyLock::new(|| pattern(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"));

pub(super) fn pattern(alternatives: &str) -> Regex {
    Regex::new(&format!("^(?:{alternatives})$")).expect("the pattern is a constant")
}

/// The value of an untagged plain scalar.
pub(super) fn plain(text: &str) -> Value {
    constant(text)
        .or_else(|| int(text))
        .or_else(|| float(text))
        .unwrap_or_else(|| Value::Text(timestamp(text).unwrap_or_else(|| text.to_owned())))
}

/// Whether a plain scalar of this text would be read as this very text.
pub fn is_plain_text(text: &str) -> bool {
    let is_date = DATE.is_match(text) || TIMESTAMP.is_match(text);
    !is_date && !matches!(text, "<<" | "=") && matches!(plain(text), Value::Text(_))
}

/// The value of a scalar with one of YAML's own tags (`!!int` …), if the text fits the tag.
pub(super) fn tagged(kind: &str, text: &str) -> Option<Value> {
    match kind {
        "str" | "value" | "merge" => Some(Value::Text(text.to_owned())),
        "null" => Some(Value::Null),
        "bool" => constant(&text.to_lowercase()).filter(|value| matches!(value, Value::Bool(_))),
        "int" => int(text),
        "float" => float(text).or_else(|| text.parse().ok().map(Value::Float)),
        "timestamp" => Some(Value::Text(
            timestamp(text).unwrap_or_else(|| text.to_owned()),
        )),
        _ => None,
    }
}

fn constant(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(Value::Bool(true))
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(Value::Bool(false))
        }
        _ => None,
    }
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn int(text: &str) -> Option<Value> {
    if !INT.is_match(text) {
        return None;
    }
    let plain = text.replace('_', "");
    let (negative, digits) = signed(&plain);
    let read = if let Some(bits) = digits.strip_prefix("0b") {
        i128::from_str_radix(bits, 2)
    } else if let Some(hex) = digits.strip_prefix("0x") {
        i128::from_str_radix(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i128::from_str_radix(digits, 8)
    } else if digits.contains(':') {
        return base60(digits, |part| part.parse::<i128>().ok())
            .map(|value| Value::Int(if negative { -value } else { value }));
    } else {
        digits.parse()
    };
    let value = read.ok()?;
    Some(Value::Int(if negative { -value } else { value }))
}

fn float(text: &str) -> Option<Value> {
    if !FLOAT.is_match(text) {
        return None;
    }
    let plain = text.replace('_', "").to_lowercase();
    let (negative, digits) = signed(&plain);
    let value = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        _ if digits.contains(':') => base60(digits, |part| part.parse::<f64>().ok())?,
        _ => digits.parse().ok()?,
    };
    Some(Value::Float(if negative { -value } else { value }))
}

/// `1:30` counts like a clock. Least digit first, as PyYAML adds floats up.
fn base60<N>(digits: &str, read: impl Fn(&str) -> Option<N>) -> Option<N>
where
    N: std::ops::Add<Output = N> + std::ops::Mul<Output = N> + From<u8> + Copy,
{
    let mut value = N::from(0);
    let mut base = N::from(1);
    for part in digits.rsplit(':') {
        value = value + read(part)? * base;
        base = base * N::from(60);
    }
    Some(value)
}

/// A date with a time, as Python prints it; a bare date prints as it is written.
fn timestamp(text: &str) -> Option<String> {
    let found = TIMESTAMP.captures(text)?;
    let number = |group| {
        found
            .get(group)
            .and_then(|part| part.as_str().parse::<u32>().ok())
    };
    let mut out = format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        number(1)?,
        number(2)?,
        number(3)?,
        number(4)?,
        number(5)?,
        number(6)?
    );
    if let Some(fraction) = found.get(7).map(|part| part.as_str()) {
        let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
        if micros != "000000" {
            out.push('.');
            out.push_str(&micros);
        }
    }
    if let Some(sign) = found.get(9) {
        let minutes = number(11).unwrap_or(0);
        out.push_str(&format!("{}{:02}:{minutes:02}", sign.as_str(), number(10)?));
    } else if found.get(8).is_some() {
        out.push_str("+00:00");
    }
    Some(out)
}
