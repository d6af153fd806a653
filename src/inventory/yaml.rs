//! YAML 1.1 as PyYAML and Ansible read it, built on `saphyr-parser`'s events.
//!
//! One document per file; merge keys, anchors, `!vault` and `!unsafe` are
//! understood; a repeated key warns and the last one wins.

use std::collections::{HashMap, HashSet};
use std::fmt;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::scalar;
use super::value::{Map, Value, key_text};

/// Deeper files are refused: values are walked by recursion further up.
const MAX_DEPTH: usize = 100;
/// Aliases may blow a file up to so many values and no further.
const MAX_VALUES: usize = 1_000_000;

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document {
    pub value: Value,
    /// The line (from 1) of each key of the outermost mapping.
    pub lines: HashMap<String, usize>,
    /// The same for keys further in, by the keys that lead there, with [`BETWEEN`] after each.
    inner: HashMap<String, usize>,
    pub warnings: Vec<Warning>,
}

/// No key of a hosts file has it.
const BETWEEN: char = '\u{1f}';
/// Keys deeper than this have no line of their own.
const MAX_PLACES: usize = 24;

impl Document {
    /// The line of a key, or of the nearest one around it that has a line; 0 when none has.
    pub fn line_of(&self, path: &[String]) -> usize {
        let joined = |keys: &[String]| keys.iter().map(|key| format!("{key}{BETWEEN}")).collect();
        let lines = (1..=path.len()).rev().filter_map(|len| match len {
            1 => self.lines.get(&path[0]),
            len => self.inner.get::<String>(&joined(&path[..len])),
        });
        lines.copied().next().unwrap_or(0)
    }
}

/// Something odd that does not stop the reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub file: String,
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// Why a file is not YAML; `line` and `column` count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct YamlError {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
}

/// Reads the one document of a file. An empty file is null.
pub fn from_str(file: &str, text: &str) -> Result<Document, YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::new(file);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| builder.error(*error.marker(), error.info()))?;
        builder.take(event, span.start)?;
    }
    Ok(Document {
        value: builder.root.unwrap_or(Value::Null),
        lines: builder.lines,
        inner: builder.inner,
        warnings: builder.warnings,
    })
}

/// A collection whose end has not come yet.
struct Open {
    anchor: usize,
    is_unsafe: bool,
    kind: Kind,
}

enum Kind {
    List(Vec<Value>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    /// What `<<` brought in; the mapping's own keys win over it.
    merged: Vec<(Value, Value)>,
    own: Vec<(Value, Value)>,
    seen: HashSet<String>,
    key: Option<Key>,
}

enum Key {
    Merge,
    Plain(Value, Marker),
}

struct Builder<'a> {
    file: &'a str,
    open: Vec<Open>,
    anchors: HashMap<usize, Value>,
    root: Option<Value>,
    documents: usize,
    values: usize,
    lines: HashMap<String, usize>,
    inner: HashMap<String, usize>,
    warnings: Vec<Warning>,
}

impl Builder<'_> {
    fn new(file: &str) -> Builder<'_> {
        Builder {
            file,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            values: 0,
            lines: HashMap::new(),
            inner: HashMap::new(),
            warnings: Vec::new(),
        }
    }

    fn error(&self, at: Marker, message: impl Into<String>) -> YamlError {
        YamlError {
            file: self.file.to_owned(),
            line: at.line(),
            column: at.col() + 1,
            message: message.into(),
        }
    }

    fn take(&mut self, event: Event<'_>, at: Marker) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(self.error(at, "a second document begins here; a variable file has one, put the rest into its own file"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                if self.is_merge_key(&text, style, tag.as_deref()) {
                    self.map_mut().expect("checked").key = Some(Key::Merge);
                    return Ok(());
                }
                let value = self.scalar(&text, style, tag.as_deref(), at)?;
                self.finish(value, anchor, at)
            }
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned().ok_or_else(|| {
                    self.error(
                        at,
                        "an alias refers to the value it stands in; break the circle",
                    )
                })?;
                self.values += value.weight();
                self.finish(value, 0, at)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(Kind::List(Vec::new()), anchor, tag.as_deref(), at)
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(Kind::Map(OpenMap::default()), anchor, tag.as_deref(), at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(at),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn map_mut(&mut self) -> Option<&mut OpenMap> {
        match self.open.last_mut().map(|open| &mut open.kind) {
            Some(Kind::Map(map)) => Some(map),
            _ => None,
        }
    }

    fn is_merge_key(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> bool {
        text == "<<"
            && style == ScalarStyle::Plain
            && tag.is_none()
            && self.map_mut().is_some_and(|map| map.key.is_none())
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        at: Marker,
    ) -> Result<Value, YamlError> {
        let Some(tag) = tag.filter(|tag| !is_non_specific(tag)) else {
            return Ok(match style {
                ScalarStyle::Plain => scalar::plain(text),
                _ => Value::Text(text.to_owned()),
            });
        };
        match core_or_own(tag) {
            (true, kind) => scalar::tagged(kind, text).ok_or_else(|| {
                self.error(
                    at,
                    format!("`!!{kind}` does not fit `{text}`, or is not supported"),
                )
            }),
            (false, "vault" | "vault-encrypted") => Ok(Value::Vault(text.to_owned())),
            (false, "unsafe") => Ok(Value::Unsafe(text.to_owned())),
            (false, _) => Err(self.unknown_tag(tag, at)),
        }
    }

    fn unknown_tag(&self, tag: &Tag, at: Marker) -> YamlError {
        self.error(
            at,
            format!(
                "unknown tag `{}{}`; `!vault` and `!unsafe` are known",
                tag.handle, tag.suffix
            ),
        )
    }

    fn begin(
        &mut self,
        kind: Kind,
        anchor: usize,
        tag: Option<&Tag>,
        at: Marker,
    ) -> Result<(), YamlError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(self.error(at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let is_unsafe = match tag.map(|tag| (tag, core_or_own(tag))) {
            None | Some((_, (true, "map" | "seq"))) => false,
            Some((_, (false, "unsafe"))) => true,
            Some((tag, _)) if is_non_specific(tag) => false,
            Some((tag, _)) => return Err(self.unknown_tag(tag, at)),
        };
        self.open.push(Open {
            anchor,
            is_unsafe,
            kind,
        });
        Ok(())
    }

    fn end(&mut self, at: Marker) -> Result<(), YamlError> {
        let open = self.open.pop().expect("the parser pairs starts and ends");
        let value = match open.kind {
            Kind::List(items) => Value::List(items),
            Kind::Map(map) => Value::Map(self.close_map(map)),
        };
        let value = if open.is_unsafe {
            value.into_unsafe()
        } else {
            value
        };
        self.finish(value, open.anchor, at)
    }

    /// Merged pairs come first, as PyYAML orders them; an own key overrides in place.
    fn close_map(&mut self, map: OpenMap) -> Map {
        let mut pairs = Vec::with_capacity(map.merged.len() + map.own.len());
        let mut places = HashMap::new();
        for (key, value) in map.merged.into_iter().chain(map.own) {
            match places.get(&identity(&key)) {
                Some(&place) => {
                    let slot: &mut (Value, Value) = &mut pairs[place];
                    slot.1 = value;
                }
                None => {
                    places.insert(identity(&key), pairs.len());
                    pairs.push((key, value));
                }
            }
        }
        Map::from_distinct(pairs)
    }

    /// A value is complete: it goes to the collection that waits for it.
    fn finish(&mut self, value: Value, anchor: usize, at: Marker) -> Result<(), YamlError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.error(
                at,
                format!("aliases make more than {MAX_VALUES} values of this file"),
            ));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        let is_outermost = self.open.len() == 1;
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(value),
            Some(Kind::List(items)) => items.push(value),
            Some(Kind::Map(map)) => match map.key.take() {
                None => {
                    if matches!(value, Value::List(_) | Value::Map(_)) {
                        return Err(self.error(at, "a list or a mapping cannot be a key; quote a value that begins with `{`"));
                    }
                    map.key = Some(Key::Plain(value, at));
                }
                Some(Key::Merge) => {
                    let pairs = merge_pairs(value);
                    let pairs = pairs.ok_or_else(|| {
                        self.error(at, "`<<` takes a mapping or a list of mappings")
                    })?;
                    self.map_mut().expect("still open").merged.extend(pairs);
                }
                Some(Key::Plain(key, key_at)) => {
                    let repeated = !map.seen.insert(identity(&key));
                    map.own.push((key.clone(), value));
                    self.note_key(&key, key_at, is_outermost, repeated);
                }
            },
        }
        Ok(())
    }

    fn note_key(&mut self, key: &Value, at: Marker, is_outermost: bool, repeated: bool) {
        if repeated {
            self.warnings.push(Warning {
                file: self.file.to_owned(),
                line: at.line(),
                message: format!("key {} occurs twice, the last one counts", identity(key)),
            });
        }
        let name = key_text(key);
        if is_outermost {
            self.lines.insert(name, at.line());
        } else if self.open.len() <= MAX_PLACES {
            let around = self.open.iter().filter_map(|open| match &open.kind {
                Kind::Map(map) => match &map.key {
                    Some(Key::Plain(key, _)) => Some(key_text(key)),
                    _ => None,
                },
                Kind::List(_) => None,
            });
            let path = around.chain([name]).map(|key| format!("{key}{BETWEEN}"));
            self.inner.insert(path.collect(), at.line());
        }
    }
}

/// `!` alone says nothing.
fn is_non_specific(tag: &Tag) -> bool {
    tag.handle.is_empty() && matches!(tag.suffix.as_str(), "" | "!")
        || tag.handle == "!" && tag.suffix.is_empty()
}

/// Whether a tag is one of YAML's own, and its name; `!<tag:…>` may spell one out.
fn core_or_own(tag: &Tag) -> (bool, &str) {
    const CORE: &str = "tag:yaml.org,2002:";
    match tag.suffix.strip_prefix(CORE) {
        Some(name) => (true, name),
        None => (tag.handle == CORE, &tag.suffix),
    }
}

/// What makes two keys the same key: as in Python `1` and `"1"` differ, `1` and `true` do not.
pub(super) fn identity(key: &Value) -> String {
    match key {
        Value::Text(text) | Value::Unsafe(text) => format!("`{text}`"),
        Value::Bool(flag) => i128::from(*flag).to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// The pairs a merge key brings in; of a list, the earlier mappings win.
fn merge_pairs(value: Value) -> Option<Vec<(Value, Value)>> {
    match value {
        Value::Map(map) => Some(map.into_iter().collect()),
        Value::List(items) => {
            let mut pairs = Vec::new();
            for item in items.into_iter().rev() {
                match item {
                    Value::Map(map) => pairs.extend(map),
                    _ => return None,
                }
            }
            Some(pairs)
        }
        _ => None,
    }
}
