//! Rendering one template file, and the error it may end in.
//!
//! The work is done on a thread of its own with a large stack: the engine
//! recurses over what authors nest.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use minijinja::Error;

use super::resolver::Resolver;
use super::source::Kind;
use super::{Scope, engine, values};

/// Address space, not memory: only what is used is ever backed.
const STACK: usize = 256 << 20;

/// Renders templates with one set of variables.
#[derive(Debug, Clone)]
pub struct Renderer {
    scope: Scope,
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
        Renderer { scope }
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
            .render(name, source, resolver.root(), 0)
            .map(engine::Rendered::into_text)
            .map_err(|error| TemplateError {
                name: name.to_owned(),
                line: error.line().map_or(0, |line| line + prepared.dropped),
                column: column(&error, &prepared.text),
                message: resolver.describe(&error),
            })
    }
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
