//! Rendering one template file, and the error it may end in.
//!
//! The work is done on a thread of its own with a large stack: the engine
//! recurses over what authors nest.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use minijinja::{Error, ErrorKind};

use super::engine::{self, Include};
use super::resolver::Resolver;
use super::scope::Scope;
use super::source::Kind;
use super::values;

/// Address space, not memory: only what is used is ever backed.
const STACK: usize = 256 << 20;

/// Renders templates with one set of variables.
#[derive(Clone)]
pub struct Renderer {
    scope: Scope,
    include: Option<Include>,
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Renderer({:?})", self.scope)
    }
}

/// Why a template did not render, and where. Shows no values, only names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TemplateError {
    /// The template's name, or the file that states the variable.
    pub name: String,
    /// From 1; 0 when the trouble has no line.
    pub line: usize,
    /// From 1, in characters.
    pub column: Option<usize>,
    pub message: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        write!(f, ": {}", self.message)
    }
}

impl Renderer {
    pub fn new(scope: Scope) -> Renderer {
        Renderer {
            scope,
            include: None,
        }
    }

    /// The same, for templates that may include what `include` gives.
    pub fn including(&self, include: Include) -> Renderer {
        Renderer {
            scope: self.scope.clone(),
            include: Some(include),
        }
    }

    /// Renders `source` as Ansible's `template` module would. `name` is for messages.
    pub fn render(&self, name: &str, source: &str) -> Result<String, TemplateError> {
        on_big_stack(|| {
            // The engine has operators that panic on odd values (a step backwards through nothing).
            let rendered = AssertUnwindSafe(|| self.render_here(name, source));
            catch_unwind(rendered).unwrap_or_else(|_| {
                Err(TemplateError {
                    name: name.to_owned(),
                    line: 0,
                    column: None,
                    message: "the template engine gave up on an expression".to_owned(),
                })
            })
        })
    }

    fn render_here(&self, name: &str, source: &str) -> Result<String, TemplateError> {
        if !values::looks_like_template(source) {
            return Ok(source.to_owned());
        }
        let prepared = engine::prepare(source, Kind::File).map_err(|flaw| TemplateError {
            name: name.to_owned(),
            line: flaw.line,
            column: None,
            message: flaw.message,
        })?;
        let resolver = Resolver::new(self.scope.clone());
        prepared
            .render(name, source, resolver.root(), 0, self.include.as_ref())
            .map(engine::Rendered::into_text)
            .map_err(|whole| {
                let error = innermost(&whole);
                let line = error.line().unwrap_or(0);
                let message = resolver.describe(error);
                match error.name().filter(|file| *file != name) {
                    // In a file that was included.
                    Some(file) => TemplateError {
                        name: file.to_owned(),
                        line,
                        column: None,
                        message,
                    },
                    None => TemplateError {
                        name: name.to_owned(),
                        line: if line > 0 { line + prepared.dropped } else { 0 },
                        column: column(error, &prepared.text),
                        message: named(error, &prepared.text).unwrap_or(message),
                    },
                }
            })
    }
}

/// An error in an included file comes wrapped in one of each file that includes it.
fn innermost(error: &Error) -> &Error {
    let mut deepest = error;
    while let ErrorKind::BadInclude = deepest.kind()
        && let Some(inner) = std::error::Error::source(deepest)
        && let Some(inner) = inner.downcast_ref::<Error>()
    {
        deepest = inner;
    }
    deepest
}

/// In a macro the engine forgets what an undefined value was called; the text has it.
fn named(error: &Error, text: &str) -> Option<String> {
    const LONGEST: usize = 80;
    if error.kind() != ErrorKind::UndefinedError || error.detail().is_some() {
        return None;
    }
    let range = error.range()?;
    let last = |sign: &str| {
        text.get(..range.start + 2)
            .or(text.get(..range.start))?
            .rfind(sign)
    };
    let start = last("{{").max(last("{%"))?;
    let tag = &text[start..];
    let end = [tag.find("}}"), tag.find("%}")]
        .into_iter()
        .flatten()
        .min()?;
    let shown = tag[2..end].trim_matches(['-', '+', ' ', '\n']);
    let is_short = shown.len() <= LONGEST && !shown.contains('\n');
    is_short.then(
        || match shown.contains(|char: char| !char.is_alphanumeric() && char != '_') {
            true => format!("an undefined value is used in `{shown}`"),
            false => format!("`{shown}` is undefined"),
        },
    )
}

fn column(error: &Error, text: &str) -> Option<usize> {
    let before = text.get(..error.range()?.start)?;
    let line = before.rsplit('\n').next()?;
    Some(line.chars().count() + 1)
}

/// Runs `work` where deep recursion is no danger.
pub(super) fn on_big_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("render".into())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .expect("a thread can be started");
        worker
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
