//! The fields of a `wod.yml` and where their keys and values stand.

use std::collections::HashSet;
use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser};

use crate::inventory::{Map, Value};
use crate::lint::source::Source;

#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub value: Value,
    pub key: Range<usize>,
    /// The value's place; of a list all of it.
    pub at: Range<usize>,
    /// It was stated before.
    pub repeats: bool,
}

#[derive(Debug, Default)]
pub struct Stated(Vec<Field>);

impl Stated {
    /// The places of what was read already; a text with errors has none.
    pub fn read(source: &Source<'_>, map: &Map) -> Stated {
        let mut fields: Vec<Field> = Vec::new();
        let mut key: Option<(String, Range<usize>)> = None;
        let mut open: Vec<usize> = Vec::new();
        let mut names: HashSet<String> = HashSet::new();
        let mut cursor = Cursor::new(source.text);
        for event in Parser::new_from_str(source.text) {
            let Ok((event, span)) = event else {
                break;
            };
            let at = cursor.offset(&span.start)..cursor.offset(&span.end);
            let ended = match event {
                Event::MappingStart(..) | Event::SequenceStart(..) => {
                    open.push(at.start);
                    None
                }
                Event::MappingEnd | Event::SequenceEnd => {
                    let start = open.pop().unwrap_or(at.start);
                    Some(start..at.end)
                }
                Event::Scalar(text, ..) if open.len() == 1 && key.is_none() => {
                    key = Some((text.into_owned(), at));
                    None
                }
                Event::Scalar(..) | Event::Alias(_) => Some(at),
                _ => None,
            };
            let Some(at) = ended.filter(|_| open.len() == 1) else {
                continue;
            };
            if let Some((name, key)) = key.take() {
                fields.push(Field {
                    value: map.get(&name).cloned().unwrap_or(Value::Null),
                    repeats: !names.insert(name.clone()),
                    name,
                    at: shortened(source, key.end, at),
                    key,
                });
            }
        }
        Stated(fields)
    }

    pub fn all(&self) -> &[Field] {
        &self.0
    }

    /// The one that counts.
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.0.iter().rev().find(|field| field.name == name)
    }
}

/// From the parser's lines and columns to offsets, going on from the last one.
struct Cursor<'a> {
    text: &'a str,
    line: usize,
    column: usize,
    at: usize,
}

impl Cursor<'_> {
    fn new(text: &str) -> Cursor<'_> {
        Cursor {
            text,
            line: 1,
            column: 0,
            at: 0,
        }
    }

    fn offset(&mut self, marker: &Marker) -> usize {
        let goal = (marker.line(), marker.col());
        if goal < (self.line, self.column) {
            *self = Cursor::new(self.text);
        }
        for char in self.text[self.at..].chars() {
            if (self.line, self.column) >= goal {
                break;
            }
            self.at += char.len_utf8();
            match char {
                '\n' => (self.line, self.column) = (self.line + 1, 0),
                _ => self.column += 1,
            }
        }
        self.at
    }
}

/// Without the blanks at its end. What is empty stands behind its key.
fn shortened(source: &Source<'_>, key_end: usize, at: Range<usize>) -> Range<usize> {
    let text = source.text.get(at.clone()).unwrap_or_default();
    match text.trim_end().len() {
        0 => key_end..key_end + 1,
        length => at.start..at.start + length,
    }
}
