//! Ansible's filters on single values: bool, quote, ternary, mandatory.

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use super::{Arguments, Given, More, wrong};
use crate::templates::{mutable, python};

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("bool", to_bool);
    engine.add_filter("quote", |Given(value): Given| -> Result<String, Error> {
        if value.is_none() {
            Ok("''".into())
        } else {
            python::str_of(&value).map(|text| quote(&text))
        }
    });
    engine.add_filter("ternary", ternary);
    engine.add_filter("mandatory", mandatory);
    engine.add_filter(
        "zfill",
        |Given(value): Given, width: usize| -> Result<String, Error> {
            mutable::zfill(&python::str_of(&value)?, width)
        },
    );
    engine.add_filter("type_debug", type_debug);
    engine.add_filter("comment", comment);
    engine.add_function("undef", |hint: Option<String>| -> Result<Value, Error> {
        Err(wrong(hint.unwrap_or_else(|| {
            "mandatory variable has not been overridden".into()
        })))
    });
}

fn to_bool(Given(value): Given) -> Value {
    match value.kind() {
        ValueKind::Bool => value,
        ValueKind::Number => Value::from(value == Value::from(1)),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default().to_lowercase();
            Value::from(matches!(text.as_str(), "yes" | "on" | "1" | "true"))
        }
        _ => Value::from(false),
    }
}

/// Python's `shlex.quote`.
fn quote(text: &str) -> String {
    let is_safe = |char: char| char.is_ascii_alphanumeric() || "_@%+=:,./-".contains(char);
    if !text.is_empty() && text.chars().all(is_safe) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\"'\"'"))
    }
}

fn ternary(Given(value): Given, rest: More) -> Result<Value, Error> {
    let arguments = Arguments::new(rest)?;
    let missing = || Error::from(ErrorKind::MissingArgument);
    let yes = arguments.get(0, "true_val").ok_or_else(missing)?;
    let no = arguments.get(1, "false_val").ok_or_else(missing)?;
    let neither = arguments
        .get(2, "none_val")
        .filter(|value| !value.is_none());
    arguments.finish(3)?;
    Ok(match neither {
        Some(neither) if value.is_none() => neither,
        _ if value.is_true() => yes,
        _ => no,
    })
}

fn mandatory(value: &Value, rest: More) -> Result<Value, Error> {
    let message = Arguments::new(rest)?.text(0, "msg")?;
    if !value.is_undefined() {
        return Ok(value.clone());
    }
    Err(match message {
        Some(message) => wrong(message),
        None => Error::new(
            ErrorKind::UndefinedError,
            "a mandatory variable is not defined",
        ),
    })
}

fn type_debug(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "AnsibleUndefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Map => "dict",
        _ if value.is_tuple() => "tuple",
        _ => "list",
    }
}

/// `comment`: the plain, cblock, erlang, c and xml styles of Ansible.
fn comment(Given(text): Given, rest: More) -> Result<String, Error> {
    let arguments = Arguments::new(rest)?;
    let style = arguments
        .text(0, "style")?
        .unwrap_or_else(|| "plain".into());
    let (begin, decoration, end) = match style.as_str() {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        other => {
            return Err(wrong(format!(
                "comment knows plain, erlang, c, cblock and xml, not {other}"
            )));
        }
    };
    let own = |name, default: &str| -> Result<String, Error> {
        let value = arguments
            .named(name)
            .map(|value| python::str_of(&value))
            .transpose()?;
        Ok(value.unwrap_or_else(|| default.to_owned()))
    };
    let decoration = own("decoration", decoration)?;
    let prefix = own("prefix", decoration.trim_end())?;
    let postfix = own("postfix", decoration.trim_end())?;
    let text = python::str_of(&text)?.replace('\n', &format!("\n{decoration}"));
    // A line that is only decoration loses its trailing blank, the last one excepted.
    let text = format!("{decoration}{text}").replace(
        &format!("{decoration}\n"),
        &format!("{}\n", decoration.trim_end()),
    );
    let line = |text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            format!("{text}\n")
        }
    };
    let end = if end.is_empty() {
        String::new()
    } else {
        format!("\n{end}")
    };
    Ok(format!(
        "{}{}{text}\n{postfix}{end}",
        line(begin),
        line(&prefix)
    ))
}
