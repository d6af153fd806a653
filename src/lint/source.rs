//! A text and where in it something stands: from an offset to line, column and an excerpt.

use std::cell::Cell;
use std::ops::Range;

use super::finding::{Excerpt, Finding, Place};
use super::rules::Rule;

/// Characters of a line that are shown; notebooks have lines of any length.
const SHOWN: usize = 100;
/// Of these, as many before the place.
const SHOWN_BEFORE: usize = 40;

/// Findings of one file that are told; an author mends the first ones first.
pub const MOST: usize = 100;

/// A file's text. Offsets are bytes.
pub struct Source<'a> {
    pub file: &'a str,
    pub text: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
    told: Cell<usize>,
}

impl<'a> Source<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Source<'a> {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Source {
            file,
            text,
            starts: std::iter::once(0).chain(ends).collect(),
            told: Cell::new(0),
        }
    }

    /// A finding about a stretch of the text.
    pub fn found(
        &self,
        rule: &'static Rule,
        at: Range<usize>,
        message: impl Into<String>,
    ) -> Finding {
        self.told.set(self.told.get() + 1);
        match self.is_full() {
            // Nobody reads it, and looking for lines costs time.
            true => Finding::new(rule, Place::whole(self.file), message),
            false => Finding::new(rule, self.place(at), message),
        }
    }

    /// Whether there are more findings than are told.
    pub fn is_full(&self) -> bool {
        self.told.get() > MOST
    }

    /// A stretch that goes on over the end of its line is cut there.
    pub fn place(&self, at: Range<usize>) -> Place {
        let start = floor(self.text, at.start);
        let line = self.starts.partition_point(|&begin| begin <= start);
        let begin = self.starts[line - 1];
        let whole = self.line(line);
        let wanted = floor(self.text, at.end).max(start);
        let end = wanted.min(start.max(begin + whole.len()));
        let column = self.text[begin..start].chars().count() + 1;
        let length = self.text[start..end].chars().count();
        Place {
            file: self.file.to_owned(),
            line,
            column,
            end_column: column + length,
            is_cut: end < wanted,
            excerpt: Some(excerpt(whole, column - 1, length)),
        }
    }

    /// A line (from 1) without its end.
    pub fn line(&self, line: usize) -> &'a str {
        let Some(&begin) = line.checked_sub(1).and_then(|at| self.starts.get(at)) else {
            return "";
        };
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        self.text[begin..end].trim_end_matches(['\n', '\r'])
    }

    /// The offset of a line and column, both from 1, the column in characters.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let last = self.starts.len();
        let begin = self.starts[line.clamp(1, last) - 1];
        let rest = &self.text[begin..];
        let mut chars = rest.char_indices().map(|(at, _)| at);
        begin + chars.nth(column.saturating_sub(1)).unwrap_or(rest.len())
    }
}

/// The nearest boundary of a character at or before an offset.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at)
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0)
}

fn excerpt(line: &str, before: usize, length: usize) -> Excerpt {
    let cut = match before > SHOWN_BEFORE && line.chars().nth(SHOWN).is_some() {
        true => before - SHOWN_BEFORE,
        false => 0,
    };
    let mut text: String = line.chars().skip(cut).take(SHOWN).map(printable).collect();
    let room = text.chars().count();
    let mut before = before - cut;
    if line.chars().nth(cut + SHOWN).is_some() {
        text.push('…');
    }
    if cut > 0 {
        text.insert(0, '…');
        before += 1;
    }
    Excerpt {
        text,
        before,
        carets: length.clamp(1, room.saturating_sub(before).max(1)),
    }
}

/// An author's text must not move the cursor of who reads about it.
fn printable(char: char) -> char {
    match char {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    }
}

/// What an author wrote, as part of a message: one line, not too long.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text.chars().take(LONGEST).map(printable).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::rules;

    #[test]
    fn places_count_lines_and_characters() {
        let source = Source::new("a", "one\ntwö x\r\nthree");
        let place = source.place(source.text.find('x').unwrap()..source.text.len());
        assert_eq!((place.line, place.column, place.end_column), (2, 5, 6));
        assert_eq!(source.offset(2, 5), source.text.find('x').unwrap());
        assert_eq!(source.line(2), "twö x");
        let end = source.place(source.text.len()..source.text.len() + 9);
        assert_eq!((end.line, end.column), (3, 6));
    }

    #[test]
    fn excerpts_are_short_and_move_no_cursor() {
        let text = format!("{}\u{1b}[2Jhere{}", "x".repeat(500), "y".repeat(500));
        let source = Source::new("a", &text);
        let at = text.find("here").unwrap();
        let found = source.found(&rules::TEMPLATE_SYNTAX, at..at + 4, "m");
        let excerpt = found.place.excerpt.unwrap();
        assert!(excerpt.text.chars().count() <= SHOWN + 2);
        assert!(!excerpt.text.contains('\u{1b}'));
        let marked: String = excerpt.text.chars().skip(excerpt.before).take(4).collect();
        assert_eq!((marked.as_str(), excerpt.carets), ("here", 4));
    }
}
