//! Scripts that a student gets as executables only: rendered, compiled by shc out of reach.
//!
//! No file and no argument shows the text before the student runs it. While it runs, shc hands the
//! text to the shell as an argument: nothing here can hide it from whoever looks just then.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::WorkshopName;
use crate::exec::{self, Cmd, RunAs};
use crate::ports::Fault;
use crate::safefs::{self, Dir, Owner};

use super::Admin;
use super::publish::Render;

const SCRIPT_BYTES: u64 = 1 << 20;
const EXECUTABLE_BYTES: u64 = 64 << 20;
const LONGEST: Duration = Duration::from_secs(60);
const PROGRAMS: [&str; 2] = ["shc", "gcc"];
/// An account that is in no group of anybody's, as a student is.
const NOBODY: u32 = 65534;

pub struct Compiler {
    /// WODSCRIPTDIR and WODSCRIPTPRIVDIR.
    scripts: Vec<PathBuf>,
    /// A directory that only we can enter.
    scratch: PathBuf,
    admin: Option<Admin>,
}

impl Compiler {
    pub fn new(scripts: Vec<PathBuf>, scratch: PathBuf, admin: Option<Admin>) -> Compiler {
        Compiler {
            scripts,
            scratch,
            admin,
        }
    }

    /// Whether all of these can be compiled, as far as that can be told without doing it: they
    /// are there, nobody but WODUSER can read them, and so is the compiler. Permanent when not.
    pub fn check(&self, workshop: &WorkshopName, names: &[String]) -> Result<(), Fault> {
        if let Some(missing) = PROGRAMS.iter().find(|program| !exec::is_installed(program)) {
            return Err(Fault::permanent(format!(
                "workshop {workshop} has scripts to compile but {missing} is not installed; \
                 install the packages shc and gcc"
            )));
        }
        names
            .iter()
            .try_for_each(|name| self.read(workshop, name).map(drop))
    }

    /// `name` becomes `<name without .sh>.x` in the home. What it was made from lies in a
    /// directory that only we can enter, and is gone afterwards, however it ended.
    pub fn compile(
        &self,
        workshop: &WorkshopName,
        name: &str,
        home: &Dir,
        render: Render<'_>,
    ) -> Result<(), Fault> {
        let source = render(name, &self.read(workshop, name)?, None)?;
        let fault = |e: &safefs::Error| Fault::of_files(format!("{name} cannot be compiled"), e);
        let scratch = Dir::open_root(&self.scratch).map_err(|e| fault(&e))?;
        let place_name = format!("compile-{}", home_name(home));
        let clear = || safefs::remove_tree(&scratch, place_name.as_ref()).map_err(|e| fault(&e));
        clear()?;
        let made = scratch
            .private_dir(place_name.as_ref())
            .map_err(|e| fault(&e))
            .and_then(|place| self.executable(name, &source, &place));
        clear()?;
        let target = format!("{}.x", name.strip_suffix(".sh").unwrap_or(name));
        home.write(target.as_ref(), &made?, 0o711)
            .map_err(|e| fault(&e))
    }

    fn executable(&self, name: &str, source: &str, place: &Dir) -> Result<Vec<u8>, Fault> {
        let fault = |e: &safefs::Error| Fault::of_files(format!("{name} cannot be compiled"), e);
        place
            .write("source".as_ref(), source.as_bytes(), 0o600)
            .map_err(|e| fault(&e))?;
        // The compiler works on what an author wrote: it gets WODUSER's rights, not ours.
        let who = self.hand_over(place).map_err(|e| fault(&e))?;
        Cmd::new("shc")
            .args(["-r", "-f", "source", "-o", "out"])
            // gcc's own files stay in the place, too.
            .env("TMPDIR", ".")
            .dir(place.path())
            .run_as(who.as_ref())
            .timeout(LONGEST)
            .run()
            .map_err(|e| {
                Fault::retry(format!(
                    "{name} cannot be compiled (are shc and gcc installed?)"
                ))
                .because(&e)
            })?;
        place
            .read("out".as_ref(), EXECUTABLE_BYTES)
            .map_err(|e| fault(&e))
    }

    fn hand_over(&self, place: &Dir) -> Result<Option<RunAs>, safefs::Error> {
        let Some(admin) = &self.admin else {
            return Ok(None);
        };
        let owner = Owner {
            uid: admin.uid,
            gid: admin.gid,
        };
        place.set_owner("source".as_ref(), owner)?;
        place.set_owner(".".as_ref(), owner)?;
        Ok(Some(RunAs::login(admin.uid, admin.gid)))
    }

    fn read(&self, workshop: &WorkshopName, name: &str) -> Result<String, Fault> {
        if !is_plain(name) {
            return Err(Fault::violation(format!(
                "workshop {workshop} wants to compile {name:?}; expected the plain name of a script"
            )));
        }
        let fault = |e: &safefs::Error| Fault::of_files(format!("script {name}"), e);
        for dir in &self.scripts {
            let read = || Dir::open_root(dir).and_then(|dir| dir.read(name.as_ref(), SCRIPT_BYTES));
            match self.reading(read)? {
                Err(e) if e.is_not_found() => continue,
                Err(e) => return Err(fault(&e)),
                Ok(bytes) => {
                    self.refuse_open(&dir.join(name), read)?;
                    return String::from_utf8(bytes).map_err(|e| {
                        Fault::permanent(format!("script {name} is not UTF-8 text")).because(&e)
                    });
                }
            }
        }
        Err(Fault::permanent(format!(
            "workshop {workshop} wants {name} compiled, but no script directory has it"
        )))
    }

    /// What everybody can read where it lies needs no compiler to be found out. Tried, not
    /// worked out from modes: the directories on the way and ACLs count, too.
    fn refuse_open<T: Send>(
        &self,
        path: &Path,
        read: impl FnOnce() -> Result<T, safefs::Error> + Send,
    ) -> Result<(), Fault> {
        if self.admin.is_none() {
            return Ok(());
        }
        let read = safefs::as_user(NOBODY, NOBODY, &[], read)
            .map_err(|e| Fault::of_files("a script cannot be looked at as nobody", &e))?;
        match read {
            Err(_) => Ok(()),
            Ok(_) => Err(Fault::permanent(format!(
                "script {0} is to be compiled so that no student reads it, but everybody can; \
                 run chmod o-r {0}",
                path.display()
            ))),
        }
    }

    fn reading<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Fault> {
        match &self.admin {
            None => Ok(work()),
            Some(admin) => safefs::as_user(admin.uid, admin.gid, &admin.groups, work)
                .map_err(|e| Fault::of_files("a script cannot be read as WODUSER", &e)),
        }
    }
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn home_name(home: &Dir) -> String {
    let name = home.path().file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
