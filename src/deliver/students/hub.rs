//! The hub's users: those of the range are there, those of other student numbers are not. Users of
//! any other name are the hub's own.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::adapters::hub_jupyterhub::{CHUNK, JupyterHub};
use crate::domain::Student;
use crate::ports::Fault;

use super::super::item::{Aside, Change, Resource};
use super::seats::Claim;
use super::{Crew, Notes, count, named};

pub struct HubUsers {
    crew: Arc<Crew>,
    hub: Arc<JupyterHub>,
    notes: Arc<Notes>,
}

impl HubUsers {
    pub fn new(crew: &Arc<Crew>, hub: &Arc<JupyterHub>) -> HubUsers {
        HubUsers {
            crew: Arc::clone(crew),
            hub: Arc::clone(hub),
            notes: Arc::default(),
        }
    }

    /// Somebody else's account may bear a student's name.
    fn is_foreign(&self, student: Student) -> bool {
        let found = users::get_user_by_name(&student.account());
        let uid = self.crew.accounts.uid_base.checked_add(student.number());
        found.is_some_and(|user| Some(user.uid()) != uid)
    }
}

impl Resource for HubUsers {
    fn name(&self) -> String {
        let students = self.crew.accounts.students;
        format!(
            "hub users of students {} to {}",
            students.first(),
            students.last()
        )
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let range = self.crew.accounts.students;
        let names = self.hub.user_names()?;
        let there: BTreeSet<Student> = names
            .iter()
            .filter_map(|n| Student::from_account(n))
            .collect();
        let taken = self.crew.linux()?.survey()?.taken;
        let taken: BTreeSet<Student> = taken.into_iter().map(|(student, _)| student).collect();
        let is_missing = |s: &Student| !there.contains(s) && !taken.contains(s);
        let missing: Vec<Student> = range.students().filter(is_missing).collect();
        let in_use = self.crew.seats.in_use()?;
        let mut surplus = Vec::new();
        for student in there.iter().copied().filter(|s| !range.contains(*s)) {
            match in_use.get(&student) {
                _ if self.is_foreign(student) => {}
                Some(reason) => self.notes.skipped(student, reason),
                None => surplus.push(student),
            }
        }
        let todo = [(What::Remove, surplus), (What::Add, missing)];
        let change = |(what, students): (What, Vec<Student>)| {
            let change = Users {
                what,
                students,
                crew: Arc::clone(&self.crew),
                hub: Arc::clone(&self.hub),
                notes: Arc::clone(&self.notes),
            };
            Box::new(change) as Box<dyn Change>
        };
        let todo = todo
            .into_iter()
            .filter(|(_, students)| !students.is_empty());
        Ok(todo.map(change).collect())
    }

    fn asides(&self) -> Vec<Aside> {
        self.notes.take()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Add,
    Remove,
}

struct Users {
    what: What,
    students: Vec<Student>,
    crew: Arc<Crew>,
    hub: Arc<JupyterHub>,
    notes: Arc<Notes>,
}

impl Change for Users {
    fn line(&self) -> String {
        let done = match self.what {
            What::Add => "made",
            What::Remove => "removed",
        };
        let users = count(self.students.len(), "hub user");
        format!("{users} {done}: {}", named(&self.students))
    }

    /// A chunk or a user that fails does not keep the others.
    fn apply(&self) -> Result<(), Fault> {
        let mut first = None;
        match self.what {
            What::Add => {
                for chunk in self.students.chunks(CHUNK) {
                    if let Err(fault) = self.hub.add_users(chunk) {
                        first.get_or_insert(fault);
                    }
                }
            }
            What::Remove => {
                for student in &self.students {
                    if let Err(fault) = self.remove(*student) {
                        self.notes.failed(*student, fault.line());
                        first.get_or_insert(fault);
                    }
                }
            }
        }
        first.map_or(Ok(()), Err)
    }
}

impl Users {
    fn remove(&self, student: Student) -> Result<(), Fault> {
        if let Claim::InUse(reason) = self.crew.seats.claim(student)? {
            self.notes.skipped(student, &reason);
            return Ok(());
        }
        let removed = self.hub.remove_user(student);
        self.crew.seats.let_go(student);
        removed
    }
}
