//! The border: accepted mails as files, written by the unprivileged door, taken by the engine.
//!
//! The writer may lack the right to list the directory (mode 1730). The reader trusts nothing
//! that it finds: kind, owner, links, size and every value are checked again.

use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::domain::{Action, Participant, Seat, Time, Verb};

use super::message::{LONGEST_LINE, LONGEST_SUBJECT, Signed, is_email};
use super::refusal::{Kind, Refusal};

/// The largest record, in bytes.
const LARGEST: u64 = 16 * 1024;
/// The longest peer, sender and message id, in bytes.
const LONGEST_TEXT: usize = 320;
const SUFFIX: &str = ".action";
const TMP: &str = ".tmp-";
const BAD: &str = "bad";

/// How a mail came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    Smtp,
    Pipe,
    /// No mail: the watchdog of this host, which only takes seats away.
    Watchdog,
}

impl Route {
    pub fn as_str(self) -> &'static str {
        match self {
            Route::Smtp => "smtp",
            Route::Pipe => "pipe",
            Route::Watchdog => "watchdog",
        }
    }
}

/// One accepted mail, as it crosses the border.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub version: u32,
    /// When the door took it.
    pub received: Time,
    pub route: Route,
    /// An address, or `uid N`.
    pub peer: String,
    pub sender: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// Why the watchdog asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub action: Action,
}

impl Record {
    pub const VERSION: u32 = 1;

    /// What the types alone do not say, and what `message` guarantees: the engine must not
    /// depend on who wrote the file.
    fn check(&self) -> Result<(), String> {
        let Action {
            verb,
            seat,
            participant,
            email,
            workshop,
        } = &self.action;
        let many = matches!(seat, Seat::Students(range) if range.count() > 1);
        let nobody = *seat == Seat::OfParticipant && participant.is_nobody();
        let texts = [
            Some(&self.peer),
            Some(&self.sender),
            self.message_id.as_ref(),
            self.reason.as_ref(),
        ];
        let is_watchdogs = self.route == Route::Watchdog;
        let fits = |signed: &Signed| {
            let words = [
                (&signed.subject, LONGEST_SUBJECT),
                (&signed.line, LONGEST_LINE),
            ];
            let fits = |(text, most): (&String, usize)| {
                text.len() <= most && !text.chars().any(char::is_control)
            };
            words.into_iter().all(fits)
        };
        let fault = if self.version != Record::VERSION {
            "version: expected 1"
        } else if verb.needs_workshop() && workshop.is_none() {
            "workshop: expected one"
        } else if many && *verb != Verb::Reset {
            "student: expected one, only RESET takes a range"
        } else if nobody || participant.to_string().parse::<Participant>().is_err() {
            "participant: expected the registry's id of a person with a seat"
        } else if email.as_ref().is_some_and(|email| !is_email(email)) {
            "e-mail: expected name@domain"
        } else if texts.into_iter().flatten().any(|text| !is_plain(text)) {
            "peer, sender, message id, reason: expected short texts without control characters"
        } else if is_watchdogs && *verb != Verb::Purge {
            "verb: the watchdog only asks for PURGE"
        } else if !is_watchdogs && self.reason.is_some() {
            "reason: only the watchdog gives one"
        } else if !self.signed.as_ref().is_none_or(fits) {
            "signed: expected short lines without control characters"
        } else {
            return Ok(());
        };
        Err(fault.to_owned())
    }
}

fn is_plain(text: &str) -> bool {
    text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control)
}

/// Words of whoever wrote a file, fit for one line of the log.
fn one_line(text: &str) -> String {
    let plain = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().take(LONGEST_TEXT).map(plain).collect()
}

/// A file name in the spool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(CString);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.0.to_string_lossy()))
    }
}

impl Name {
    /// `<20-digit nanoseconds>-<pid>-<random hex>.action`: sorted by name is sorted by age.
    fn is_ours(&self) -> bool {
        let name = self.0.to_str().unwrap_or_default();
        let mut parts = name.strip_suffix(SUFFIX).unwrap_or_default().split('-');
        let (nanos, pid, random) = (parts.next(), parts.next(), parts.next());
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        nanos.is_some_and(|nanos| nanos.len() == 20 && digits(nanos))
            && pid.is_some_and(digits)
            && random.is_some_and(|hex| {
                hex.len() == 16 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            })
            && parts.next().is_none()
    }
}

/// The writer's side of the spool.
#[derive(Debug)]
pub struct Spool {
    dir: OwnedFd,
    last: AtomicU64,
    sync: Sync,
}

/// How a rename is made to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// As POSIX has it; the directory must be one that can be read.
    Directory,
    /// Of the file itself, whose new name is in the same transaction.
    File,
    /// Of everything, and not to be had where it matters: ext4, its journal given up after an error,
    /// has nothing to write any more and says that all is written.
    FileSystem,
}

/// File systems that keep a renamed file's name with the file.
const KEEP_NAMES: [fs::FsWord; 4] = [
    0xEF53,      // ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0x0102_1994, // tmpfs
];

impl Sync {
    /// For a directory that its writer may not list.
    fn of_unreadable(dir: &OwnedFd) -> io::Result<Sync> {
        let magic = fs::fstatfs(dir)?.f_type;
        let keeps = KEEP_NAMES.contains(&magic);
        Ok(if keeps { Sync::File } else { Sync::FileSystem })
    }
}

impl Spool {
    /// Opens the directory, for reading when permitted, else only for entering it.
    pub fn open(dir: &Path) -> io::Result<Spool> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let (dir, sync) = match fs::open(dir, flags | OFlags::RDONLY, Mode::empty()) {
            Err(Errno::ACCESS) => {
                let dir = fs::open(dir, flags | OFlags::PATH, Mode::empty())?;
                let sync = Sync::of_unreadable(&dir)?;
                (dir, sync)
            }
            opened => (opened?, Sync::Directory),
        };
        Ok(Spool {
            dir,
            last: AtomicU64::new(0),
            sync,
        })
    }

    /// Puts one record in, durably: when this returns, a power loss does not lose it.
    ///
    /// Fails with [`Kind::Temporary`], and leaves nothing behind.
    pub fn put(&self, record: &Record) -> Result<Name, Refusal> {
        self.write(record).map_err(|fault| {
            tracing::error!(%fault, "spool cannot take a mail");
            let line = format!("the spool cannot take the mail now ({fault}); send it again later");
            Refusal::new(Kind::Temporary, line)
        })
    }

    fn write(&self, record: &Record) -> io::Result<Name> {
        record.check().map_err(io::Error::other)?;
        let text = serde_json::to_vec(record)?;
        if text.len() as u64 > LARGEST {
            return Err(io::Error::other("its record is larger than 16 KiB"));
        }
        let random = getrandom::u64().map_err(io::Error::other)?;
        let temporary = format!("{TMP}{random:016x}");
        let written = self.write_as(&temporary, random, &text);
        if written.is_err() {
            // Gone already when the rename was what came last.
            let _ = fs::unlinkat(&self.dir, &temporary, AtFlags::empty());
        }
        written
    }

    fn write_as(&self, temporary: &str, random: u64, text: &[u8]) -> io::Result<Name> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(fs::openat(&self.dir, temporary, flags, mode)?);
        file.write_all(text)?;
        file.sync_all()?;
        let name = format!(
            "{:020}-{}-{random:016x}{SUFFIX}",
            self.nanos(),
            process::id()
        );
        fs::renameat(&self.dir, temporary, &self.dir, &name)?;
        let synced = match self.sync {
            Sync::Directory => fs::fsync(&self.dir),
            Sync::File => fs::fsync(&file),
            Sync::FileSystem => fs::syncfs(&file),
        };
        if let Err(fault) = synced.and_then(|()| journaling(&file)) {
            // The sender will be told to try again, so this one must not act too.
            let _ = fs::unlinkat(&self.dir, &name, AtFlags::empty());
            return Err(fault.into());
        }
        Ok(Name(CString::new(name)?))
    }

    /// Nanoseconds since 1970, and later than any before: arrival order survives a coarse clock
    /// or one that is set back.
    fn nanos(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        let next = |last: u64| now.max(last + 1);
        match self
            .last
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last)))
        {
            Ok(last) | Err(last) => next(last),
        }
    }
}

/// That the file system still writes: when ext4 gives its journal up after an error, a sync of what
/// was lost with it can say that all is well. Taking away what is not there changes nothing, but
/// must begin like any change.
fn journaling(file: &File) -> Result<(), Errno> {
    match fs::fremovexattr(file, "user.wod-probe") {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// Why a file in the spool gives no record.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("is gone")]
    Gone,
    /// Nothing is wrong with the file: to be tried again.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Will never be a record: for the quarantine.
    #[error("{0}")]
    Bad(String),
}

/// The engine's side of the spool.
#[derive(Debug)]
pub struct Reader {
    dir: OwnedFd,
    bad: OwnedFd,
    owners: Vec<u32>,
}

impl Reader {
    /// `owners`: the user ids whose files are taken. Makes the quarantine, `bad/`, when missing;
    /// fails when something else than a directory of our own has that name.
    pub fn open(dir: &Path, owners: Vec<u32>) -> io::Result<Reader> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let dir = fs::open(dir, flags, Mode::empty())?;
        match fs::mkdirat(&dir, BAD, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(fault) => return Err(fault.into()),
        }
        let bad = fs::openat(&dir, BAD, flags | OFlags::NOFOLLOW, Mode::empty())?;
        if fs::fstat(&bad)?.st_uid != rustix::process::geteuid().as_raw() {
            let line = "bad/ in the spool belongs to someone else; remove it and start again";
            return Err(io::Error::other(line));
        }
        Ok(Reader { dir, bad, owners })
    }

    /// At most `most` names, oldest first. Files that are still being written are not among
    /// them; files that are not ours are, so that they end up in the quarantine.
    pub fn pending(&self, most: usize) -> io::Result<Vec<Name>> {
        let mut names = self.names(|name| !name.starts_with(b".") && name != BAD.as_bytes())?;
        names.sort_unstable();
        names.truncate(most);
        Ok(names)
    }

    pub fn read(&self, name: &Name) -> Result<Record, Unusable> {
        Ok(self.read_dated(name)?.0)
    }

    /// The record, and when its file was last changed: its owner can make that later, but not
    /// earlier. Opens without following links and without waiting for the other end of a pipe.
    pub fn read_dated(&self, name: &Name) -> Result<(Record, Time), Unusable> {
        if !name.is_ours() {
            return Err(Unusable::Bad(
                "has a name that the door never gives".to_owned(),
            ));
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match fs::openat(&self.dir, name.0.as_c_str(), flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(Unusable::Gone),
            Err(Errno::LOOP) => return Err(Unusable::Bad("is a symbolic link".to_owned())),
            // A socket, or a device without its driver.
            Err(Errno::NXIO | Errno::NODEV) => {
                return Err(Unusable::Bad("is not a regular file".to_owned()));
            }
            Err(fault) => return Err(Unusable::Io(fault.into())),
        };
        let (changed, owner) = self.check_file(&file)?;
        let mut text = Vec::new();
        File::from(file).take(LARGEST + 1).read_to_end(&mut text)?;
        if text.len() as u64 > LARGEST {
            return Err(Unusable::Bad("is larger than 16 KiB".to_owned()));
        }
        let record: Record = serde_json::from_slice(&text)
            .map_err(|fault| one_line(&format!("is not a record: {fault}")))
            .map_err(Unusable::Bad)?;
        record.check().map_err(Unusable::Bad)?;
        if record.route == Route::Watchdog && owner != rustix::process::geteuid().as_raw() {
            let line = format!("says it is the watchdog's and belongs to uid {owner}");
            return Err(Unusable::Bad(line));
        }
        Ok((record, changed))
    }

    /// When it was changed, and whose it is.
    fn check_file(&self, file: impl AsFd) -> Result<(Time, u32), Unusable> {
        let stat = fs::fstat(file).map_err(io::Error::from)?;
        let fault = if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            "is not a regular file".to_owned()
        } else if stat.st_nlink != 1 {
            format!("has {} names, expected one", stat.st_nlink)
        } else if !self.owners.contains(&stat.st_uid) {
            format!("belongs to uid {}, which is not the door's", stat.st_uid)
        } else {
            let whole = stat.st_ctime.saturating_mul(1000);
            let part = i64::try_from(stat.st_ctime_nsec).unwrap_or_default() / 1_000_000;
            return Ok((Time(whole.saturating_add(part)), stat.st_uid));
        };
        Err(Unusable::Bad(fault))
    }

    /// Removes a record that is journaled now. No error when it is gone already.
    pub fn remove(&self, name: &Name) -> io::Result<()> {
        match fs::unlinkat(&self.dir, name.0.as_c_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(fs::fsync(&self.dir)?),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Moves a file of any kind to `bad/`, unread and unfollowed, for the admin to look at. What
    /// has its name there already stays: a directory of that name could keep it in the spool.
    pub fn quarantine(&self, name: &Name) -> io::Result<()> {
        let keep = RenameFlags::NOREPLACE;
        let mut place = name.0.clone();
        loop {
            let from = name.0.as_c_str();
            match fs::renameat_with(&self.dir, from, &self.bad, place.as_c_str(), keep) {
                Ok(()) | Err(Errno::NOENT) => break,
                Err(Errno::EXIST) => {
                    let random = getrandom::u64().map_err(io::Error::other)?;
                    place = CString::new(format!("again-{random:016x}"))?;
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        fs::fsync(&self.bad)?;
        Ok(fs::fsync(&self.dir)?)
    }

    /// Removes what a killed writer left half written before `now - older_than`: how many.
    pub fn sweep_tmp(&self, now: Time, older_than: Duration) -> io::Result<usize> {
        let mut swept = 0;
        for name in self.names(|name| name.starts_with(TMP.as_bytes()))? {
            let name = name.0.as_c_str();
            let Ok(stat) = fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let changed = Time(stat.st_mtime.saturating_mul(1000));
            if now.since(changed) > older_than
                && fs::unlinkat(&self.dir, name, AtFlags::empty()).is_ok()
            {
                swept += 1;
            }
        }
        Ok(swept)
    }

    fn names(&self, wanted: impl Fn(&[u8]) -> bool) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") && wanted(name.to_bytes()) {
                names.push(Name(name.to_owned()));
            }
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests;
