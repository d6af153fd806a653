//! Workshop scripts (`create-WKSHP-X.sh` and the like), run as WODUSER with the environment
//! of the workshop contract and nothing else; what they print goes to the action's log, with
//! every secret blotted out.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use users::os::unix::UserExt;

use crate::adapters::mask::Masker;
use crate::domain::{Secret, WorkshopName};
use crate::exec::{self, Cmd, RunAs, status_text};
use crate::ports::{Fault, Overlay, Phase, ScriptCall, Scripts};

mod log;

use log::Log;

/// Parts of the names of variables whose values are masked whoever passed them.
const SECRET_NAMES: [&str; 4] = ["PASS", "PWD", "TOKEN", "SECRET"];

/// A shorter value of such a variable is more likely a flag than a secret.
const SHORTEST_SECRET: usize = 6;

/// WODUSER, as scripts see it.
#[derive(Debug, Clone)]
pub struct ScriptUser {
    pub name: String,
    pub home: PathBuf,
    pub shell: PathBuf,
    /// None only when we are that account ourselves.
    pub run_as: Option<RunAs>,
}

impl ScriptUser {
    /// Permanent when there is no such account, or we may not act for it.
    pub fn find(name: &str) -> Result<ScriptUser, Fault> {
        let user = users::get_user_by_name(name).ok_or_else(|| {
            Fault::permanent(format!("WODUSER {name} has no account on this host"))
        })?;
        let run_as = match users::get_effective_uid() {
            0 => Some(RunAs::login(user.uid(), user.primary_group_id())),
            ours if ours == user.uid() => None,
            _ => {
                return Err(Fault::permanent(format!(
                    "scripts run as WODUSER {name}: start wod as root or as {name}"
                )));
            }
        };
        Ok(ScriptUser {
            name: name.to_owned(),
            home: user.home_dir().to_owned(),
            shell: user.shell().to_owned(),
            run_as,
        })
    }
}

/// What scripts source, and the program that it asks for facts.
#[derive(Debug, Clone)]
pub struct Functions {
    /// Holds `functions.sh`; only the engine can write to it.
    pub dir: PathBuf,
    pub program: PathBuf,
}

pub struct Config {
    /// WODSCRIPTDIR
    pub public_dir: PathBuf,
    /// WODSCRIPTPRIVDIR
    pub private_dir: Option<PathBuf>,
    pub user: ScriptUser,
    /// For one script; then everything of its session is killed.
    pub timeout: Duration,
    pub functions: Option<Functions>,
    /// Ours alone; gets one `action-ID.log` per action.
    pub log_dir: PathBuf,
    /// The inventory's variables.
    pub base_env: Vec<(String, String)>,
    /// Masked in every log, beyond the call's password and variables that are named like secrets.
    pub secrets: Vec<Secret>,
}

pub struct WorkshopScripts {
    config: Config,
}

impl WorkshopScripts {
    pub fn new(config: Config) -> WorkshopScripts {
        WorkshopScripts { config }
    }

    fn dir(&self, overlay: Overlay) -> Option<&Path> {
        match overlay {
            Overlay::Public => Some(&self.config.public_dir),
            Overlay::Private => self.config.private_dir.as_deref(),
        }
    }

    /// The contract's variables over the inventory's, over who WODUSER is.
    fn environment(&self, call: &ScriptCall<'_>) -> Result<BTreeMap<String, OsString>, Fault> {
        let config = &self.config;
        let variables = config.base_env.iter().chain(&call.environment);
        let mut all = environment(&config.user, config.functions.as_ref(), variables);
        if let Some(password) = call.password {
            all.insert("randompw".to_owned(), password.expose().into());
        }
        if let Some(token) = call.token {
            all.insert("accessToken".to_owned(), token.expose().into());
        }
        match unfit(&all) {
            None => Ok(all),
            Some(name) => Err(unfit_for(&name, &name_of(call.phase, call.workshop))),
        }
    }

    fn masker(&self, call: &ScriptCall<'_>) -> Masker {
        let variables: Vec<Secret> = self
            .config
            .base_env
            .iter()
            .chain(&call.environment)
            .filter(|(name, value)| is_named_secret(name, value))
            .map(|(_, value)| Secret::new(value.clone()))
            .collect();
        Masker::new(
            self.config
                .secrets
                .iter()
                .chain(call.password)
                .chain(call.token)
                .chain(&variables),
        )
    }

    fn command(&self, script: &Script<'_>, call: &ScriptCall<'_>) -> Result<Cmd, Fault> {
        let path = script.dir.join(&script.name);
        let cmd = match script.interpreter {
            Interpreter::Own => Cmd::new(path),
            Interpreter::Bash => Cmd::new("bash").arg(path),
        };
        let environment = self.environment(call)?;
        Ok(cmd
            .envs(
                environment
                    .into_iter()
                    .map(|(name, value)| (name.into(), value)),
            )
            .dir(script.dir)
            .run_as(self.config.user.run_as.as_ref())
            .own_session()
            .timeout(self.config.timeout))
    }

    /// A script as root could do what its workshop must not.
    fn refuse_root(&self, script: &Script<'_>) -> Result<(), Fault> {
        match (&self.config.user.run_as, users::get_effective_uid()) {
            (None, 0) => Err(Fault::permanent(format!(
                "{} is not run as root: set WODUSER to an account of its own",
                script.name
            ))),
            _ => Ok(()),
        }
    }
}

impl Scripts for WorkshopScripts {
    fn forget(&self, action: &str) -> Result<(), Fault> {
        log::remove(&self.config.log_dir, action)
    }

    /// Two questions to the file system. Anything under the name counts: what cannot be run
    /// is told by `run`, not passed over in silence.
    fn find(&self, phase: Phase, workshop: &WorkshopName) -> Vec<Overlay> {
        let name = name_of(phase, workshop);
        let missing = |dir: &Path| {
            let found = fs::symlink_metadata(dir.join(&name));
            found.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
        };
        [Overlay::Public, Overlay::Private]
            .into_iter()
            .filter(|overlay| self.dir(*overlay).is_some_and(|dir| !missing(dir)))
            .collect()
    }

    fn run(&self, call: &ScriptCall<'_>) -> Result<(), Fault> {
        let name = name_of(call.phase, call.workshop);
        let dir = self.dir(call.overlay).ok_or_else(|| {
            Fault::permanent(format!("{name}: there is no private script directory"))
        })?;
        let script = Script::open(dir, name)?;
        self.refuse_root(&script)?;
        let cmd = self.command(&script, call)?;
        let mut log = Log::open(&self.config.log_dir, &call.action, self.masker(call))?;
        log.begin(&script.name, call.overlay);
        let started = Instant::now();
        let ended = cmd.run_into(|bytes| log.push(bytes));
        let how = match &ended {
            Ok(status) if status.success() => {
                log.end("exit 0", started.elapsed());
                return Ok(());
            }
            Ok(status) => status_text(*status),
            Err(exec::Error::TimedOut { seconds, .. }) => format!("stopped after {seconds} s"),
            Err(_) => "not run to its end".to_owned(),
        };
        let last = log.end(&how, started.elapsed());
        let last = last.map(|line| format!(": {line}")).unwrap_or_default();
        let line = format!(
            "{} failed ({how}){last}; log {}",
            script.name,
            log.path().display()
        );
        Err(match &ended {
            Err(error @ exec::Error::Start { .. }) => Fault::retry(line).because(error),
            _ => Fault::retry(line),
        })
    }
}

/// What a program of the site's own gets: these variables, and over them who WODUSER is.
pub fn environment<'a>(
    user: &ScriptUser,
    functions: Option<&Functions>,
    variables: impl IntoIterator<Item = &'a (String, String)>,
) -> BTreeMap<String, OsString> {
    let variables = variables.into_iter();
    let mut all: BTreeMap<String, OsString> = variables
        .map(|(name, value)| (name.clone(), value.into()))
        .collect();
    for name in ["USER", "LOGNAME"] {
        all.insert(name.to_owned(), user.name.clone().into());
    }
    all.insert("HOME".to_owned(), user.home.clone().into());
    all.insert("SHELL".to_owned(), user.shell.clone().into());
    if let Some(functions) = functions {
        // `source functions.sh` looks along PATH before it looks where the script is.
        let path = format!("{}:{}", functions.dir.display(), exec::PATH);
        all.insert("PATH".to_owned(), path.into());
        all.insert("WODPROGRAM".to_owned(), functions.program.clone().into());
    }
    all
}

/// Whether a variable holds a secret, by what it is called.
pub fn is_named_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_NAMES.iter().any(|part| name.contains(part)) && value.len() >= SHORTEST_SECRET
}

/// A variable that no environment can hold.
pub fn unfit(environment: &BTreeMap<String, OsString>) -> Option<String> {
    let unfit = environment.iter().find(|(name, value)| {
        name.is_empty() || name.contains(['=', '\0']) || value.as_encoded_bytes().contains(&0)
    });
    unfit.map(|(name, _)| name.clone())
}

pub fn unfit_for(name: &str, program: &str) -> Fault {
    Fault::permanent(format!(
        "variable {} cannot be passed to {program}: its name or value has characters that no \
         environment can hold",
        crate::domain::quoted(name),
    ))
}

fn name_of(phase: Phase, workshop: &WorkshopName) -> String {
    format!("{}-{workshop}.sh", phase.as_str())
}

/// A script that was found fit to be run.
struct Script<'a> {
    dir: &'a Path,
    name: String,
    interpreter: Interpreter,
}

enum Interpreter {
    /// The kernel knows what to do with it.
    Own,
    /// No `#!` line: a shell that starts such a file reads it itself.
    Bash,
}

impl Script<'_> {
    /// Looked at only, to tell the admin what is wrong: it is run by name, as WODUSER, so a
    /// swap in between wins nothing. A link may not lead out of the directory.
    fn open(dir: &Path, name: String) -> Result<Script<'_>, Fault> {
        let at = dir.display();
        let file =
            openat(CWD, dir, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).and_then(|dir| {
                openat2(
                    dir,
                    &name,
                    OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
                    Mode::empty(),
                    ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
                )
            });
        let mut file = match file {
            Ok(file) => fs::File::from(file),
            Err(Errno::NOENT) => {
                return Err(Fault::retry(format!(
                    "{name} is gone from {at} since it was found"
                )));
            }
            Err(Errno::XDEV | Errno::LOOP) => {
                return Err(Fault::permanent(format!(
                    "{name} in {at} is a link that leads out of it; put the script itself there"
                )));
            }
            Err(e) => return Err(Fault::retry(format!("cannot open {name} in {at}")).because(&e)),
        };
        let meta = file
            .metadata()
            .map_err(|e| Fault::retry(format!("cannot look at {name} in {at}")).because(&e))?;
        if !meta.is_file() {
            return Err(Fault::permanent(format!(
                "{name} in {at} is not a regular file"
            )));
        }
        if meta.permissions().mode() & 0o111 == 0 {
            return Err(Fault::permanent(format!(
                "{at}/{name} is not executable; chmod +x"
            )));
        }
        let mut first = [0; 4];
        let length = file.read(&mut first).unwrap_or(0);
        let interpreter = match &first[..length] {
            [b'#', b'!', ..] | b"\x7fELF" => Interpreter::Own,
            _ => Interpreter::Bash,
        };
        Ok(Script {
            dir,
            name,
            interpreter,
        })
    }
}

#[cfg(test)]
mod tests;
