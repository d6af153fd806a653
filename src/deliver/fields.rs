//! One item of a manifest: which kind it is, its fields, and what they may be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::inventory::{Map, Value};

use super::account::Account;
use super::directory::Directory;
use super::edit::{Edit, Ours};
use super::expand::{self, Pattern, What};
use super::file::File;
use super::firewall::Firewall;
use super::item::{Item, Needing, Resource, Tag};
use super::link::Link;
use super::packages::Packages;
use super::place::Owners;
use super::service::Service;
use super::source::{Facts, Source};
use super::sysctl::Sysctl;
use super::target::Target;

/// The fields of one item, and which of them have been asked for.
struct Fields<'a> {
    map: Map,
    place: &'a str,
    used: Vec<&'static str>,
    source: &'a Source,
    facts: &'a Facts<'a>,
}

type Found = Vec<Arc<dyn Resource>>;
type Make = fn(&mut Fields<'_>) -> Result<Found, String>;

/// An item has exactly one of these.
const KINDS: &[(&str, Make)] = &[
    ("account", |f| one(f.account()?)),
    ("block", |f| one(f.block()?)),
    ("cron", |f| one(f.cron()?)),
    ("directory", |f| one(f.directory()?)),
    ("file", |f| one(f.file()?)),
    ("firewall", |f| one(f.firewall()?)),
    ("link", |f| one(f.link()?)),
    ("packages", |f| one(f.packages()?)),
    ("render", |f| f.render()),
    ("service", |f| one(f.service()?)),
    ("settings", |f| one(f.settings()?)),
    ("sysctl", |f| one(f.sysctl()?)),
    ("tree", |f| f.tree()),
];

fn one(resource: impl Resource + 'static) -> Result<Found, String> {
    Ok(vec![Arc::new(resource)])
}

/// What an item of a manifest stands for; nothing when it is not for this host.
pub fn items(
    map: Map,
    place: &str,
    tag: Tag,
    source: &Source,
    facts: &Facts<'_>,
) -> Result<Vec<Item>, String> {
    let mut fields = Fields {
        map,
        place,
        used: vec!["when"],
        source,
        facts,
    };
    fields.items(tag)
}

impl Fields<'_> {
    fn items(&mut self, tag: Tag) -> Result<Vec<Item>, String> {
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
                "false" | "False" => Ok(Vec::new()),
                other => Err(format!("when is {other}; expected true or false")),
            };
        }
        self.used.push(kind);
        let needs = self.maybe("needs")?;
        let then = self.commands("then")?;
        let resources = make(self)?;
        let strange = self.map.iter().find_map(|(key, _)| {
            let key = key.as_text().unwrap_or("a key that is no text");
            (!self.used.contains(&key)).then_some(key)
        });
        if let Some(key) = strange {
            return Err(format!("{kind} has no field {key}"));
        }
        let item = |resource: Arc<dyn Resource>| Item {
            tag,
            resource: match needs.clone() {
                None => resource,
                Some(needs) => Arc::new(Needing { needs, resource }),
            },
            then: then.clone(),
        };
        Ok(resources.into_iter().map(item).collect())
    }

    fn account(&mut self) -> Result<Account, String> {
        Ok(Account {
            name: self.text("account")?,
            shell: self.path("shell")?,
            home: self.flag("home")?,
        })
    }

    fn file(&mut self) -> Result<File, String> {
        let target = self.target("file")?;
        Ok(File {
            content: Ok(self.content(&target.path)?),
            target,
            secret: self.flag("secret")?,
        })
    }

    fn cron(&mut self) -> Result<File, String> {
        let name = self.text("cron")?;
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !name.bytes().all(good) {
            // cron leaves such files out without a word.
            return Err(format!(
                "cron is {name}; expected letters, digits, - and _ only"
            ));
        }
        let at = self.text("at")?;
        if at.split_whitespace().count() != 5 {
            return Err(format!("at is {at}; expected five fields as in crontab(5)"));
        }
        let user = self.maybe("user")?.unwrap_or_else(|| "root".to_owned());
        let run = self.text("run")?;
        let mail = self.maybe("mail")?.unwrap_or_default();
        let mode = 0o644;
        let path = Path::new("/etc/cron.d").join(name);
        let content = format!(
            "# of wod deliver\nMAILTO=\"{mail}\"\nPATH={}\n{at} {user} {run}\n",
            crate::exec::PATH
        );
        Ok(File {
            target: self.root_target(path, mode),
            content: Ok(content),
            secret: false,
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

    fn block(&mut self) -> Result<Edit, String> {
        let target = self.target("block")?;
        let mut text = self.content(&target.path)?;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let comment = self.maybe("comment")?.unwrap_or_else(|| "#".to_owned());
        Ok(Edit {
            target,
            ours: Ours::Block { text, comment },
        })
    }

    fn settings(&mut self) -> Result<Edit, String> {
        self.used.push("values");
        let Some(Value::Map(values)) = self.map.get("values").cloned() else {
            return Err("values is no mapping of names and values".to_owned());
        };
        let mut settings = Vec::new();
        for (name, value) in values {
            let name = name.as_text().unwrap_or_default().to_owned();
            let value = self.rendered(&name, &value)?;
            if value.contains('\n') || name.is_empty() {
                return Err(format!("values: {name} is {value}; expected one line"));
            }
            settings.push((name, value));
        }
        Ok(Edit {
            target: self.target("settings")?,
            ours: Ours::Settings(settings),
        })
    }

    fn sysctl(&mut self) -> Result<Sysctl, String> {
        Ok(Sysctl {
            key: self.text("sysctl")?,
            value: self.text("value")?,
        })
    }

    fn service(&mut self) -> Result<Service, String> {
        let names = self.texts("service")?;
        Ok(Service { names })
    }

    fn firewall(&mut self) -> Result<Firewall, String> {
        let mut ports = self.texts("firewall")?;
        for port in &ports {
            let (number, proto) = port.split_once('/').unwrap_or_default();
            if number.parse::<u16>().is_err() || !matches!(proto, "tcp" | "udp") {
                return Err(format!("firewall: {port} is no port as 22/tcp or 123/udp"));
            }
        }
        let mut seen = Vec::new();
        ports.retain(|port| {
            let new = !seen.contains(port);
            seen.push(port.clone());
            new
        });
        Ok(Firewall { ports })
    }

    /// One list, or one for each family of distributions.
    fn packages(&mut self) -> Result<Packages, String> {
        self.used.push("packages");
        let family = &self.facts.family;
        let list = match self.map.get("packages").cloned() {
            Some(Value::Map(families)) => families.get(family).cloned().ok_or_else(|| {
                format!("packages has no list for {family}; expected one for each family in use")
            })?,
            other => other.unwrap_or(Value::List(Vec::new())),
        };
        Ok(Packages {
            names: self.words_of("packages", &list)?,
            missing: self.facts.packages,
        })
    }

    /// A copy of one or several directories, the later ones over the earlier ones.
    fn tree(&mut self) -> Result<Found, String> {
        let to = self.path("tree")?;
        let mut entries = std::collections::BTreeMap::new();
        for from in self.texts("from")? {
            // An overlay that there is not has an empty name.
            let from = PathBuf::from(from);
            if from.is_absolute() {
                for found in expand::look_through(&from, &|_, _| true)? {
                    entries.insert(found.rel.clone(), found);
                }
            }
        }
        let mut found: Found = Vec::new();
        for (rel, entry) in entries {
            let mode = expand::skeleton_mode(&entry);
            let target = self.root_target(to.join(&rel), mode);
            match entry.what {
                What::Directory => found.push(Arc::new(Directory {
                    path: target.path,
                    owners: target.owners,
                    mode,
                })),
                What::File(bytes) => {
                    let content = String::from_utf8(bytes)
                        .map_err(|_| format!("{} is not UTF-8", rel.display()));
                    found.push(Arc::new(File {
                        target,
                        content,
                        secret: false,
                    }));
                }
            }
        }
        Ok(found)
    }

    /// Every template in a directory.
    fn render(&mut self) -> Result<Found, String> {
        let dirs = self.texts("render")?;
        let to = match self.maybe("to")? {
            None => None,
            Some(_) => Some(self.path("to")?),
        };
        let mode = self.mode(0o755)?;
        let pattern = Pattern {
            names: self.text("names")?,
            but: self.maybe("but")?,
            below: self.flag("below")?,
        };
        let secret = self.flag("secret")?;
        let mut found: Found = Vec::new();
        let mut paths: Vec<PathBuf> = Vec::new();
        for dir in dirs.iter().map(Path::new).filter(|dir| dir.is_absolute()) {
            let scripts = expand::scripts(dir, to.as_deref(), &pattern, self.facts.renderer)?;
            for script in scripts {
                if paths.contains(&script.path) {
                    continue;
                }
                paths.push(script.path.clone());
                let mut target = self.root_target(script.path, mode);
                if to.is_none() {
                    target.owners = Owners {
                        user: script.uid.to_string(),
                        group: script.gid.to_string(),
                    };
                }
                let content = script.content;
                found.push(Arc::new(File {
                    target,
                    content,
                    secret,
                }));
            }
        }
        Ok(found)
    }

    fn root_target(&self, path: PathBuf, mode: u32) -> Target {
        Target {
            path,
            owners: Owners {
                user: "root".to_owned(),
                group: "root".to_owned(),
            },
            mode,
            check: None,
            ledger: self.facts.ledger.clone(),
        }
    }

    fn target(&mut self, field: &'static str) -> Result<Target, String> {
        Ok(Target {
            path: self.path(field)?,
            owners: self.owners()?,
            mode: self.mode(0o644)?,
            check: self.words("check")?,
            ledger: self.facts.ledger.clone(),
        })
    }

    /// `content`, the template that `from` names, or the file that `copy` names, as it is.
    fn content(&mut self, path: &Path) -> Result<String, String> {
        match (
            self.maybe("from")?,
            self.maybe("content")?,
            self.maybe("copy")?,
        ) {
            (None, Some(content), None) => Ok(content),
            (None, None, Some(name)) => self.source.template(&name),
            (Some(from), None, None) => {
                let template = self.source.template(&from)?;
                let rendered = self.facts.renderer.render(&from, &template);
                rendered.map_err(|e| e.to_string())
            }
            _ => Err(format!(
                "{} needs exactly one of from, copy and content",
                path.display()
            )),
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

    fn flag(&mut self, field: &'static str) -> Result<bool, String> {
        match self.maybe(field)?.as_deref() {
            Some("true" | "True") => Ok(true),
            None | Some("false" | "False") => Ok(false),
            Some(other) => Err(format!("{field} is {other}; expected true or false")),
        }
    }

    /// One text, or a list of them.
    fn texts(&mut self, field: &'static str) -> Result<Vec<String>, String> {
        self.used.push(field);
        match self.map.get(field).cloned() {
            Some(list @ Value::List(_)) => self.words_of(field, &list),
            _ => Ok(vec![self.text(field)?]),
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
