//! A file of the host that is about to get another text: seen, tried by its own program, kept the
//! first time, replaced in one step.

use std::path::PathBuf;
use std::time::Duration;

use crate::exec::Cmd;
use crate::ports::Fault;
use crate::safefs::{Kind, Owner, Stat};

use super::ledger::Ledger;
use super::place::{Owners, Place, is_here, of_files};

const CHECK_TIME: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Target {
    pub path: PathBuf,
    pub owners: Owners,
    pub mode: u32,
    /// A command that fails on bad content; `%s` is the path of the content to be tried, `%d` its
    /// directory.
    pub check: Option<Vec<String>>,
    pub ledger: Ledger,
}

/// What is there before.
pub struct Seen {
    pub bytes: Vec<u8>,
    pub stat: Stat,
}

impl Target {
    /// None when there is nothing. Permanent when it is no plain file.
    pub fn look(&self) -> Result<Option<Seen>, Fault> {
        let place = Place::open(&self.path)?;
        match place.stat()? {
            None => Ok(None),
            Some(stat) if stat.kind == Kind::File => {
                let bytes = place.read()?;
                Ok(Some(Seen { bytes, stat }))
            }
            Some(stat) => Err(Fault::permanent(format!(
                "{} is no file but a {:?}; move it away",
                self.path.display(),
                stat.kind
            ))),
        }
    }

    /// Whether owner and mode are as they should be.
    pub fn is_ours(&self, stat: &Stat) -> bool {
        let owner = self.owners.resolve().ok();
        stat.mode == self.mode
            && owner.is_some_and(|owner| (owner.uid, owner.gid) == (stat.uid, stat.gid))
    }

    /// To be added to a change's line: whether the content will be tried.
    pub fn untried(&self) -> String {
        let checker = self.check.as_ref().and_then(|words| words.first());
        match checker.filter(|program| !is_here(program)) {
            Some(program) => format!(" (not tried: {program} is not here)"),
            None => String::new(),
        }
    }

    /// Of an edit, the owner and mode that the file had stay.
    pub fn replace(
        &self,
        before: Option<&[u8]>,
        after: &str,
        kept: Option<(Owner, u32)>,
    ) -> Result<(), Fault> {
        self.try_out(after)?;
        if let Some(before) = before {
            self.ledger.keep_first(&self.path, before)?;
        }
        let place = Place::open(&self.path)?;
        let (owner, mode) = match kept {
            Some((owner, mode)) => (place.owner().unwrap_or(owner), mode),
            None => (self.owners.resolve()?, self.mode),
        };
        place.write(after.as_bytes(), mode, owner)
    }

    /// The name is kept: some checkers go by it.
    fn try_out(&self, text: &str) -> Result<(), Fault> {
        let (Some(check), Some(name)) = (&self.check, self.path.file_name()) else {
            return Ok(());
        };
        let program = check.first().map(String::as_str).unwrap_or_default();
        if !is_here(program) {
            return Ok(());
        }
        let dir = self.ledger.try_out()?;
        let name = PathBuf::from(name);
        dir.write(&name, text.as_bytes(), 0o600)
            .map_err(|e| of_files(&name, &e))?;
        let path = dir.path().join(&name).display().to_string();
        let parent = dir.path().display().to_string();
        let words = check[1..]
            .iter()
            .map(|word| word.replace("%s", &path).replace("%d", &parent));
        let checked = Cmd::new(program).args(words).timeout(CHECK_TIME).run();
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
