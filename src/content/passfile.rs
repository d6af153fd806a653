//! Pass files: a seat's vault-encrypted password among the workshop's variables, as long as an
//! action needs it. `<WODANSIBLEPRIVDIR>/<WODGROUP>/pass/variables_<WORKSHOP>_<N>.yml`.

use std::path::{Path, PathBuf};

use crate::domain::{Secret, Student, WorkshopName};
use crate::ports::Fault;
use crate::safefs::{self, Dir, Owner};
use crate::templates;

use super::Admin;

pub struct PassFiles {
    /// The `pass` directory; None when the site has no private inventory.
    dir: Option<PathBuf>,
    vault: Option<Secret>,
    admin: Option<Admin>,
}

impl PassFiles {
    pub fn new(dir: Option<PathBuf>, vault: Option<Secret>, admin: Option<Admin>) -> PassFiles {
        PassFiles { dir, vault, admin }
    }

    /// Where the file of this seat is, whether it is there or not.
    pub fn path(&self, workshop: &WorkshopName, student: Student) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(file_name(workshop, student)))
    }

    /// Permanent when the site has no private inventory or no vault password.
    pub fn write(
        &self,
        workshop: &WorkshopName,
        student: Student,
        password: &Secret,
    ) -> Result<(), Fault> {
        let missing = |what| {
            Fault::permanent(format!(
                "workshop {workshop} needs a pass file (varpass or ldap: true) but {what} is not set"
            ))
        };
        let path = self
            .dir
            .as_ref()
            .ok_or_else(|| missing("WODANSIBLEPRIVDIR or WODGROUP"))?;
        let vault = self.vault.as_ref().ok_or_else(|| missing("VAULTPWD"))?;
        let sealed = templates::seal(vault, None, password)
            .map_err(|e| Fault::retry("the password cannot be encrypted").because(&e))?;
        let mut text = String::from("PASSSTU: !vault |\n");
        for line in sealed.lines() {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
        let name = file_name(workshop, student);
        let dir = open(path)?;
        let written = match &self.admin {
            None => dir.write(name.as_ref(), text.as_bytes(), 0o600),
            Some(admin) => {
                let owner = Owner {
                    uid: admin.uid,
                    gid: admin.gid,
                };
                dir.write_owned(name.as_ref(), text.as_bytes(), 0o600, owner)
            }
        };
        written.map_err(|e| fault(&name, &e))
    }

    /// Every pass file of the student, whatever the workshop.
    pub fn remove_all(&self, student: Student) -> Result<(), Fault> {
        let Some(path) = &self.dir else {
            return Ok(());
        };
        let dir = match Dir::open_root(path) {
            Err(e) if e.is_not_found() => return Ok(()),
            opened => opened.map_err(|e| fault(&path.display().to_string(), &e))?,
        };
        let entries = dir.entries();
        let entries = entries.map_err(|e| fault(&path.display().to_string(), &e))?;
        for entry in entries {
            let Some(name) = entry.name.to_str().filter(|name| is_of(name, student)) else {
                continue;
            };
            dir.remove_file(name.as_ref())
                .map_err(|e| fault(name, &e))?;
        }
        Ok(())
    }

    /// To be called before anything is written: what an engine that was killed had begun, with a
    /// password in it.
    pub fn remove_unfinished(&self) -> Result<(), Fault> {
        let Some(path) = &self.dir else {
            return Ok(());
        };
        match Dir::open_root(path) {
            Err(e) if e.is_not_found() => Ok(()),
            opened => opened
                .and_then(|dir| safefs::remove_unfinished(&dir))
                .map_err(|e| fault(&path.display().to_string(), &e)),
        }
    }

    pub fn remove(&self, workshop: &WorkshopName, student: Student) -> Result<(), Fault> {
        let Some(path) = &self.dir else {
            return Ok(());
        };
        let name = file_name(workshop, student);
        match Dir::open_root(path) {
            Err(e) if e.is_not_found() => Ok(()),
            opened => opened
                .and_then(|dir| dir.remove_file(name.as_ref()))
                .map_err(|e| fault(&name, &e)),
        }
    }
}

fn open(path: &Path) -> Result<Dir, Fault> {
    Dir::open_root(path).map_err(|e| {
        Fault::of_files(
            format!("the pass directory {} cannot be opened", path.display()),
            &e,
        )
    })
}

fn file_name(workshop: &WorkshopName, student: Student) -> String {
    format!("variables_{workshop}_{student}.yml")
}

/// A workshop's name may have `_` in it, too; the student is behind the last one.
fn is_of(name: &str, student: Student) -> bool {
    let seat = name
        .strip_prefix("variables_")
        .and_then(|rest| rest.strip_suffix(".yml")?.rsplit_once('_'));
    seat.is_some_and(|(_, number)| number.parse() == Ok(student))
}

fn fault(name: &str, e: &safefs::Error) -> Fault {
    Fault::of_files(format!("pass file {name}"), e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pass_files_of_one_student_go_and_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let kept = [
            "variables_WKSHP-A_1.yml",
            "variables_WKSHP-A_12_2.yml",
            "variables_WKSHP-A.yml",
            "x_12.yml",
        ];
        let gone = ["variables_WKSHP-A_12.yml", "variables_WKSHP-B_c_12.yml"];
        for name in kept.iter().chain(&gone) {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let files = PassFiles::new(Some(dir.path().to_owned()), None, None);
        for _ in 0..2 {
            files.remove_all(Student::new(12).unwrap()).unwrap();
        }
        let there = |name: &&str| dir.path().join(name).exists();
        assert!(kept.iter().all(there) && !gone.iter().any(there));
        let none = PassFiles::new(Some(dir.path().join("none")), None, None);
        none.remove_all(Student::FIRST).unwrap();
    }
}
