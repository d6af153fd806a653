//! The scripts of a shelf: which there are, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::lint::descriptor::Described;
use crate::lint::finding::Finding;
use crate::lint::source::Source;
use crate::lint::template::{self, Known};
use crate::lint::tools::{self, Answer};
use crate::lint::tree::Reader;
use crate::lint::{Extent, Shelf, script};
use crate::safefs::{self, Kind};

use super::Run;

/// The engine links its own into script directories, for workshops that name it there.
const FUNCTIONS: &str = "functions.sh";

/// The script directories of a shelf, open.
pub struct ScriptDirs(Vec<OpenDir>);

struct OpenDir {
    reader: Reader,
    extent: Extent,
    /// Names, and which of them are links.
    entries: Vec<safefs::Entry>,
}

impl ScriptDirs {
    /// None when the shelf has none.
    pub fn open(shelf: &Shelf) -> safefs::Result<Option<ScriptDirs>> {
        let mut dirs = Vec::new();
        for scripts in &shelf.scripts {
            match Reader::open(&scripts.dir, &scripts.shown, shelf.admin.as_ref()) {
                Ok(reader) => dirs.push(OpenDir {
                    entries: reader.entries()?,
                    reader,
                    extent: scripts.extent,
                }),
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e),
            }
        }
        Ok((!dirs.is_empty()).then_some(ScriptDirs(dirs)))
    }

    /// The names that scripts have when they are needed: without `.j2`.
    pub fn names(&self) -> BTreeSet<String> {
        let entries = self.0.iter().flat_map(|dir| &dir.entries);
        let names = entries.filter_map(|entry| entry.name.to_str());
        names
            .map(|name| name.strip_suffix(".j2").unwrap_or(name).to_owned())
            .collect()
    }

    /// Words of the create scripts: they append variables to the pass file.
    pub fn appended(&self, workshop: &str) -> BTreeSet<String> {
        let name = format!("create-{workshop}.sh");
        let texts = self.0.iter().flat_map(|dir| {
            [name.clone(), format!("{name}.j2")]
                .into_iter()
                .filter_map(|name| dir.reader.text_if_there(Path::new(&name)))
        });
        let mut words = BTreeSet::new();
        for text in texts {
            let all = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            words.extend(all.filter(|word| !word.is_empty()).map(str::to_owned));
        }
        words
    }
}

impl Run<'_> {
    pub(super) fn scripts(
        &mut self,
        shelf: &Shelf,
        dirs: &ScriptDirs,
        workshops: &BTreeMap<String, Described>,
    ) {
        let all = workshops.values().flat_map(|about| about.compile.iter());
        let compiled: BTreeSet<String> = all.cloned().collect();
        let names: BTreeSet<String> = workshops.keys().cloned().collect();
        for dir in &dirs.0 {
            for entry in &dir.entries {
                let Some(name) = entry.name.to_str() else {
                    continue;
                };
                let plain = name.strip_suffix(".j2").unwrap_or(name);
                let is_script = plain.ends_with(".sh") || plain.contains("WKSHP-");
                let owner = names.iter().find(|w| script::belongs_to(name, w));
                let is_ours = compiled.contains(name) || owner.is_some();
                let is_asked = match (dir.extent, &shelf.only) {
                    (Extent::All, None) => is_script || is_ours,
                    _ => is_ours,
                };
                if !is_asked || entry.kind == Kind::Directory {
                    continue;
                }
                let shown = dir.reader.name(Path::new(name));
                if !self.scripts.insert(shown.clone()) {
                    continue;
                }
                if shelf.only.is_none() {
                    let known = self.names.union(&self.others).cloned().collect();
                    let told = script::check_name(&shown, name, &known, &compiled);
                    self.report.findings.extend(told);
                }
                let known = self.known(owner.map_or("", String::as_str), Some(dirs), true);
                let is_template = name.ends_with(".j2") || compiled.contains(name);
                self.script(shelf, &dir.reader, name, is_template.then_some(&known));
            }
        }
    }

    /// `template` is what may be named in it, where it is rendered first.
    fn script(&mut self, shelf: &Shelf, reader: &Reader, name: &str, template: Option<&Known>) {
        let path = Path::new(name);
        let listed = reader.mode(path);
        let text = match reader.text(path) {
            Ok(text) => text,
            // One that stays in the directory is followed by who runs it.
            Err(_) if reader.is_inner_link(path) => return,
            Err(_) if name == FUNCTIONS && reader.is_link_to(path, "lib/functions.sh") => return,
            Err(finding) => return self.report.findings.push(*finding),
        };
        let file = reader.name(path);
        let source = Source::new(&file, &text);
        // deliver, or the compiler, makes a template executable.
        let started = script::is_started(name.strip_suffix(".j2").unwrap_or(name));
        let mode = match template {
            Some(_) => 0o755,
            None => listed.unwrap_or(0o755),
        };
        let mut found = script::check(&source, started.then_some(mode));
        let is_readable = found
            .iter()
            .all(|f| f.rule != &crate::lint::rules::SCRIPT_CRLF);
        if let Some(known) = template {
            found.extend(template::check(&source, known));
        }
        if is_readable && script::is_plain(&text) {
            found.extend(self.ask(shelf, &source));
        }
        self.tell(&file, found);
    }

    fn ask(&mut self, shelf: &Shelf, source: &Source<'_>) -> Vec<Finding> {
        let who = shelf.admin.as_ref();
        match tools::bash(source, who) {
            Answer::Asked(found) if !found.is_empty() => return found,
            Answer::Asked(_) => {}
            Answer::NotAsked => self.leave_out("bash cannot be started: syntax of scripts"),
        }
        match tools::shellcheck(source, who) {
            Answer::Asked(found) => found,
            Answer::NotAsked => {
                self.leave_out("shellcheck is not installed, or cannot be started");
                Vec::new()
            }
        }
    }
}
