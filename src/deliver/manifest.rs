//! `host.yml`: what a host must have, as data. Each text in it is a template of the site's variables.
//!
//! ```yaml
//! system:
//!   - file: /etc/sysctl.d/60-wod.conf
//!     from: sysctl.conf.j2
//!     then: [[sysctl, -q, --system]]
//!   - directory: "{{ WODSTUDDIR }}"
//!     owner: "{{ WODUSER }}"
//!     mode: "0711"
//!     when: "{{ ansible_os_family == 'Debian' }}"
//! ```

use std::path::Path;

use crate::inventory::{self, Value};

use super::fields;
use super::item::{Item, Tag};
use super::source::{Facts, Source};

/// Its name in a sys directory.
const NAME: &str = "host.yml";

/// The items of a host.
pub struct Manifest {
    pub items: Vec<Item>,
}

impl Manifest {
    /// Of every `host.yml`, the site's own before the overlay's; all that is wrong at once, each
    /// with its place.
    pub fn read(source: &Source, facts: &Facts<'_>) -> Result<Manifest, Vec<String>> {
        let mut items = Vec::new();
        let mut wrong = Vec::new();
        for dir in source.dirs.iter().rev() {
            let path = dir.join(NAME);
            match source.text_of(&path) {
                Ok(None) => {}
                Ok(Some(text)) => read(&path, &text, source, facts, &mut items, &mut wrong),
                Err(problem) => wrong.push(problem),
            }
        }
        if items.is_empty() && wrong.is_empty() {
            let dirs: Vec<_> = source
                .dirs
                .iter()
                .map(|dir| dir.display().to_string())
                .collect();
            wrong.push(format!(
                "there is no {NAME} in {}; set WODSYSDIR to the directory of wod's sys files",
                dirs.join(" or ")
            ));
        }
        for (at, item) in items.iter().enumerate() {
            let name = item.name();
            if items[..at].iter().any(|other: &Item| other.name() == name) {
                wrong.push(format!("{NAME}: {name} is named twice"));
            }
        }
        match wrong.is_empty() {
            true => Ok(Manifest { items }),
            false => Err(wrong),
        }
    }
}

fn read(
    path: &Path,
    text: &str,
    source: &Source,
    facts: &Facts<'_>,
    items: &mut Vec<Item>,
    wrong: &mut Vec<String>,
) {
    let name = path.display().to_string();
    let document = match inventory::from_str(&name, text) {
        Ok(document) => document,
        Err(e) => return wrong.push(e.to_string()),
    };
    let Value::Map(tags) = document.value else {
        return wrong.push(format!("{name}: expected tags with lists of items"));
    };
    for (tag, list) in tags {
        let tag = tag.as_text().unwrap_or_default().to_owned();
        let line = document.lines.get(&tag).copied().unwrap_or(1);
        let (tag, list) = match (tag.parse::<Tag>(), list) {
            (Ok(tag), Value::List(list)) => (tag, list),
            (Ok(tag), _) => {
                wrong.push(format!("{name}:{line}: {tag} is no list of items"));
                continue;
            }
            (Err(problem), _) => {
                wrong.push(format!("{name}:{line}: {problem}"));
                continue;
            }
        };
        for (number, value) in list.into_iter().enumerate() {
            let place = format!("{name}:{line}: item {} of {tag}", number + 1);
            let Value::Map(map) = value else {
                wrong.push(format!("{place} is no mapping"));
                continue;
            };
            match fields::items(map, &place, tag, source, facts) {
                Ok(found) => items.extend(found),
                Err(problem) => wrong.push(format!("{place}: {problem}")),
            }
        }
    }
}
