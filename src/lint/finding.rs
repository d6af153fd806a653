//! One thing that is wrong: where, what, why, and what to do next.

use super::rules::{Level, Rule};

/// A stretch of one line of a file, or a file as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    /// From 1; 0 for the whole file.
    pub line: usize,
    /// From 1, in characters; 0 for the whole file.
    pub column: usize,
    /// The column after the last one.
    pub end_column: usize,
    /// It goes on over the end of its line, or is a whole file.
    pub is_cut: bool,
    pub excerpt: Option<Excerpt>,
}

/// The part of a line that is worth showing, fit for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    pub text: String,
    /// Characters before the caret, and carets.
    pub before: usize,
    pub carets: usize,
}

impl Place {
    /// A file, or a directory, as a whole.
    pub fn whole(file: impl Into<String>) -> Place {
        Place {
            file: file.into(),
            line: 0,
            column: 0,
            end_column: 0,
            is_cut: true,
            excerpt: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static Rule,
    pub level: Level,
    pub place: Place,
    /// What, which, why.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
    /// The text to put in the place.
    pub mend: Option<String>,
}

impl Finding {
    pub fn new(rule: &'static Rule, place: Place, message: impl Into<String>) -> Finding {
        Finding {
            rule,
            level: rule.level,
            place,
            message: message.into(),
            help: None,
            mend: None,
        }
    }

    pub fn help(mut self, help: impl Into<String>) -> Finding {
        self.help = Some(help.into());
        self
    }

    pub fn maybe_help(mut self, help: Option<String>) -> Finding {
        self.help = help.or(self.help);
        self
    }

    /// Only what stands on one line can be put there in its place.
    pub fn mend(mut self, text: impl Into<String>) -> Finding {
        self.mend = Some(text.into()).filter(|_| !self.place.is_cut);
        self
    }

    pub fn level(mut self, level: Level) -> Finding {
        self.level = level;
        self
    }

    /// For `--json`.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "rule": self.rule.id,
            "level": self.level,
            "file": self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "end_column": self.place.end_column,
            "message": self.message,
            "help": self.help,
            "mend": self.mend,
        })
    }
}
