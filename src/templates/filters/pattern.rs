//! Regular expressions in Python's spelling, for `regex_replace` and its kin.
//!
//! Look-around and back-references inside a pattern are beyond the engine used
//! here (which in return cannot be made to run for ever); they are an error.

use minijinja::value::Value;
use minijinja::{Environment, Error};
use regex::{Captures, Regex, RegexBuilder};

use super::{Arguments, Given, More, wrong};
use crate::templates::python;

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("regex_replace", replace);
    engine.add_filter("regex_search", search);
    engine.add_filter("regex_findall", find_all);
    engine.add_filter("regex_escape", |Given(text): Given| {
        python::str_of(&text).map(|text| escape(&text))
    });
    engine.add_test("match", |Given(text): Given, rest: More| {
        test(&text, rest, Anchor::Start)
    });
    engine.add_test("search", |Given(text): Given, rest: More| {
        test(&text, rest, Anchor::None)
    });
    engine.add_test("regex", |Given(text): Given, rest: More| {
        test(&text, rest, Anchor::Given)
    });
}

fn replace(Given(value): Given, rest: More) -> Result<String, Error> {
    let text = python::str_of(&value)?;
    let arguments = Arguments::new(rest)?;
    let pattern = arguments.text(0, "pattern")?.unwrap_or_default();
    let template = arguments.text(1, "replacement")?.unwrap_or_default();
    let ignore_case = arguments.flag(2, "ignorecase");
    let multiline = arguments.flag(3, "multiline");
    let most = arguments.number(4, "count")?.unwrap_or(0);
    let wanted = arguments.number(5, "mandatory_count")?.unwrap_or(0);
    arguments.finish(6)?;
    let regex = compile(&pattern, ignore_case, multiline)?;
    let template = Template::parse(&template, &regex)?;
    let limit = if most > 0 { most as usize } else { usize::MAX };
    let mut out = String::new();
    let mut copied = 0;
    let found = matches(&regex, &text, limit);
    for captures in &found {
        let whole = captures.get(0).expect("group 0 always matches");
        out.push_str(&text[copied..whole.start()]);
        template.expand(captures, &mut out);
        copied = whole.end();
    }
    if wanted != 0 && wanted != found.len() as i64 {
        return Err(wrong(format!(
            "`{pattern}` should match {wanted} times, but matches {} times",
            found.len()
        )));
    }
    out.push_str(&text[copied..]);
    Ok(out)
}

/// All matches as Python's `re` finds them: an empty one may follow right
/// after another match, which the regex crate would skip.
fn matches<'t>(regex: &Regex, text: &'t str, limit: usize) -> Vec<Captures<'t>> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut last_empty = None;
    while found.len() < limit && at <= text.len() {
        let Some(captures) = regex.captures_at(text, at) else {
            break;
        };
        let whole = captures.get(0).expect("group 0 always matches");
        let (start, end) = (whole.start(), whole.end());
        if start == end && last_empty == Some(end) {
            at = next_char(text, at);
            continue;
        }
        found.push(captures);
        last_empty = Some(end).filter(|_| start == end);
        at = if start == end {
            next_char(text, end)
        } else {
            end
        };
    }
    found
}

fn next_char(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(1, char::len_utf8)
}

fn search(Given(value): Given, rest: More) -> Result<Value, Error> {
    let text = python::str_of(&value)?;
    let arguments = Arguments::new(rest)?;
    let pattern = arguments.text(0, "regex")?.unwrap_or_default();
    let regex = compile(
        &pattern,
        flag(&arguments, "ignorecase"),
        flag(&arguments, "multiline"),
    )?;
    arguments.finish(usize::MAX)?;
    let Some(captures) = regex.captures(&text) else {
        return Ok(Value::from(()));
    };
    if arguments.positional.len() < 2 {
        return Ok(group(captures.get(0)));
    }
    arguments.positional[1..]
        .iter()
        .map(|wanted| {
            let wanted = python::str_of(wanted)?;
            let name = wanted
                .strip_prefix("\\g<")
                .and_then(|name| name.strip_suffix('>'));
            let name = name.or_else(|| wanted.strip_prefix('\\')).ok_or_else(|| {
                wrong(format!(
                    "regex_search takes groups as '\\\\1' or '\\\\g<name>', not `{wanted}`"
                ))
            })?;
            let found = index(name, &regex)?;
            Ok(group(captures.get(found)))
        })
        .collect()
}

fn flag(arguments: &Arguments, name: &str) -> bool {
    arguments.named(name).is_some_and(|value| value.is_true())
}

fn group(found: Option<regex::Match<'_>>) -> Value {
    found.map_or_else(|| Value::from(()), |found| Value::from(found.as_str()))
}

fn find_all(Given(value): Given, rest: More) -> Result<Value, Error> {
    let text = python::str_of(&value)?;
    let arguments = Arguments::new(rest)?;
    let pattern = arguments.text(0, "regex")?.unwrap_or_default();
    let regex = compile(
        &pattern,
        arguments.flag(2, "ignorecase"),
        arguments.flag(1, "multiline"),
    )?;
    arguments.finish(3)?;
    let text_of = |captures: &Captures, at| {
        captures
            .get(at)
            .map_or("", |found| found.as_str())
            .to_owned()
    };
    let found = matches(&regex, &text, usize::MAX);
    Ok(match regex.captures_len() {
        1 => found
            .iter()
            .map(|captures| Value::from(text_of(captures, 0)))
            .collect(),
        2 => found
            .iter()
            .map(|captures| Value::from(text_of(captures, 1)))
            .collect(),
        groups => found
            .iter()
            .map(|captures| {
                (1..groups)
                    .map(|at| Value::from(text_of(captures, at)))
                    .collect::<Value>()
            })
            .collect(),
    })
}

enum Anchor {
    None,
    Start,
    /// As `match_type` says.
    Given,
}

fn test(value: &Value, rest: More, anchor: Anchor) -> Result<bool, Error> {
    let text = python::str_of(value)?;
    let arguments = Arguments::new(rest)?;
    let pattern = arguments.text(0, "pattern")?.unwrap_or_default();
    let ignore_case = arguments.flag(1, "ignorecase");
    let multiline = arguments.flag(2, "multiline");
    let kind = match anchor {
        Anchor::None => "search".to_owned(),
        Anchor::Start => "match".to_owned(),
        Anchor::Given => arguments
            .text(3, "match_type")?
            .unwrap_or_else(|| "search".into()),
    };
    arguments.finish(4)?;
    let pattern = match kind.as_str() {
        "search" => pattern,
        "match" => format!("\\A(?:{pattern})"),
        "fullmatch" => format!("\\A(?:{pattern})\\Z"),
        other => {
            return Err(wrong(format!(
                "match_type is search, match or fullmatch, not {other}"
            )));
        }
    };
    Ok(compile(&pattern, ignore_case, multiline)?.is_match(&text))
}

/// Python's `re.escape`.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        if "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}".contains(char) {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

fn compile(pattern: &str, ignore_case: bool, multiline: bool) -> Result<Regex, Error> {
    RegexBuilder::new(&translate(pattern))
        .case_insensitive(ignore_case)
        .multi_line(multiline)
        .build()
        .map_err(|error| {
            let reason = error.to_string();
            let reason = reason
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            wrong(format!(
                "cannot use the regular expression `{pattern}`: {reason}"
            ))
        })
}

/// A Python pattern in the regex crate's spelling: what differs is what counts
/// as an escape, and when `{` and `[` are plain characters.
fn translate(pattern: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(char) = rest.chars().next() {
        let after = &rest[char.len_utf8()..];
        rest = after;
        match char {
            '\\' => {
                let Some(escaped) = after.chars().next() else {
                    out.push('\\');
                    break;
                };
                rest = &after[escaped.len_utf8()..];
                match escaped {
                    'Z' => out.push_str("\\z"),
                    'b' if in_class => out.push_str("\\x08"),
                    '<' | '>' => out.push(escaped),
                    _ if escaped.is_ascii_alphanumeric() || escaped.is_ascii_punctuation() => {
                        out.push('\\');
                        out.push(escaped);
                    }
                    _ => out.push_str(&regex::escape(escaped.encode_utf8(&mut [0; 4]))),
                }
            }
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                // `]` is a plain character at the head of a class.
                for (head, kept) in [("^", "^"), ("]", "\\]")] {
                    if let Some(tail) = rest.strip_prefix(head) {
                        out.push_str(kept);
                        rest = tail;
                    }
                }
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            '[' | '&' | '~' if in_class => {
                out.push('\\');
                out.push(char);
            }
            '{' if !in_class && !is_repetition(after) => out.push_str("\\{"),
            '}' if !in_class && !closes_repetition(&out) => out.push_str("\\}"),
            _ => out.push(char),
        }
    }
    out
}

fn is_repetition(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else {
        return false;
    };
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    !inside.is_empty()
        && inside != ","
        && !low.is_empty()
        && [low, high]
            .iter()
            .all(|number| number.chars().all(|char| char.is_ascii_digit()))
}

fn closes_repetition(out: &str) -> bool {
    let head = out.trim_end_matches(|char: char| char.is_ascii_digit() || char == ',');
    head.ends_with('{') && !head.ends_with("\\{") && head.len() < out.len()
        || out.rfind("\\p{").is_some_and(|at| !out[at..].contains('}'))
}

/// A replacement in Python's spelling: `\1`, `\g<1>`, `\g<name>`, `\n`.
struct Template(Vec<Piece>);

enum Piece {
    Text(String),
    Group(usize),
}

impl Template {
    fn parse(text: &str, regex: &Regex) -> Result<Template, Error> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let escaped = rest
                .chars()
                .next()
                .ok_or_else(|| wrong(format!("the replacement `{text}` ends in a backslash")))?;
            let mut group = None;
            let taken = match escaped {
                'g' => {
                    let inner = rest
                        .strip_prefix("g<")
                        .and_then(|rest| rest.split_once('>'));
                    let (name, _) = inner.ok_or_else(|| {
                        wrong(format!("`\\g` in `{text}` is not followed by <group>"))
                    })?;
                    group = Some(index(name, regex)?);
                    name.len() + 3
                }
                '1'..='9' => {
                    let len = rest
                        .chars()
                        .take(2)
                        .take_while(char::is_ascii_digit)
                        .count();
                    group = Some(index(&rest[..len], regex)?);
                    len
                }
                '0' => {
                    plain.push('\0');
                    1
                }
                _ => {
                    plain_escape(escaped, text, &mut plain)?;
                    escaped.len_utf8()
                }
            };
            if let Some(group) = group {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(Piece::Group(group));
            }
            rest = &rest[taken..];
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Template(pieces))
    }

    fn expand(&self, captures: &Captures, out: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(at) => {
                    out.push_str(captures.get(*at).map_or("", |found| found.as_str()))
                }
            }
        }
    }
}

fn plain_escape(escaped: char, text: &str, plain: &mut String) -> Result<(), Error> {
    match escaped {
        'n' => plain.push('\n'),
        't' => plain.push('\t'),
        'r' => plain.push('\r'),
        'a' => plain.push('\x07'),
        'b' => plain.push('\x08'),
        'f' => plain.push('\x0c'),
        'v' => plain.push('\x0b'),
        '\\' => plain.push('\\'),
        _ if escaped.is_ascii_alphabetic() => {
            return Err(wrong(format!(
                "bad escape \\{escaped} in the replacement `{text}`"
            )));
        }
        _ => {
            plain.push('\\');
            plain.push(escaped);
        }
    }
    Ok(())
}

/// A group by number or name.
fn index(name: &str, regex: &Regex) -> Result<usize, Error> {
    let found = match name.parse::<usize>() {
        Ok(number) => Some(number).filter(|number| *number < regex.captures_len()),
        Err(_) => regex.capture_names().position(|have| have == Some(name)),
    };
    found.ok_or_else(|| wrong(format!("the regular expression has no group `{name}`")))
}
