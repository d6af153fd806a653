//! Each step, as calls to the ports and to `content`. Every one may run again after a crash.

use crate::content::{self, Ratio};
use crate::domain::{AskedWorkshop, Secret, Student, Time, Workshop, WorkshopName};
use crate::journal::{ActionRow, Cursor, Durability, Event};
use crate::plan::{EntryWanted, Plan, Step};
use crate::ports::{Entry, Fault, ParticipantReport, Phase, Progress, ScriptCall, SeatReport};
use crate::safefs;

use super::{Engine, of_journal};

/// Of one participant: a worker reads them, and others wait for it.
const NOTEBOOKS: usize = 1000;
const NOTEBOOK_BYTES: u64 = 64 << 20;
const NOTEBOOKS_BYTES: u64 = 1 << 30;

impl Engine {
    pub(super) fn run_step(
        &self,
        row: &ActionRow,
        cursor: &mut Cursor,
        step: &Step,
    ) -> Result<Progress, Fault> {
        let ports = &self.ports;
        match step {
            Step::EnsureAccount { student } => self.ensure_account(row, *student)?,
            Step::MintPassword { student } => {
                let minted = self.journal.minted(row.id, *student, mint);
                minted.map(|_| ()).map_err(|e| of_journal(&e))?;
            }
            Step::LockAccount { student } => ports.accounts.lock(*student)?,
            Step::StopServer { student } => return ports.hub.stop(*student),
            Step::EndProcesses { student } => ports.accounts.end_processes(*student)?,
            Step::EraseHome { student } => {
                self.content.homes.erase(&student.account(), Time::now())?;
                self.bells.trash.ring();
            }
            Step::SweepLeftovers { student } => {
                ports.accounts.sweep(*student)?;
                // A cron or at job may have started since the processes were ended.
                ports.accounts.end_processes(*student)?;
                ports.accounts.sweep(*student)?;
            }
            Step::VerifySeat { student } => self.verify(*student)?,
            Step::FreshHome { student } => {
                let account = ports.accounts.ensure(*student)?;
                self.content.homes.fresh(&account, Time::now())?;
                // Run again, it throws away the home that it made before.
                self.bells.trash.ring();
            }
            Step::DirectoryPassword { student, entry } => {
                self.directory_password(row, *student, *entry)?;
            }
            Step::WritePassFile { student, workshop } => {
                let password = self.password(row, *student)?;
                self.content
                    .pass_files
                    .write(workshop, *student, &password)?;
            }
            Step::DropPassFile { student, workshop } => {
                self.content.pass_files.remove(workshop, *student)?;
            }
            Step::DropPassFiles { student } => self.content.pass_files.remove_all(*student)?,
            Step::CompileScripts {
                student,
                workshop,
                scripts,
            } => self.compile(row, *student, workshop, scripts)?,
            Step::RunScript {
                student,
                workshop,
                phase,
                overlay,
            } => self.run_script(row, *student, workshop, *phase, *overlay)?,
            Step::PublishContent { student, workshop } => {
                self.publish_content(row, *student, workshop)?
            }
            Step::OwnHome { student } => {
                let account = ports.accounts.ensure(*student)?;
                self.content.homes.own(&account)?;
            }
            Step::AccountPassword { student } => {
                let password = self.password(row, *student)?;
                ports.accounts.set_password(*student, &password)?;
            }
            Step::StartServer { student } => return ports.hub.start(*student),
            Step::MeasureCompletion { student, workshop } => {
                self.measure(cursor, *student, workshop)?;
            }
            Step::ForgetSecrets => self
                .journal
                .forget_passwords(row.id)
                .map_err(|e| of_journal(&e))?,
            report => self.report(row, cursor, report)?,
        }
        Ok(Progress::Done)
    }

    fn report(&self, row: &ActionRow, cursor: &Cursor, step: &Step) -> Result<(), Fault> {
        let registry = &self.ports.registry;
        let of = |active, cleaned, completion| ParticipantReport {
            active,
            cleaned,
            completion,
        };
        match step {
            Step::ReportPassword { student } => {
                let report = SeatReport {
                    password: Some(self.password(row, *student)?),
                    assigned: None,
                };
                registry.report_seat(*student, &report)
            }
            Step::ReportAssigned { student, assigned } => {
                let report = SeatReport {
                    password: None,
                    assigned: Some(*assigned),
                };
                registry.report_seat(*student, &report)
            }
            Step::ReportActive {
                participant,
                active,
            } => registry.report_participant(*participant, &of(Some(*active), None, None)),
            Step::ReportCompletion { participant } => {
                let measured = cursor.state.completion.values().next().copied();
                registry.report_participant(*participant, &of(None, None, measured))
            }
            Step::ReportCleaned { participant } => {
                registry.report_participant(*participant, &of(None, Some(true), None))
            }
            Step::ReportCapacity { workshop, seats } => registry.report_capacity(workshop, *seats),
            _ => Ok(()),
        }
    }

    fn ensure_account(&self, row: &ActionRow, student: Student) -> Result<(), Fault> {
        self.ports.accounts.ensure(student)?;
        let action = &row.action;
        match (&action.workshop, action.verb) {
            (Some(workshop), crate::domain::Verb::Create) => {
                let email = action.email.as_deref();
                let registry = &self.ports.registry;
                registry.enrol(action.participant, student, workshop, email)
            }
            _ => Ok(()),
        }
    }

    fn directory_password(
        &self,
        row: &ActionRow,
        student: Student,
        wanted: EntryWanted,
    ) -> Result<(), Fault> {
        let Some(directory) = &self.ports.directory else {
            return Ok(());
        };
        let found = directory.set_password(student, &self.password(row, student)?)?;
        match (found, wanted) {
            (Entry::Missing, EntryWanted::Needed) => Err(Fault::permanent(format!(
                "the directory has no entry uid={} below ou=People; add it, or correct WODLDAPDMN",
                student.account()
            ))),
            _ => Ok(()),
        }
    }

    /// Looks where accounts can leave something, and once more after that was swept again: open
    /// places that are off the beaten track are found by the look itself. Not at every file of
    /// the host: that takes 1 to 3 s for half a million of them; wod students verify does.
    fn verify(&self, student: Student) -> Result<(), Fault> {
        let accounts = &self.ports.accounts;
        let mut left = accounts.leftovers(student)?;
        if !left.is_empty() {
            accounts.end_processes(student)?;
            accounts.sweep(student)?;
            left = accounts.leftovers(student)?;
        }
        if self.content.homes.exists(&student.account())? {
            left.push("its home".to_owned());
        }
        match left.first() {
            None => Ok(()),
            Some(first) => Err(Fault::retry(format!(
                "student{student} is not clean, {} thing(s) left, first: {first}",
                left.len()
            ))),
        }
    }

    fn publish_content(
        &self,
        row: &ActionRow,
        student: Student,
        asked: &AskedWorkshop,
    ) -> Result<(), Fault> {
        let render = self.content.renderer(asked, student)?;
        let home = self.content.homes.open(&student.account())?;
        tracing::debug!(action = %row.id, "publishing {asked}");
        self.content.publisher.publish(asked, &home, &*render)
    }

    fn compile(
        &self,
        row: &ActionRow,
        student: Student,
        asked: &AskedWorkshop,
        scripts: &[String],
    ) -> Result<(), Fault> {
        let render = self.content.renderer(asked, student)?;
        let home = self.content.homes.open(&student.account())?;
        for script in scripts {
            tracing::debug!(action = %row.id, "compiling {script}");
            self.content
                .compiler
                .compile(&asked.name, script, &home, &*render)?;
        }
        Ok(())
    }

    /// What the plan needs of the site can be had; told before anything is taken from anybody.
    pub(super) fn check_plan(&self, plan: &Plan) -> Result<(), Fault> {
        for step in &plan.steps {
            match step {
                Step::RunScript {
                    student, workshop, ..
                } => {
                    let found = self.workshop(&workshop.name)?;
                    self.script_environment(workshop, &found, *student)?;
                }
                Step::WritePassFile { workshop, .. } => self.content.pass_files.check(workshop)?,
                Step::CompileScripts {
                    workshop, scripts, ..
                } => self.content.compiler.check(&workshop.name, scripts)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn run_script(
        &self,
        row: &ActionRow,
        student: Student,
        asked: &AskedWorkshop,
        phase: Phase,
        overlay: crate::ports::Overlay,
    ) -> Result<(), Fault> {
        let workshop = self.workshop(&asked.name)?;
        let password = self.password(row, student)?;
        let mut environment = self.script_environment(asked, &workshop, student)?;
        // By these an engine knows the scripts that an earlier one left running.
        let state = self.settings.state_dir.display().to_string();
        environment.extend([
            ("WODACTION".to_owned(), row.id.to_string()),
            ("WODSTATEDIR".to_owned(), state),
        ]);
        let token = self.ports.registry.access_token()?;
        let call = ScriptCall {
            action: row.id.to_string(),
            phase,
            overlay,
            workshop: &asked.name,
            environment,
            password: Some(&password),
            token: token.as_ref(),
        };
        self.ports.scripts.run(&call)
    }

    fn script_environment(
        &self,
        asked: &AskedWorkshop,
        workshop: &Workshop,
        student: Student,
    ) -> Result<Vec<(String, String)>, Fault> {
        let name = &asked.name;
        let home = self.content.homes.path(&student.account());
        let mut environment = vec![
            ("stdid".to_owned(), student.to_string()),
            ("stddir".to_owned(), home.display().to_string()),
            ("w".to_owned(), asked.asked()),
            ("ws".to_owned(), name.to_string()),
            ("wid".to_owned(), workshop.id.to_string()),
        ];
        if let Some(range) = workshop.range {
            environment.push(("WODAPPMINVALUE".to_owned(), range.first().to_string()));
        }
        let configured = self.content.variables.text(&format!("IP-{name}"))?;
        let target = content::address(workshop, student, configured.as_deref());
        if let Some(target) = target.map_err(Fault::permanent)? {
            environment.push(("WODRTARGET".to_owned(), target));
        }
        Ok(environment)
    }

    fn workshop(&self, name: &WorkshopName) -> Result<Workshop, Fault> {
        self.ports.registry.workshop(name)?.ok_or_else(|| {
            Fault::permanent(format!(
                "workshop {name} is not known to the registry any more"
            ))
        })
    }

    /// A home that is not there any more (this step runs again) keeps what was measured.
    fn measure(
        &self,
        cursor: &mut Cursor,
        student: Student,
        workshop: &WorkshopName,
    ) -> Result<(), Fault> {
        if cursor.state.completion.contains_key(&student) {
            return Ok(());
        }
        let completion = self.completion(student, workshop)?.percent();
        let event = Event::Measured {
            student,
            completion,
        };
        self.journal
            .record(cursor, &event, Time::now(), Durability::Process)
            .map_err(|e| of_journal(&e))
    }

    /// What the student made of a notebook may be anything: it counts nothing then. But what the
    /// host cannot read now must not be lost: the home is erased next.
    fn completion(&self, student: Student, workshop: &WorkshopName) -> Result<Ratio, Fault> {
        let mut ratio = Ratio::default();
        let homes = &self.content.homes;
        let below = homes.open_below(&student.account(), workshop.as_str().as_ref())?;
        let Some(dir) = unless_host(below)? else {
            return Ok(ratio);
        };
        let entries = unless_host(dir.entries())?.unwrap_or_default();
        let notebooks = entries
            .iter()
            .filter(|entry| entry.kind == safefs::Kind::File)
            .filter(|entry| entry.name.as_encoded_bytes().ends_with(b".ipynb"));
        let mut left = NOTEBOOKS_BYTES;
        for entry in notebooks.take(NOTEBOOKS) {
            let read = dir.read(entry.name.as_ref(), NOTEBOOK_BYTES.min(left));
            let Some(text) = unless_host(read)? else {
                continue;
            };
            left -= text.len() as u64;
            if let Some(cells) = content::count_cells(&text) {
                ratio.add(cells);
            }
        }
        Ok(ratio)
    }

    fn password(&self, row: &ActionRow, student: Student) -> Result<Secret, Fault> {
        let found = self.journal.password(row.id, student);
        found.map_err(|e| of_journal(&e))?.ok_or_else(|| {
            Fault::permanent(format!(
                "the password minted for student{student} is no longer in the journal; \
                 cancel this action and send it again"
            ))
        })
    }
}

/// None for what a student may have made so.
fn unless_host<T>(found: safefs::Result<T>) -> Result<Option<T>, Fault> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.is_of_host() => Err(Fault::retry("notebooks cannot be read").because(&e)),
        Err(_) => Ok(None),
    }
}

/// 16 letters and digits, none of which is taken for another: 93 bits.
fn mint() -> Secret {
    const LETTERS: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut password = String::with_capacity(16);
    while password.len() < 16 {
        let mut random = [0u8; 32];
        if getrandom::fill(&mut random).is_err() {
            continue;
        }
        // Values past the last whole multiple would make some letters likelier.
        let whole = 256 - 256 % LETTERS.len();
        let fair = random
            .iter()
            .map(|&b| usize::from(b))
            .filter(|&b| b < whole);
        password.extend(
            fair.take(16 - password.len())
                .map(|b| char::from(LETTERS[b % LETTERS.len()])),
        );
    }
    Secret::new(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_cannot_read_is_not_lost() {
        let own = safefs::Dir::open_root("/proc/self".as_ref()).unwrap();
        let read = |name: &str| unless_host(own.read(name.as_ref(), 9));
        // The first page of our memory: an I/O error, as of a disk.
        assert!(read("mem").is_err());
        for of_student in ["no-such", "cwd", "task", "environ"] {
            assert!(read(of_student).unwrap().is_none(), "{of_student}");
        }
    }

    #[test]
    fn passwords_are_long_and_never_the_same() {
        let (one, other) = (mint(), mint());
        assert_eq!(one.expose().len(), 16);
        assert_ne!(one.expose(), other.expose());
        assert!(one.expose().bytes().all(|b| b.is_ascii_alphanumeric()));
    }
}
