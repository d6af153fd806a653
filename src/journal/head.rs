//! How far the journal was when it was last written for good, in a small file beside it, so that
//! a journal that lost its end is known for it.
//!
//! The file never says more than the journal has: it is written after each commit that survives
//! the end of power.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use super::{Error, Result, sum};

/// Both only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// Commits that survive the end of power.
    pub tick: i64,
    /// The newest action's id.
    pub action: i64,
}

impl Head {
    pub fn of(connection: &Connection) -> rusqlite::Result<Option<Head>> {
        connection
            .prepare_cached("select tick, action from head where id = 1")?
            .query_row([], |row| {
                Ok(Head {
                    tick: row.get(0)?,
                    action: row.get(1)?,
                })
            })
            .optional()
    }

    pub fn write(self, t: &Connection) -> Result<()> {
        let sql = "insert or replace into head (id, tick, action, sum) values (1, ?1, ?2, 0)";
        t.prepare_cached(sql)?
            .execute(params![self.tick, self.action])?;
        sum::seal(t, &sum::HEAD, "id = 1", [])
    }

    /// Always of the same length, to be written over the one before in one piece.
    fn to_line(self) -> String {
        let text = format!(
            "wod-journal 1 tick {:020} action {:020}",
            self.tick, self.action
        );
        format!("{text} crc {:08x}\n", sum::of_bytes(text.as_bytes()))
    }

    fn from_line(line: &str) -> Option<Head> {
        let number = |at: usize| line.split_whitespace().nth(at)?.parse().ok();
        let head = Head {
            tick: number(3)?,
            action: number(5)?,
        };
        (head.to_line() == line).then_some(head)
    }
}

/// What the file beside a journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remembered {
    Head(Head),
    Nothing,
    /// Not what was written there.
    Damaged,
}

/// `journal.head` of `journal.db`.
pub fn beside(journal: &Path) -> PathBuf {
    journal.with_extension("head")
}

pub fn remembered(journal: &Path) -> Result<Remembered> {
    let path = beside(journal);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let head = std::str::from_utf8(&bytes).ok().and_then(Head::from_line);
            Ok(head.map_or(Remembered::Damaged, Remembered::Head))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Remembered::Nothing),
        Err(source) => Err(Error::Beside { path, source }),
    }
}

/// Makes it anew, all at once and for good.
pub fn make(journal: &Path, head: Head) -> Result<()> {
    let path = beside(journal);
    let made = || {
        let fresh = path.with_extension("head.new");
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(head.to_line().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        sync_dir(&path)
    };
    made().map_err(|source| Error::Beside {
        path: path.clone(),
        source,
    })
}

/// What was made or renamed in the directory of `path` stays so.
pub fn sync_dir(path: &Path) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}

/// The file, open to be written over and over.
#[derive(Debug)]
pub struct HeadFile {
    file: File,
    path: PathBuf,
}

impl HeadFile {
    pub fn open(journal: &Path) -> Result<HeadFile> {
        let path = beside(journal);
        match File::options().write(true).open(&path) {
            Ok(file) => Ok(HeadFile { file, path }),
            Err(source) => Err(Error::Beside { path, source }),
        }
    }

    /// What was committed stays committed when this fails, and the next one says it again.
    pub fn note(&self, head: Head, for_good: bool) {
        let written = self.file.write_all_at(head.to_line().as_bytes(), 0);
        let written = written.and_then(|()| match for_good {
            true => self.file.sync_data(),
            false => Ok(()),
        });
        if let Err(e) = written {
            tracing::warn!("{} stays old: {e}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_another_byte_is_no_head() {
        let head = Head {
            tick: 123,
            action: 45,
        };
        let line = head.to_line();
        assert_eq!(Head::from_line(&line), Some(head));
        for at in 0..line.len() {
            assert_eq!(Head::from_line(&line[..at]), None);
            for bit in 0..8 {
                let mut other = line.clone().into_bytes();
                other[at] ^= 1 << bit;
                let other = String::from_utf8_lossy(&other).into_owned();
                assert_eq!(Head::from_line(&other), None, "{other}");
            }
        }
    }
}
