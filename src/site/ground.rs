//! Whether the directories of a site are fit to work on: looked at once, before the first action.
//!
//! Only what would go wrong for every action, or let a student in. A disk that is full now may
//! have room later, so that is no reason not to start.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::ports::Fault;

use super::Site;

impl Site {
    /// Fails with one line that says what to change.
    pub fn check_ground(&self) -> Result<(), Fault> {
        check(&self.settings.students_dir, self.state.root())
    }

    /// Tries out what the homes' filesystem can do. What only hinders is logged.
    pub fn try_homes(&self) -> Result<(), Fault> {
        let shown = self.settings.students_dir.display();
        let homes = self.homes()?;
        if homes.is_noexec()? {
            tracing::warn!(
                "WODSTUDDIR {shown} is mounted noexec: participants cannot run programs of their own"
            );
        }
        match homes.try_acl() {
            Err(fault) if fault.disposition == crate::ports::Disposition::Permanent => Err(fault),
            Err(fault) => {
                tracing::warn!("{}", fault.chain());
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Whether homes can be in `students`, and the state of a site in `state`.
pub(super) fn check(students: &Path, state: &Path) -> Result<(), Fault> {
    let shown = students.display();
    let wrong = |line: String| Err(Fault::permanent(line));
    let there = match students.metadata() {
        Ok(there) if there.is_dir() => there,
        _ => {
            return wrong(format!(
                "WODSTUDDIR {shown} is not a directory; make it, or set another one"
            ));
        }
    };
    let real = real(students);
    if real == Path::new("/") {
        return wrong(format!(
            "WODSTUDDIR {shown} is the whole machine; give the homes a directory of their own"
        ));
    }
    if self::real(state).starts_with(&real) {
        return wrong(format!(
            "WODSTATEDIR {} lies in WODSTUDDIR {shown}, among the homes; set another one",
            state.display()
        ));
    }
    let mode = there.permissions().mode() & 0o7777;
    if mode & 0o002 != 0 {
        return wrong(format!(
            "WODSTUDDIR {shown} may be written by everybody (mode {mode:o}), so a student could \
                 put something in a home's place; run chmod o-w {shown}"
        ));
    }
    check_owner(state)
}

/// Whoever owns it could put another journal in the place of ours.
fn check_owner(state: &Path) -> Result<(), Fault> {
    let us = users::get_effective_uid();
    match state.metadata() {
        // It is not the directory that is wrong, but who we are.
        Ok(there) if there.uid() == 0 && us != 0 => Err(Fault::permanent(format!(
            "WODSTATEDIR {} belongs to root; run it with sudo, or set another one",
            state.display()
        ))),
        Ok(there) if there.uid() != us => Err(Fault::permanent(format!(
            "WODSTATEDIR {0} belongs to uid {1}, expected {us}; run chown {us} {0}, or set \
                 another one",
            state.display(),
            there.uid()
        ))),
        // What is not there is made.
        _ => Ok(()),
    }
}

/// Without links, as far as it is there already.
fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), _, _) => real,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        (Err(_), _, _) => path.to_owned(),
    }
}
