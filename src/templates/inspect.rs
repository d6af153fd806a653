//! Templates looked at without being rendered: their tags word by word with places, whether they
//! can be read, which filters and tests there are.

use std::collections::BTreeSet;
use std::ops::Range;

use minijinja::ErrorKind;

use super::environment::on_big_stack;
use super::source::{self, Flaw, Kind, Syntax};
use super::tokens::{self, Token};
use super::{TemplateError, engine};

/// One `{{ … }}` or `{% … %}`; offsets are bytes of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub kind: TagKind,
    pub at: Range<usize>,
    /// Without blanks.
    pub words: Vec<Word>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagKind {
    Variable,
    Block,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub kind: WordKind,
    /// Of a literal, what is between its quotes.
    pub text: String,
    pub at: Range<usize>,
    /// Of an opening bracket, how many words there are up to its closing one, both included.
    pub takes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordKind {
    Name,
    Number,
    Text,
    Sign,
}

/// The tags of a template up to where it cannot be read, and why not.
#[derive(Debug, Default)]
pub struct Tags {
    pub tags: Vec<Tag>,
    /// An offset and what is wrong there.
    pub trouble: Option<(usize, Trouble)>,
    /// The header sets prefixes for whole lines, which are not looked at.
    pub has_line_statements: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A `{% raw %}` without its end.
    Raw,
    /// A `{{`, `{%` or `{#` without its end.
    Unclosed,
    Other(String),
}

/// Reads the tags of a template file; raw blocks and comments have none.
pub fn tags(template: &str) -> Tags {
    let split = match source::split_header(template) {
        Ok(split) => split,
        Err(flaw) => {
            return Tags {
                trouble: Some((0, Trouble::Other(flaw.message))),
                ..Tags::default()
            };
        }
    };
    let mut tags = Tags {
        has_line_statements: split.syntax.line_statement.is_some()
            || split.syntax.line_comment.is_some(),
        ..Tags::default()
    };
    let scan = Scan {
        text: template,
        at: template.len() - split.body.len(),
        syntax: &split.syntax,
    };
    tags.trouble = scan.run(&mut tags.tags).err();
    tags
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    syntax: &'a Syntax,
}

impl Scan<'_> {
    fn run(mut self, found: &mut Vec<Tag>) -> Result<(), (usize, Trouble)> {
        let mut ahead = [Some(0); 3];
        while let Some((start, kind)) = self.next(&mut ahead) {
            self.at = start;
            match kind {
                None => self.comment()?,
                Some(kind) => {
                    let tag = self.tag(kind)?;
                    let is_raw = kind == TagKind::Block
                        && matches!(&tag.words[..], [word] if word.text == "raw");
                    found.push(tag);
                    if is_raw {
                        self.raw(start)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The nearest opening; of several at one place the longest. `ahead` keeps what a search
    /// found, as each may reach to the end of the text.
    fn next(&self, ahead: &mut [Option<usize>; 3]) -> Option<(usize, Option<TagKind>)> {
        let kinds = [
            (&self.syntax.comment.0, None),
            (&self.syntax.block.0, Some(TagKind::Block)),
            (&self.syntax.variable.0, Some(TagKind::Variable)),
        ];
        for (place, (start, _)) in ahead.iter_mut().zip(&kinds) {
            if place.is_some_and(|found| found < self.at || found == 0) {
                *place = self.text[self.at..]
                    .find(start.as_str())
                    .map(|found| self.at + found);
            }
        }
        let found = ahead.iter().zip(kinds);
        found
            .filter_map(|(place, (start, kind))| Some(((*place)?, start.len(), kind)))
            .min_by_key(|(at, length, _)| (*at, usize::MAX - length))
            .map(|(at, _, kind)| (at, kind))
    }

    fn comment(&mut self) -> Result<(), (usize, Trouble)> {
        let end = &self.syntax.comment.1;
        let from = self.at + self.syntax.comment.0.len();
        let found = self.text[from..].find(end.as_str());
        let found = found.ok_or((self.at, Trouble::Unclosed))?;
        self.at = from + found + end.len();
        Ok(())
    }

    fn tag(&mut self, kind: TagKind) -> Result<Tag, (usize, Trouble)> {
        let (open, close) = match kind {
            TagKind::Variable => &self.syntax.variable,
            TagKind::Block => &self.syntax.block,
        };
        let start = self.at;
        let mut at = start + open.len();
        at += usize::from(self.text[at..].starts_with(['-', '+']));
        let (tokens, length) =
            tokens::read(&self.text[at..], close).map_err(|why| (start, Trouble::Other(why)))?;
        let words = words(tokens, at);
        at += length;
        at += usize::from(self.text[at..].starts_with(['-', '+']));
        if !self.text[at..].starts_with(close.as_str()) {
            return Err((start, Trouble::Unclosed));
        }
        self.at = at + close.len();
        Ok(Tag {
            kind,
            at: start..self.at,
            words,
        })
    }

    /// Goes behind `{% endraw %}`.
    fn raw(&mut self, opened: usize) -> Result<(), (usize, Trouble)> {
        let (open, close) = &self.syntax.block;
        while let Some(found) = self.text[self.at..].find(open.as_str()) {
            let inner = self.at + found + open.len();
            self.at = inner;
            let rest = self.text[inner..]
                .trim_start_matches(['-', '+'])
                .trim_start();
            let Some(rest) = rest.strip_prefix("endraw") else {
                continue;
            };
            let rest = rest.trim_start().trim_start_matches(['-', '+']);
            if let Some(rest) = rest.strip_prefix(close.as_str()) {
                self.at = self.text.len() - rest.len();
                return Ok(());
            }
        }
        Err((opened, Trouble::Raw))
    }
}

fn words(tokens: Vec<Token>, mut at: usize) -> Vec<Word> {
    let mut words = Vec::with_capacity(tokens.len());
    for token in tokens {
        let start = at;
        let (kind, text) = match token {
            Token::Space(text) => {
                at += text.len();
                continue;
            }
            Token::Name(text) => (WordKind::Name, text),
            Token::Number(text) => (WordKind::Number, text),
            Token::Text(text) => (WordKind::Text, text),
            Token::Sign(sign) => (WordKind::Sign, sign.to_string()),
        };
        at += text.len() + if kind == WordKind::Text { 2 } else { 0 };
        words.push(Word {
            kind,
            text,
            at: start..at,
            takes: 0,
        });
    }
    match_brackets(&mut words);
    words
}

/// A bracket that is never closed takes all that follows.
fn match_brackets(words: &mut [Word]) {
    let mut open = Vec::new();
    for at in 0..words.len() {
        let sign = (words[at].kind == WordKind::Sign).then_some(words[at].text.as_str());
        match sign {
            Some("(" | "[" | "{") => {
                open.push(at);
                words[at].takes = words.len() - at;
            }
            Some(")" | "]" | "}") => {
                if let Some(start) = open.pop() {
                    words[start].takes = at + 1 - start;
                }
            }
            _ => {}
        }
    }
}

/// Whether the engine can read a template; where it cannot, as near as can be told.
pub fn check(name: &str, template: &str) -> Result<(), TemplateError> {
    let error = |line, column, message| TemplateError {
        name: name.to_owned(),
        line,
        column,
        message,
    };
    let prepared = engine::prepare(template, Kind::File)
        .map_err(|Flaw { line, message }| error(line, None, message))?;
    on_big_stack(|| match prepared.check(name) {
        Ok(()) => Ok(()),
        Err(wrong) => {
            let line = wrong.line().unwrap_or(1);
            let written = template.lines().nth(line + prepared.dropped - 1);
            let read = prepared.text.split('\n').nth(line - 1).unwrap_or_default();
            let column = wrong
                .range()
                .and_then(|range| prepared.text.get(..range.start))
                .and_then(|before| before.rsplit('\n').next())
                .map(|before| column(written.unwrap_or_default(), read, before.len()));
            let message = wrong.detail().unwrap_or("cannot be read").to_owned();
            Err(error(line + prepared.dropped, column, message))
        }
    })
}

/// The column (from 1) in the line as written, of an offset in the line as the engine got it.
fn column(written: &str, read: &str, at: usize) -> usize {
    let same = written.bytes().zip(read.bytes());
    let same = same.take_while(|(a, b)| a == b).count();
    let from_end = read.len().saturating_sub(at);
    let tail = written.bytes().rev().zip(read.bytes().rev());
    let tail = tail.take_while(|(a, b)| a == b).count();
    let place = match () {
        () if at <= same => at,
        () if from_end <= tail => written.len() - from_end,
        () => same,
    };
    let before = written.bytes().take(place);
    // Bytes that go on with a character count for nothing.
    1 + before.filter(|byte| byte & 0xc0 != 0x80).count()
}

/// Whether templates have a filter of that name.
pub fn has_filter(name: &str) -> bool {
    !is_unknown(&format!("0|{name}"), ErrorKind::UnknownFilter)
}

/// Whether templates have a test of that name.
pub fn has_test(name: &str) -> bool {
    !is_unknown(&format!("0 is {name}"), ErrorKind::UnknownTest)
}

fn is_unknown(expression: &str, kind: ErrorKind) -> bool {
    let Ok(expression) = engine::common().compile_expression(expression) else {
        return false;
    };
    expression.eval(()).is_err_and(|error| error.kind() == kind)
}

/// The functions that templates can call.
pub fn functions() -> BTreeSet<String> {
    let globals = engine::common().globals();
    globals
        .map(|(name, _)| name.to_owned())
        .filter(|name| !name.starts_with("__"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_know_where_their_words_stand() {
        let text =
            "a {{ x.y|default('é') }}\r\n{# {{ no #}{% raw %}{{ no }}{%- endraw %}{% if b %}";
        let tags = tags(text);
        assert_eq!(tags.trouble, None);
        let shown: Vec<&str> = tags.tags.iter().map(|tag| &text[tag.at.clone()]).collect();
        assert_eq!(shown, ["{{ x.y|default('é') }}", "{% raw %}", "{% if b %}"]);
        for word in tags.tags.iter().flat_map(|tag| &tag.words) {
            let slice = &text[word.at.clone()];
            assert_eq!(slice.trim_matches('\''), word.text);
        }
    }

    #[test]
    fn what_is_not_closed_is_told_where_it_begins() {
        for (text, at, trouble) in [
            ("x {% raw %} y", 2, Trouble::Raw),
            ("x {{ y", 2, Trouble::Unclosed),
            ("x {# y", 2, Trouble::Unclosed),
        ] {
            assert_eq!(tags(text).trouble, Some((at, trouble)), "{text}");
        }
    }

    #[test]
    fn names_are_those_of_the_engine() {
        assert!(has_filter("default") && has_filter("regex_replace") && !has_filter("defalt"));
        assert!(has_test("defined") && has_test("version") && !has_test("definde"));
        assert!(functions().contains("range"));
    }

    #[test]
    fn columns_are_those_of_the_author() {
        let error = check("t", "ok\n{{ a.b | default(1) }} {{ c d }}").unwrap_err();
        assert_eq!((error.line, error.column), (2, Some(29)), "{error}");
        let error = check("t", "{% if %}").unwrap_err();
        assert_eq!(error.line, 1);
    }
}
