//! Homes that are there: owner, modes and ACLs, walked on all cores. A seat without a home is right:
//! a CREATE makes one, and nothing is left of it after a CLEANUP.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::domain::Student;
use crate::ports::Fault;
use crate::safefs::{self, Dir, Owned, Ownership, look_through, own_tree};

use super::super::item::{Aside, Change, Resource};
use super::seats::Claim;
use super::{Crew, Notes, count, each, named};

pub struct HomesOfRange {
    crew: Arc<Crew>,
    notes: Arc<Notes>,
}

impl HomesOfRange {
    pub fn new(crew: &Arc<Crew>) -> HomesOfRange {
        HomesOfRange {
            crew: Arc::clone(crew),
            notes: Arc::default(),
        }
    }

    /// Not those whose name or uid is somebody else's.
    fn students(&self) -> Result<Vec<Student>, Fault> {
        let with_home = self.crew.with_home()?;
        if with_home.is_empty() {
            return Ok(Vec::new());
        }
        let taken = self.crew.linux()?.survey()?.taken;
        let taken: BTreeSet<Student> = taken.into_iter().map(|(student, _)| student).collect();
        let ours = |student: &Student| {
            self.crew.accounts.students.contains(*student) && !taken.contains(student)
        };
        Ok(with_home.into_iter().filter(ours).collect())
    }
}

impl Resource for HomesOfRange {
    fn name(&self) -> String {
        format!("homes in {}", self.crew.accounts.students_dir.display())
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let Some(dir) = self.crew.homes_dir()? else {
            return Ok(vec![Box::new(Missing(Arc::clone(&self.crew)))]);
        };
        let students = self.students()?;
        if students.is_empty() {
            return Ok(Vec::new());
        }
        let owners = Owners::of(&self.crew)?;
        let in_use = self.crew.seats.in_use()?;
        let looks = each(&students, |student| look(&owners, &dir, *student));
        let mut wrong = Vec::new();
        let mut entries = 0;
        for (student, look) in students.into_iter().zip(looks) {
            let changed = match &look {
                Ok(Owned { changed: 0, .. }) => continue,
                Ok(owned) => owned.changed,
                Err(_) => 0,
            };
            if let Some(reason) = in_use.get(&student) {
                // What a look at a live tree fails with may be gone by now.
                if look.is_ok() {
                    self.notes.skipped(student, reason);
                }
                continue;
            }
            entries += changed;
            match look {
                Err(e) if e.is_violation() => self.notes.failed(student, e.to_string()),
                // What only mending can open, or has changed meanwhile: mending tells.
                _ => wrong.push(student),
            }
        }
        if wrong.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![Box::new(Own {
            owners,
            notes: Arc::clone(&self.notes),
            dir,
            students: wrong,
            entries,
        })])
    }

    fn asides(&self) -> Vec<Aside> {
        self.notes.take()
    }
}

/// Who is to own the homes.
#[derive(Clone)]
struct Owners {
    crew: Arc<Crew>,
    admin: u32,
}

impl Owners {
    fn of(crew: &Arc<Crew>) -> Result<Owners, Fault> {
        let name = &crew.admin;
        let admin = users::get_user_by_name(name)
            .ok_or_else(|| Fault::permanent(format!("WODUSER {name} has no account yet")))?;
        Ok(Owners {
            crew: Arc::clone(crew),
            admin: admin.uid(),
        })
    }

    fn ownership(&self, student: Student) -> Ownership {
        let accounts = &self.crew.accounts;
        Ownership {
            uid: accounts.uid_base + student.number(),
            gid: accounts.gid_base + student.number(),
            also: Some(self.admin),
        }
    }
}

fn home(dir: &Dir, student: Student) -> safefs::Result<Dir> {
    dir.open_dir(Path::new(&student.account()))
}

fn look(owners: &Owners, dir: &Dir, student: Student) -> safefs::Result<Owned> {
    match home(dir, student) {
        Err(e) if e.is_not_found() => Ok(Owned::default()),
        home => look_through(&home?, &owners.ownership(student)),
    }
}

/// WODSTUDDIR comes with the items before, unless those are left out.
struct Missing(Arc<Crew>);

impl Change for Missing {
    fn line(&self) -> String {
        "homes are looked at when there is a WODSTUDDIR".to_owned()
    }

    fn apply(&self) -> Result<(), Fault> {
        (self.0.ground)()
    }
}

struct Own {
    owners: Owners,
    notes: Arc<Notes>,
    dir: Dir,
    students: Vec<Student>,
    entries: u64,
}

impl Change for Own {
    fn line(&self) -> String {
        format!(
            "{} of {}: {}",
            match self.entries {
                1 => "1 owner, mode or ACL".to_owned(),
                n => format!("{n} owners, modes or ACLs"),
            },
            count(self.students.len(), "home"),
            named(&self.students)
        )
    }

    /// Fails when none could be done; single ones are told apart.
    fn apply(&self) -> Result<(), Fault> {
        let done = each(&self.students, |student| self.one(*student));
        let mut first = None;
        let mut some = false;
        for (student, done) in self.students.iter().zip(done) {
            match done {
                Ok(()) => some = true,
                Err(fault) => {
                    self.notes.failed(*student, fault.chain());
                    first.get_or_insert(fault);
                }
            }
        }
        match first {
            Some(fault) if !some => Err(fault),
            _ => Ok(()),
        }
    }
}

impl Own {
    fn one(&self, student: Student) -> Result<(), Fault> {
        if let Claim::InUse(reason) = self.owners.crew.seats.claim(student)? {
            self.notes.skipped(student, &reason);
            return Ok(());
        }
        let owned = match home(&self.dir, student) {
            Err(e) if e.is_not_found() => Ok(Owned::default()),
            home => home.and_then(|home| own_tree(&home, &self.owners.ownership(student))),
        };
        self.owners.crew.seats.let_go(student);
        owned.map(drop).map_err(|e| {
            let account = student.account();
            Fault::of_files(format!("the home of {account} cannot be given to it"), &e)
        })
    }
}
