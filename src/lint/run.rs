//! From directories to findings: what is looked at, and what workshops have to do with each other.

mod scripts;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use crate::content;
use crate::domain::{StudentRange, WorkshopName};
use crate::inventory::{self, HOST_FACTS, Value};
use crate::safefs::{self, Kind};

use super::descriptor::{self, About, Described};
use super::finding::{Finding, Place};
use super::rules;
use super::rules::Level;
use super::source::{MOST, Source};
use super::template::{self, Known};
use super::tree::{Item, Reader};
use super::{Shelf, Site, notebook};
use crate::domain::near::meant;

use scripts::ScriptDirs;

const README: &str = "0-ReadMeFirst.ipynb";

/// What was looked at, and what came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order of files and lines.
    pub findings: Vec<Finding>,
    pub workshops: usize,
    /// Checks that could not be made, and why.
    pub left_out: Vec<String>,
}

impl Report {
    pub fn count(&self, level: Level) -> usize {
        let of_level = |finding: &&Finding| finding.level == level;
        self.findings.iter().filter(of_level).count()
    }
}

/// Looks at all workshops of these shelves. Fails when a shelf cannot be listed.
pub fn lint(shelves: &[Shelf], site: &Site) -> safefs::Result<Report> {
    let mut run = Run {
        site,
        report: Report::default(),
        ranges: BTreeMap::new(),
        names: BTreeSet::new(),
        others: BTreeSet::new(),
        scripts: BTreeSet::new(),
    };
    if site.inventory.is_none() {
        run.leave_out(
            "no inventory: not checked are ranges against WODUSERMIN and WODUSERMAX, ldap, varpass, \
             appliances; variables that are not known are warnings",
        );
    }
    let mut seen = Vec::new();
    for shelf in shelves {
        seen.push((shelf, run.shelf(shelf)?));
    }
    run.other_shelves();
    // A shelf's scripts may be for a workshop of another one.
    for (shelf, (dirs, described)) in &seen {
        if let Some(dirs) = dirs {
            run.scripts(shelf, dirs, described);
        }
    }
    run.overlaps();
    let mut report = run.report;
    report.findings.sort_by(|a, b| {
        let key = |f: &Finding| {
            (
                f.place.file.clone(),
                f.place.line,
                f.place.column,
                f.rule.id,
            )
        };
        key(a).cmp(&key(b))
    });
    Ok(report)
}

struct Run<'a> {
    site: &'a Site,
    report: Report,
    /// Students by workshop: asked for here, or only there to be overlapped.
    ranges: BTreeMap<String, Taken>,
    names: BTreeSet<String>,
    /// Workshops that nobody asked about.
    others: BTreeSet<String>,
    /// Scripts that were looked at.
    scripts: BTreeSet<String>,
}

type Seen = (Option<ScriptDirs>, BTreeMap<String, Described>);

struct Taken {
    range: StudentRange,
    active: bool,
    place: Place,
    is_asked: bool,
}

impl Run<'_> {
    fn leave_out(&mut self, what: &str) {
        if !self.report.left_out.iter().any(|known| known == what) {
            self.report.left_out.push(what.to_owned());
        }
    }

    /// The findings of one file, and how many more there are.
    fn tell(&mut self, file: &str, mut found: Vec<Finding>) {
        let more = found.len().saturating_sub(MOST);
        if more > 0 {
            found.truncate(MOST);
            let message = "there are more findings in this file than these";
            let finding = Finding::new(&rules::MORE, Place::whole(file), message);
            found.push(finding.help("mend the first ones, and look again"));
        }
        self.report.findings.extend(found);
    }

    fn shelf(&mut self, shelf: &Shelf) -> safefs::Result<Seen> {
        let reader = Reader::open(&shelf.dir, &shelf.shown, shelf.admin.as_ref())?;
        let dirs = ScriptDirs::open(shelf)?;
        if dirs.is_none() {
            self.leave_out("no script directory: not checked are scripts, reset and compile");
        }
        let mut described = BTreeMap::new();
        for entry in reader.entries()? {
            let Some(name) = entry.name.to_str().filter(|name| looks_like_workshop(name)) else {
                continue;
            };
            let path = Path::new(name);
            if shelf.only.as_ref().is_some_and(|only| only != name) {
                self.sibling(&reader, name);
                continue;
            }
            if entry.kind != Kind::Directory {
                let text = reader.text(path);
                self.report
                    .findings
                    .extend(text.err().map(|finding| *finding));
                continue;
            }
            if shelf.tree == content::Tree::Private && self.names.contains(name) {
                let message = "there is a public workshop of this name, which is taken instead";
                let place = Place::whole(reader.name(path));
                let finding = Finding::new(&rules::SHADOWED, place, message);
                self.report
                    .findings
                    .push(finding.help("give it another name"));
                continue;
            }
            let about = self.workshop(shelf, &reader, dirs.as_ref(), name);
            described.insert(name.to_owned(), about);
        }
        self.names.extend(described.keys().cloned());
        Ok((dirs, described))
    }

    fn workshop(
        &mut self,
        shelf: &Shelf,
        reader: &Reader,
        dirs: Option<&ScriptDirs>,
        name: &str,
    ) -> Described {
        self.report.workshops += 1;
        let dir = Path::new(name);
        if let Err(e) = name.parse::<WorkshopName>() {
            let place = Place::whole(reader.name(dir));
            let message = format!("no mail can ask for this workshop: {e}");
            let finding = Finding::new(&rules::DIRECTORY, place, message);
            self.report
                .findings
                .push(finding.help("rename the directory"));
        }
        let listing = reader.list(dir);
        let has = |file: &str| listing.items.iter().any(|item| item.path == dir.join(file));
        let has_descriptor = has(descriptor::FILE);
        if !has(README) {
            let files = listing
                .items
                .iter()
                .filter_map(|item| item.path.file_name()?.to_str());
            let message = format!("there is no {README}, which JupyterLab opens first");
            let place = Place::whole(reader.name(dir));
            self.report.findings.push(
                Finding::new(&rules::NOTEBOOK_README, place, message)
                    .help("add the notebook")
                    .maybe_help(meant(README, files)),
            );
        }
        self.report.findings.extend(listing.found);
        let described = match has_descriptor {
            true => self.descriptor(reader, dirs, name),
            false => {
                let place = Place::whole(reader.name(dir));
                let message = format!(
                    "there is no {}, so nobody can be given it",
                    descriptor::FILE
                );
                let finding = Finding::new(&rules::DESCRIPTOR_MISSING, place, message);
                self.report
                    .findings
                    .push(finding.help("copy that of a sample workshop"));
                Described::default()
            }
        };
        let known = self.known(name, dirs, described.has_pass);
        for item in &listing.items {
            let below = item.path.strip_prefix(dir).unwrap_or(&item.path);
            if item.kind == Kind::File && content::is_template(below, shelf.tree) {
                self.file(reader, item, &known);
            }
        }
        described
    }

    fn descriptor(&mut self, reader: &Reader, dirs: Option<&ScriptDirs>, name: &str) -> Described {
        let path = Path::new(name).join(descriptor::FILE);
        let text = match reader.text(&path) {
            Ok(text) => text,
            Err(finding) => {
                // A link has been told of already.
                let is_told = |f: &Finding| f.place.file == finding.place.file;
                if !self.report.findings.iter().any(is_told) {
                    self.report.findings.push(*finding);
                }
                return Described::default();
            }
        };
        let file = reader.name(&path);
        let source = Source::new(&file, &text);
        let names = dirs.map(ScriptDirs::names);
        let about = About {
            name,
            site: self.site,
            scripts: names.as_ref(),
        };
        let (described, found) = descriptor::check(&source, &about);
        self.tell(&file, found);
        self.take(name, &described, true);
        described
    }

    fn take(&mut self, name: &str, described: &Described, is_asked: bool) {
        if let Some((range, place)) = &described.range {
            let taken = Taken {
                range: *range,
                active: described.active,
                place: place.clone(),
                is_asked,
            };
            self.ranges.entry(name.to_owned()).or_insert(taken);
        }
    }

    /// A workshop that nobody asked about, but whose students are its own.
    fn sibling(&mut self, reader: &Reader, name: &str) {
        self.others.insert(name.to_owned());
        let path = Path::new(name).join(descriptor::FILE);
        let Some(text) = reader.text_if_there(&path) else {
            return;
        };
        let file = reader.name(&path);
        let about = About {
            name,
            site: self.site,
            scripts: None,
        };
        let (described, _) = descriptor::check(&Source::new(&file, &text), &about);
        self.take(name, &described, false);
    }

    fn other_shelves(&mut self) {
        let Some(inventory) = &self.site.inventory else {
            return;
        };
        for dir in &inventory.shelves {
            let Ok(reader) = Reader::open(dir, dir, inventory.admin.as_ref()) else {
                continue;
            };
            for entry in reader.entries().unwrap_or_default() {
                let name = entry.name.to_str().filter(|name| looks_like_workshop(name));
                if let Some(name) = name.filter(|name| !self.names.contains(*name)) {
                    self.sibling(&reader, name);
                }
            }
        }
    }

    fn overlaps(&mut self) {
        let all: Vec<(&String, &Taken)> = self.ranges.iter().collect();
        let mut found = Vec::new();
        for (at, (name, one)) in all.iter().enumerate().filter(|(_, (_, one))| one.is_asked) {
            // A pair is told once, of the later one, unless that was not asked about.
            let others = all
                .iter()
                .enumerate()
                .filter(|(i, (_, other))| *i < at || *i > at && !other.is_asked);
            let meets = |other: &Taken| {
                one.range.first() <= other.range.last() && other.range.first() <= one.range.last()
            };
            for (_, (other_name, other)) in others.filter(|(_, (_, other))| meets(other)) {
                let message = format!(
                    "the range of {name}, {}, overlaps that of {other_name}, {} ({})",
                    one.range, other.range, other.place.file
                );
                let level = match one.active && other.active {
                    true => Level::Error,
                    false => Level::Warning,
                };
                let finding = Finding::new(&rules::RANGE_OVERLAP, one.place.clone(), message);
                found.push(
                    finding
                        .level(level)
                        .help("give each workshop students of its own"),
                );
            }
        }
        self.report.findings.extend(found);
    }

    /// The names that templates of a workshop may use.
    fn known(&mut self, name: &str, dirs: Option<&ScriptDirs>, has_pass: bool) -> Known {
        let mut variables = self.site.variables.clone();
        let fixed = template::OF_SEAT
            .iter()
            .chain(&template::OF_HOST)
            .chain(HOST_FACTS);
        variables.extend(fixed.map(|name| (*name).to_owned()));
        if has_pass {
            variables.extend(["PASSSTU", "HTTPPORT"].map(str::to_owned));
        }
        let file = format!("variables_{name}.yml");
        for dir in &self.site.variables_dirs {
            variables.extend(self.variables_of(dir, &file));
        }
        Known {
            variables,
            appended: dirs.map(|dirs| dirs.appended(name)).unwrap_or_default(),
            undefined: Some(match self.site.inventory {
                Some(_) => Level::Error,
                None => Level::Warning,
            }),
        }
    }

    fn variables_of(&mut self, dir: &Path, file: &str) -> Vec<String> {
        let admin = self.site.inventory.as_ref().and_then(|i| i.admin.as_ref());
        let Ok(reader) = Reader::open(dir, dir, admin) else {
            return Vec::new();
        };
        let Some(text) = reader.text_if_there(Path::new(file)) else {
            return Vec::new();
        };
        match inventory::from_str(&reader.name(Path::new(file)), &text) {
            Ok(inventory::Document {
                value: Value::Map(map),
                ..
            }) => {
                let names = map.iter().filter_map(|(key, _)| key.as_text());
                names.map(str::to_owned).collect()
            }
            Ok(_) => Vec::new(),
            Err(e) => {
                let what = format!("the variables in {} are not known: {e}", dir.display());
                self.leave_out(&what);
                Vec::new()
            }
        }
    }

    /// One file that is rendered.
    fn file(&mut self, reader: &Reader, item: &Item, known: &Known) {
        let text = match reader.text(&item.path) {
            Ok(text) => text,
            Err(finding) => return self.report.findings.push(*finding),
        };
        let file = reader.name(&item.path);
        let source = Source::new(&file, &text);
        let mut found = Vec::new();
        if item.path.extension() == Some(OsStr::new("ipynb")) {
            found.extend(notebook::check(&source));
        }
        found.extend(template::check(&source, known));
        self.tell(&file, found);
    }
}

/// Also what an author may have meant to be one.
fn looks_like_workshop(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    upper.starts_with("WKSHP-") || upper.starts_with("WKSHP_") || upper.starts_with("CHLG-")
}
