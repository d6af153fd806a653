//! What an item and a change are, and what may become of them: the words that all kinds of deliver
//! have in common.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::ports::Fault;

use super::place::is_here;

/// Part of a run, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tag {
    System,
    Scripts,
    Services,
    /// The overlay's own part: before the students, so that a run that is cut short has done it.
    Private,
    Students,
}

impl Tag {
    pub const ALL: [Tag; 5] = [
        Tag::System,
        Tag::Scripts,
        Tag::Services,
        Tag::Private,
        Tag::Students,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Tag::System => "system",
            Tag::Scripts => "scripts",
            Tag::Services => "services",
            Tag::Private => "private",
            Tag::Students => "students",
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Tag, String> {
        let all = Tag::ALL;
        let found = all.into_iter().find(|tag| tag.as_str() == text);
        found.ok_or_else(|| {
            let names = all.map(Tag::as_str).join(", ");
            format!("there is no tag {text}; expected one of {names}")
        })
    }
}

/// Whether a run may touch the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is changed.
    Check,
    Apply,
}

/// What became of an item, or of a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// Or would be, in a run that only looks.
    Changed,
    Failed,
    Skipped,
}

impl Outcome {
    pub const ALL: [Outcome; 4] = [
        Outcome::Ok,
        Outcome::Changed,
        Outcome::Failed,
        Outcome::Skipped,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Changed => "changed",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        }
    }
}

/// One thing that the host must have.
#[derive(Clone)]
pub struct Item {
    pub tag: Tag,
    pub resource: Arc<dyn Resource>,
    /// Commands to run once, at the end of the tag's items, when this one changed.
    pub then: Vec<Vec<String>>,
}

impl Item {
    pub fn new(tag: Tag, resource: impl Resource + 'static) -> Item {
        Item {
            tag,
            resource: Arc::new(resource),
            then: Vec::new(),
        }
    }

    pub fn then(mut self, commands: Vec<Vec<String>>) -> Item {
        self.then = commands;
        self
    }

    pub fn name(&self) -> String {
        self.resource.name()
    }
}

/// What a resource needs to be there first: a program or a path; without it, it is left out.
pub struct Needing {
    pub needs: String,
    pub resource: Arc<dyn Resource>,
}

impl Resource for Needing {
    fn name(&self) -> String {
        self.resource.name()
    }

    fn not_here(&self) -> Option<String> {
        match is_here(&self.needs) {
            true => self.resource.not_here(),
            false => Some(format!("{} is not here", self.needs)),
        }
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        self.resource.diff()
    }
}

pub trait Resource: Send + Sync {
    /// As people name it, `file /etc/sysctl.d/60-wod.conf`: the same in every run, unique.
    fn name(&self) -> String;

    /// Why this host cannot have it, so that it is left out; asked right before `diff`.
    fn not_here(&self) -> Option<String> {
        None
    }

    /// Looks at the host and says what would have to be done, in order; touches nothing. Nothing
    /// to do is an empty list.
    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault>;

    /// For programs of others, which look and change in one: runs it, and says what came of it.
    /// None for everything that has a `diff`.
    fn perform(&self, _mode: Mode) -> Option<Performed> {
        None
    }

    /// What became of parts that failed or were left out while the rest was done; asked for once,
    /// after the changes.
    fn asides(&self) -> Vec<Aside> {
        Vec::new()
    }
}

/// What came of a program of the site's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Performed {
    pub outcome: Outcome,
    pub line: String,
    /// What it printed, its end at most; the secrets in it are still to be masked.
    pub output: String,
}

impl Performed {
    pub fn new(outcome: Outcome, line: impl Into<String>) -> Performed {
        Performed {
            outcome,
            line: line.into(),
            output: String::new(),
        }
    }
}

/// A part of an item with a fate of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// `account student7`
    pub part: String,
    pub outcome: Outcome,
    pub line: String,
}

/// Something that has to be done, as it was seen. Applied once, at once.
pub trait Change: Send {
    /// What would be done, in one line without the item's name: `mode 0644 -> 0600`.
    fn line(&self) -> String;

    /// What `--diff` shows; None where a line says it all, or nobody may read it.
    fn texts(&self) -> Option<Texts> {
        None
    }

    /// Converges: applied again, to what a killed run left, it ends in the same state.
    fn apply(&self) -> Result<(), Fault>;
}

/// A text before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    pub before: String,
    pub after: String,
}
