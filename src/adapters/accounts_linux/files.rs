//! The account files as texts: what they say of students, and how they read after a change. Pure;
//! lines of others come out as they went in, byte by byte.

mod lines;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{HashMap, HashSet};

use zeroize::Zeroizing;

use crate::domain::Student;
use crate::ports::Account;

pub use write::{change, read};

use lines::{field, fields, lines, name_of, number};

/// The files, in the order in which new accounts are written: whoever is in passwd has a locked
/// entry in shadow by then. Who leaves goes the other way; the group is the last trace of both.
pub const FILES: [&str; 6] = ["group", "gshadow", "shadow", "passwd", "subuid", "subgid"];
const GROUP: usize = 0;
const GSHADOW: usize = 1;
const SHADOW: usize = 2;
const PASSWD: usize = 3;
const SUBUID: usize = 4;
const SUBGID: usize = 5;

/// No password fits it.
const LOCKED: &str = "!*";

/// Their texts, by the order of [`FILES`]; None for a file that the host does not have.
#[derive(Default, Clone, PartialEq, Eq)]
pub struct Files(pub [Option<Zeroizing<Vec<u8>>>; 6]);

/// An account as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub student: Student,
    pub account: Account,
    pub home: String,
    pub shell: String,
}

/// What the files say of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Right,
    Missing,
    /// As Missing, but something of that name is left, such as a password.
    Remains,
    /// There, with another group, home, shell or comment, or without an entry in shadow.
    Differs,
    /// Its name or a number of it is somebody else's; why, and what to do.
    Taken(String),
}

#[derive(Debug, Clone, Copy)]
pub enum Edit<'a> {
    /// What is missing is made, what differs is mended; what is taken stays as it is.
    Ensure(&'a [Wanted]),
    /// No password fits any more.
    Lock(&'a [Wanted]),
    Remove(&'a [Wanted]),
}

impl Wanted {
    pub fn passwd_line(&self, password: &str) -> String {
        let Account { name, uid, gid } = &self.account;
        format!(
            "{name}:{password}:{uid}:{gid}:{name}:{}:{}",
            self.home, self.shell
        )
    }

    /// Lines for systemd-sysusers.
    pub fn sysusers_lines(&self) -> String {
        let Account { name, uid, gid } = &self.account;
        format!(
            "g {name} {gid}\nu {name} {uid}:{gid} \"{name}\" {} {}\n",
            self.home, self.shell
        )
    }
}

impl Files {
    fn text(&self, file: usize) -> &[u8] {
        self.0[file].as_ref().map_or(&[][..], |text| &text[..])
    }

    fn put(&mut self, file: usize, text: Vec<u8>) {
        if self.0[file].is_some() {
            self.0[file] = Some(Zeroizing::new(text));
        }
    }

    /// The line of passwd that begins with this name.
    pub fn passwd_line(&self, name: &str) -> Option<String> {
        let mut all = lines(self.text(PASSWD));
        let line = all.find(|line| name_of(line) == name.as_bytes())?;
        Some(String::from_utf8_lossy(line).into_owned())
    }

    /// One standing for each of the accounts.
    pub fn standings(&self, wanted: &[Wanted]) -> Vec<Standing> {
        let index = Index::of(self);
        wanted.iter().map(|wanted| index.standing(wanted)).collect()
    }

    /// Students that these files have and `leaves` names: `studentN` with the uid of N, or what a
    /// removal that was cut short left of one, its group.
    pub fn students(&self, uid_base: u32, gid_base: u32) -> Vec<Student> {
        let mut found = HashSet::new();
        let index = Index::of(self);
        for (name, fields) in &index.passwd {
            let student = student_of(name);
            found.extend(student.filter(|s| uid_base.checked_add(s.number()) == fields.uid));
        }
        for (name, gid) in &index.group {
            let student = student_of(name).filter(|_| !index.passwd.contains_key(name));
            found.extend(student.filter(|s| gid_base.checked_add(s.number()) == *gid));
        }
        let mut found: Vec<Student> = found.into_iter().collect();
        found.sort_unstable();
        found
    }

    /// The texts after a change; `day` is today, since 1970, for what records it.
    pub fn edited(&self, edit: Edit<'_>, day: u64) -> Files {
        match edit {
            Edit::Ensure(wanted) => self.ensured(wanted, day),
            Edit::Lock(wanted) => self.locked(wanted),
            Edit::Remove(wanted) => self.removed(wanted),
        }
    }

    fn ensured(&self, wanted: &[Wanted], day: u64) -> Files {
        let index = Index::of(self);
        let mut mended = HashMap::new();
        let mut unlock = HashSet::new();
        let mut new: [Vec<String>; 6] = Default::default();
        let shadowed = self.0[SHADOW].is_some();
        for wanted in wanted {
            let name = &wanted.account.name;
            let key = name.as_bytes();
            match index.standing(wanted) {
                Standing::Right | Standing::Taken(_) => continue,
                Standing::Missing | Standing::Remains | Standing::Differs => {}
            }
            if !index.group.contains_key(key) {
                new[GROUP].push(format!("{name}:x:{}:", wanted.account.gid));
            }
            if !index.gshadow.contains(key) {
                new[GSHADOW].push(format!("{name}:{LOCKED}::"));
            }
            if !index.shadow.contains(key) {
                new[SHADOW].push(format!("{name}:{LOCKED}:{day}::::::"));
            }
            match index.passwd.get(key) {
                Some(found) => {
                    let password = String::from_utf8_lossy(found.password);
                    mended.insert(key, wanted.passwd_line(&password));
                }
                None => {
                    unlock.insert(key);
                    new[PASSWD].push(wanted.passwd_line(if shadowed { "x" } else { "*" }));
                }
            }
        }
        let mut after = self.clone();
        let shadow = lines::mapped(self.text(SHADOW), |line| match name_of(line) {
            // What is left of an account that is no more opens nothing to the new one.
            name if unlock.contains(name) => Some(lines::with_field(line, 1, LOCKED)),
            _ => Some(line.to_vec()),
        });
        let passwd = lines::mapped(self.text(PASSWD), |line| match mended.get(name_of(line)) {
            Some(mended) => Some(mended.clone().into_bytes()),
            None => Some(line.to_vec()),
        });
        after.put(SHADOW, shadow);
        after.put(PASSWD, passwd);
        for (file, new) in new.iter().enumerate() {
            let text = lines::with_new(after.text(file), new);
            after.put(file, text);
        }
        after
    }

    fn locked(&self, wanted: &[Wanted]) -> Files {
        let index = Index::of(self);
        let ours = index.ours(wanted);
        let in_shadow = |name: &[u8]| index.shadow.contains(name);
        let lock = |file, only: &dyn Fn(&[u8]) -> bool| {
            lines::mapped(self.text(file), |line| match name_of(line) {
                name if ours.contains(name) && only(name) => {
                    Some(lines::with_field(line, 1, LOCKED))
                }
                _ => Some(line.to_vec()),
            })
        };
        let mut after = self.clone();
        after.put(SHADOW, lock(SHADOW, &|_| true));
        after.put(PASSWD, lock(PASSWD, &|name| !in_shadow(name)));
        after
    }

    fn removed(&self, wanted: &[Wanted]) -> Files {
        let index = Index::of(self);
        let ours = index.ours(wanted);
        let gone = |name: &[u8]| {
            ours.contains(name) || (is_asked(wanted, name) && !index.passwd.contains_key(name))
        };
        let without = |file: usize| {
            lines::mapped(self.text(file), |line| {
                (!gone(name_of(line))).then(|| line.to_vec())
            })
        };
        let mut after = self.clone();
        for file in [PASSWD, SHADOW, SUBUID, SUBGID] {
            after.put(file, without(file));
        }
        let still: HashSet<u32> = lines(after.text(PASSWD))
            .filter_map(|line| number(field(line, 3)))
            .collect();
        let gids: HashMap<&[u8], u32> = wanted
            .iter()
            .map(|w| (w.account.name.as_bytes(), w.account.gid))
            .collect();
        // A group that is somebody's stays, and so does one of the name with another number.
        let keeps = |line: &[u8]| match (gids.get(name_of(line)), number(field(line, 2))) {
            (Some(wanted), Some(gid)) => *wanted != gid || still.contains(&gid),
            _ => true,
        };
        let kept: HashSet<&[u8]> = lines(self.text(GROUP))
            .filter(|line| keeps(line))
            .map(name_of)
            .collect();
        let members = |line: &[u8]| lines::without_members(line, &gone);
        let group = lines::mapped(self.text(GROUP), |line| keeps(line).then(|| members(line)));
        let gshadow = lines::mapped(self.text(GSHADOW), |line| {
            let goes = gids.contains_key(name_of(line)) && !kept.contains(name_of(line));
            (!goes).then(|| members(line))
        });
        after.put(GROUP, group);
        after.put(GSHADOW, gshadow);
        after
    }
}

fn is_asked(wanted: &[Wanted], name: &[u8]) -> bool {
    // In order of their numbers, which is how they come.
    let Some(student) = student_of(name) else {
        return false;
    };
    wanted.binary_search_by_key(&student, |w| w.student).is_ok()
}

fn student_of(name: &[u8]) -> Option<Student> {
    Student::from_account(std::str::from_utf8(name).ok()?)
}

/// The files by their names and numbers.
struct Index<'a> {
    passwd: HashMap<&'a [u8], Passwd<'a>>,
    /// Every name that a uid has.
    uids: HashMap<u32, Vec<&'a [u8]>>,
    group: HashMap<&'a [u8], Option<u32>>,
    gids: HashMap<u32, Vec<&'a [u8]>>,
    shadow: HashSet<&'a [u8]>,
    gshadow: HashSet<&'a [u8]>,
    shadowed: bool,
    gshadowed: bool,
}

struct Passwd<'a> {
    password: &'a [u8],
    uid: Option<u32>,
    gid: Option<u32>,
    /// Comment, home, shell.
    rest: [&'a [u8]; 3],
}

impl<'a> Index<'a> {
    fn of(files: &'a Files) -> Index<'a> {
        let mut index = Index {
            passwd: HashMap::new(),
            uids: HashMap::new(),
            group: HashMap::new(),
            gids: HashMap::new(),
            shadow: lines(files.text(SHADOW)).map(name_of).collect(),
            gshadow: lines(files.text(GSHADOW)).map(name_of).collect(),
            shadowed: files.0[SHADOW].is_some(),
            gshadowed: files.0[GSHADOW].is_some(),
        };
        for line in lines(files.text(PASSWD)) {
            let [name, password, uid, gid, gecos, home, shell] = fields(line);
            let (uid, gid) = (number(uid), number(gid));
            let rest = [gecos, home, shell];
            let entry = Passwd {
                password,
                uid,
                gid,
                rest,
            };
            if let Some(uid) = uid {
                index.uids.entry(uid).or_default().push(name);
            }
            index.passwd.entry(name).or_insert(entry);
        }
        for line in lines(files.text(GROUP)) {
            let [name, _, gid] = fields(line);
            let gid = number(gid);
            if let Some(gid) = gid {
                index.gids.entry(gid).or_default().push(name);
            }
            index.group.entry(name).or_insert(gid);
        }
        index
    }

    fn standing(&self, wanted: &Wanted) -> Standing {
        let key = wanted.account.name.as_bytes();
        if let Some(why) = self.taken(wanted) {
            return Standing::Taken(why);
        }
        let (passwd, group) = (self.passwd.get(key), self.group.contains_key(key));
        let Some(passwd) = passwd.filter(|_| group) else {
            let remains = passwd.is_some() || group;
            let remains = remains || self.shadow.contains(key) || self.gshadow.contains(key);
            return if remains {
                Standing::Remains
            } else {
                Standing::Missing
            };
        };
        let shadow = !self.shadowed || self.shadow.contains(key);
        let gshadow = !self.gshadowed || self.gshadow.contains(key);
        let rest = [key, wanted.home.as_bytes(), wanted.shell.as_bytes()];
        let right = passwd.gid == Some(wanted.account.gid) && passwd.rest == rest;
        match right && shadow && gshadow {
            true => Standing::Right,
            false => Standing::Differs,
        }
    }

    fn taken(&self, wanted: &Wanted) -> Option<String> {
        let Account { name, uid, gid } = &wanted.account;
        let key = name.as_bytes();
        let shown = |number: &Option<u32>| number.map_or("none".to_owned(), |n| n.to_string());
        let other = |all: Option<&Vec<&[u8]>>| {
            let other = all?.iter().find(|other| **other != key)?;
            Some(String::from_utf8_lossy(other).escape_debug().to_string())
        };
        if let Some(found) = self.passwd.get(key).filter(|found| found.uid != Some(*uid)) {
            return Some(format!(
                "account {name} has uid {}, but UIDBASE wants {uid}: free the name, or correct UIDBASE",
                shown(&found.uid)
            ));
        }
        if let Some(other) = other(self.uids.get(uid)) {
            return Some(format!(
                "uid {uid} of {name} belongs to account {other}: free the uid, or correct UIDBASE"
            ));
        }
        if let Some(found) = self.group.get(key).filter(|found| **found != Some(*gid)) {
            return Some(format!(
                "group {name} has gid {}, but GIDBASE wants {gid}: free the name, or correct GIDBASE",
                shown(found)
            ));
        }
        let other = other(self.gids.get(gid))?;
        Some(format!(
            "gid {gid} of {name} belongs to group {other}: free the gid, or correct GIDBASE"
        ))
    }

    /// Those names whose account is there and is a student's.
    fn ours<'w>(&self, wanted: &'w [Wanted]) -> HashSet<&'w [u8]> {
        let all = wanted
            .iter()
            .map(|w| (w.account.name.as_bytes(), w.account.uid));
        let ours = all.filter(|(name, uid)| {
            let found = self.passwd.get(name);
            found.is_some_and(|found| found.uid == Some(*uid))
        });
        ours.map(|(name, _)| name).collect()
    }
}
