//! The accounts of the whole range: one look, one change.

use std::sync::Arc;

use crate::adapters::accounts_linux::{LinuxAccounts, Survey};
use crate::ports::Fault;

use super::super::item::{Aside, Change, Resource, Texts};
use super::{Crew, Notes, count, named};

pub struct Accounts {
    crew: Arc<Crew>,
    notes: Notes,
}

impl Accounts {
    pub fn new(crew: &Arc<Crew>) -> Accounts {
        Accounts {
            crew: Arc::clone(crew),
            notes: Notes::default(),
        }
    }
}

impl Resource for Accounts {
    fn name(&self) -> String {
        let students = self.crew.accounts.students;
        format!(
            "accounts of students {} to {}",
            students.first(),
            students.last()
        )
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let accounts = self.crew.linux()?;
        let survey = accounts.survey()?;
        for (student, why) in &survey.taken {
            self.notes.failed(*student, why);
        }
        if survey.missing.is_empty() && survey.differing.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![Box::new(Ensure { accounts, survey })])
    }

    fn asides(&self) -> Vec<Aside> {
        self.notes.take()
    }
}

struct Ensure {
    accounts: LinuxAccounts,
    survey: Survey,
}

impl Change for Ensure {
    fn line(&self) -> String {
        let Survey {
            missing, differing, ..
        } = &self.survey;
        let missing: Vec<_> = missing.iter().map(|wanted| wanted.student).collect();
        let differing: Vec<_> = differing.iter().map(|d| d.wanted.student).collect();
        let part = |students: &[_], what: &str| {
            let told = format!(
                "{} {what}: {}",
                count(students.len(), "account"),
                named(students)
            );
            (!students.is_empty()).then_some(told)
        };
        let parts = [part(&missing, "made"), part(&differing, "mended")];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    /// Lines of passwd, which everybody may read.
    fn texts(&self) -> Option<Texts> {
        let Survey {
            missing, differing, ..
        } = &self.survey;
        let line = |line: &str| format!("{line}\n");
        let before = differing.iter().map(|differing| line(&differing.found));
        let wanted = differing.iter().map(|differing| &differing.wanted);
        let after = wanted
            .chain(missing)
            .map(|wanted| line(&wanted.passwd_line("x")));
        Some(Texts {
            before: before.collect(),
            after: after.collect(),
        })
    }

    fn apply(&self) -> Result<(), Fault> {
        self.accounts.ensure_all(&self.survey)
    }
}
