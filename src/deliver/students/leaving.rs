//! Students who go: hub user, processes, home, what they left elsewhere, and at last the account, so
//! that a run that is cut short is taken up by the next one.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::adapters::accounts_linux::LinuxAccounts;
use crate::domain::{Student, StudentRange, Time};
use crate::ports::{Accounts as _, Fault};

use super::super::item::{Aside, Change, Resource};
use super::seats::Claim;
use super::{Crew, Notes, count, each, named};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Accounts of student numbers that this host does not have any more.
    Outside(StudentRange),
    /// All of these, whatever there is of them.
    In(StudentRange),
}

pub struct Leaving {
    crew: Arc<Crew>,
    who: Who,
    notes: Arc<Notes>,
}

impl Leaving {
    pub fn new(crew: &Arc<Crew>, who: Who) -> Leaving {
        Leaving {
            crew: Arc::clone(crew),
            who,
            notes: Arc::default(),
        }
    }

    fn students(&self, hub: &BTreeSet<Student>) -> Result<BTreeSet<Student>, Fault> {
        match self.who {
            Who::Outside(window) => {
                let there = self.crew.accounts_of(everybody()?)?.there()?;
                Ok(there.into_iter().filter(|s| !window.contains(*s)).collect())
            }
            Who::In(range) => {
                let accounts = self.crew.accounts_of(range)?;
                let taken = accounts.survey()?.taken;
                let taken: BTreeSet<Student> = taken.into_iter().map(|(s, _)| s).collect();
                let mut all = self.crew.with_home()?;
                all.extend(hub);
                all.extend(accounts.there()?);
                all.retain(|s| range.contains(*s) && !taken.contains(s));
                Ok(all)
            }
        }
    }

    /// The students that the hub knows; not asked for nothing.
    fn in_hub(&self) -> Result<BTreeSet<Student>, Fault> {
        let Some(hub) = &self.crew.hub else {
            return Ok(BTreeSet::new());
        };
        let names = hub.user_names()?;
        Ok(names
            .iter()
            .filter_map(|name| Student::from_account(name))
            .collect())
    }
}

fn everybody() -> Result<StudentRange, Fault> {
    let last = Student::new(Student::LARGEST);
    last.and_then(|last| StudentRange::new(Student::FIRST, last))
        .map_err(|e| Fault::permanent("no students at all").because(&e))
}

impl Resource for Leaving {
    fn name(&self) -> String {
        match self.who {
            Who::Outside(w) => format!("no students but {} to {}", w.first(), w.last()),
            Who::In(r) => format!("nothing of students {} to {}", r.first(), r.last()),
        }
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let mut in_hub = match self.who {
            Who::In(_) => self.in_hub()?,
            Who::Outside(_) => BTreeSet::new(),
        };
        let mut students = self.students(&in_hub)?;
        let in_use = self.crew.seats.in_use()?;
        students.retain(|student| match in_use.get(student) {
            Some(reason) => {
                self.notes.skipped(*student, reason);
                false
            }
            None => true,
        });
        let Some((first, last)) = students.first().zip(students.last()) else {
            return Ok(Vec::new());
        };
        let range = StudentRange::new(*first, *last)
            .map_err(|e| Fault::permanent("students that go").because(&e))?;
        if let Who::Outside(_) = self.who {
            in_hub = self.in_hub()?;
        }
        Ok(vec![Box::new(Remove {
            accounts: self.crew.accounts_of(range)?,
            crew: Arc::clone(&self.crew),
            notes: Arc::clone(&self.notes),
            students: students.into_iter().collect(),
            in_hub,
        })])
    }

    fn asides(&self) -> Vec<Aside> {
        self.notes.take()
    }
}

struct Remove {
    crew: Arc<Crew>,
    notes: Arc<Notes>,
    accounts: LinuxAccounts,
    students: Vec<Student>,
    in_hub: BTreeSet<Student>,
}

impl Change for Remove {
    fn line(&self) -> String {
        let students = count(self.students.len(), "student");
        format!(
            "{students} removed with accounts and homes: {}",
            named(&self.students)
        )
    }

    fn apply(&self) -> Result<(), Fault> {
        let mut ours = Vec::new();
        let mut claim = |student: Student| {
            match self.crew.seats.claim(student)? {
                Claim::Ours => ours.push(student),
                Claim::InUse(reason) => self.notes.skipped(student, &reason),
            }
            Ok(())
        };
        let claimed: Result<(), Fault> = self.students.iter().try_for_each(|s| claim(*s));
        let done = claimed.and_then(|()| self.remove(&ours));
        ours.into_iter()
            .for_each(|student| self.crew.seats.let_go(student));
        done
    }
}

/// Students on their way out.
struct Going<'a> {
    notes: &'a Notes,
    left: Vec<Student>,
    first: Option<Fault>,
}

impl Going<'_> {
    /// Those of whom a step is done; the others stay, and are told.
    fn keep(&mut self, done: Vec<Result<(), Fault>>) {
        let each = std::mem::take(&mut self.left).into_iter().zip(done);
        for (student, done) in each {
            match done {
                Ok(()) => self.left.push(student),
                Err(fault) => {
                    self.notes.failed(student, fault.chain());
                    self.first.get_or_insert(fault);
                }
            }
        }
    }
}

impl Remove {
    /// As a PURGE does; the accounts stay until the end, locked. What is found by uid in places that
    /// all students share is looked for once for all of them.
    fn remove(&self, students: &[Student]) -> Result<(), Fault> {
        let accounts = &self.accounts;
        accounts.prepare_sweep();
        accounts.lock_all(students)?;
        let mut going = Going {
            notes: &self.notes,
            left: students.to_vec(),
            first: None,
        };
        going.keep(each(students, |student| self.empty(*student)));
        going.keep(accounts.sweep_all(&going.left));
        // A cron or at job may have started since the processes were ended.
        going.keep(each(&going.left, |student| {
            accounts.end_processes(*student)
        }));
        going.keep(accounts.sweep_all(&going.left));
        let Going {
            left: gone, first, ..
        } = going;
        accounts.remove_all(&gone)?;
        // Who was on the way in when the account went.
        let late = each(&gone, |student| accounts.end_processes(*student));
        for (student, late) in gone.iter().zip(late) {
            if let Err(fault) = late {
                self.notes.failed(*student, fault.line());
            }
        }
        if let Err(fault) = self.crew.homes.empty_trash(Time::now()) {
            tracing::warn!("{}", fault.chain());
        }
        match first {
            Some(fault) if gone.is_empty() => Err(fault),
            _ => Ok(()),
        }
    }

    /// The hub's user and the home go.
    fn empty(&self, student: Student) -> Result<(), Fault> {
        if let Some(hub) = self
            .crew
            .hub
            .as_ref()
            .filter(|_| self.in_hub.contains(&student))
        {
            hub.remove_user(student)?;
        }
        self.accounts.end_processes(student)?;
        self.crew.homes.erase(&student.account(), Time::now())?;
        self.accounts.end_processes(student)
    }
}
