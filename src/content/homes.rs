//! Homes: made fresh from the skeletons, erased into a root-only trash, given to their student.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::Time;
use crate::ports::{Account, Fault};
use crate::safefs::{self, Cause, CopyOptions, Decision, Dir, Ownership, Replace};

use super::{Admin, sshkey};

/// Below WODSTUDDIR, root-only, on the homes' own filesystem.
const STORE: &str = ".wod";
const TRASH: &str = "trash";
const NEW: &str = "new";

/// What a clock may be set back by without anybody having to care.
const CLOCK_SLIPS: Duration = Duration::from_secs(60);

const SKELETON_BYTES: u64 = 1 << 30;
const SKELETON_FILES: u64 = 100_000;

/// Where homes are and what they are made from.
#[derive(Debug, Clone)]
pub struct HomesConfig {
    /// WODSTUDDIR
    pub students: PathBuf,
    /// In the order in which they are copied; a later one replaces an earlier one's files.
    pub skeletons: Vec<PathBuf>,
    /// None in a sandbox, where all is ours.
    pub admin: Option<Admin>,
    /// How long an erased home stays in the trash (WODTRASHHOURS).
    pub keep: Duration,
    /// A directory that only we can enter, for key pairs in the making.
    pub scratch: PathBuf,
}

pub struct Homes {
    config: HomesConfig,
}

impl Homes {
    pub fn new(config: HomesConfig) -> Homes {
        Homes { config }
    }

    /// Where scripts and templates find the home.
    pub fn path(&self, account: &str) -> PathBuf {
        self.config.students.join(account)
    }

    pub fn open(&self, account: &str) -> Result<Dir, Fault> {
        self.students()?
            .open_dir(account.as_ref())
            .map_err(|e| Fault::of_files(format!("the home of {account} cannot be opened"), &e))
    }

    /// A directory in the home. The inner error is what the student may have made of it.
    pub fn open_below(&self, account: &str, rel: &Path) -> Result<safefs::Result<Dir>, Fault> {
        let home = self.students()?.open_dir(account.as_ref());
        Ok(home.and_then(|home| home.open_dir(rel)))
    }

    pub fn exists(&self, account: &str) -> Result<bool, Fault> {
        let found = self.students()?.stat(account.as_ref());
        found
            .map(|stat| stat.is_some())
            .map_err(|e| Fault::of_files(format!("the home of {account} cannot be looked at"), &e))
    }

    /// A home with the skeletons' files and a new key pair. It is built out of reach and then
    /// put in its place at once; what stood there goes to the trash.
    pub fn fresh(&self, account: &Account, now: Time) -> Result<(), Fault> {
        let name = OsStr::new(&account.name);
        let fault =
            |e: &safefs::Error| Fault::of_files(format!("no fresh home for {}", account.name), e);
        let students = self.students()?;
        let new = self.store(&students)?.private_dir(NEW.as_ref());
        let new = new.map_err(|e| fault(&e))?;
        safefs::remove_tree(&new, name).map_err(|e| fault(&e))?;
        let home = new.make_dir(name.as_ref(), 0o700).map_err(|e| fault(&e))?;
        for skeleton in &self.config.skeletons {
            self.copy_skeleton(skeleton, &home)?;
        }
        self.add_keys(&home, account)?;
        self.own_dir(&home, account)?;
        self.erase(&account.name, now)?;
        new.rename_to(name, &students, name, Replace::Refuse)
            .map_err(|e| fault(&e))
    }

    /// The home is gone from its place: renamed into the trash, whatever it was.
    pub fn erase(&self, account: &str, now: Time) -> Result<(), Fault> {
        let fault = |e: &safefs::Error| {
            Fault::of_files(format!("the home of {account} cannot be erased"), e)
        };
        let students = self.students()?;
        if students
            .stat(account.as_ref())
            .map_err(|e| fault(&e))?
            .is_none()
        {
            return Ok(());
        }
        let trash = self.trash(&students)?;
        let mut nth = 0;
        loop {
            let place = OsString::from(format!("{account}.{}.{nth}", now.0));
            match students.rename_to(account.as_ref(), &trash, &place, Replace::Refuse) {
                Err(e) if e.is_taken() && nth < 1000 => nth += 1,
                done => return done.map_err(|e| fault(&e)),
            }
        }
    }

    /// Homes of the account that are in the trash still.
    pub fn thrown_away(&self, account: &str) -> Result<Vec<PathBuf>, Fault> {
        let place = Path::new(STORE).join(TRASH);
        let trash = match self.students()?.open_dir(&place) {
            Err(e) if e.is_not_found() => return Ok(Vec::new()),
            trash => trash.and_then(|trash| trash.entries()),
        };
        let entries = trash.map_err(|e| Fault::of_files("the trash cannot be read", &e))?;
        let of_account = |name: &OsStr| {
            let name = name.to_str().and_then(|name| name.split('.').next());
            name == Some(account)
        };
        let names = entries.into_iter().map(|entry| entry.name);
        let mine = names.filter(|name| of_account(name));
        Ok(mine
            .map(|name| self.config.students.join(&place).join(name))
            .collect())
    }

    /// Everything in the home is the student's, and WODUSER may reach it.
    pub fn own(&self, account: &Account) -> Result<(), Fault> {
        let home = self.open(&account.name)?;
        // What a killed engine was writing is written again, under another name.
        safefs::remove_unfinished(&home).map_err(|e| {
            Fault::of_files(format!("the home of {} cannot be tidied", account.name), &e)
        })?;
        self.own_dir(&home, account)
    }

    /// Deletes what has been in the trash for long enough. Gives back how many homes are left
    /// in it; one that cannot be deleted does not keep the others.
    pub fn empty_trash(&self, now: Time) -> Result<usize, Fault> {
        let trash = self.trash(&self.students()?)?;
        let entries = trash
            .entries()
            .map_err(|e| Fault::of_files("the trash cannot be read", &e))?;
        let mut left = entries.len();
        let mut first = None;
        for entry in entries {
            let at = thrown_away_at(&entry.name);
            if at.since(now) > CLOCK_SLIPS {
                self.date_anew(&trash, &entry.name, now)?;
                continue;
            }
            if now.since(at) < self.config.keep {
                continue;
            }
            match safefs::remove_tree(&trash, &entry.name) {
                Ok(_) => left -= 1,
                Err(e) => {
                    first.get_or_insert(Fault::of_files("the trash cannot be emptied", &e));
                }
            }
        }
        first.map_or(Ok(left), Err)
    }

    /// The clock was set back since: or it would lie there until that time comes again.
    fn date_anew(&self, trash: &Dir, entry: &OsStr, now: Time) -> Result<(), Fault> {
        let account = entry.to_string_lossy();
        let account = account.split('.').next().unwrap_or_default();
        let place = OsString::from(format!("{account}.{}.again", now.0));
        match trash.rename_to(entry, trash, &place, Replace::Refuse) {
            // Another one was dated at the same moment; the next round has another.
            Err(e) if e.is_taken() => Ok(()),
            done => done.map_err(|e| Fault::of_files("the trash cannot be dated", &e)),
        }
    }

    /// Whether no file below WODSTUDDIR can be started as a program.
    pub fn is_noexec(&self) -> Result<bool, Fault> {
        let students = self.students()?;
        students
            .is_noexec()
            .map_err(|e| Fault::of_files("WODSTUDDIR cannot be looked at", &e))
    }

    /// Gives an empty directory to the accounts that every home is given to. Permanent where the
    /// filesystem cannot do that.
    pub fn try_acl(&self) -> Result<(), Fault> {
        const TRIAL: &str = "trial";
        let Some(admin) = &self.config.admin else {
            return Ok(());
        };
        let store = self.store(&self.students()?)?;
        let trial = store.private_dir(TRIAL.as_ref());
        let to = Ownership {
            uid: 0,
            gid: 0,
            also: Some(admin.uid),
        };
        let tried = trial.and_then(|trial| safefs::own_tree(&trial, &to));
        let _ = safefs::remove_tree(&store, TRIAL.as_ref());
        let Err(e) = tried else { return Ok(()) };
        let line = format!(
            "WODSTUDDIR {} cannot hold homes",
            self.config.students.display()
        );
        match e.cause() {
            Cause::NoAcl => Err(Fault::permanent(line).because(&e)),
            _ => Err(Fault::of_files(line, &e)),
        }
    }

    fn own_dir(&self, home: &Dir, account: &Account) -> Result<(), Fault> {
        let to = Ownership {
            uid: account.uid,
            gid: account.gid,
            also: self.config.admin.as_ref().map(|admin| admin.uid),
        };
        safefs::own_tree(home, &to).map(|_| ()).map_err(|e| {
            Fault::of_files(
                format!("the home of {} cannot be given to it", account.name),
                &e,
            )
        })
    }

    fn copy_skeleton(&self, skeleton: &Path, home: &Dir) -> Result<(), Fault> {
        let fault = |e: &safefs::Error| {
            Fault::of_files(format!("skeleton {} is not copied", skeleton.display()), e)
        };
        let from = Dir::open_root(skeleton).map_err(|e| fault(&e))?;
        let options = CopyOptions {
            filter: &|_, _| Decision::Take,
            limit_bytes: SKELETON_BYTES,
            limit_files: SKELETON_FILES,
            read_as: self.config.admin.as_ref(),
        };
        safefs::copy_tree(&from, home, options)
            .map(|_| ())
            .map_err(|e| fault(&e))
    }

    fn add_keys(&self, home: &Dir, account: &Account) -> Result<(), Fault> {
        let pair = sshkey::generate(&self.config.scratch, &account.name)?;
        let fault =
            |e: &safefs::Error| Fault::of_files(format!("no key pair for {}", account.name), e);
        let place = home
            .make_dir(".ssh".as_ref(), 0o700)
            .map_err(|e| fault(&e))?;
        place
            .write("id_ed25519".as_ref(), &pair.private, 0o600)
            .and_then(|()| place.write("id_ed25519.pub".as_ref(), &pair.public, 0o644))
            .map_err(|e| fault(&e))
    }

    fn students(&self) -> Result<Dir, Fault> {
        Dir::open_root(&self.config.students).map_err(|e| {
            Fault::of_files(
                format!(
                    "WODSTUDDIR {} cannot be opened",
                    self.config.students.display()
                ),
                &e,
            )
        })
    }

    fn store(&self, students: &Dir) -> Result<Dir, Fault> {
        students
            .private_dir(STORE.as_ref())
            .map_err(|e| Fault::of_files(format!("{STORE} below WODSTUDDIR cannot be used"), &e))
    }

    fn trash(&self, students: &Dir) -> Result<Dir, Fault> {
        self.store(students)?
            .private_dir(TRASH.as_ref())
            .map_err(|e| Fault::of_files("the trash below WODSTUDDIR cannot be used", &e))
    }
}

/// The time in a trash entry's name; long ago when there is none.
fn thrown_away_at(name: &OsStr) -> Time {
    let time = name.to_str().and_then(|name| name.split('.').nth(1));
    Time(time.and_then(|time| time.parse().ok()).unwrap_or(0))
}
