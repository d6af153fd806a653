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

use std::path::{Path, PathBuf};

use crate::inventory::{self, Map, Value};
use crate::safefs::Dir;
use crate::templates::Renderer;

use super::block::Block;
use super::directory::Directory;
use super::file::File;
use super::item::{Item, Resource, Tag};
use super::ledger::Ledger;
use super::link::Link;
use super::place::Owners;
use super::sysctl::Sysctl;

/// Its name in a sys directory.
const NAME: &str = "host.yml";
const LARGEST: u64 = 16 << 20;

/// The site's and the overlay's directories of templates, the overlay's first.
#[derive(Debug, Clone)]
pub struct Source {
    pub dirs: Vec<PathBuf>,
}

/// What texts in a manifest are rendered with, and where copies are kept.
pub struct Facts<'a> {
    pub renderer: &'a Renderer,
    pub ledger: Ledger,
}

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

impl Source {
    fn text_of(&self, path: &Path) -> Result<Option<String>, String> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let read = Dir::open_root(parent).and_then(|dir| dir.read(name.as_ref(), LARGEST));
        match read {
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(format!("{}: {e}", path.display())),
            Ok(bytes) => String::from_utf8(bytes)
                .map(Some)
                .map_err(|_| format!("{} is not UTF-8", path.display())),
        }
    }

    /// The first directory that has it wins.
    fn template(&self, name: &str) -> Result<String, String> {
        for dir in &self.dirs {
            if let Some(text) = self.text_of(&dir.join(name))? {
                return Ok(text);
            }
        }
        Err(format!("there is no template {name} in any sys directory"))
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
            let mut fields = Fields {
                map,
                place: &place,
                used: vec!["when"],
                source,
                facts,
            };
            match fields.item(tag) {
                Ok(found) => items.extend(found),
                Err(problem) => wrong.push(format!("{place}: {problem}")),
            }
        }
    }
}

/// The fields of one item, and which of them have been asked for.
struct Fields<'a> {
    map: Map,
    place: &'a str,
    used: Vec<&'static str>,
    source: &'a Source,
    facts: &'a Facts<'a>,
}

type Make = fn(&mut Fields<'_>) -> Result<Box<dyn Resource>, String>;

/// An item has exactly one of these.
const KINDS: &[(&str, Make)] = &[
    ("file", |f| Ok(Box::new(f.file()?))),
    ("directory", |f| Ok(Box::new(f.directory()?))),
    ("link", |f| Ok(Box::new(f.link()?))),
    ("block", |f| Ok(Box::new(f.block()?))),
    ("sysctl", |f| Ok(Box::new(f.sysctl()?))),
];

impl Fields<'_> {
    /// None when it is not for this host.
    fn item(&mut self, tag: Tag) -> Result<Option<Item>, String> {
        let mut kinds = KINDS
            .iter()
            .filter(|(kind, _)| self.map.get(kind).is_some());
        let (Some((kind, make)), None) = (kinds.next(), kinds.next()) else {
            let names: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
            return Err(format!("expected exactly one of {}", names.join(", ")));
        };
        if let Some(when) = self.maybe("when")?
            && !matches!(when.as_str(), "true" | "True")
        {
            return match when.as_str() {
                "false" | "False" => Ok(None),
                other => Err(format!("when is {other}; expected true or false")),
            };
        }
        self.used.push(kind);
        let resource = make(self)?;
        let then = self.commands("then")?;
        let strange = self.map.iter().find_map(|(key, _)| {
            let key = key.as_text().unwrap_or("a key that is no text");
            (!self.used.contains(&key)).then_some(key)
        });
        match strange {
            Some(key) => Err(format!("a {kind} has no field {key}")),
            None => Ok(Some(Item {
                tag,
                resource: resource.into(),
                then,
            })),
        }
    }

    fn file(&mut self) -> Result<File, String> {
        let path = self.path("file")?;
        let secret = self.maybe("secret")?.is_some_and(|text| text != "false");
        Ok(File {
            content: self.content(&path)?,
            path,
            owners: self.owners()?,
            mode: self.mode(0o644)?,
            check: self.words("check")?,
            secret,
            ledger: self.facts.ledger.clone(),
        })
    }

    fn directory(&mut self) -> Result<Directory, String> {
        Ok(Directory {
            path: self.path("directory")?,
            owners: self.owners()?,
            mode: self.mode(0o755)?,
        })
    }

    fn link(&mut self) -> Result<Link, String> {
        Ok(Link {
            path: self.path("link")?,
            to: self.path("to")?,
        })
    }

    fn block(&mut self) -> Result<Block, String> {
        let path = self.path("block")?;
        let mut text = self.content(&path)?;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(Block {
            path,
            text,
            comment: self.maybe("comment")?.unwrap_or_else(|| "#".to_owned()),
            owners: self.owners()?,
            mode: self.mode(0o644)?,
            ledger: self.facts.ledger.clone(),
        })
    }

    fn sysctl(&mut self) -> Result<Sysctl, String> {
        Ok(Sysctl {
            key: self.text("sysctl")?,
            value: self.text("value")?,
        })
    }

    /// `content`, or the template that `from` names.
    fn content(&mut self, path: &Path) -> Result<String, String> {
        match (self.maybe("from")?, self.maybe("content")?) {
            (None, Some(content)) => Ok(content),
            (Some(from), None) => {
                let template = self.source.template(&from)?;
                let rendered = self.facts.renderer.render(&from, &template);
                rendered.map_err(|e| e.to_string())
            }
            _ => Err(format!("{} needs either from or content", path.display())),
        }
    }

    fn owners(&mut self) -> Result<Owners, String> {
        let user = self.maybe("owner")?.unwrap_or_else(|| "root".to_owned());
        let group = self.maybe("group")?.unwrap_or_else(|| user.clone());
        Ok(Owners { user, group })
    }

    fn mode(&mut self, usual: u32) -> Result<u32, String> {
        let Some(text) = self.maybe("mode")? else {
            return Ok(usual);
        };
        let mode = u32::from_str_radix(&text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777);
        mode.ok_or_else(|| {
            format!("mode is {text}; expected an octal number in quotes as \"0644\"")
        })
    }

    fn path(&mut self, field: &'static str) -> Result<PathBuf, String> {
        let path = PathBuf::from(self.text(field)?);
        match path.is_absolute() {
            true => Ok(path),
            false => Err(format!(
                "{field} is {}; expected an absolute path",
                path.display()
            )),
        }
    }

    fn commands(&mut self, field: &'static str) -> Result<Vec<Vec<String>>, String> {
        self.used.push(field);
        let lists = match self.map.get(field).cloned() {
            None => return Ok(Vec::new()),
            Some(Value::List(lists)) => lists,
            Some(_) => return Err(format!("{field} is no list of commands")),
        };
        lists
            .iter()
            .map(|list| self.words_of(field, list))
            .collect()
    }

    fn words(&mut self, field: &'static str) -> Result<Option<Vec<String>>, String> {
        self.used.push(field);
        let Some(value) = self.map.get(field).cloned() else {
            return Ok(None);
        };
        self.words_of(field, &value).map(Some)
    }

    fn words_of(&self, field: &str, value: &Value) -> Result<Vec<String>, String> {
        match value {
            Value::List(words) if !words.is_empty() => words
                .iter()
                .map(|word| self.rendered(field, word))
                .collect(),
            _ => Err(format!("{field} is no list of words")),
        }
    }

    fn text(&mut self, field: &'static str) -> Result<String, String> {
        self.maybe(field)?
            .ok_or_else(|| format!("{field} is missing"))
    }

    fn maybe(&mut self, field: &'static str) -> Result<Option<String>, String> {
        self.used.push(field);
        let value = self.map.get(field).cloned();
        value.map(|value| self.rendered(field, &value)).transpose()
    }

    fn rendered(&self, field: &str, value: &Value) -> Result<String, String> {
        match value {
            Value::Bool(flag) => Ok(flag.to_string()),
            Value::Int(number) => Ok(number.to_string()),
            Value::Unsafe(text) => Ok(text.clone()),
            Value::Text(text) if !text.contains('{') => Ok(text.clone()),
            Value::Text(text) => {
                let name = format!("{} {field}", self.place);
                let rendered = self.facts.renderer.render(&name, text);
                rendered.map_err(|e| e.message)
            }
            _ => Err(format!("{field} is no text")),
        }
    }
}
