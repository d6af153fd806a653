//! Typed fields of a YAML file by their paths (`cpu.grace`): what is unknown or senseless is told
//! with its line and with what was expected there.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::domain::{near, quoted};
use crate::inventory::{self, Document, Map, Value};

/// One thing that is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Wrong {
    /// From 1.
    pub line: usize,
    pub problem: String,
}

/// A file, which of its fields somebody has asked for, and what was wrong so far.
pub(super) struct Fields {
    document: Document,
    asked: BTreeSet<String>,
    wrong: Vec<Wrong>,
}

impl Fields {
    pub(super) fn read(text: &str) -> Fields {
        let mut wrong = Vec::new();
        let document = match inventory::from_str("watchdog.yml", text) {
            Ok(document) => document,
            Err(e) => {
                wrong.push(Wrong {
                    line: e.line,
                    problem: format!("not YAML: {}", e.message),
                });
                Document::default()
            }
        };
        let mut fields = Fields {
            document,
            asked: BTreeSet::new(),
            wrong,
        };
        for warning in std::mem::take(&mut fields.document.warnings) {
            fields.wrong.push(Wrong {
                line: warning.line,
                problem: warning.message,
            });
        }
        if !matches!(fields.document.value, Value::Map(_) | Value::Null) {
            fields.tell_at(1, "expected fields such as `cpu:` and `responses:`");
        }
        fields
    }

    /// What was wrong, fields that nobody has asked for included.
    pub(super) fn finish(mut self) -> Result<(), Vec<Wrong>> {
        let document = std::mem::take(&mut self.document);
        if let Value::Map(map) = &document.value {
            self.unknown(&document, map, &mut Vec::new());
        }
        match self.wrong.is_empty() {
            true => Ok(()),
            false => {
                self.wrong.sort_by_key(|wrong| wrong.line);
                Err(self.wrong)
            }
        }
    }

    fn unknown(&mut self, document: &Document, map: &Map, above: &mut Vec<String>) {
        for (key, value) in map.iter() {
            let key = match key {
                // `off:` is a word for false, as a key, too.
                Value::Bool(flag) => flag.to_string(),
                key => key.as_text().unwrap_or("?").to_owned(),
            };
            above.push(key);
            let path = above.join(".");
            let inner = format!("{path}.");
            let is_section = self.asked.iter().any(|asked| asked.starts_with(&inner));
            if let (true, Value::Map(map)) = (is_section, value) {
                self.unknown(document, map, above);
            } else if is_section && *value != Value::Null {
                let line = document.line_of(above);
                self.tell_at(
                    line,
                    format!("{path} is {}; expected fields below it", shown(value)),
                );
            } else if !is_section && !self.asked.contains(&path) {
                let meant = near::meant(&path, self.asked.iter().map(String::as_str));
                let meant = meant.unwrap_or_else(|| "see templates/watchdog/policy.yml".to_owned());
                let line = document.line_of(above);
                self.tell_at(
                    line,
                    format!("nobody reads a field {}; {meant}", quoted(&path)),
                );
            }
            above.pop();
        }
    }

    fn tell_at(&mut self, line: usize, problem: impl Into<String>) {
        self.wrong.push(Wrong {
            line: line.max(1),
            problem: problem.into(),
        });
    }

    /// Something is wrong with a field.
    pub(super) fn tell(&mut self, path: &str, problem: impl fmt::Display) {
        let keys: Vec<String> = path.split('.').map(str::to_owned).collect();
        let line = self.document.line_of(&keys);
        self.tell_at(line, format!("{path} {problem}"));
    }

    fn not(&mut self, path: &str, value: &Value, expected: &str) {
        self.tell(
            path,
            format_args!("is {}; expected {expected}", shown(value)),
        );
    }

    /// The value of a field; None where it is not stated.
    pub(super) fn value(&mut self, path: &str) -> Option<Value> {
        self.asked.insert(path.to_owned());
        let mut value = &self.document.value;
        for key in path.split('.') {
            let Value::Map(map) = value else {
                return None;
            };
            value = map.get(key)?;
        }
        (*value != Value::Null).then(|| value.clone())
    }

    /// The keys below a field.
    pub(super) fn keys(&mut self, path: &str) -> Vec<String> {
        match self.value(path) {
            Some(Value::Map(map)) => {
                let keys = map.iter().filter_map(|(key, _)| key.as_text());
                keys.map(str::to_owned).collect()
            }
            None => Vec::new(),
            Some(other) => {
                self.not(path, &other, "fields below it");
                Vec::new()
            }
        }
    }

    pub(super) fn flag(&mut self, path: &str, into: &mut bool) {
        match self.value(path) {
            Some(Value::Bool(flag)) => *into = flag,
            Some(other) => self.not(path, &other, "true or false"),
            None => {}
        }
    }

    pub(super) fn number<T: TryFrom<i128>>(&mut self, path: &str, least: i128, into: &mut T) {
        match self.value(path) {
            Some(Value::Int(number)) if number >= least => match T::try_from(number) {
                Ok(number) => *into = number,
                Err(_) => self.tell(path, format_args!("is {number}; expected a smaller number")),
            },
            Some(other) => self.not(path, &other, &format!("a whole number from {least} on")),
            None => {}
        }
    }

    /// `90s`, `10m`, `4h`, `2d`.
    pub(super) fn time(&mut self, path: &str, into: &mut Duration) {
        if let Some(value) = self.value(path) {
            match duration(&value) {
                Some(time) => *into = time,
                None => self.not(path, &value, TIME),
            }
        }
    }

    /// `512MiB`, `4GiB`.
    pub(super) fn bytes(&mut self, path: &str, into: &mut u64) {
        if let Some(value) = self.value(path) {
            match value.as_text().and_then(bytes) {
                Some(bytes) => *into = bytes,
                None => self.not(path, &value, "a size such as 512MiB or 4GiB"),
            }
        }
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&mut self, path: &str, choices: &[(&str, T)], into: &mut T) {
        if let Some(value) = self.value(path) {
            let text = value.as_text().unwrap_or_default();
            match choices.iter().find(|(word, _)| *word == text) {
                Some((_, choice)) => *into = *choice,
                None => {
                    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                    self.not(path, &value, &format!("one of {}", words.join(", ")));
                }
            }
        }
    }

    pub(super) fn list(&mut self, path: &str) -> Option<Vec<Value>> {
        match self.value(path)? {
            Value::List(items) => Some(items),
            other => {
                self.not(path, &other, "a list");
                None
            }
        }
    }

    /// A list of texts that are not empty.
    pub(super) fn texts(&mut self, path: &str) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        for item in self.list(path)? {
            match item.as_text().filter(|text| !text.is_empty()) {
                Some(text) => texts.push(text.to_owned()),
                None => self.not(path, &item, "a list of texts"),
            }
        }
        Some(texts)
    }

    /// Texts to look for, in lower case.
    pub(super) fn patterns(&mut self, path: &str, shortest: usize) -> Vec<String> {
        let mut patterns = Vec::new();
        for text in self.texts(path).unwrap_or_default() {
            let is_pattern = text.len() >= shortest && text.bytes().all(|b| b.is_ascii_graphic());
            match is_pattern {
                true => patterns.push(text.to_ascii_lowercase()),
                false => self.tell(
                    path,
                    format_args!(
                        "has {}; expected one word of at least {shortest} letters",
                        quoted(&text)
                    ),
                ),
            }
        }
        patterns
    }

    pub(super) fn ports(&mut self, path: &str) -> Vec<u16> {
        let mut ports = Vec::new();
        for item in self.list(path).unwrap_or_default() {
            match item {
                Value::Int(port @ 1..=65_535) => ports.extend(u16::try_from(port)),
                other => self.not(path, &other, "ports, from 1 to 65535"),
            }
        }
        ports
    }

    pub(super) fn sums(&mut self, path: &str) -> Vec<String> {
        let mut sums = Vec::new();
        for text in self.texts(path).unwrap_or_default() {
            match text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
                true => sums.push(text.to_ascii_lowercase()),
                false => {
                    let problem = format!("has {}; expected 64 hex digits", quoted(&text));
                    self.tell(path, problem);
                }
            }
        }
        sums
    }
}

pub(super) const TIME: &str = "a time such as 90s, 10m or 4h";

pub(super) fn duration(value: &Value) -> Option<Duration> {
    let text = match value {
        Value::Int(0) => return Some(Duration::ZERO),
        value => value.as_text()?.trim(),
    };
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u32 = text[..text.len() - 1].trim_end().parse().ok()?;
    Some(Duration::from_secs(u64::from(number) * unit))
}

fn bytes(text: &str) -> Option<u64> {
    let (number, shift) = match text.trim() {
        text if text.ends_with("KiB") => (text.strip_suffix("KiB")?, 10),
        text if text.ends_with("MiB") => (text.strip_suffix("MiB")?, 20),
        text if text.ends_with("GiB") => (text.strip_suffix("GiB")?, 30),
        text => (text.strip_suffix("TiB")?, 40),
    };
    let number: u32 = number.trim_end().parse().ok()?;
    u64::from(number).checked_mul(1 << shift)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "empty".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) | Value::Unsafe(text) => quoted(text),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
        Value::Vault(_) => "a vault".to_owned(),
    }
}
