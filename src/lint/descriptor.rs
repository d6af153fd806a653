//! `wod.yml`: fields, their kinds, and whether the site and the scripts bear them out.

mod fields;
mod range;

use std::collections::BTreeSet;

use crate::domain::StudentRange;
use crate::inventory::{self, Value};

use super::Site;
use super::finding::{Finding, Place};
use super::rules::{self, Rule};
use super::source::{Source, quoted};
use crate::domain::near::{meant, nearest};

use fields::{Field, Stated};

pub const FILE: &str = "wod.yml";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Number,
    Range,
    Scripts,
    Words,
}

/// Every field there is, and the kind of its value.
const KNOWN: [(&str, Kind); 24] = [
    ("name", Kind::Text),
    ("description", Kind::Text),
    ("active", Kind::Flag),
    ("capacity", Kind::Number),
    ("priority", Kind::Number),
    ("range", Kind::Range),
    ("reset", Kind::Flag),
    ("ldap", Kind::Flag),
    ("replayId", Kind::Number),
    ("varpass", Kind::Flag),
    ("compile", Kind::Scripts),
    ("workshopImg", Kind::Text),
    ("badgeImg", Kind::Text),
    ("beta", Kind::Flag),
    ("category", Kind::Words),
    ("duration", Kind::Number),
    ("cpu_minutes", Kind::Number),
    ("presenter", Kind::Text),
    ("role", Kind::Text),
    ("avatar", Kind::Text),
    ("replayLink", Kind::Text),
    ("monoappliance", Kind::Flag),
    ("multiappliance", Kind::Flag),
    ("notebook", Kind::Text),
];

/// Without these a workshop cannot be given.
const NEEDED: [&str; 4] = ["name", "active", "capacity", "range"];

/// What a `wod.yml` is held against.
pub struct About<'a> {
    /// The workshop's directory.
    pub name: &'a str,
    pub site: &'a Site,
    /// The scripts that are there; None when it is not known where scripts are.
    pub scripts: Option<&'a BTreeSet<String>>,
}

/// What others need to know of a workshop.
#[derive(Debug, Default)]
pub struct Described {
    pub range: Option<(StudentRange, Place)>,
    pub active: bool,
    /// Scripts to be compiled.
    pub compile: Vec<String>,
    /// Its seats have a pass file.
    pub has_pass: bool,
}

/// Reads a `wod.yml`; everything that is wrong with it.
pub fn check(source: &Source<'_>, about: &About<'_>) -> (Described, Vec<Finding>) {
    let mut check = Check {
        source,
        about,
        stated: Stated::default(),
        found: Vec::new(),
    };
    let mut described = Described::default();
    match inventory::from_str(source.file, source.text) {
        Err(e) => {
            let at = source.offset(e.line.max(1), e.column.max(1));
            let message = format!("{FILE} is not YAML: {}", e.message);
            let help = "look at this line and the one above it".to_owned();
            check.tell(&rules::DESCRIPTOR_SYNTAX, at..at + 1, message, Some(help));
        }
        Ok(document) => match document.value {
            Value::Map(map) => {
                check.stated = Stated::read(source, &map);
                described = check.fields();
            }
            _ => check.tell(
                &rules::DESCRIPTOR_SYNTAX,
                0..source.line(1).len(),
                format!("{FILE} holds no fields"),
                Some("write lines such as name: and range:".to_owned()),
            ),
        },
    }
    (described, check.found)
}

struct Check<'a> {
    source: &'a Source<'a>,
    about: &'a About<'a>,
    stated: Stated,
    found: Vec<Finding>,
}

impl Check<'_> {
    fn tell(
        &mut self,
        rule: &'static Rule,
        at: std::ops::Range<usize>,
        message: String,
        help: Option<String>,
    ) {
        let finding = self.source.found(rule, at, message);
        self.found.push(finding.maybe_help(help));
    }

    fn fields(&mut self) -> Described {
        for field in self.stated.all().to_vec() {
            if self.source.is_full() {
                return Described::default();
            }
            self.known(&field);
        }
        let last = self.source.text.trim_end().len();
        for name in NEEDED {
            if self.stated.get(name).is_none() {
                self.tell(
                    &rules::DESCRIPTOR_NEEDED,
                    0..self.source.line(1).len().min(last),
                    format!("{FILE} has no field {name}"),
                    Some(format!("add {name}: …")),
                );
            }
        }
        let described = Described {
            range: self.range(),
            active: self.flag("active"),
            compile: self.compile(),
            has_pass: self.flag("ldap") || self.flag("varpass"),
        };
        self.capacity(described.range.as_ref().map(|(range, _)| *range));
        self.name();
        self.appliances();
        self.reset();
        self.site();
        described
    }

    fn known(&mut self, field: &Field) {
        let known = KNOWN.iter().find(|(name, _)| *name == field.name);
        if field.repeats {
            self.tell(
                &rules::DESCRIPTOR_TWICE,
                field.key.clone(),
                format!(
                    "field {} is stated twice, the last one counts",
                    quoted(&field.name)
                ),
                Some("take one of them out".to_owned()),
            );
        }
        let Some((_, kind)) = known else {
            let names = KNOWN.map(|(name, _)| name);
            let mend = nearest(&field.name, names);
            let finding = self
                .source
                .found(
                    &rules::DESCRIPTOR_UNKNOWN,
                    field.key.clone(),
                    format!("nobody reads a field {}", quoted(&field.name)),
                )
                .help("take it out, or write a comment")
                .maybe_help(meant(&field.name, names));
            self.found.push(match mend {
                Some(name) => finding.mend(name),
                None => finding,
            });
            return;
        };
        let expected = match (kind, &field.value) {
            (_, Value::Null) => None,
            (Kind::Text, Value::List(_) | Value::Map(_) | Value::Vault(_)) => Some("a text"),
            (Kind::Flag, value) if truth(value).is_none() => Some("true or false"),
            (Kind::Number, value) if whole(value).is_none() => Some("a whole number"),
            (Kind::Scripts, Value::Text(_) | Value::Bool(false)) => None,
            (Kind::Scripts, _) => Some("the names of scripts with commas between them"),
            (Kind::Words, Value::Text(_)) => None,
            (Kind::Words, Value::List(items)) => {
                let plain = |item: &Value| !matches!(item, Value::List(_) | Value::Map(_));
                (!items.iter().all(plain)).then_some("a list of texts")
            }
            (Kind::Words, _) => Some("a list of texts"),
            _ => None,
        };
        if let Some(expected) = expected {
            self.tell(
                &rules::DESCRIPTOR_TYPE,
                field.at.clone(),
                format!("field {} is not {expected}", field.name),
                Some(format!("write {}: and {expected}", field.name)),
            );
        }
    }

    fn flag(&self, name: &str) -> bool {
        let field = self.stated.get(name);
        field.and_then(|field| truth(&field.value)).unwrap_or(false)
    }

    /// The value's place when a flag is set.
    fn set(&self, name: &str) -> Option<std::ops::Range<usize>> {
        let field = self.stated.get(name).filter(|_| self.flag(name));
        field.map(|field| field.at.clone())
    }

    fn range(&mut self) -> Option<(StudentRange, Place)> {
        let field = self.stated.get("range")?.clone();
        if field.value == Value::Null {
            return None;
        }
        let (range, found) = range::read(self.source, &field, self.about.site.inventory.as_ref());
        self.found.extend(found);
        Some((range?, self.source.place(field.at)))
    }

    fn capacity(&mut self, range: Option<StudentRange>) {
        let (Some(range), Some(field)) = (range, self.stated.get("capacity")) else {
            return;
        };
        let seats = whole(&field.value).unwrap_or(0);
        if seats > i128::from(range.count()) {
            let message = format!(
                "capacity is {seats}, but the range {range} has {} students",
                range.count()
            );
            let at = field.at.clone();
            let help = "make the range longer, or the capacity smaller".to_owned();
            self.tell(&rules::CAPACITY, at, message, Some(help));
        }
    }

    fn name(&mut self) {
        for (field, is_title) in [("name", true), ("notebook", false)] {
            let Some(field) = self.stated.get(field) else {
                continue;
            };
            let Some(text) = field.value.as_text() else {
                continue;
            };
            if text == self.about.name || is_title && !text.starts_with("WKSHP-") {
                continue;
            }
            let message = format!(
                "field {} is {}, but the directory is {}",
                field.name,
                quoted(text),
                quoted(self.about.name)
            );
            let help = match is_title {
                true => "name: is the title that participants read; the directory's name counts",
                false => "take it out: the directory's name counts",
            };
            let at = field.at.clone();
            self.tell(&rules::NAME, at, message, Some(help.to_owned()));
        }
    }

    fn compile(&mut self) -> Vec<String> {
        let Some(field) = self.stated.get("compile").cloned() else {
            return Vec::new();
        };
        let Some(text) = field.value.as_text() else {
            return Vec::new();
        };
        if text.eq_ignore_ascii_case("false") {
            return Vec::new();
        }
        let names = text.split(',').map(str::trim);
        let names: Vec<String> = names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        for name in &names {
            let Some(scripts) = self.about.scripts.filter(|all| !all.contains(name)) else {
                continue;
            };
            let written = self.source.text.get(field.at.clone()).unwrap_or_default();
            let begin = field.at.start + written.find(name.as_str()).unwrap_or(0);
            let message = format!(
                "script {} is to be compiled, but is not there",
                quoted(name)
            );
            let help = meant(name, scripts.iter().map(String::as_str));
            let help = help.unwrap_or_else(|| "put it into a script directory".to_owned());
            self.tell(
                &rules::COMPILE,
                begin..begin + name.len(),
                message,
                Some(help),
            );
        }
        names
    }

    fn appliances(&mut self) {
        let (mono, multi) = (self.set("monoappliance"), self.set("multiappliance"));
        if let (Some(_), Some(at)) = (&mono, &multi) {
            self.tell(
                &rules::APPLIANCE_BOTH,
                at.clone(),
                "monoappliance and multiappliance are both set".to_owned(),
                Some("one appliance for all is mono, one for each student is multi".to_owned()),
            );
        }
        let Some(inventory) = &self.about.site.inventory else {
            return;
        };
        let variable = format!("IP-{}", self.about.name);
        if let Some(at) = mono.or(multi)
            && !inventory.appliances.contains(&variable)
        {
            self.tell(
                &rules::APPLIANCE_ADDRESS,
                at,
                format!("the workshop has an appliance, but {variable} has no address"),
                Some(format!("set {variable} in the inventory")),
            );
        }
    }

    fn reset(&mut self) {
        let Some(at) = self.set("reset") else {
            return;
        };
        let script = format!("reset-{}.sh", self.about.name);
        if self.about.scripts.is_some_and(|all| !all.contains(&script)) {
            self.tell(
                &rules::RESET_SCRIPT,
                at,
                format!("reset is set, but there is no {script}: a RESET would fail"),
                Some("write the script, or set reset: false".to_owned()),
            );
        }
    }

    fn site(&mut self) {
        let Some(inventory) = &self.about.site.inventory else {
            return;
        };
        let (has_ldap, missing) = (inventory.has_ldap, inventory.missing_for_pass.join(", "));
        if let Some(at) = self.set("ldap").filter(|_| !has_ldap) {
            self.tell(
                &rules::LDAP,
                at,
                "ldap is set, but the site has no directory".to_owned(),
                Some("set WODLDAPSRVNAME, WODLDAPDMN and WODLDAPPWD".to_owned()),
            );
        }
        if let Some(at) = self.set("varpass").filter(|_| !missing.is_empty()) {
            self.tell(
                &rules::VARPASS,
                at,
                format!("varpass is set, but pass files need {missing}"),
                Some(format!("set {missing} in the inventory")),
            );
        }
    }
}

/// As the registry takes it: also `"true"` with quotes.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Text(text) => text.to_lowercase().parse().ok(),
        _ => None,
    }
}

/// A number that is not negative, also with quotes.
fn whole(value: &Value) -> Option<i128> {
    let number = match value {
        Value::Int(number) => *number,
        Value::Text(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    u32::try_from(number).ok().map(i128::from)
}
