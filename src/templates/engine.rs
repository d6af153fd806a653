//! minijinja set up as Ansible sets up Jinja2, with limits on time, memory and depth.
//!
//! The engine knows no variables: they come with each call, see `resolver`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use super::source::{self, Flaw, Kind, Split, Syntax};
use super::{filters, mutable, python};

/// Instructions one template may take; about a second's worth.
const FUEL: u64 = 10_000_000;
/// Bytes one rendering may write, variables included.
pub(super) const MAX_OUTPUT: usize = 64 << 20;
/// Bytes one template may hold.
const MAX_SOURCE: usize = 16 << 20;
/// `elif`s of one template: the parser recurses over them.
const MAX_ELIFS: usize = 2_000;

/// The text of a file that a template names in `include`, `import` or `extends`; None where
/// there is no such file. It is the caller who says where files may come from.
pub type Include = Arc<dyn Fn(&str) -> Result<Option<String>, String> + Send + Sync>;

/// A template adapted for the engine.
pub(super) struct Prepared {
    engine: Engine,
    pub text: String,
    /// Lines the header took off the top.
    pub dropped: usize,
    syntax: Syntax,
}

enum Engine {
    Common(&'static Environment<'static>),
    Own(Box<Environment<'static>>),
}

impl Engine {
    fn get(&self) -> &Environment<'static> {
        match self {
            Engine::Common(engine) => engine,
            Engine::Own(engine) => engine,
        }
    }
}

/// The engine of templates without a header.
pub(super) fn common() -> &'static Environment<'static> {
    static COMMON: LazyLock<Environment<'static>> =
        LazyLock::new(|| build(&Syntax::default()).expect("the default delimiters are sound"));
    &COMMON
}

/// Checks and adapts a template's text.
pub(super) fn prepare(template: &str, kind: Kind) -> Result<Prepared, Flaw> {
    let Split {
        syntax,
        body,
        dropped,
    } = source::split_header(template)?;
    let in_file = |flaw: Flaw| Flaw {
        line: flaw.line + dropped,
        ..flaw
    };
    let whole = |message: String| Flaw { line: 1, message };
    if body.len() > MAX_SOURCE {
        return Err(whole(format!(
            "a template of more than {} MiB",
            MAX_SOURCE >> 20
        )));
    }
    if body.matches("elif").count() > MAX_ELIFS {
        return Err(whole(format!(
            "more than {MAX_ELIFS} elifs; split the template"
        )));
    }
    let normal = source::normalise(body, &syntax);
    let text = source::adapt(&normal, &syntax, kind).map_err(in_file)?;
    let engine = if syntax == Syntax::default() {
        Engine::Common(common())
    } else {
        let own = build(&syntax).map_err(|error| whole(error.to_string()))?;
        Engine::Own(Box::new(own))
    };
    Ok(Prepared {
        engine,
        text,
        dropped,
        syntax,
    })
}

impl Prepared {
    /// Whether the engine can read it.
    pub fn check(&self, name: &str) -> Result<(), Error> {
        let read = self.engine.get().template_from_named_str(name, &self.text);
        read.map(drop)
    }

    /// Renders. `spent` counts the bytes of the whole rendering.
    pub fn render(
        &self,
        name: &str,
        template: &str,
        vars: Value,
        spent: usize,
        include: Option<&Include>,
    ) -> Result<Rendered, Error> {
        let with_files = include.map(|include| self.with_files(include));
        let engine = with_files.as_ref().unwrap_or(self.engine.get());
        let mut out = Limited {
            bytes: Vec::with_capacity(self.text.len()),
            left: MAX_OUTPUT.saturating_sub(spent),
            pieces: 0,
            only: None,
        };
        let above = PRINTED.replace(Printed::default());
        let done = engine
            .template_from_named_str(name, &self.text)
            .and_then(|template| template.render_captured_to(vars, &mut out).map(|_| ()));
        let printed = PRINTED.replace(above);
        done.map_err(|error| too_long(error, &out))?;
        let text = String::from_utf8(out.bytes)
            .map_err(|_| Error::new(ErrorKind::WriteFailure, "the output is not UTF-8"))?;
        Ok(match (out.only, out.pieces) {
            (Some(value), 1) if !printed.empty => Rendered::Value(value, text),
            (_, 0) if !printed.any => Rendered::Nothing,
            _ => Rendered::Text(with_newlines(template, text)),
        })
    }

    /// The same engine with the files that this template may include.
    fn with_files(&self, include: &Include) -> Environment<'static> {
        let (include, syntax) = (include.clone(), self.syntax.clone());
        let mut engine = self.engine.get().clone();
        engine.set_loader(move |name| {
            let unusable =
                |why: String| Error::new(ErrorKind::BadInclude, format!("{name}: {why}"));
            let Some(text) = include(name).map_err(unusable)? else {
                return Ok(None);
            };
            if text.len() > MAX_SOURCE {
                return Err(unusable(format!("more than {} MiB", MAX_SOURCE >> 20)));
            }
            let normal = source::normalise(&text, &syntax);
            source::adapt(&normal, &syntax, Kind::File)
                .map(Some)
                .map_err(|flaw| unusable(format!("line {}: {}", flaw.line, flaw.message)))
        });
        engine
    }

    /// The value, if the template is one `{{ expression }}` and nothing else:
    /// such a variable keeps its type.
    pub fn expression(&self, vars: &Value) -> Option<(&str, Result<Value, Error>)> {
        let inner = self.text.strip_prefix(&self.syntax.variable.0)?;
        let inner = inner.strip_suffix(&self.syntax.variable.1)?;
        let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
        let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner).trim();
        let compiled = self.engine.get().compile_expression(inner).ok()?;
        Some((inner, compiled.eval(vars.clone())))
    }
}

/// What a template comes to under Ansible, which joins its pieces to a text only where they are several.
pub(super) enum Rendered {
    /// Not one piece: there is nothing to give a newline back to.
    Nothing,
    Text(String),
    /// The one piece is no text. With how it prints.
    Value(Value, String),
}

impl Rendered {
    pub fn into_text(self) -> String {
        match self {
            Rendered::Nothing => String::new(),
            Rendered::Text(text) | Rendered::Value(_, text) => text,
        }
    }
}

/// What the formatter tells the writer below it.
#[derive(Default)]
struct Printed {
    /// The value that is being written, if it is no text.
    now: Option<Value>,
    /// Something that is not none was printed, an empty text perhaps.
    any: bool,
    /// An empty text was printed, which the writer does not see.
    empty: bool,
}

thread_local! {
    static PRINTED: RefCell<Printed> = RefCell::default();
}

/// Gives back the newlines that the template ends with and the text lost.
pub(super) fn with_newlines(template: &str, mut text: String) -> String {
    let missing = source::missing_newlines(template, &text);
    text.push_str(&"\n".repeat(missing));
    text
}

fn build(syntax: &Syntax) -> Result<Environment<'static>, Error> {
    let mut engine = Environment::new();
    engine.set_syntax(delimiters(syntax)?);
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_fuel(Some(FUEL));
    // Without it an error cannot name the variable that is missing.
    engine.set_debug(true);
    engine.set_unknown_method_callback(mutable::method);
    engine.set_formatter(|out, state, value| {
        if value.is_undefined() {
            // The engine's own complaint names the expression.
            return minijinja::escape_formatter(out, state, value);
        }
        if value.is_none() {
            return Ok(());
        }
        match value.as_str() {
            Some(text) => {
                PRINTED.with_borrow_mut(|printed| {
                    printed.any = true;
                    printed.empty |= text.is_empty();
                });
                out.write_str(text)?;
            }
            None => {
                let text = python::printed(value)?;
                PRINTED.with_borrow_mut(|printed| {
                    printed.any = true;
                    printed.now = Some(value.clone());
                });
                out.write_str(&text)?;
                PRINTED.with_borrow_mut(|printed| printed.now = None);
            }
        }
        Ok(())
    });
    // Jinja2 has no such function, and it would print every variable.
    engine.remove_global("debug");
    filters::register(&mut engine);
    Ok(engine)
}

fn delimiters(syntax: &Syntax) -> Result<SyntaxConfig, Error> {
    let own = |text: &str| Cow::<'static, str>::Owned(text.to_owned());
    let mut builder = SyntaxConfig::builder();
    builder
        .block_delimiters(own(&syntax.block.0), own(&syntax.block.1))
        .variable_delimiters(own(&syntax.variable.0), own(&syntax.variable.1))
        .comment_delimiters(own(&syntax.comment.0), own(&syntax.comment.1))
        .trim_blocks(syntax.trim_blocks)
        .lstrip_blocks(syntax.lstrip_blocks)
        // The text comes without the newline that is not to be kept.
        .keep_trailing_newline(true);
    if let Some(prefix) = &syntax.line_statement {
        builder.line_statement_prefix(own(prefix));
    }
    if let Some(prefix) = &syntax.line_comment {
        builder.line_comment_prefix(own(prefix));
    }
    builder.build()
}

struct Limited {
    bytes: Vec<u8>,
    left: usize,
    pieces: usize,
    /// The first piece, if it is no text.
    only: Option<Value>,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.left {
            self.left = 0;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.left -= bytes.len();
        self.pieces += 1;
        let value = PRINTED.with_borrow_mut(|printed| printed.now.take());
        if self.pieces == 1 {
            self.only = value;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn too_long(error: Error, out: &Limited) -> Error {
    if out.left > 0 || error.kind() != ErrorKind::WriteFailure {
        return error;
    }
    Error::new(
        ErrorKind::WriteFailure,
        format!("more than {} MiB of output", MAX_OUTPUT >> 20),
    )
}
