//! `vault` and `unvault`: a text sealed and opened with a password that a variable holds.

use minijinja::{Environment, Error};

use super::{Arguments, Given, More, wrong};
use crate::domain::Secret;
use crate::templates::{Passwords, python, seal};

const MARK: &str = "$ANSIBLE_VAULT;";

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("vault", |Given(text): Given, rest: More| {
        let arguments = Arguments::new(rest)?;
        let password = password(&arguments)?;
        let label = arguments.text(2, "vault_id")?;
        for ignored in ["salt", "wrap_object"] {
            if arguments
                .named(ignored)
                .is_some_and(|value| value.is_true())
            {
                return Err(wrong(format!("vault takes no {ignored}; leave it out")));
            }
        }
        arguments.finish(3)?;
        let text = Secret::new(python::str_of(&text)?);
        let label = label.unwrap_or_else(|| "filter_default".into());
        seal(&password, Some(&label), &text).map_err(|why| wrong(why.to_string()))
    });
    engine.add_filter("unvault", |Given(text): Given, rest: More| {
        let arguments = Arguments::new(rest)?;
        let password = password(&arguments)?;
        arguments.text(1, "vault_id")?;
        arguments.finish(2)?;
        let text = python::str_of(&text)?;
        if !text.starts_with(MARK) {
            return Ok(text);
        }
        let opened = Passwords::single(password).open(&text);
        let opened = opened.map_err(|why| wrong(why.to_string()))?;
        Ok::<_, Error>(opened.expose().to_owned())
    });
    // A vaulted variable is open by the time a template sees it, and a text that looks like one is none.
    engine.add_test("vault_encrypted", |Given(_): Given| false);
}

fn password(arguments: &Arguments) -> Result<Secret, Error> {
    let password = arguments.text(0, "secret")?;
    password
        .map(Secret::new)
        .ok_or_else(|| wrong("a vault needs a password"))
}
