//! All accounts of a range at once: one look into the account files, one change of them.

use std::path::Path;
use std::time::Duration;

use crate::domain::Student;
use crate::exec::Cmd;
use crate::ports::{Account, Disposition, Fault};

use super::files::{self, Edit, Files, Standing, Wanted};
use super::{ETC, LinuxAccounts, group, processes, users};

const SYSUSERS_TIME: Duration = Duration::from_secs(120);

/// The accounts of a range as the host has them.
#[derive(Debug, Default)]
pub struct Survey {
    pub missing: Vec<Wanted>,
    pub differing: Vec<Differing>,
    /// Whose name or number is somebody else's, and why.
    pub taken: Vec<(Student, String)>,
}

#[derive(Debug)]
pub struct Differing {
    pub wanted: Wanted,
    /// Its line in passwd.
    pub found: String,
}

impl LinuxAccounts {
    /// All students of the range, or why one can have no account.
    fn wanted(&self, students: impl Iterator<Item = Student>) -> Result<Vec<Wanted>, Fault> {
        let one = |student| Ok(self.as_wanted(student, &self.account(student)?));
        students.map(one).collect()
    }

    pub fn survey(&self) -> Result<Survey, Fault> {
        let mut survey = Survey::default();
        let mut wanted = Vec::new();
        for student in self.config.students.students() {
            match self.wanted([student].into_iter()) {
                Ok(one) => wanted.extend(one),
                Err(fault) => survey.taken.push((student, fault.line())),
            }
        }
        let files = files::read(Path::new(ETC))?;
        let standings = files.standings(&wanted);
        for (wanted, standing) in wanted.into_iter().zip(standings) {
            match standing {
                Standing::Right => {}
                Standing::Differs => survey.differing.push(Differing {
                    found: files.passwd_line(&wanted.account.name).unwrap_or_default(),
                    wanted,
                }),
                Standing::Taken(why) => survey.taken.push((wanted.student, why)),
                Standing::Missing | Standing::Remains => match elsewhere(&wanted)? {
                    Elsewhere::Nowhere => survey.missing.push(wanted),
                    Elsewhere::There => {}
                    Elsewhere::Taken(why) => survey.taken.push((wanted.student, why)),
                },
            }
        }
        Ok(survey)
    }

    /// Makes and mends what a survey found, by systemd-sysusers where there is one.
    pub fn ensure_all(&self, survey: &Survey) -> Result<(), Fault> {
        self.in_sysusers(&survey.missing)?;
        let differing = survey.differing.iter().map(|differing| &differing.wanted);
        let mut all: Vec<Wanted> = survey.missing.iter().chain(differing).cloned().collect();
        all.sort_unstable_by_key(|wanted| wanted.student);
        let etc = Path::new(ETC);
        let is_done = |files: &Files| {
            let standings = files.standings(&all);
            let mut wrong = standings.into_iter().zip(&all);
            wrong
                .find(|(standing, _)| *standing != Standing::Right)
                .map(|(_, wanted)| wanted.account.name.clone())
        };
        if is_done(&files::read(etc)?).is_none() {
            return Ok(());
        }
        files::change(etc, Edit::Ensure(&all))?;
        match is_done(&files::read(etc)?) {
            None => Ok(()),
            Some(name) => Err(Fault::retry(format!(
                "account {name} was changed by somebody else at the same time; run it again"
            ))),
        }
    }

    /// Never for a name of which something is left: it would bring an old password to life.
    fn in_sysusers(&self, missing: &[Wanted]) -> Result<(), Fault> {
        let files = files::read(Path::new(ETC))?;
        let standings = files.standings(missing).into_iter().zip(missing);
        let fresh = standings.filter(|(standing, _)| *standing == Standing::Missing);
        let lines: String = fresh.map(|(_, wanted)| wanted.sysusers_lines()).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let made = Cmd::new("systemd-sysusers")
            .arg("-")
            .stdin(lines.into_bytes())
            .timeout(SYSUSERS_TIME)
            .run();
        if let Err(error) = made {
            tracing::debug!(%error, "systemd-sysusers");
        }
        Ok(())
    }

    /// Those students of the range that the account files have.
    pub fn there(&self) -> Result<Vec<Student>, Fault> {
        let files = files::read(Path::new(ETC))?;
        let mut all = files.students(self.config.uid_base, self.config.gid_base);
        all.retain(|student| self.config.students.contains(*student));
        Ok(all)
    }

    /// No password opens these any more.
    pub fn lock_all(&self, students: &[Student]) -> Result<(), Fault> {
        let wanted = self.wanted(students.iter().copied())?;
        files::change(Path::new(ETC), Edit::Lock(&wanted))
    }

    /// Accounts and groups go; in order of their numbers.
    pub fn remove_all(&self, students: &[Student]) -> Result<(), Fault> {
        let wanted = self.wanted(students.iter().copied())?;
        files::change(Path::new(ETC), Edit::Remove(&wanted))
    }

    /// To be called a while before `sweep_all`, which waits less then.
    pub fn prepare_sweep(&self) {
        self.places.prepare();
    }

    /// What `sweep` does, with one look into each place for all of them; what became of each, in
    /// their order.
    pub fn sweep_all(&self, students: &[Student]) -> Vec<Result<(), Fault>> {
        let own = students.iter().map(|student| self.own_account(*student));
        let own: Vec<Result<Account, Fault>> = own.collect();
        let accounts: Vec<Account> = own.iter().flatten().cloned().collect();
        let together = self.places.sweep_all(&accounts);
        let each = own.into_iter().map(|account| {
            let account = account?;
            match together {
                Ok(()) => Ok(()),
                // One of them is the reason: one by one, the others do not share its fault.
                Err(_) => self.places.sweep(&account),
            }
        });
        each.collect()
    }

    /// The processes of all students, one line each.
    pub fn processes(&self) -> Result<Vec<(Student, String)>, Fault> {
        let uid = |student: Student| self.config.uid_base.saturating_add(student.number());
        let students = self.config.students;
        let found = processes::of_range(uid(students.first())..=uid(students.last()))?;
        let of = |uid: u32| Student::new(uid.checked_sub(self.config.uid_base)?).ok();
        let found = found.into_iter();
        Ok(found
            .filter_map(|(uid, line)| Some((of(uid)?, line)))
            .collect())
    }
}

/// What the name services say of somebody who is not in the files.
enum Elsewhere {
    Nowhere,
    There,
    Taken(String),
}

fn elsewhere(wanted: &Wanted) -> Result<Elsewhere, Fault> {
    let account = &wanted.account;
    match (group(account), users(account)) {
        (Err(fault), _) | (_, Err(fault)) if fault.disposition == Disposition::Permanent => {
            Ok(Elsewhere::Taken(fault.line()))
        }
        (Err(fault), _) | (_, Err(fault)) => Err(fault),
        (Ok(Some(_)), Ok(Some(_))) => Ok(Elsewhere::There),
        _ => Ok(Elsewhere::Nowhere),
    }
}
