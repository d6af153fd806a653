//! Scripts that a student gets as executables only: rendered, compiled by shc out of reach.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::WorkshopName;
use crate::exec::{Cmd, RunAs};
use crate::ports::Fault;
use crate::safefs::{self, Dir, Owner};

use super::Admin;
use super::publish::Render;

const SCRIPT_BYTES: u64 = 1 << 20;
const EXECUTABLE_BYTES: u64 = 64 << 20;
const LONGEST: Duration = Duration::from_secs(60);

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

    /// `name` becomes `<name without .sh>.x` in the home.
    pub fn compile(
        &self,
        workshop: &WorkshopName,
        name: &str,
        home: &Dir,
        render: Render<'_>,
    ) -> Result<(), Fault> {
        if !is_plain(name) {
            return Err(Fault::violation(format!(
                "workshop {workshop} wants to compile {name:?}; expected the plain name of a script"
            )));
        }
        let source = render(name, &self.read(workshop, name)?, None)?;
        let fault = |e: &safefs::Error| Fault::of_files(format!("{name} cannot be compiled"), e);
        let scratch = Dir::open_root(&self.scratch).map_err(|e| fault(&e))?;
        let place_name = format!("compile-{}", home_name(home));
        safefs::remove_tree(&scratch, place_name.as_ref()).map_err(|e| fault(&e))?;
        let place = scratch
            .private_dir(place_name.as_ref())
            .map_err(|e| fault(&e))?;
        place
            .write("source".as_ref(), source.as_bytes(), 0o600)
            .map_err(|e| fault(&e))?;
        // The compiler works on what an author wrote: it gets WODUSER's rights, not ours.
        let who = self.hand_over(&place).map_err(|e| fault(&e))?;
        Cmd::new("shc")
            .args(["-r", "-f", "source", "-o", "out"])
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
        let executable = place
            .read("out".as_ref(), EXECUTABLE_BYTES)
            .map_err(|e| fault(&e))?;
        let target = format!("{}.x", name.strip_suffix(".sh").unwrap_or(name));
        home.write(target.as_ref(), &executable, 0o711)
            .map_err(|e| fault(&e))?;
        safefs::remove_tree(&scratch, place_name.as_ref())
            .map(|_| ())
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
        let fault = |e: &safefs::Error| Fault::of_files(format!("script {name}"), e);
        for dir in &self.scripts {
            let text = self.reading(|| {
                Dir::open_root(dir).and_then(|dir| dir.read(name.as_ref(), SCRIPT_BYTES))
            })?;
            match text {
                Err(e) if e.is_not_found() => continue,
                Err(e) => return Err(fault(&e)),
                Ok(bytes) => {
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
