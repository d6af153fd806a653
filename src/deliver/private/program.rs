//! One executable of `deliver.d`. It says what it changed by lines `changed: …` on its output; without
//! any, all was as it should be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::exec::status_text;
use crate::ports::Fault;
use crate::safefs::{Dir, Kind, Result as Files};

use super::super::item::{Change, Mode, Outcome, Performed, Resource};
use super::super::place::{Room, of_files};
use super::{Runner, told, trusted};

const CHANGED: &str = "changed:";

/// What is to be run, by name; a name that editors and packages leave behind is none.
pub fn names(dir: &Path) -> Result<Vec<Name>, Fault> {
    let Some(room) = Room::open(dir)? else {
        return Ok(Vec::new());
    };
    room.act(read).map_err(|e| of_files(dir, &e))
}

/// A file of `deliver.d`, and whether it is meant to be run.
pub struct Name {
    text: String,
    is_executable: bool,
}

fn read(dir: &Dir) -> Files<Vec<Name>> {
    let mut names = Vec::new();
    for entry in dir.entries()? {
        let Some(text) = entry.name.to_str().filter(|name| is_program(name)) else {
            continue;
        };
        let stat = match entry.kind {
            Kind::File | Kind::Link => dir.stat(Path::new(text))?,
            _ => None,
        };
        names.extend(stat.map(|stat| Name {
            text: text.to_owned(),
            is_executable: stat.kind == Kind::Link || stat.mode & 0o111 != 0,
        }));
    }
    Ok(names)
}

fn is_program(name: &str) -> bool {
    let left_behind = ["~", ".bak", ".orig", ".swp", ".dpkg-old", ".rpmsave"];
    !name.starts_with('.')
        && !left_behind.iter().any(|end| name.ends_with(end))
        && !name.chars().any(char::is_control)
}

pub struct Program {
    path: PathBuf,
    name: Name,
    runner: Arc<Runner>,
}

impl Program {
    pub fn new(dir: &Path, name: Name, runner: Arc<Runner>) -> Program {
        Program {
            path: dir.join(&name.text),
            name,
            runner,
        }
    }

    fn run(&self) -> Result<Performed, Fault> {
        let given = (self.runner.given)();
        let (cmd, run_as) = self.runner.command(&self.path, &given)?;
        trusted(&self.path, run_as.uid)?;
        let ran = Runner::run(cmd, &given.secrets);
        Ok(match (ran.cut_short(), &ran.ended) {
            (Some((outcome, line)), _) => ran.became(outcome, line),
            (None, Ok(status)) if !status.success() => {
                let how = format!("failed ({})", status_text(*status));
                ran.failed(&how)
            }
            _ => {
                let lines = ran.printed.lines();
                let changes: Vec<String> = lines
                    .filter_map(|line| line.strip_prefix(CHANGED))
                    .map(|what| what.trim().to_owned())
                    .collect();
                match changes.is_empty() {
                    true => ran.became(Outcome::Ok, ""),
                    false => ran.became(Outcome::Changed, told(&changes)),
                }
            }
        })
    }
}

impl Resource for Program {
    fn name(&self) -> String {
        format!("program {}", self.name.text)
    }

    fn not_here(&self) -> Option<String> {
        let hint = format!("{} is not executable; chmod +x", self.path.display());
        (!self.name.is_executable).then_some(hint)
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        Ok(Vec::new())
    }

    fn perform(&self, mode: Mode) -> Option<Performed> {
        Some(match mode {
            Mode::Check => {
                let line = "not looked at: nobody knows what it would change before it runs";
                Performed::new(Outcome::Skipped, line)
            }
            Mode::Apply => self
                .run()
                .unwrap_or_else(|fault| Performed::new(Outcome::Failed, fault.chain())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_program;

    #[test]
    fn what_editors_leave_behind_is_not_run() {
        for name in ["10-hosts", "a.sh", "Z_z.py"] {
            assert!(is_program(name), "{name}");
        }
        for name in [".hidden", "10-hosts~", "a.bak", "a.swp", "a\nb"] {
            assert!(!is_program(name), "{name}");
        }
    }
}
