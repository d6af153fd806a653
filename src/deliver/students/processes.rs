//! Processes of students on seats that nobody has: they end.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::Student;
use crate::ports::{Accounts as _, Fault};

use super::super::item::{Aside, Change, Resource};
use super::seats::Claim;
use super::{Crew, Notes, count, each, named};

pub struct Strays {
    crew: Arc<Crew>,
    notes: Arc<Notes>,
}

impl Strays {
    pub fn new(crew: &Arc<Crew>) -> Strays {
        Strays {
            crew: Arc::clone(crew),
            notes: Arc::default(),
        }
    }
}

impl Resource for Strays {
    fn name(&self) -> String {
        let students = self.crew.accounts.students;
        format!(
            "no processes on free seats of students {} to {}",
            students.first(),
            students.last()
        )
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let mut found: BTreeMap<Student, usize> = BTreeMap::new();
        for (student, _) in self.crew.linux()?.processes()? {
            *found.entry(student).or_default() += 1;
        }
        let in_use = self.crew.seats.in_use()?;
        found.retain(|student, _| !in_use.contains_key(student));
        if found.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![Box::new(End {
            crew: Arc::clone(&self.crew),
            notes: Arc::clone(&self.notes),
            processes: found.values().sum(),
            students: found.into_keys().collect(),
        })])
    }

    fn asides(&self) -> Vec<Aside> {
        self.notes.take()
    }
}

struct End {
    crew: Arc<Crew>,
    notes: Arc<Notes>,
    processes: usize,
    students: Vec<Student>,
}

impl Change for End {
    fn line(&self) -> String {
        let processes = match self.processes {
            1 => "1 process".to_owned(),
            n => format!("{n} processes"),
        };
        let students = count(self.students.len(), "student");
        format!("{processes} of {students} ended: {}", named(&self.students))
    }

    fn apply(&self) -> Result<(), Fault> {
        let accounts = self.crew.linux()?;
        let one = |student: &Student| {
            if let Claim::InUse(_) = self.crew.seats.claim(*student)? {
                return Ok(());
            }
            let ended = accounts.end_processes(*student);
            self.crew.seats.let_go(*student);
            ended
        };
        for (student, ended) in self.students.iter().zip(each(&self.students, one)) {
            if let Err(fault) = ended {
                self.notes.failed(*student, fault.line());
            }
        }
        Ok(())
    }
}
