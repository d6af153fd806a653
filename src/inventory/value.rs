//! The raw value of a variable: what YAML 1.1 and Ansible's tags can say.
//!
//! Nothing is rendered or decrypted here.

/// A value as a file states it.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    /// Wide enough for every number a configuration has met; what is wider
    /// stays a text, which prints the same.
    Int(i128),
    Float(f64),
    /// May be a template.
    Text(String),
    List(Vec<Value>),
    Map(Map),
    /// `!vault`: an Ansible Vault envelope, still closed.
    Vault(String),
    /// `!unsafe`: a text that is never a template.
    Unsafe(String),
}

/// Key and value pairs in the order of the file; a key occurs once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map(Vec<(Value, Value)>);

impl Value {
    /// The text, if this is one (templates and `!unsafe` texts alike).
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Unsafe(text) => Some(text),
            _ => None,
        }
    }

    /// Whether Python takes it for false.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Value::Null | Value::Bool(false) | Value::Int(0) => true,
            Value::Float(number) => *number == 0.0,
            Value::Text(text) | Value::Unsafe(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Map(map) => map.is_empty(),
            Value::Bool(true) | Value::Int(_) | Value::Vault(_) => false,
        }
    }

    /// How many values this one is made of, itself included.
    pub(super) fn weight(&self) -> usize {
        match self {
            Value::List(items) => 1 + items.iter().map(Value::weight).sum::<usize>(),
            Value::Map(map) => {
                1 + map
                    .iter()
                    .map(|(_, value)| 1 + value.weight())
                    .sum::<usize>()
            }
            _ => 1,
        }
    }

    /// The same value with every text marked `!unsafe`.
    pub(super) fn into_unsafe(self) -> Value {
        match self {
            Value::Text(text) => Value::Unsafe(text),
            Value::List(items) => Value::List(items.into_iter().map(Value::into_unsafe).collect()),
            Value::Map(map) => Value::Map(Map(map
                .0
                .into_iter()
                .map(|(key, value)| (key, value.into_unsafe()))
                .collect())),
            other => other,
        }
    }
}

impl Map {
    /// Pairs whose keys the caller knows to differ.
    pub(super) fn from_distinct(pairs: Vec<(Value, Value)>) -> Map {
        Map(pairs)
    }

    /// The value under a text key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(have, _)| have.as_text() == Some(key))
            .map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = &(Value, Value)> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Value)> for Map {
    /// The last value of a repeated key wins, at the key's first place.
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(pairs: I) -> Map {
        let mut map = Map::default();
        for (key, value) in pairs {
            match map
                .0
                .iter_mut()
                .find(|(have, _)| have.as_text() == Some(&key))
            {
                Some(slot) => slot.1 = value,
                None => map.0.push((Value::Text(key), value)),
            }
        }
        map
    }
}

impl IntoIterator for Map {
    type Item = (Value, Value);
    type IntoIter = std::vec::IntoIter<(Value, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A key as a variable name, as JSON would write it: `1: x` names the variable `1`.
pub(super) fn key_text(key: &Value) -> String {
    match key {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Text(text) | Value::Unsafe(text) | Value::Vault(text) => text.clone(),
        Value::List(_) | Value::Map(_) => format!("{key:?}"),
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Value {
        use serde_json::Value as Json;
        match json {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(flag),
            Json::Number(number) => match number.as_i128() {
                Some(whole) => Value::Int(whole),
                None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Text(text),
            Json::Array(items) => Value::List(items.into_iter().map(Value::from).collect()),
            Json::Object(map) => Value::Map(Map(map
                .into_iter()
                .map(|(key, value)| (Value::Text(key), Value::from(value)))
                .collect())),
        }
    }
}
