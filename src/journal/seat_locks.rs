//! Who works on a seat just now, across processes: a lock on one byte of a file beside the journal
//! for each student. Actions share a seat's byte; whoever works on seats outside of actions wants it
//! alone. The kernel lets go of it when its holder ends, however that comes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::domain::StudentRange;

const NAME: &str = "seats.lock";

/// How a seat is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    Shared,
    Alone,
}

/// The seats of one state directory; its holds end with it.
#[derive(Debug)]
pub struct SeatLocks {
    file: File,
}

impl SeatLocks {
    /// `journal` is the journal's path. Each one that is opened counts as a holder of its own.
    pub fn beside(journal: &Path) -> io::Result<SeatLocks> {
        let path: PathBuf = journal.with_file_name(NAME);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        Ok(SeatLocks { file })
    }

    /// False when somebody else holds one of them in a way that does not go with ours.
    pub fn take(&self, seats: StudentRange, hold: Hold) -> io::Result<bool> {
        let kind = match hold {
            Hold::Shared => libc::F_RDLCK,
            Hold::Alone => libc::F_WRLCK,
        };
        match self.set(seats, kind) {
            Ok(()) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    pub fn let_go(&self, seats: StudentRange) -> io::Result<()> {
        Ok(self.set(seats, libc::F_UNLCK)?)
    }

    fn set(&self, seats: StudentRange, kind: libc::c_int) -> nix::Result<()> {
        let lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: seats.first().number().into(),
            l_len: seats.count().into(),
            l_pid: 0,
        };
        fcntl(&self.file, FcntlArg::F_OFD_SETLK(&lock)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_share_what_others_want_alone() {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("journal.db");
        let open = || SeatLocks::beside(&journal).unwrap();
        let (engine, other, deliver) = (open(), open(), open());
        let seats = |text: &str| text.parse::<StudentRange>().unwrap();
        assert!(engine.take(seats("3,9"), Hold::Shared).unwrap());
        assert!(other.take(seats("5"), Hold::Shared).unwrap());
        assert!(!deliver.take(seats("5"), Hold::Alone).unwrap());
        assert!(deliver.take(seats("2"), Hold::Alone).unwrap());
        assert!(deliver.take(seats("10"), Hold::Alone).unwrap());
        drop(engine);
        assert!(!deliver.take(seats("5"), Hold::Alone).unwrap());
        assert!(deliver.take(seats("4"), Hold::Alone).unwrap());
        assert!(!other.take(seats("1,4"), Hold::Shared).unwrap());
        deliver.let_go(seats("1,4")).unwrap();
        assert!(other.take(seats("1,4"), Hold::Shared).unwrap());
    }
}
