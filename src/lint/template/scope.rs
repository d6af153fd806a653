//! Which names a template sets itself, and where they can be seen; which blocks are open.

use std::collections::BTreeSet;
use std::ops::Range;

#[derive(Debug)]
pub struct Scopes {
    open: Vec<Frame>,
}

#[derive(Debug)]
struct Frame {
    /// `for`, `if` and so on; empty for the file itself.
    word: String,
    at: Range<usize>,
    names: BTreeSet<String>,
}

impl Scopes {
    pub fn new() -> Scopes {
        let mut scopes = Scopes { open: Vec::new() };
        scopes.enter("", 0..0);
        scopes
    }

    pub fn enter(&mut self, word: &str, at: Range<usize>) {
        self.open.push(Frame {
            word: word.to_owned(),
            at,
            names: BTreeSet::new(),
        });
    }

    /// Closes a block; those inside of it that were left open, and where they begin.
    pub fn leave(&mut self, word: &str) -> Vec<(String, Range<usize>)> {
        let found = self.open.iter().rposition(|frame| frame.word == word);
        // Without one to close, the engine says so.
        let Some(at) = found.filter(|at| *at > 0) else {
            return Vec::new();
        };
        let inner = self.open.split_off(at).into_iter().skip(1);
        inner.map(|frame| (frame.word, frame.at)).collect()
    }

    /// A name of the innermost block only: a loop's, or one that a condition asked for.
    pub fn add_here(&mut self, name: &str) {
        if let Some(frame) = self.open.last_mut() {
            frame.names.insert(name.to_owned());
        }
    }

    /// A name that is set: an `if` does not hide it from what follows.
    pub fn set(&mut self, name: &str) {
        let inner = self.open.iter_mut().rev();
        let mut inner = inner.skip_while(|frame| frame.word == "if");
        if let Some(frame) = inner.next() {
            frame.names.insert(name.to_owned());
        }
    }

    /// A name that a block of the innermost kind sets for what follows it.
    pub fn set_outside(&mut self, name: &str) {
        let inner = self.open.iter_mut().rev().skip(1);
        let mut inner = inner.skip_while(|frame| frame.word == "if");
        if let Some(frame) = inner.next() {
            frame.names.insert(name.to_owned());
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.open.iter().any(|frame| frame.names.contains(name))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        let frames = self.open.iter();
        frames.flat_map(|frame| frame.names.iter().map(String::as_str))
    }

    /// The blocks that are still open, and where they begin.
    pub fn unclosed(self) -> Vec<(String, Range<usize>)> {
        let frames = self.open.into_iter().skip(1);
        frames.map(|frame| (frame.word, frame.at)).collect()
    }
}
