//! Filters that lay a text out, or take one apart: wordwrap, striptags, URLs, `%` formats.

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error};

use super::{Arguments, Given, More, wrong};
use crate::templates::python;

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("wordwrap", wordwrap);
    engine.add_filter("striptags", |Given(text): Given| {
        python::str_of(&text).map(|text| strip_tags(&text))
    });
    engine.add_filter("pprint", |Given(value): Given, _: More| {
        python::repr_of(&value)
    });
    engine.add_filter("xmlattr", xml_attributes);
    engine.add_filter("urldecode", |Given(text): Given| {
        python::str_of(&text).map(|text| unquote(&text.replace('+', " ")))
    });
    engine.add_filter("urlsplit", url_split);
    engine.add_filter("format", format);
}

fn wordwrap(Given(text): Given, rest: More) -> Result<String, Error> {
    let arguments = Arguments::new(rest)?;
    let width = arguments.number(0, "width")?.unwrap_or(79);
    let breaks_words = arguments
        .get(1, "break_long_words")
        .is_none_or(|value| value.is_true());
    let between = arguments
        .get(2, "wrapstring")
        .filter(|between| !between.is_none())
        .map(|between| python::str_of(&between))
        .transpose()?
        .unwrap_or_else(|| "\n".into());
    let at_hyphens = arguments
        .get(3, "break_on_hyphens")
        .is_none_or(|value| value.is_true());
    arguments.finish(4)?;
    let width = usize::try_from(width)
        .ok()
        .filter(|width| *width > 0)
        .ok_or_else(|| wrong("wordwrap takes a width above 0"))?;
    let text = python::str_of(&text)?;
    let lines: Vec<String> = lines(&text)
        .map(|line| wrap(line, width, breaks_words, at_hyphens).join(&between))
        .collect();
    Ok(lines.join(&between))
}

/// Python's `splitlines`, as far as line feeds and carriage returns go.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .flat_map(|line| line.split('\r').collect::<Vec<_>>())
}

/// One paragraph as Python's `textwrap` breaks it.
fn wrap(text: &str, width: usize, breaks_words: bool, at_hyphens: bool) -> Vec<String> {
    let mut chunks: Vec<Vec<char>> = chunks(text, at_hyphens);
    chunks.reverse();
    let is_blank = |chunk: &Vec<char>| chunk.iter().all(|char| char.is_whitespace());
    let mut made: Vec<String> = Vec::new();
    while !chunks.is_empty() {
        let mut line: Vec<Vec<char>> = Vec::new();
        let mut len = 0;
        if !made.is_empty() && chunks.last().is_some_and(is_blank) {
            chunks.pop();
        }
        while let Some(chunk) = chunks.pop() {
            if len + chunk.len() > width {
                chunks.push(chunk);
                break;
            }
            len += chunk.len();
            line.push(chunk);
        }
        if let Some(long) = chunks.pop_if(|chunk| chunk.len() > width) {
            if breaks_words {
                let room = width.saturating_sub(len).max(usize::from(line.is_empty()));
                let (head, tail) = long.split_at(room);
                line.push(head.to_vec());
                chunks.push(tail.to_vec());
            } else if line.is_empty() {
                line.push(long);
            } else {
                chunks.push(long);
            }
        }
        line.pop_if(|chunk| is_blank(chunk));
        if !line.is_empty() {
            made.push(line.concat().into_iter().collect());
        }
    }
    made
}

/// White space and words; a word may be broken after a hyphen between letters.
fn chunks(text: &str, at_hyphens: bool) -> Vec<Vec<char>> {
    let chars: Vec<char> = text.chars().collect();
    let letter = |at: usize| chars.get(at).is_some_and(|char| char.is_alphabetic());
    let mut made: Vec<Vec<char>> = Vec::new();
    for (at, char) in chars.iter().enumerate() {
        let begins = match at.checked_sub(1).map(|before| chars[before]) {
            None => true,
            Some(before) if before.is_whitespace() != char.is_whitespace() => true,
            Some('-') if at_hyphens && at >= 3 => {
                let after = letter(at)
                    && (letter(at + 1) || chars.get(at + 1) == Some(&'-') && letter(at + 2));
                letter(at - 2)
                    && (letter(at - 3) || at >= 4 && chars[at - 3] == '-' && letter(at - 4))
                    && after
            }
            Some(_) => false,
        };
        if begins {
            made.push(Vec::new());
        }
        if let Some(chunk) = made.last_mut() {
            chunk.push(*char);
        }
    }
    made
}

/// As markupsafe does it: comments and tags go, entities are read, white space is one blank.
fn strip_tags(text: &str) -> String {
    let mut text = text.to_owned();
    for (open, close) in [("<!--", "-->"), ("<", ">")] {
        while let Some(start) = text.find(open) {
            let Some(len) = text[start..].find(close) else {
                break;
            };
            text.replace_range(start..start + len + close.len(), "");
        }
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    entities(&words.join(" "))
}

fn entities(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let read = rest
            .find(';')
            .and_then(|end| Some((entity(&rest[1..end])?, end)));
        match read {
            Some((char, end)) => {
                out.push(char);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

fn xml_attributes(Given(map): Given, autospace: Option<bool>) -> Result<String, Error> {
    if map.kind() != ValueKind::Map {
        return Err(wrong(format!(
            "xmlattr takes a mapping, not a {}",
            map.kind()
        )));
    }
    let mut made = Vec::new();
    for (key, value) in python::pairs(&map)? {
        if value.is_none() || value.is_undefined() {
            continue;
        }
        let key = python::str_of(&key)?;
        if key.contains([' ', '/', '>', '=', '\t', '\n', '\r', '\x0c']) {
            return Err(wrong(format!("`{key}` is no name of an attribute")));
        }
        let value = super::builtin::escape(&python::str_of(&value)?);
        made.push(format!("{}=\"{value}\"", super::builtin::escape(&key)));
    }
    let text = made.join(" ");
    Ok(match autospace.unwrap_or(true) && !text.is_empty() {
        true => format!(" {text}"),
        false => text,
    })
}

fn unquote(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .filter(|hex| bytes[at] == b'%' && hex.iter().all(u8::is_ascii_hexdigit))
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(hex.unwrap_or(bytes[at]));
        at += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn url_split(Given(url): Given, rest: More) -> Result<Value, Error> {
    let arguments = Arguments::new(rest)?;
    let wanted = arguments.text(0, "query")?.unwrap_or_default();
    arguments.finish(1)?;
    let url = python::str_of(&url)?;
    let parts = url_parts(&url)?;
    if wanted.is_empty() {
        return Ok(Value::from_pairs(parts));
    }
    let found = parts.into_iter().find(|(name, _)| *name == wanted);
    found
        .map(|(_, value)| value)
        .ok_or_else(|| wrong(format!("urlsplit knows no part `{wanted}`")))
}

fn url_parts(url: &str) -> Result<Vec<(&'static str, Value)>, Error> {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|char: char| char.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char))
    };
    let (scheme, rest) = match url.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
        _ => (String::new(), url),
    };
    let (netloc, rest) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (user, host) = match netloc.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, netloc),
    };
    let (name, password) = match user.map(|user| user.split_once(':').unwrap_or((user, "\0"))) {
        Some((name, "\0")) => (Some(name), None),
        Some((name, password)) => (Some(name), Some(password)),
        None => (None, None),
    };
    let (host, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => match host.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host, None),
        },
    };
    let port = match port.filter(|port| !port.is_empty()) {
        None => Value::from(()),
        Some(port) => Value::from(
            port.parse::<u16>()
                .map_err(|_| wrong(format!("urlsplit: `{port}` is no port")))?,
        ),
    };
    let host = (!host.is_empty()).then(|| host.to_lowercase());
    Ok(vec![
        ("fragment", Value::from(fragment)),
        ("hostname", Value::from(host)),
        ("netloc", Value::from(netloc)),
        ("password", Value::from(password)),
        ("path", Value::from(path)),
        ("port", port),
        ("query", Value::from(query)),
        ("scheme", Value::from(scheme)),
        ("username", Value::from(name)),
    ])
}

/// Python's `%`: `'%s is %03d' | format(name, 7)`.
fn format(Given(template): Given, rest: More) -> Result<String, Error> {
    let template = python::str_of(&template)?;
    let arguments = Arguments::new(rest)?;
    let mut values = arguments.positional.iter().cloned();
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '%' {
            out.push(char);
            continue;
        }
        let mut spec = Spec::default();
        let mut value = None;
        if chars.next_if_eq(&'(').is_some() {
            let name: String = chars.by_ref().take_while(|char| *char != ')').collect();
            let found = arguments.named(&name);
            value =
                Some(found.ok_or_else(|| wrong(format!("format: there is no value `{name}`")))?);
        }
        while let Some(flag) = chars.next_if(|char| "-+ #0".contains(*char)) {
            spec.flags.push(flag);
        }
        let number =
            |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| -> Result<Option<usize>, Error> {
                let mut digits = String::new();
                while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                    digits.push(digit);
                }
                match digits.parse() {
                    _ if digits.is_empty() => Ok(None),
                    Ok(width @ ..=MAX_WIDTH) => Ok(Some(width)),
                    _ => Err(wrong(format!("format: a width of {digits} is too large"))),
                }
            };
        spec.width = number(&mut chars)?.unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(&mut chars)?.unwrap_or(0));
        }
        let sign = chars
            .next()
            .ok_or_else(|| wrong("format: the text ends within a %"))?;
        if sign == '%' {
            out.push('%');
            continue;
        }
        let value = value
            .or_else(|| values.next())
            .ok_or_else(|| wrong("format: there are more % than values"))?;
        if value.is_undefined() {
            return Err(python::undefined(&value));
        }
        out.push_str(&spec.write(sign, &value)?);
    }
    match values.next() {
        Some(_) => Err(wrong("format: there are more values than %")),
        None => Ok(out),
    }
}

const MAX_WIDTH: usize = 10_000;

#[derive(Default)]
struct Spec {
    flags: String,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    fn write(&self, sign: char, value: &Value) -> Result<String, Error> {
        let text = match sign {
            's' => self.cut(python::str_of(value)?),
            'r' | 'a' => self.cut(python::repr_of(value)?),
            'c' => self.cut(character(value)?),
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' => return self.whole(sign, value),
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' => return self.float(sign, value),
            other => return Err(wrong(format!("format knows no %{other}"))),
        };
        Ok(self.pad("", &text, false))
    }

    fn cut(&self, text: String) -> String {
        match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text,
        }
    }

    fn whole(&self, sign: char, value: &Value) -> Result<String, Error> {
        let number = match (value.kind(), python::as_float(value)) {
            (ValueKind::Number, Some(float)) if !"xXo".contains(sign) && float.is_finite() => {
                float.trunc() as i128
            }
            (ValueKind::Number, None) => i128::try_from(value.clone())?,
            (ValueKind::Bool, _) => i128::from(value.is_true()),
            _ => {
                return Err(wrong(format!(
                    "format: %{sign} takes a number, not a {}",
                    value.kind()
                )));
            }
        };
        let digits = match sign {
            'x' => format!("{:x}", number.unsigned_abs()),
            'X' => format!("{:X}", number.unsigned_abs()),
            'o' => format!("{:o}", number.unsigned_abs()),
            _ => number.unsigned_abs().to_string(),
        };
        let digits = format!("{digits:0>width$}", width = self.precision.unwrap_or(0));
        let mark = match sign {
            'x' if self.has('#') => "0x",
            'X' if self.has('#') => "0X",
            'o' if self.has('#') => "0o",
            _ => "",
        };
        Ok(self.pad(&format!("{}{mark}", self.sign(number < 0)), &digits, true))
    }

    fn sign(&self, is_negative: bool) -> &'static str {
        match is_negative {
            true => "-",
            false if self.has('+') => "+",
            false if self.has(' ') => " ",
            false => "",
        }
    }

    fn float(&self, sign: char, value: &Value) -> Result<String, Error> {
        let number = match value.kind() {
            ValueKind::Number => f64::try_from(value.clone())?,
            ValueKind::Bool => f64::from(u8::from(value.is_true())),
            kind => {
                return Err(wrong(format!(
                    "format: %{sign} takes a number, not a {kind}"
                )));
            }
        };
        let precision = self.precision.unwrap_or(6);
        let size = number.abs();
        let digits = match sign.to_ascii_lowercase() {
            _ if !number.is_finite() => python::float_text(size),
            'f' => format!("{size:.precision$}"),
            'e' => exponent(size, precision),
            _ => general(size, precision.max(1)),
        };
        let digits = if sign.is_uppercase() {
            digits.to_uppercase()
        } else {
            digits
        };
        Ok(self.pad(
            self.sign(number.is_sign_negative()),
            &digits,
            number.is_finite(),
        ))
    }

    fn pad(&self, sign: &str, text: &str, zeros: bool) -> String {
        let room = self
            .width
            .saturating_sub(sign.chars().count() + text.chars().count());
        match (self.has('-'), self.has('0') && zeros) {
            (true, _) => format!("{sign}{text}{}", " ".repeat(room)),
            (false, true) => format!("{sign}{}{text}", "0".repeat(room)),
            (false, false) => format!("{}{sign}{text}", " ".repeat(room)),
        }
    }
}

fn character(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str().filter(|text| text.chars().count() == 1) {
        return Ok(text.to_owned());
    }
    let code = value.as_i64().and_then(|code| u32::try_from(code).ok());
    let char = code.and_then(char::from_u32);
    char.map(String::from)
        .ok_or_else(|| wrong("format: %c takes a character or its number"))
}

/// `1.5e+00`
fn exponent(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let mark = if power < 0 { '-' } else { '+' };
    format!("{digits}e{mark}{:02}", power.abs())
}

/// As short as the significant digits allow.
fn general(number: f64, precision: usize) -> String {
    let shorter = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    let long = exponent(number, precision - 1);
    let (digits, power) = long.split_once('e').unwrap_or((&long, "0"));
    let place: i32 = power.parse().unwrap_or(0);
    match (-4..precision as i32).contains(&place) {
        true => shorter(format!(
            "{number:.*}",
            (precision as i32 - 1 - place) as usize
        )),
        false => format!("{}e{power}", shorter(digits.to_owned())),
    }
}
