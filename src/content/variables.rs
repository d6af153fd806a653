//! The variables of one seat: the inventory's, the workshop's, the pass file's, and who sits there.

use std::path::PathBuf;

use crate::domain::{AskedWorkshop, Student};
use crate::inventory::{Value, Vars};
use crate::ports::Fault;
use crate::templates::{Include, Renderer, Scope};

/// Where a seat's variables come from, lowest precedence first: `base`, the workshop's files,
/// the pass file, the seat.
pub struct Variables {
    base: Scope,
    /// `<WODANSIBLEDIR>/<WODGROUP>` and `<WODANSIBLEPRIVDIR>/<WODGROUP>`.
    dirs: Vec<PathBuf>,
}

/// Renders a template; the name is for messages, the closure gives what it includes.
pub type OwnedRender = Box<dyn Fn(&str, &str, Option<Include>) -> Result<String, Fault>>;

impl Variables {
    pub fn new(base: Scope, dirs: Vec<PathBuf>) -> Variables {
        Variables { base, dirs }
    }

    /// A variable of the inventory as a text; None when it is not set.
    pub fn text(&self, name: &str) -> Result<Option<String>, Fault> {
        let value = self
            .base
            .get(name)
            .map_err(|e| Fault::permanent(format!("variable {name} has no value")).because(&e))?;
        Ok(value.map(|value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        }))
    }

    /// Renders with the variables of this seat as they are now.
    pub fn renderer(
        &self,
        asked: &AskedWorkshop,
        student: Student,
        pass_files: Vec<PathBuf>,
    ) -> Result<OwnedRender, Fault> {
        let scope = self.seat(asked, student, pass_files)?;
        let renderer = Renderer::new(scope);
        Ok(Box::new(move |name, source, include| {
            let renderer = match include {
                Some(include) => renderer.including(include),
                None => renderer.clone(),
            };
            renderer.render(name, source).map_err(|e| {
                Fault::permanent(format!("template {name} cannot be rendered")).because(&e)
            })
        }))
    }

    /// All variables of this seat as they are now; a pass file counts if it is there.
    pub fn seat(
        &self,
        asked: &AskedWorkshop,
        student: Student,
        pass_files: Vec<PathBuf>,
    ) -> Result<Scope, Fault> {
        let name = &asked.name;
        let files = self
            .dirs
            .iter()
            .map(|dir| dir.join(format!("variables_{name}.yml")))
            .chain(pass_files);
        let unlock = |envelope: &str| match self.base.passwords().open(envelope) {
            Ok(text) => Ok(text.expose().to_owned()),
            Err(e) => Err(e.to_string()),
        };
        let mut vars = Vars::default();
        for file in files.filter(|file| file.exists()) {
            vars.read_over(&file, Some(&unlock)).map_err(|problem| {
                Fault::permanent(format!("the variables of {name} cannot be read"))
                    .because(&problem)
            })?;
        }
        let text = |name: &str, text: &str| (name.to_owned(), Value::Unsafe(text.to_owned()));
        Ok(self.base.with_vars(&vars).with([
            ("STDID".to_owned(), Value::Int(student.number().into())),
            text("CHALLENGE", &asked.asked()),
            text("WORKSHOP", name.as_str()),
            text("MODEWS", asked.variant.modews()),
            text("DIR", ""),
        ]))
    }
}
