//! A file with content, owner and mode; tried by its own program before it goes live.

use std::path::PathBuf;
use std::time::Duration;

use crate::exec::Cmd;
use crate::ports::Fault;
use crate::safefs::Kind;

use super::item::{Change, Resource, Texts};
use super::ledger::Ledger;
use super::place::{Owners, Place, of_files};

const CHECK_TIME: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct File {
    pub path: PathBuf,
    pub content: String,
    pub owners: Owners,
    pub mode: u32,
    /// A command that fails on bad content; `%s` is the path of the content to be tried.
    pub check: Option<Vec<String>>,
    /// Its content is not shown.
    pub secret: bool,
    pub ledger: Ledger,
}

impl Resource for File {
    fn name(&self) -> String {
        format!("file {}", self.path.display())
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let place = Place::open(&self.path)?;
        let seen = match place.stat()? {
            None => None,
            Some(stat) if stat.kind == Kind::File => {
                let bytes = place.read()?;
                Some((bytes, stat))
            }
            Some(stat) => {
                return Err(Fault::permanent(format!(
                    "{} is no file but a {:?}; move it away",
                    self.path.display(),
                    stat.kind
                )));
            }
        };
        let is_right = seen.as_ref().is_some_and(|(bytes, stat)| {
            let owner = self.owners.resolve().ok();
            *bytes == self.content.as_bytes()
                && stat.mode == self.mode
                && owner.is_some_and(|owner| (owner.uid, owner.gid) == (stat.uid, stat.gid))
        });
        if is_right {
            return Ok(Vec::new());
        }
        let line = match &seen {
            None => format!("made, mode {:04o}", self.mode),
            Some((bytes, _)) if *bytes != self.content.as_bytes() => "content".to_owned(),
            Some((_, stat)) => format!(
                "owner and mode {}:{} {:04o} -> {}:{} {:04o}",
                stat.uid, stat.gid, stat.mode, self.owners.user, self.owners.group, self.mode
            ),
        };
        Ok(vec![Box::new(Write {
            line,
            before: seen.map(|(bytes, _)| bytes),
            file: self.clone(),
        })])
    }
}

struct Write {
    line: String,
    before: Option<Vec<u8>>,
    file: File,
}

impl Change for Write {
    fn line(&self) -> String {
        self.line.clone()
    }

    fn texts(&self) -> Option<Texts> {
        let before = self.before.as_deref().unwrap_or_default();
        let differs = before != self.file.content.as_bytes();
        (differs && !self.file.secret).then(|| Texts {
            before: String::from_utf8_lossy(before).into_owned(),
            after: self.file.content.clone(),
        })
    }

    fn apply(&self) -> Result<(), Fault> {
        let file = &self.file;
        file.try_out()?;
        if let Some(before) = &self.before {
            file.ledger.keep_first(&file.path, before)?;
        }
        let place = Place::open(&file.path)?;
        let owner = file.owners.resolve()?;
        place
            .dir()?
            .write_owned(&place.name, file.content.as_bytes(), file.mode, owner)
            .map_err(|e| of_files(&file.path, &e))
    }
}

impl File {
    /// The name is kept: some checkers go by it.
    fn try_out(&self) -> Result<(), Fault> {
        let (Some(check), Some(name)) = (&self.check, self.path.file_name()) else {
            return Ok(());
        };
        let dir = self.ledger.try_out()?;
        let name = PathBuf::from(name);
        dir.write(&name, self.content.as_bytes(), 0o600)
            .map_err(|e| of_files(&name, &e))?;
        let path = dir.path().join(&name).display().to_string();
        let mut words = check.iter().map(|word| word.replace("%s", &path));
        let program = words.next().unwrap_or_default();
        let checked = Cmd::new(&program).args(words).timeout(CHECK_TIME).run();
        let removed = dir.remove_file(&name).map_err(|e| of_files(&name, &e));
        checked.map_err(|e| {
            Fault::permanent(format!(
                "{program} does not accept the new content; what is there stays"
            ))
            .because(&e)
        })?;
        removed
    }
}
