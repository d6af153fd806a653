//! Filters on numbers: logarithms, powers, sizes for people.

use minijinja::value::Value;
use minijinja::{Environment, Error};

use super::{Arguments, Given, More, wrong};
use crate::templates::python;

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("log", |Given(number): Given, rest: More| {
        let number = float("log", &number)?;
        let base = argument("log", rest, "base")?;
        if number <= 0.0 {
            return Err(wrong("log takes numbers above 0"));
        }
        Ok(match base {
            None => number.ln(),
            Some(10.0) => number.log10(),
            Some(base) => number.ln() / base.ln(),
        })
    });
    engine.add_filter("pow", |Given(number): Given, rest: More| {
        let by = argument("pow", rest, "y")?.ok_or_else(|| wrong("pow takes an exponent"))?;
        Ok::<_, Error>(float("pow", &number)?.powf(by))
    });
    engine.add_filter("root", |Given(number): Given, rest: More| {
        let number = float("root", &number)?;
        Ok::<_, Error>(match argument("root", rest, "base")? {
            None | Some(2.0) if number < 0.0 => return Err(wrong("root takes no number below 0")),
            None | Some(2.0) => number.sqrt(),
            Some(base) => number.powf(1.0 / base),
        })
    });
    engine.add_filter("human_readable", human_readable);
    engine.add_filter("human_to_bytes", human_to_bytes);
    engine.add_filter("filesizeformat", file_size);
}

fn float(filter: &str, number: &Value) -> Result<f64, Error> {
    f64::try_from(number.clone())
        .map_err(|_| wrong(format!("{filter} takes a number, not a {}", number.kind())))
}

fn argument(filter: &str, rest: More, name: &str) -> Result<Option<f64>, Error> {
    let arguments = Arguments::new(rest)?;
    let value = arguments.get(0, name);
    arguments.finish(1)?;
    value.map(|value| float(filter, &value)).transpose()
}

const UNITS: [(char, u32); 9] = [
    ('Y', 80),
    ('Z', 70),
    ('E', 60),
    ('P', 50),
    ('T', 40),
    ('G', 30),
    ('M', 20),
    ('K', 10),
    ('B', 0),
];

fn human_readable(Given(size): Given, rest: More) -> Result<String, Error> {
    let arguments = Arguments::new(rest)?;
    let is_bits = arguments.flag(0, "isbits");
    let unit = arguments.get(1, "unit").filter(|unit| !unit.is_none());
    let unit = unit.map(|unit| python::str_of(&unit)).transpose()?;
    arguments.finish(2)?;
    let size = float("human_readable", &size)?;
    let base = if is_bits { "bits" } else { "Bytes" };
    let fits = |(letter, power): &(char, u32)| match &unit {
        None => size >= 2_f64.powi(*power as i32),
        Some(unit) => unit.to_uppercase() == letter.to_string(),
    };
    let (letter, power) = UNITS.into_iter().find(fits).unwrap_or(('B', 0));
    let shown = size / 2_f64.powi(power as i32);
    Ok(match power {
        0 => format!("{shown:.2} {base}"),
        _ => format!("{shown:.2} {letter}{}", &base[..1]),
    })
}

fn human_to_bytes(Given(size): Given, rest: More) -> Result<Value, Error> {
    let arguments = Arguments::new(rest)?;
    let default = arguments
        .get(0, "default_unit")
        .filter(|unit| !unit.is_none());
    let default = default.map(|unit| python::str_of(&unit)).transpose()?;
    let is_bits = arguments.flag(1, "isbits");
    arguments.finish(2)?;
    let text = python::str_of(&size)?;
    let bad = || wrong(format!("human_to_bytes cannot read `{text}`"));
    let trimmed = text.trim();
    let end = trimmed
        .find(|char: char| !char.is_ascii_digit() && char != '.')
        .unwrap_or(trimmed.len());
    let number: f64 = trimmed[..end].parse().map_err(|_| bad())?;
    let unit = trimmed[end..].trim();
    let unit = match (unit.is_empty(), &default) {
        (false, _) => unit,
        (true, Some(default)) => default,
        (true, None) => "B",
    };
    let first = unit
        .chars()
        .next()
        .map(|char| char.to_ascii_uppercase())
        .ok_or_else(bad)?;
    let (letter, power) = UNITS
        .into_iter()
        .find(|(letter, _)| *letter == first)
        .ok_or_else(bad)?;
    let rest = &unit[1..];
    let expected = match (power, is_bits) {
        (0, false) => ["", "yte", "ytes"],
        (0, true) => ["", "it", "its"],
        (_, false) => ["", "B", "b"],
        (_, true) => ["", "b", "b"],
    };
    let is_known = expected.contains(&rest)
        || (letter == 'B' && expected.contains(&rest.to_lowercase().as_str()));
    if !is_known {
        return Err(bad());
    }
    Ok(Value::from(
        (number * 2_f64.powi(power as i32)).round_ties_even() as i128,
    ))
}

fn file_size(Given(size): Given, rest: More) -> Result<String, Error> {
    let arguments = Arguments::new(rest)?;
    let is_binary = arguments.flag(0, "binary");
    arguments.finish(1)?;
    let bytes = match size.as_str() {
        Some(text) => text
            .trim()
            .parse()
            .map_err(|_| wrong("filesizeformat takes a number"))?,
        None => float("filesizeformat", &size)?,
    };
    let base: f64 = if is_binary { 1024.0 } else { 1000.0 };
    if bytes == 1.0 {
        return Ok("1 Byte".into());
    }
    if bytes < base {
        return Ok(format!("{} Bytes", bytes.trunc()));
    }
    let letters = ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];
    let mut unit = base;
    let mut place = 0;
    while place + 1 < letters.len() && bytes >= unit * base {
        unit *= base;
        place += 1;
    }
    let letter = letters[place];
    Ok(match is_binary {
        true => format!("{:.1} {}iB", bytes / unit, letter.to_ascii_uppercase()),
        false => format!("{:.1} {letter}B", bytes / unit),
    })
}
