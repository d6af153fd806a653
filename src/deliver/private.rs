//! The overlay's own part: programs in `deliver.d`, and a playbook. WODUSER can write there, so
//! WODUSER is who they run as; what they need of root they ask sudo for, as workshop scripts do.

mod playbook;
mod program;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::adapters::mask::Masker;
use crate::adapters::scripts::{Functions, ScriptUser, environment, unfit, unfit_for};
use crate::domain::Secret;
use crate::exec::{Cmd, Error, RunAs};
use crate::ports::Fault;
use crate::safefs::{Kind, Stat};

use super::item::{Change, Item, Outcome, Performed, Resource, Tag};
use super::place::{Room, of_files};

/// Of what a program prints, the end that is kept.
const TAIL: usize = 16 << 10;
/// What is looked through for lines that say what changed.
const LOOKED_AT: usize = 1 << 20;
/// Changes of one program that are told one by one.
const TOLD: usize = 20;

/// Where the overlay has its part, and who runs it.
pub struct Private {
    /// `deliver.d`
    pub programs: Option<PathBuf>,
    /// `check_backend.yml`
    pub playbook: Option<PathBuf>,
    pub runner: Runner,
    pub this_host: ThisHost,
}

/// This host as a playbook finds it in its inventory.
#[derive(Debug, Clone)]
pub struct ThisHost {
    pub name: String,
    pub groups: Vec<String>,
    /// WODGROUP
    pub group: String,
    /// `vault_secret` of the overlay.
    pub vault_secret: Option<PathBuf>,
}

/// Runs what belongs to WODUSER.
pub struct Runner {
    /// WODUSER, who may be made by the same run.
    pub user: String,
    pub functions: Functions,
    pub given: Given,
    /// For one program; then everything of its session is ended.
    pub timeout: Duration,
    pub stop: Arc<AtomicBool>,
}

/// The inventory's variables; only asked for when something is run.
pub type Given = Box<dyn Fn() -> Variables + Send + Sync>;

pub struct Variables {
    /// As texts, for an environment.
    pub texts: Vec<(String, String)>,
    /// As they are.
    pub values: serde_json::Map<String, serde_json::Value>,
    /// What must not be seen of them.
    pub secrets: Vec<Secret>,
}

/// Programs in the order of their names, then the playbook.
pub fn items(private: Private) -> Vec<Item> {
    let runner = Arc::new(private.runner);
    let mut items = Vec::new();
    if let Some(dir) = private.programs {
        match program::names(&dir) {
            Ok(names) => items.extend(names.into_iter().map(|name| {
                let runner = Arc::clone(&runner);
                item(program::Program::new(&dir, name, runner))
            })),
            Err(fault) => {
                let name = format!("programs of {}", dir.display());
                items.push(item(Unreadable { name, fault }));
            }
        }
    }
    if let Some(path) = private.playbook {
        let playbook = playbook::Playbook::new(path, private.this_host, runner);
        match playbook.is_there() {
            Ok(false) => {}
            Ok(true) => items.push(item(playbook)),
            Err(fault) => {
                let name = playbook.name();
                items.push(item(Unreadable { name, fault }));
            }
        }
    }
    items
}

fn item(resource: impl Resource + 'static) -> Item {
    Item::new(Tag::Private, resource)
}

/// What nobody could look at, to find out what there is to be run.
struct Unreadable {
    name: String,
    fault: Fault,
}

impl Resource for Unreadable {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        Err(self.fault.clone())
    }
}

/// How a program ended, and what it printed, masked.
struct Ran {
    ended: Result<ExitStatus, Error>,
    printed: String,
}

impl Runner {
    /// WODUSER, and a program with the environment of workshop scripts; secrets are in its
    /// environment only.
    fn command(&self, program: &Path, given: &Variables) -> Result<(Cmd, RunAs), Fault> {
        let shown = program.display().to_string();
        let user = ScriptUser::find(&self.user)?;
        let run_as = user.run_as.clone().filter(|who| who.uid != 0);
        let run_as = run_as.ok_or_else(|| {
            let line = format!("{shown} is not run as root: set WODUSER to an account of its own");
            Fault::permanent(line)
        })?;
        let all: BTreeMap<String, OsString> =
            environment(&user, Some(&self.functions), &given.texts);
        if let Some(name) = unfit(&all) {
            return Err(unfit_for(&name, &shown));
        }
        let dir = program.parent().unwrap_or(Path::new("/"));
        let cmd = Cmd::new(program)
            .envs(all.into_iter().map(|(name, value)| (name.into(), value)))
            .dir(dir)
            .run_as(Some(&run_as))
            .own_session()
            .dies_with_us()
            .stop_on(&self.stop)
            .timeout(self.timeout);
        Ok((cmd, run_as))
    }

    fn run(cmd: Cmd, secrets: &[Secret]) -> Ran {
        let mut masker = Masker::new(secrets);
        let mut printed = Vec::new();
        let mut keep = |clean: Vec<u8>| {
            printed.extend(clean);
            if printed.len() > 2 * LOOKED_AT {
                printed.drain(..printed.len() - LOOKED_AT);
            }
        };
        let ended = cmd.run_into(|bytes| keep(masker.push(bytes)));
        keep(masker.finish());
        Ran {
            ended,
            printed: String::from_utf8_lossy(&printed).into_owned(),
        }
    }
}

impl Ran {
    /// What failed: how it ended, and the last thing that it said.
    fn failed(self, how: &str) -> Performed {
        let lines = self.printed.lines().map(str::trim);
        let last = lines.rev().find(|line| !line.is_empty());
        let line = match last {
            Some(last) => format!("{how}: {}", plain(last)),
            None => how.to_owned(),
        };
        self.became(Outcome::Failed, line)
    }

    fn became(self, outcome: Outcome, line: impl Into<String>) -> Performed {
        Performed {
            outcome,
            line: line.into(),
            output: tail(&self.printed),
        }
    }

    /// What is the same for all programs: None when it ended by itself.
    fn cut_short(&self) -> Option<(Outcome, String)> {
        match &self.ended {
            Ok(_) => None,
            Err(Error::Stopped { .. }) => {
                let line = "stopped before its end; the next run begins it again";
                Some((Outcome::Skipped, line.to_owned()))
            }
            Err(e @ Error::TimedOut { .. }) => {
                Some((Outcome::Failed, format!("{e}; see WODPRIVATESECONDS")))
            }
            Err(e) => Some((Outcome::Failed, Fault::permanent("").because(e).chain())),
        }
    }
}

/// Fit for one line of a terminal.
fn plain(text: &str) -> String {
    const MOST: usize = 300;
    let mut line: String = text
        .chars()
        .take(MOST)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    if text.chars().nth(MOST).is_some() {
        line.push('…');
    }
    line
}

/// The last lines.
fn tail(text: &str) -> String {
    let mut from = text.len().saturating_sub(TAIL);
    if from > 0 {
        let next = text.as_bytes()[from..].iter().position(|&b| b == b'\n');
        from = next.map_or(text.len(), |at| from + at + 1);
    }
    let kept = text.get(from..).unwrap_or_default().chars();
    // Nothing that steers the terminal of who reads it later.
    kept.map(|c| match c {
        '\n' | '\t' => c,
        c if c.is_control() => '?',
        c => c,
    })
    .collect()
}

fn told(changes: &[String]) -> String {
    let shown: Vec<String> = changes.iter().take(TOLD).map(|line| plain(line)).collect();
    match changes.len().saturating_sub(TOLD) {
        0 => shown.join("; "),
        more => format!("{}; and {more} more", shown.join("; ")),
    }
}

/// What others could have written would be run with the rights of WODUSER.
fn is_written_by(stat: &Stat, uid: u32) -> Result<(), String> {
    match () {
        () if stat.uid != uid && stat.uid != 0 => Err(format!("belongs to uid {}", stat.uid)),
        () if stat.kind != Kind::Link && stat.mode & 0o002 != 0 => {
            Err("can be written by everybody".to_owned())
        }
        () => Ok(()),
    }
}

/// Whether only WODUSER and root can have put a file, and the directory that it is in, there.
fn trusted(path: &Path, uid: u32) -> Result<(), Fault> {
    let refused = |what: &Path, why: String| {
        let what = what.display();
        Fault::violation(format!(
            "{what} {why}, and is not run; give it to WODUSER alone"
        ))
    };
    let parent = path.parent().unwrap_or(Path::new("/"));
    let gone = || Fault::permanent(format!("{} is gone", path.display()));
    let room = Room::open(parent)?.ok_or_else(gone)?;
    let name = path.file_name().unwrap_or_default();
    let (dir, file) = room
        .act(|dir| Ok((dir.stat(Path::new("."))?, dir.stat(Path::new(name))?)))
        .map_err(|e| of_files(path, &e))?;
    let (dir, file) = dir.zip(file).ok_or_else(gone)?;
    is_written_by(&dir, uid).map_err(|why| refused(parent, why))?;
    is_written_by(&file, uid).map_err(|why| refused(path, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_what_was_printed_begins_with_a_whole_line() {
        assert_eq!(tail("a\nb\x1b[2J\tc\n"), "a\nb?[2J\tc\n");
        let long: String = (0..4000).map(|n| format!("line {n} ä\n")).collect();
        let kept = tail(&long);
        assert!(kept.len() <= TAIL && kept.starts_with("line ") && kept.ends_with("3999 ä\n"));
        assert_eq!(tail(&"x".repeat(2 * TAIL)), "");
    }

    fn with_playbook(playbook: &Path) -> Vec<Item> {
        let (text, none) = (String::new, PathBuf::new);
        items(Private {
            programs: None,
            playbook: Some(playbook.to_owned()),
            runner: Runner {
                user: text(),
                functions: Functions {
                    dir: none(),
                    program: none(),
                },
                given: Box::new(|| Variables {
                    texts: Vec::new(),
                    values: serde_json::Map::new(),
                    secrets: Vec::new(),
                }),
                timeout: Duration::ZERO,
                stop: Arc::default(),
            },
            this_host: ThisHost {
                name: text(),
                groups: Vec::new(),
                group: text(),
                vault_secret: None,
            },
        })
    }

    #[test]
    fn a_playbook_that_cannot_be_looked_at_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(with_playbook(&dir.path().join("none.yml")).is_empty());
        assert!(with_playbook(&dir.path().join("none/none.yml")).is_empty());
        let items = with_playbook(&file.join("check_backend.yml"));
        assert!(items[0].resource.diff().is_err());
        assert_eq!(items[0].name(), "playbook check_backend.yml");
    }

    #[test]
    fn many_changes_are_counted() {
        let changes: Vec<String> = (0..22).map(|n| format!("c{n}")).collect();
        assert!(told(&changes).ends_with("c19; and 2 more"));
        assert_eq!(told(&changes[..2]), "c0; c1");
    }
}
