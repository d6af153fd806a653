//! A template's text made ready for minijinja, so that it means what Jinja2 under Ansible makes of it.
//!
//! Lines stay where they are: error positions refer to the author's file. Only
//! text is handled here, nothing is evaluated.

use super::mutable::CHANGING;
use super::tokens::{self, Strings};

/// The delimiters and switches a `#jinja2:` line may set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Syntax {
    pub block: (String, String),
    pub variable: (String, String),
    pub comment: (String, String),
    pub line_statement: Option<String>,
    pub line_comment: Option<String>,
    pub trim_blocks: bool,
    pub lstrip_blocks: bool,
    pub keep_trailing_newline: bool,
    pub newline: String,
}

impl Default for Syntax {
    /// As Ansible's template module sets Jinja2 up.
    fn default() -> Syntax {
        let pair = |start: &str, end: &str| (start.to_owned(), end.to_owned());
        Syntax {
            block: pair("{%", "%}"),
            variable: pair("{{", "}}"),
            comment: pair("{#", "#}"),
            line_statement: None,
            line_comment: None,
            trim_blocks: true,
            lstrip_blocks: false,
            keep_trailing_newline: false,
            newline: "\n".to_owned(),
        }
    }
}

/// What is wrong with a template's text, and on which of its lines (from 1).
#[derive(Debug)]
pub(super) struct Flaw {
    pub line: usize,
    pub message: String,
}

/// Where a template stands; Ansible reads string literals differently in the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file: `'\n'` is a newline.
    File,
    /// The value of a variable: a backslash within `{{ }}` stays one.
    Variable,
}

/// A template split from its `#jinja2:` line.
pub(super) struct Split<'a> {
    pub syntax: Syntax,
    pub body: &'a str,
    /// Lines taken off at the top.
    pub dropped: usize,
}

const HEADER: &str = "#jinja2:";

/// Takes the `#jinja2:` line off, if there is one.
pub(super) fn split_header(text: &str) -> Result<Split<'_>, Flaw> {
    let mut syntax = Syntax::default();
    let Some(rest) = text.strip_prefix(HEADER) else {
        return Ok(Split {
            syntax,
            body: text,
            dropped: 0,
        });
    };
    let flaw = |message: String| Flaw { line: 1, message };
    let Some((line, body)) = rest.split_once('\n') else {
        return Err(flaw(format!("nothing follows the {HEADER} line")));
    };
    for pair in line.trim_end_matches('\r').split(',') {
        let (key, value) = pair.split_once(':').ok_or_else(|| {
            flaw(format!(
                "`{}` in the {HEADER} line is not `key: value`",
                pair.trim()
            ))
        })?;
        set(&mut syntax, key.trim(), value.trim()).map_err(flaw)?;
    }
    if [&syntax.block.0, &syntax.comment.0].contains(&&syntax.variable.0)
        || syntax.block.0 == syntax.comment.0
    {
        return Err(flaw(
            "the start strings of block, variable and comment must differ".into(),
        ));
    }
    Ok(Split {
        syntax,
        body,
        dropped: 1,
    })
}

fn set(syntax: &mut Syntax, key: &str, value: &str) -> Result<(), String> {
    let text = || match literal(value) {
        Some(Literal::Text(text)) if !text.is_empty() => Ok(text),
        _ => Err(format!(
            "{key} in the {HEADER} line takes a quoted text, not `{value}`"
        )),
    };
    let optional = || match literal(value) {
        Some(Literal::Nothing) => Ok(None),
        _ => text().map(Some),
    };
    let flag = || match literal(value) {
        Some(Literal::Flag(flag)) => Ok(flag),
        _ => Err(format!(
            "{key} in the {HEADER} line takes True or False, not `{value}`"
        )),
    };
    match key {
        "block_start_string" => syntax.block.0 = text()?,
        "block_end_string" => syntax.block.1 = text()?,
        "variable_start_string" => syntax.variable.0 = text()?,
        "variable_end_string" => syntax.variable.1 = text()?,
        "comment_start_string" => syntax.comment.0 = text()?,
        "comment_end_string" => syntax.comment.1 = text()?,
        "line_statement_prefix" => syntax.line_statement = optional()?,
        "line_comment_prefix" => syntax.line_comment = optional()?,
        "trim_blocks" => syntax.trim_blocks = flag()?,
        "lstrip_blocks" => syntax.lstrip_blocks = flag()?,
        "keep_trailing_newline" => syntax.keep_trailing_newline = flag()?,
        "newline_sequence" => syntax.newline = text()?,
        _ => return Err(format!("unknown setting `{key}` in the {HEADER} line")),
    }
    Ok(())
}

enum Literal {
    Text(String),
    Flag(bool),
    Nothing,
}

/// A Python literal as far as the header needs it.
fn literal(value: &str) -> Option<Literal> {
    match value {
        "True" => Some(Literal::Flag(true)),
        "False" => Some(Literal::Flag(false)),
        "None" => Some(Literal::Nothing),
        _ => {
            let quote = value
                .chars()
                .next()
                .filter(|first| matches!(first, '\'' | '"'))?;
            let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
            tokens::unescape(inner).ok().map(Literal::Text)
        }
    }
}

/// Line ends as Jinja2 sees them; the one at the very end is not part of the template.
pub(super) fn normalise(body: &str, syntax: &Syntax) -> String {
    let mut text = match body.contains('\r') {
        true => body.replace("\r\n", "\n").replace('\r', "\n"),
        false => body.to_owned(),
    };
    if !syntax.keep_trailing_newline && text.ends_with('\n') {
        text.pop();
    }
    text
}

/// How many newlines the result lacks at its end: Ansible gives the template's back.
pub(super) fn missing_newlines(template: &str, result: &str) -> usize {
    let count = |text: &str| text.len() - text.trim_end_matches('\n').len();
    count(template).saturating_sub(count(result))
}

/// Rewrites what minijinja would understand otherwise; `text` is normalised.
pub(super) fn adapt(text: &str, syntax: &Syntax, kind: Kind) -> Result<String, Flaw> {
    let changes = CHANGING
        .iter()
        .any(|name| text.contains(&format!(".{name}(")));
    let ahead = [&syntax.comment.0, &syntax.block.0, &syntax.variable.0]
        .map(|start| text.find(start.as_str()));
    let out = String::with_capacity(text.len() + 64);
    Scanner {
        text,
        syntax,
        kind,
        changes,
        at: 0,
        ahead,
        out,
    }
    .run()
}

struct Scanner<'a> {
    text: &'a str,
    syntax: &'a Syntax,
    kind: Kind,
    changes: bool,
    at: usize,
    /// Where each kind of opening comes next, if it does.
    ahead: [Option<usize>; 3],
    out: String,
}

enum Opening {
    Comment,
    Block,
    Variable,
}

impl<'a> Scanner<'a> {
    fn run(mut self) -> Result<String, Flaw> {
        while let Some((start, opening)) = self.next_opening() {
            self.data(start);
            match opening {
                Opening::Comment => self.comment(),
                Opening::Block if self.raw()? => {}
                Opening::Block => self.tag(&self.syntax.block, Strings::Escaped)?,
                Opening::Variable => {
                    let strings = match self.kind {
                        Kind::File => Strings::Escaped,
                        Kind::Variable => Strings::Literal,
                    };
                    self.tag(&self.syntax.variable, strings)?;
                }
            }
        }
        self.data(self.text.len());
        Ok(self.out)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn flaw(&self, message: impl Into<String>) -> Flaw {
        let line = 1 + self.text[..self.at].matches('\n').count();
        Flaw {
            line,
            message: message.into(),
        }
    }

    /// The nearest opening; of several at one place the longest.
    fn next_opening(&mut self) -> Option<(usize, Opening)> {
        let syntax = self.syntax;
        let starts = [
            (&syntax.comment.0, Opening::Comment),
            (&syntax.block.0, Opening::Block),
            (&syntax.variable.0, Opening::Variable),
        ];
        // A search reaches to the end of the text, so what it found is kept.
        for (kind, (start, _)) in starts.iter().enumerate() {
            if self.ahead[kind].is_some_and(|found| found < self.at) {
                let found = self.rest().find(start.as_str());
                self.ahead[kind] = found.map(|found| self.at + found);
            }
        }
        let found =
            |kind: usize, start: &String| Some((self.ahead[kind]?, usize::MAX - start.len()));
        starts
            .into_iter()
            .enumerate()
            .filter_map(|(kind, (start, opening))| Some((found(kind, start)?, opening)))
            .min_by_key(|(place, _)| *place)
            .map(|((at, _), opening)| (at, opening))
    }

    /// Text up to `end` goes out as it is.
    fn data(&mut self, end: usize) {
        let data = &self.text[self.at..end];
        match self.syntax.newline.as_str() {
            "\n" => self.out.push_str(data),
            other => self.out.push_str(&data.replace('\n', other)),
        }
        self.at = end;
    }

    fn copy(&mut self, len: usize) {
        self.out.push_str(&self.rest()[..len]);
        self.at += len;
    }

    fn comment(&mut self) {
        let end = &self.syntax.comment.1;
        // An unclosed comment is the engine's to complain about.
        let len = self
            .rest()
            .find(end.as_str())
            .map_or(self.rest().len(), |at| at + end.len());
        self.copy(len);
    }

    /// Copies a whole raw block, if one begins here. Under `trim_blocks` minijinja
    /// drops the newline after `raw`, Jinja2 keeps it: `+` says so.
    fn raw(&mut self) -> Result<bool, Flaw> {
        let Some((head, strip)) = self.word_tag(self.rest(), "raw") else {
            return Ok(false);
        };
        if strip == Some('+') {
            return Err(
                self.flaw("raw cannot be closed by +%}, Jinja2 does not know it so; leave + out")
            );
        }
        let (start, end) = &self.syntax.block;
        if self.syntax.trim_blocks && strip != Some('-') {
            let keep = head - end.len() - usize::from(strip.is_some());
            self.copy(keep);
            self.out.push_str(" +");
            self.at = self.at + head - keep - end.len();
            self.copy(end.len());
        } else {
            self.copy(head);
        }
        let mut searched = 0;
        while let Some(found) = self.rest()[searched..].find(start.as_str()) {
            let at = searched + found;
            if let Some((len, _)) = self.word_tag(&self.rest()[at..], "endraw") {
                self.data(self.at + at);
                self.copy(len);
                return Ok(true);
            }
            searched = at + start.len();
        }
        Err(self.flaw("a raw block is never closed; end it with {% endraw %}"))
    }

    /// The length of `{% word %}` at the head of `text`, and its closing sign.
    fn word_tag(&self, text: &str, word: &str) -> Option<(usize, Option<char>)> {
        let (start, end) = &self.syntax.block;
        let inner = text.strip_prefix(start.as_str())?;
        let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner).trim_start();
        let inner = inner.strip_prefix(word)?.trim_start();
        let strip = inner
            .chars()
            .next()
            .filter(|sign| matches!(sign, '-' | '+'));
        let inner = &inner[usize::from(strip.is_some())..];
        let rest = inner.strip_prefix(end.as_str())?;
        Some((text.len() - rest.len(), strip))
    }

    fn tag(&mut self, (start, end): &(String, String), strings: Strings) -> Result<(), Flaw> {
        self.copy(start.len());
        if self.rest().starts_with(['-', '+']) {
            self.copy(1);
        }
        let (tokens, len) = tokens::read(self.rest(), end).map_err(|why| self.flaw(why))?;
        let adapted = tokens::adapt(tokens, strings, self.changes).map_err(|why| self.flaw(why))?;
        self.out.push_str(&adapted);
        self.at += len;
        if self.rest().starts_with(['-', '+']) {
            self.copy(1);
        }
        if self.rest().starts_with(end.as_str()) {
            self.copy(end.len());
        }
        Ok(())
    }
}
