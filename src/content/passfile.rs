//! Pass files: a seat's vault-encrypted password among the workshop's variables, as long as an
//! action needs it. `<WODANSIBLEPRIVDIR>/<WODGROUP>/pass/variables_<WORKSHOP>_<N>.yml`.

use std::path::{Path, PathBuf};

use crate::domain::{AskedWorkshop, Secret, Student, Variant, WorkshopName};
use crate::ports::Fault;
use crate::safefs::{self, Dir, Owner};
use crate::templates::Passwords;

use super::Admin;

pub struct PassFiles {
    /// The `pass` directory; None when the site has no private inventory.
    dir: Option<PathBuf>,
    vault: Passwords,
    admin: Option<Admin>,
}

impl PassFiles {
    pub fn new(dir: Option<PathBuf>, vault: Passwords, admin: Option<Admin>) -> PassFiles {
        PassFiles { dir, vault, admin }
    }

    /// Where the files of this seat are, whether they are there or not: ours, and the one that a
    /// create script makes who goes by the name as asked.
    pub fn paths(&self, workshop: &WorkshopName, student: Student) -> Vec<PathBuf> {
        let names = names(workshop, student).into_iter();
        let dir = self.dir.as_ref();
        names.filter_map(|name| Some(dir?.join(name))).collect()
    }

    /// Whether a pass file can be written at all. Permanent when the site has no private inventory
    /// or no vault password.
    pub fn check(&self, workshop: &WorkshopName) -> Result<(), Fault> {
        self.place(workshop).and_then(open).map(drop)
    }

    fn place(&self, workshop: &WorkshopName) -> Result<&Path, Fault> {
        let missing = |what| {
            Fault::permanent(format!(
                "workshop {workshop} needs a pass file (varpass or ldap: true) but {what} is not set"
            ))
        };
        if self.vault.is_empty() {
            return Err(missing("VAULTPWD (or vault_secret in WODANSIBLEPRIVDIR)"));
        }
        let dir = self.dir.as_deref();
        dir.ok_or_else(|| missing("WODANSIBLEPRIVDIR or WODGROUP"))
    }

    /// Fails as [`PassFiles::check`] does.
    pub fn write(
        &self,
        workshop: &WorkshopName,
        student: Student,
        password: &Secret,
    ) -> Result<(), Fault> {
        let path = self.place(workshop)?;
        let sealed = self
            .vault
            .seal(None, password.expose().as_bytes())
            .map_err(|e| Fault::retry("the password cannot be encrypted").because(&e))?;
        let mut text = String::from("PASSSTU: !vault |\n");
        for line in sealed.lines() {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
        let [name, _] = names(workshop, student);
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
        let dir = match Dir::open_root(path) {
            Err(e) if e.is_not_found() => return Ok(()),
            opened => opened.map_err(|e| fault(&path.display().to_string(), &e))?,
        };
        for name in names(workshop, student) {
            dir.remove_file(name.as_ref())
                .map_err(|e| fault(&name, &e))?;
        }
        Ok(())
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

/// By the workshop's name, and by its name as a challenge.
fn names(workshop: &WorkshopName, student: Student) -> [String; 2] {
    let challenge = AskedWorkshop {
        name: workshop.clone(),
        variant: Variant::Challenge,
    };
    [workshop.to_string(), challenge.asked()].map(|name| format!("variables_{name}_{student}.yml"))
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
        let files = PassFiles::new(Some(dir.path().to_owned()), Passwords::default(), None);
        for _ in 0..2 {
            files.remove_all(Student::new(12).unwrap()).unwrap();
        }
        let there = |name: &&str| dir.path().join(name).exists();
        assert!(kept.iter().all(there) && !gone.iter().any(there));
        let workshop: WorkshopName = "WKSHP-A".parse().unwrap();
        let student = Student::new(12).unwrap();
        let both = files.paths(&workshop, student);
        let named: Vec<_> = both.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(
            named,
            ["variables_WKSHP-A_12.yml", "variables_CHLG-A_12.yml"]
        );
        for path in &both {
            std::fs::write(path, "").unwrap();
        }
        files.remove(&workshop, student).unwrap();
        assert!(both.iter().all(|path| !path.exists()));
        let none = PassFiles::new(Some(dir.path().join("none")), Passwords::default(), None);
        none.remove_all(Student::FIRST).unwrap();
    }
}
