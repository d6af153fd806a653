//! Students as accounts of this Linux host: made, locked, given passwords, freed of processes
//! and of what they left outside their homes. Only `studentN` with uid UIDBASE+N is ever
//! touched; what is in the homes is not handled here.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User};

use crate::domain::{Secret, Student, StudentRange};
use crate::exec::Cmd;
use crate::ports::{Account, Accounts, Disposition, Fault, Search};
use crate::safefs::Crowd;

mod batch;
pub mod files;
mod fuse;
mod ipc;
mod leftovers;
mod machine;
mod mountinfo;
mod mounts;
mod open_places;
mod passwords;
mod processes;
mod suspect;

pub use batch::{Differing, Survey};
use files::Wanted;
use leftovers::Places;
use open_places::OpenPlaces;
use passwords::Passwords;
pub use processes::{Uids, subuid};
pub use suspect::{Entry, StudentUids, Suspect};

const ETC: &str = "/etc";
/// uids below are the system's own.
const FIRST_UID: u32 = 1000;
/// `nobody`, and the 16 bit "no uid".
const NOBODY: std::ops::RangeInclusive<u32> = 65_534..=65_535;

/// How long killed processes may take to go.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Directories that every account of a usual host can write to; those that a host does not
/// have are passed over.
pub const SHARED_DIRS: [&str; 7] = [
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/dev/mqueue",
    "/run/lock",
    "/run/screen",
    "/var/crash",
];

/// What the inventory says of students' accounts.
#[derive(Debug, Clone)]
pub struct Config {
    /// UIDBASE
    pub uid_base: u32,
    /// GIDBASE
    pub gid_base: u32,
    /// WODUSERMIN..WODUSERMAX
    pub students: StudentRange,
    /// WODSTUDDIR
    pub students_dir: PathBuf,
    /// The login shell, e.g. `/bin/bash`.
    pub shell: PathBuf,
    /// Where students may leave files outside their homes, e.g. [`SHARED_DIRS`].
    pub shared_dirs: Vec<PathBuf>,
}

/// Accounts in /etc/passwd; needs root.
pub struct LinuxAccounts {
    config: Config,
    places: Places,
    passwords: Passwords,
    /// One change of the account files at a time; the tools' own lock would make the others
    /// wait in seconds.
    changes: Mutex<()>,
}

/// What the account files say, as far as it matters for one student.
enum State {
    Right,
    Missing,
    /// There, with another group, home, shell or comment.
    Differs,
}

impl LinuxAccounts {
    /// Permanent when a path has characters that the account files cannot hold.
    pub fn new(config: Config) -> Result<LinuxAccounts, Fault> {
        for (setting, path) in [
            ("WODSTUDDIR", &config.students_dir),
            ("the students' shell", &config.shell),
        ] {
            if !is_plain(path) {
                return Err(Fault::permanent(format!(
                    "{setting} is {}: expected an absolute path of letters, digits and ./_+-",
                    path.display()
                )));
            }
        }
        Ok(LinuxAccounts {
            places: Places::new(config.shared_dirs.clone(), open_places(&config)),
            config,
            passwords: Passwords::default(),
            changes: Mutex::new(()),
        })
    }

    /// The account that the student must have. Violation for anything that is no student's.
    fn account(&self, student: Student) -> Result<Account, Fault> {
        let name = student.account();
        if !self.config.students.contains(student) {
            return Err(Fault::violation(format!(
                "{name} is not a student of this backend (WODUSERMIN..WODUSERMAX is {}..{})",
                self.config.students.first(),
                self.config.students.last()
            )));
        }
        let id = |base: u32, what: &str| match base.checked_add(student.number()) {
            Some(id) if id >= FIRST_UID && !NOBODY.contains(&id) => Ok(id),
            _ => Err(Fault::violation(format!(
                "{name} would have {what} {base}+{student}, which is a system account's; check {}",
                if what == "uid" { "UIDBASE" } else { "GIDBASE" }
            ))),
        };
        Ok(Account {
            uid: id(self.config.uid_base, "uid")?,
            gid: id(self.config.gid_base, "gid")?,
            name,
        })
    }

    /// The account, after a check that its name and uid are nobody else's: what is done by
    /// uid must hit the student only.
    fn own_account(&self, student: Student) -> Result<Account, Fault> {
        let account = self.account(student)?;
        match users(&account) {
            Err(fault) if fault.disposition == Disposition::Permanent => {
                Err(Fault::violation(fault.line()))
            }
            Err(fault) => Err(fault),
            Ok(_) => Ok(account),
        }
    }

    fn home(&self, account: &Account) -> PathBuf {
        self.config.students_dir.join(&account.name)
    }

    fn state(&self, account: &Account) -> Result<State, Fault> {
        let group = group(account)?;
        let Some(user) = users(account)? else {
            return Ok(State::Missing);
        };
        if group.is_none() {
            return Ok(State::Missing);
        }
        let right = user.gid.as_raw() == account.gid
            && user.dir == self.home(account)
            && user.shell == self.config.shell
            && user.gecos.to_bytes() == account.name.as_bytes();
        Ok(match right {
            true => State::Right,
            false => State::Differs,
        })
    }

    /// systemd-sysusers is the fastest; where it is missing or leaves something out, the
    /// tools of the shadow suite.
    fn make(&self, student: Student, account: &Account) -> Result<(), Fault> {
        let sysusers = Cmd::new("systemd-sysusers")
            .arg("-")
            .stdin(
                self.as_wanted(student, account)
                    .sysusers_lines()
                    .into_bytes(),
            )
            .run();
        if let Err(error) = &sysusers {
            tracing::debug!(account = account.name, %error, "systemd-sysusers");
        }
        if group(account)?.is_none() {
            run(self.groupadd(account), "make the group", account)?;
        }
        if users(account)?.is_none() {
            run(self.useradd(account), "make the account", account)?;
        }
        Ok(())
    }

    fn as_wanted(&self, student: Student, account: &Account) -> Wanted {
        Wanted {
            student,
            account: account.clone(),
            home: self.home(account).to_string_lossy().into_owned(),
            shell: self.config.shell.to_string_lossy().into_owned(),
        }
    }

    fn groupadd(&self, account: &Account) -> Cmd {
        Cmd::new("groupadd")
            .args(["-g", &account.gid.to_string()])
            .arg(&account.name)
    }

    /// No home, and no subordinate uids: what would run under those would be
    /// nobody's.
    fn useradd(&self, account: &Account) -> Cmd {
        Cmd::new("useradd")
            .args(["-M", "-N"])
            .args(["-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0"])
            .args(["-u", &account.uid.to_string()])
            .args(self.properties(account))
            .arg(&account.name)
    }

    fn usermod(&self, account: &Account) -> Cmd {
        Cmd::new("usermod")
            .args(self.properties(account))
            .arg(&account.name)
    }

    fn properties(&self, account: &Account) -> [std::ffi::OsString; 8] {
        [
            "-g".into(),
            account.gid.to_string().into(),
            "-d".into(),
            self.home(account).into(),
            "-s".into(),
            self.config.shell.clone().into(),
            "-c".into(),
            account.name.clone().into(),
        ]
    }
}

impl Accounts for LinuxAccounts {
    fn ensure(&self, student: Student) -> Result<Account, Fault> {
        let account = self.account(student)?;
        self.places.prepare();
        if let State::Right = self.state(&account)? {
            return Ok(account);
        }
        let _turn = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Missing = self.state(&account)? {
            self.make(student, &account)?;
        }
        if let State::Differs = self.state(&account)? {
            run(self.usermod(&account), "mend the account", &account)?;
        }
        match self.state(&account)? {
            State::Right => Ok(account),
            _ => Err(Fault::retry(format!(
                "{} was made or mended, but the name service still says otherwise; \
                 is a cache (nscd, sssd) in the way?",
                account.name
            ))),
        }
    }

    fn lock(&self, student: Student) -> Result<(), Fault> {
        let account = self.account(student)?;
        match passwords::is_locked(&account.name)? {
            Some(true) => Ok(()),
            Some(false) => self.passwords.lock(&account.name),
            None if users(&account)?.is_none() => Ok(()),
            None => Err(Fault::permanent(format!(
                "cannot lock {}: it is not in /etc/passwd but in another name service; remove it there",
                account.name
            ))),
        }
    }

    fn set_password(&self, student: Student, password: &Secret) -> Result<(), Fault> {
        let account = self.account(student)?;
        self.passwords.set(&account.name, password)
    }

    fn end_processes(&self, student: Student) -> Result<(), Fault> {
        let account = self.own_account(student)?;
        processes::end(&account.name, &self.uids(&account)?, END_LIMIT)?;
        // One over the home would keep it from being erased.
        self.places.unmount(&[account])
    }

    fn sweep(&self, student: Student) -> Result<(), Fault> {
        let account = self.own_account(student)?;
        self.places.sweep(&account)
    }

    fn leftovers(&self, student: Student) -> Result<Vec<String>, Fault> {
        let account = self.own_account(student)?;
        let mut lines = processes::lines(&account.name, &self.uids(&account)?)?;
        lines.extend(self.places.leftovers(&account)?);
        Ok(lines)
    }

    fn search(&self, student: Student, known: &[PathBuf]) -> Result<Search, Fault> {
        let account = self.own_account(student)?;
        machine::search(&account, known)
    }

    fn is_locked(&self, student: Student) -> Result<bool, Fault> {
        let account = self.account(student)?;
        Ok(passwords::is_locked(&account.name)?.unwrap_or(true))
    }
}

impl LinuxAccounts {
    fn uids(&self, account: &Account) -> Result<Uids, Fault> {
        let uid = |student: Student| self.config.uid_base.saturating_add(student.number());
        let students = uid(self.config.students.first())..=uid(self.config.students.last());
        Uids::of(Path::new(ETC), account, &students).map_err(|e| {
            Fault::retry(format!("cannot tell which uids {} has", account.name)).because(&e)
        })
    }
}

fn open_places(config: &Config) -> OpenPlaces {
    let students = &config.students;
    let of = |base: u32| {
        let id = |student: Student| base.saturating_add(student.number());
        id(students.first())..=id(students.last())
    };
    let crowd = Crowd {
        uids: of(config.uid_base),
        gids: of(config.gid_base),
    };
    let homes = [config.students_dir.clone(), "/run/user".into()];
    let known = config.shared_dirs.iter().cloned().chain(homes);
    OpenPlaces::new(crowd, known.collect())
}

/// Letters that mean nothing to the account files, systemd-sysusers or a shell.
fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path.to_str().is_some_and(|text| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/._+-".contains(&b))
        })
}

/// The account's entry; Permanent when name and uid are not one account's. (nix and not
/// `users` here: it tells "not there" from "cannot be asked", and knows the comment.)
fn users(account: &Account) -> Result<Option<User>, Fault> {
    let Account { name, uid, .. } = account;
    let asked = |e: nix::Error| Fault::retry(format!("cannot look up account {name}")).because(&e);
    let by_name = User::from_name(name).map_err(asked)?;
    let by_uid = User::from_uid(Uid::from_raw(*uid)).map_err(asked)?;
    if let Some(user) = &by_name
        && user.uid.as_raw() != *uid
    {
        return Err(Fault::permanent(format!(
            "account {name} has uid {}, but UIDBASE wants {uid}: free the name, or correct UIDBASE",
            user.uid
        )));
    }
    match by_uid {
        Some(user) if user.name != *name => Err(Fault::permanent(format!(
            "uid {uid} of {name} belongs to account {}: free the uid, or correct UIDBASE",
            user.name
        ))),
        _ => Ok(by_name),
    }
}

fn group(account: &Account) -> Result<Option<Group>, Fault> {
    let Account { name, gid, .. } = account;
    let asked = |e: nix::Error| Fault::retry(format!("cannot look up group {name}")).because(&e);
    let by_name = Group::from_name(name).map_err(asked)?;
    let by_gid = Group::from_gid(Gid::from_raw(*gid)).map_err(asked)?;
    if let Some(group) = &by_name
        && group.gid.as_raw() != *gid
    {
        return Err(Fault::permanent(format!(
            "group {name} has gid {}, but GIDBASE wants {gid}: free the name, or correct GIDBASE",
            group.gid
        )));
    }
    match by_gid {
        Some(group) if group.name != *name => Err(Fault::permanent(format!(
            "gid {gid} of {name} belongs to group {}: free the gid, or correct GIDBASE",
            group.name
        ))),
        _ => Ok(by_name),
    }
}

fn run(cmd: Cmd, what: &str, account: &Account) -> Result<(), Fault> {
    match cmd.run() {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::retry(format!("cannot {what} {}", account.name)).because(&error)),
    }
}
