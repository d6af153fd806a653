//! JSON with the place of every value: notebooks are told about by line and column.

use std::ops::Range;

/// Deeper is refused: the reader recurses.
const DEEPEST: usize = 200;

#[derive(Debug)]
pub struct Node {
    pub at: Range<usize>,
    pub value: Json,
}

#[derive(Debug)]
pub enum Json {
    Null,
    Bool,
    /// A number with neither a fraction nor an exponent has a value.
    Number(Option<i64>),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug)]
pub struct Key {
    pub name: String,
    pub at: Range<usize>,
}

#[derive(Debug)]
pub struct JsonError {
    pub at: usize,
    pub message: String,
}

impl Node {
    pub fn get(&self, name: &str) -> Option<&Node> {
        let Json::Map(pairs) = &self.value else {
            return None;
        };
        let found = pairs.iter().rev().find(|(key, _)| key.name == name);
        found.map(|(_, node)| node)
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Json::Null => "null",
            Json::Bool => "a truth value",
            Json::Number(_) => "a number",
            Json::Text(_) => "a text",
            Json::List(_) => "a list",
            Json::Map(_) => "an object",
        }
    }
}

/// Reads a whole text as one value.
pub fn read(text: &str) -> Result<Node, JsonError> {
    let skipped = text.len() - text.trim_start_matches('\u{feff}').len();
    let mut reader = Reader { text, at: skipped };
    let node = reader.value(0)?;
    reader.blank();
    match reader.at == text.len() {
        true => Ok(node),
        false => Err(reader.error("expected the end of the file")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&self, message: impl Into<String>) -> JsonError {
        JsonError {
            at: self.at,
            message: message.into(),
        }
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, JsonError> {
        self.blank();
        if depth > DEEPEST {
            return Err(self.error(format!("nested deeper than {DEEPEST} levels")));
        }
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.map(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Json::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node {
            at: start..self.at,
            value,
        })
    }

    fn word(&mut self) -> Result<Json, JsonError> {
        for (word, value) in [
            ("null", Json::Null),
            ("true", Json::Bool),
            ("false", Json::Bool),
        ] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error(match self.peek() {
            None => "the file ends where a value is expected",
            Some(b']' | b'}') => "a comma is followed by no value",
            Some(_) => "expected a value",
        }))
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let belongs = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let length = self.rest().find(|c| !belongs(c));
        let length = length.unwrap_or(self.rest().len());
        let text = &self.rest()[..length];
        if serde_json::from_str::<serde_json::Number>(text).is_err() {
            return Err(self.error("not a number as JSON writes one"));
        }
        let whole = text.parse().ok();
        self.at += length;
        Ok(Json::Number(whole))
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let start = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.peek() {
                None | Some(b'\n') => {
                    self.at = start;
                    return Err(self.error("a string is not closed on its line"));
                }
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(..0x20) => return Err(self.error("a control character in a string")),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let inner = self.text.get(start + 1..self.at - 1).unwrap_or_default();
        if !escaped {
            return Ok(inner.to_owned());
        }
        // serde knows the escapes; its column counts bytes from the quote.
        serde_json::from_str(&self.text[start..self.at]).map_err(|e| JsonError {
            at: start + e.column().saturating_sub(1),
            message: "an escape that JSON does not know".to_owned(),
        })
    }

    fn list(&mut self, depth: usize) -> Result<Json, JsonError> {
        let start = self.at;
        self.at += 1;
        let mut items = Vec::new();
        self.blank();
        if self.takes(b']') {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.ends(start, b']', "list")? {
                return Ok(Json::List(items));
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Json, JsonError> {
        let start = self.at;
        self.at += 1;
        let mut pairs = Vec::new();
        self.blank();
        if self.takes(b'}') {
            return Ok(Json::Map(pairs));
        }
        loop {
            self.blank();
            let key_at = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key in double quotes"));
            }
            let name = self.string()?;
            let at = key_at..self.at;
            self.blank();
            if !self.takes(b':') {
                return Err(self.error("expected a colon after the key"));
            }
            pairs.push((Key { name, at }, self.value(depth + 1)?));
            if self.ends(start, b'}', "object")? {
                return Ok(Json::Map(pairs));
            }
        }
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    /// Whether the collection ends here; else a comma has to.
    fn ends(&mut self, start: usize, close: u8, what: &str) -> Result<bool, JsonError> {
        self.blank();
        if self.takes(close) {
            return Ok(true);
        }
        if self.takes(b',') {
            return Ok(false);
        }
        if self.peek().is_none() {
            self.at = start;
            return Err(self.error(format!("this {what} is never closed")));
        }
        Err(self.error("expected a comma"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_what_serde_takes_and_nothing_else() {
        for text in [
            "{}",
            "[]",
            " [1, -2.5e+3, \"a\\u00e9\\n\", true, false, null]\n",
            "{\"a\": {\"b\": []}}",
            "[1,]",
            "{\"a\" 1}",
            "{a: 1}",
            "[01]",
            "\"\\q\"",
            "\"a\nb\"",
            "[1] 2",
            "",
            "nul",
            "[\"\\",
            "{\"a\":1,}",
            "[+1]",
            "\"\\ud800\"",
        ] {
            let ours = read(text).is_ok();
            let theirs = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(ours, theirs, "{text}");
        }
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn values_know_where_they_stand() {
        let text = "{\"a\": [1, \"x\"]}";
        let node = read(text).unwrap();
        let Json::List(items) = &node.get("a").unwrap().value else {
            panic!("a list")
        };
        assert_eq!(&text[items[1].at.clone()], "\"x\"");
        assert!(matches!(items[0].value, Json::Number(Some(1))));
    }
}
