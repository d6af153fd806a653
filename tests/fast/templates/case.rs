//! A template with its variables and what comes of it, as the files of tests/cases/templates hold it.
//! The tests without and those with a real Ansible both read them here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wod::domain::Secret;
use wod::inventory::{self, Origin, Value, Vars};
use wod::templates::{Passwords, Renderer, Scope};

/// The sections of a case file, in order.
pub struct Case(Vec<(String, String)>);

impl Case {
    pub fn read(path: &Path) -> Case {
        let text = fs::read_to_string(path).expect("a readable case");
        let mut sections: Vec<(String, Vec<&str>)> = Vec::new();
        for line in text.split('\n') {
            match (line.strip_prefix("--- "), sections.last_mut()) {
                (Some(name), _) => sections.push((name.to_owned(), Vec::new())),
                (None, Some((_, lines))) => lines.push(line),
                (None, None) => {}
            }
        }
        if let Some((_, lines)) = sections.last_mut() {
            lines.pop();
        }
        Case(
            sections
                .into_iter()
                .map(|(name, lines)| (name, lines.join("\n")))
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> Option<String> {
        let find = |name: &str| {
            self.0
                .iter()
                .find(|(have, _)| have == name)
                .map(|(_, text)| text)
        };
        let json = find(&format!("{name} (json)"));
        json.map(|text| serde_json::from_str(text).expect("a JSON string"))
            .or_else(|| find(name).cloned())
    }

    /// The other files that the template may include.
    pub fn files(&self) -> BTreeMap<String, String> {
        let names = self.0.iter().filter_map(|(name, _)| {
            let name = name.strip_prefix("file ")?;
            Some(name.strip_suffix(" (json)").unwrap_or(name).to_owned())
        });
        names
            .map(|name| {
                let text = self.get(&format!("file {name}")).expect("it is there");
                (name, text)
            })
            .collect()
    }

    /// What ours makes of it.
    pub fn render(&self) -> Result<String, String> {
        let passwords = match self.get("vault") {
            Some(password) => Passwords::single(Secret::new(password)),
            None => Passwords::default(),
        };
        let scope = Scope::new(vars(&self.get("vars").unwrap_or_default()), passwords);
        let files = self.files();
        // As the template module searches.
        let include = move |name: &str| {
            let found = files
                .get(&format!("templates/{name}"))
                .or_else(|| files.get(name));
            Ok(found.cloned())
        };
        Renderer::new(scope)
            .including(Arc::new(include))
            .render("t", &self.get("template").expect("a template"))
            .map_err(|error| error.to_string())
    }
}

pub fn vars(yaml: &str) -> Vars {
    let document = inventory::from_str("vars.yml", yaml).expect("YAML");
    let mut vars = Vars::default();
    if let Value::Map(map) = document.value {
        for (key, value) in map {
            let name = key
                .as_text()
                .unwrap_or_else(|| panic!("{key:?} in {yaml}"))
                .to_owned();
            let line = document.lines.get(&name).copied().unwrap_or(0);
            vars.set(
                name,
                value,
                Origin {
                    file: "vars.yml".into(),
                    line,
                },
            );
        }
    }
    vars
}

pub fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).expect("the cases");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "case")
    });
    paths.sort();
    paths
}
