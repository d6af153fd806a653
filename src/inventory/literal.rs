//! Python literals, as the values of an INI inventory are written: `1`, `'a'`, `[1, None]`.
//!
//! Only text in, value out; what is no literal stays the text that it is.

use super::Value;
use super::value::Map;
use super::yaml::identity;

/// Deeper nesting is taken for a text.
const MAX_DEPTH: usize = 100;

/// The value of an INI assignment's right side. Fails on what Python reads and cannot build.
pub(super) fn value(text: &str) -> Result<Value, &'static str> {
    let mut reader = Reader {
        rest: text.trim_start_matches([' ', '\t']),
        depth: 0,
        flaw: None,
    };
    let read = reader.items(None).filter(|_| reader.at_end());
    match (read, reader.flaw) {
        (Some(_), Some(flaw)) => Err(flaw),
        (Some(value), None) => Ok(value),
        (None, _) => Ok(Value::Text(text.to_owned())),
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
    /// Counts only if the whole is a literal.
    flaw: Option<&'static str>,
}

impl<'a> Reader<'a> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\x0c']);
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn at_end(&mut self) -> bool {
        self.skip();
        self.rest.is_empty() || self.rest.starts_with('#')
    }

    /// Values up to `close`, or to the end. One without a comma is itself, else they are a tuple.
    fn items(&mut self, close: Option<&str>) -> Option<Value> {
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            if let Some(close) = close {
                if self.take(close) {
                    break;
                }
            } else if !items.is_empty() && self.at_end() {
                break;
            }
            items.push(self.atom()?);
            let comma = self.take(",");
            is_tuple |= comma;
            if !comma {
                match close {
                    Some(close) if self.take(close) => break,
                    None if self.at_end() => break,
                    _ => return None,
                }
            }
        }
        match (is_tuple, items.len()) {
            (false, 1) if close != Some("]") => items.pop(),
            _ => Some(Value::List(items)),
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Option<Value>) -> Option<Value> {
        self.depth += 1;
        let value = (self.depth < MAX_DEPTH).then(|| read(self)).flatten();
        self.depth -= 1;
        value
    }

    fn atom(&mut self) -> Option<Value> {
        self.skip();
        if self.take("(") {
            return self.nested(|reader| reader.items(Some(")")));
        }
        if self.take("[") {
            return self.nested(|reader| reader.items(Some("]")));
        }
        if self.take("{") {
            return self.nested(Self::braces);
        }
        if self.take("...") {
            return Some(Value::Text("...".to_owned()));
        }
        for (sign, factor) in [("-", -1), ("+", 1)] {
            if self.take(sign) {
                return match self.signed()? {
                    Value::Int(number) => Some(Value::Int(factor * number)),
                    Value::Float(number) => Some(Value::Float(factor as f64 * number)),
                    _ => None,
                };
            }
        }
        if self
            .rest
            .starts_with(|c: char| c.is_ascii_digit() || c == '.')
        {
            return self.number();
        }
        self.texts().or_else(|| self.name())
    }

    /// A sign stands before a number or brackets around one, and before nothing else.
    fn signed(&mut self) -> Option<Value> {
        self.skip();
        match self.rest.chars().next()? {
            '(' => self.atom(),
            c if c.is_ascii_digit() || c == '.' => self.number(),
            _ => None,
        }
    }

    fn name(&mut self) -> Option<Value> {
        let end = self.rest.find(|c: char| !is_word(c));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        match word {
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            "None" => Some(Value::Null),
            "set" => (self.take("(") && self.take(")")).then(|| Value::List(Vec::new())),
            _ => None,
        }
    }

    /// A dictionary, or a set, which becomes a list.
    fn braces(&mut self) -> Option<Value> {
        let mut pairs: Vec<(Value, Value)> = Vec::new();
        let mut items: Vec<Value> = Vec::new();
        while !self.take("}") {
            let first = self.atom()?;
            if matches!(first, Value::List(_) | Value::Map(_)) {
                self.flaw = Some("a list or a dictionary cannot be a key");
            }
            if self.take(":") {
                let value = self.atom()?;
                match pairs
                    .iter_mut()
                    .find(|(key, _)| identity(key) == identity(&first))
                {
                    Some(pair) => pair.1 = value,
                    None => pairs.push((first, value)),
                }
            } else if !items.iter().any(|item| identity(item) == identity(&first)) {
                items.push(first);
            }
            if !self.take(",") && !self.rest.starts_with('}') {
                return None;
            }
        }
        match (pairs.is_empty(), items.is_empty()) {
            (_, true) => Some(Value::Map(Map::from_distinct(pairs))),
            (true, false) => Some(Value::List(items)),
            (false, false) => None,
        }
    }

    fn number(&mut self) -> Option<Value> {
        let end = number_end(self.rest);
        let (text, rest) = self.rest.split_at(end);
        if rest.starts_with(is_word) {
            return None;
        }
        self.rest = rest;
        let digits = well_spaced(text)?;
        let radix = |radix| {
            let digits = digits.get(2..)?;
            i128::from_str_radix(digits, radix).ok().map(Value::Int)
        };
        match digits.get(..2) {
            Some("0x" | "0X") => return radix(16),
            Some("0o" | "0O") => return radix(8),
            Some("0b" | "0B") => return radix(2),
            _ => {}
        }
        if digits.contains(['.', 'e', 'E']) {
            return digits.parse().ok().map(Value::Float);
        }
        let is_old_octal = digits.starts_with('0') && digits.bytes().any(|digit| digit != b'0');
        let number = digits.parse().ok().map(Value::Int);
        number.filter(|_| !is_old_octal)
    }

    /// One string, or several in a row, which are one.
    fn texts(&mut self) -> Option<Value> {
        let mut whole = Vec::new();
        let mut kind = None;
        loop {
            let before = self.rest;
            self.skip();
            let Some(part) = self.text() else {
                self.rest = before;
                break;
            };
            if kind.is_some_and(|kind| kind != part.1) {
                return None;
            }
            kind = Some(part.1);
            whole.extend(part.0);
        }
        let is_bytes = kind?;
        match String::from_utf8(whole) {
            // Ansible trusts no bytes to be a template.
            Ok(text) if is_bytes => Some(Value::Unsafe(text)),
            Ok(text) => Some(Value::Text(text)),
            Err(_) => {
                self.flaw = Some("its bytes are not UTF-8");
                Some(Value::Null)
            }
        }
    }

    /// The bytes of one string literal, and whether it is one of bytes.
    fn text(&mut self) -> Option<(Vec<u8>, bool)> {
        let start = self.rest.find(['\'', '"'])?;
        let (is_raw, is_bytes) = match self.rest[..start].to_ascii_lowercase().as_str() {
            "" | "u" => (false, false),
            "r" => (true, false),
            "b" => (false, true),
            "br" | "rb" => (true, true),
            _ => return None,
        };
        let body = &self.rest[start..];
        let quote = ["'''", "\"\"\"", "'", "\""]
            .into_iter()
            .find(|quote| body.starts_with(quote))?;
        let mut rest = &body[quote.len()..];
        let mut out = Vec::new();
        loop {
            if let Some(after) = rest.strip_prefix(quote) {
                self.rest = after;
                return Some((out, is_bytes));
            }
            let c = rest.chars().next()?;
            if is_bytes && !c.is_ascii() {
                return None;
            }
            rest = &rest[c.len_utf8()..];
            if c != '\\' {
                push(&mut out, c);
            } else if is_raw {
                let next = rest.chars().next()?;
                out.push(b'\\');
                push(&mut out, next);
                rest = &rest[next.len_utf8()..];
            } else {
                rest = escape(rest, is_bytes, &mut out)?;
            }
        }
    }
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// What follows a backslash; gives what is left.
fn escape<'a>(rest: &'a str, is_bytes: bool, out: &mut Vec<u8>) -> Option<&'a str> {
    let c = rest.chars().next()?;
    let after = &rest[c.len_utf8()..];
    let plain = match c {
        '\\' | '\'' | '"' => Some(c),
        'a' => Some('\x07'),
        'b' => Some('\x08'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        _ => None,
    };
    if let Some(plain) = plain {
        push(out, plain);
        return Some(after);
    }
    let mut code = |digits: &str, radix| {
        let number = u32::from_str_radix(digits, radix).ok()?;
        match is_bytes {
            true => out.push(number as u8),
            false => push(out, char::from_u32(number)?),
        }
        Some(())
    };
    let hex_len = match c {
        'x' => 2,
        'u' if !is_bytes => 4,
        'U' if !is_bytes => 8,
        'N' if !is_bytes => return None,
        '0'..='7' => {
            let octal = |c: char| ('0'..='7').contains(&c);
            let len = rest.chars().take(3).take_while(|&c| octal(c)).count();
            code(&rest[..len], 8)?;
            return Some(&rest[len..]);
        }
        _ => {
            out.push(b'\\');
            push(out, c);
            return Some(after);
        }
    };
    let digits = after.get(..hex_len)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    code(digits, 16)?;
    Some(&after[hex_len..])
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn number_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let based = matches!(bytes, [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..]);
    let mut at = 0;
    while at < bytes.len() {
        let goes_on = match bytes[at] {
            b'0'..=b'9' | b'_' => true,
            b'.' => !based,
            b'+' | b'-' => !based && matches!(bytes[at - 1], b'e' | b'E'),
            byte => {
                byte.is_ascii_hexdigit() && based || matches!(byte, b'e' | b'E') || based && at == 1
            }
        };
        if !goes_on {
            break;
        }
        at += 1;
    }
    at
}

/// The digits without `_`, which may stand only between two of them (or after `0x`).
fn well_spaced(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_') {
        let before = at.checked_sub(1).map(|at| bytes[at])?;
        let after = bytes.get(at + 1)?;
        let is_prefix = at == 2 && matches!(before, b'x' | b'X' | b'o' | b'O' | b'b' | b'B');
        if !(before.is_ascii_hexdigit() || is_prefix) || !after.is_ascii_hexdigit() {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn as_literal_eval_reads_it() {
        let list = Value::List;
        let one = Value::Int(1);
        for (written, read) in [
            ("1", Value::Int(1)),
            ("-1", Value::Int(-1)),
            ("1_000", Value::Int(1000)),
            ("0x_ff", Value::Int(255)),
            ("0o17", Value::Int(15)),
            ("00", Value::Int(0)),
            ("1e3", Value::Float(1000.0)),
            (".5", Value::Float(0.5)),
            ("10.", Value::Float(10.0)),
            ("True", Value::Bool(true)),
            ("None", Value::Null),
            ("...", text("...")),
            ("1 # one", Value::Int(1)),
            ("(1)", Value::Int(1)),
            ("1,", list(vec![one.clone()])),
            ("()", list(vec![])),
            ("(1,)", list(vec![one.clone()])),
            ("[1]", list(vec![one.clone()])),
            (
                "[1, [None],]",
                list(vec![one.clone(), list(vec![Value::Null])]),
            ),
            ("{1, 1}", list(vec![one.clone()])),
            ("set()", list(vec![])),
            ("{}", Value::Map(Map::default())),
            ("'a' \"b\"", text("ab")),
            ("b'\\x41'", Value::Unsafe("A".to_owned())),
            ("r'\\n'", text("\\n")),
            ("'\\n\\101\\u00e9\\d'", text("\nAé\\d")),
            ("'''it's'''", text("it's")),
            (
                "{'a': 1}",
                Value::Map([("a".to_owned(), one.clone())].into_iter().collect()),
            ),
        ] {
            assert_eq!(value(written), Ok(read), "{written}");
        }
    }

    #[test]
    fn all_else_is_a_text() {
        for written in [
            "",
            "yes",
            "true",
            "0777",
            "1__0",
            "1_",
            "1.2.3",
            "10.0.0.1",
            "1-2",
            "--1",
            "-True",
            "'open",
            "[1",
            "1 2",
            "1;",
            "f'x'",
            "'a' b'c'",
            "a # b",
            "0x",
            "1x",
            "{1: 2, 3}",
            "(,)",
            "'\\x4'",
            "3j",
            "&a",
            "e5",
            ".",
            "1e",
            "-",
            "{{ x }}",
        ] {
            assert_eq!(value(written), Ok(text(written)), "{written}");
        }
        assert!(value("{[]: 1}").is_err() && value("b'\\xff'").is_err());
    }
}
