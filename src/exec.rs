//! The only code that starts a process: argv arrays, a cleaned environment, a time limit,
//! captured output, no shell. A secret goes in through stdin or the environment of the one
//! process that is meant to have it, never through argv.

use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use zeroize::Zeroizing;

mod end;
mod memory;
mod pump;
mod service;
mod terminal;
#[cfg(test)]
mod tests;

pub use end::session as end_session;
pub use memory::file_of as file_in_memory;
pub use service::Service;

use pump::{Kept, Pump, Pumped, Stream};

/// Where programs are looked for; never the caller's PATH.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Output past this is dropped (and said so), so that a program cannot fill memory or a log.
const OUTPUT_LIMIT: usize = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{program} cannot be started")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("{program} was stopped after {seconds} s without an end")]
    TimedOut { program: String, seconds: u64 },
    #[error("{program} was stopped before its end")]
    Stopped { program: String },
    #[error("{program} failed ({status}){}", said(.output))]
    Failed {
        program: String,
        status: ExitStatus,
        /// What it printed to stderr, or else to stdout.
        output: String,
    },
    #[error("{program}: its output cannot be read")]
    Output {
        program: String,
        #[source]
        source: io::Error,
    },
}

fn said(output: &str) -> String {
    match output.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!(": {}", line.trim()),
        None => String::new(),
    }
}

/// What a process that ended well left behind.
#[derive(Debug)]
pub struct Output {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// The supplementary groups of a process that runs as somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Groups {
    /// None at all: for whatever handles untrusted input.
    #[default]
    None,
    /// Those that the account has in the group database at that moment, as after a login:
    /// sudo rules often go by group.
    OfAccount,
}

/// Who a process runs as; without it, as we do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAs {
    pub uid: u32,
    pub gid: u32,
    pub groups: Groups,
}

impl RunAs {
    /// Exactly this uid and gid, no supplementary groups.
    pub fn bare(uid: u32, gid: u32) -> RunAs {
        RunAs {
            uid,
            gid,
            groups: Groups::None,
        }
    }

    /// As after a login of the account that has this uid.
    pub fn login(uid: u32, gid: u32) -> RunAs {
        RunAs {
            uid,
            gid,
            groups: Groups::OfAccount,
        }
    }
}

/// What is ended at the time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Child,
    Group,
    Session,
}

/// One process to be run. Its environment is empty but for PATH, LANG and what is set here.
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: PathBuf,
    stdin: Option<Input>,
    timeout: Duration,
    stop: Option<Arc<AtomicBool>>,
    who: Option<RunAs>,
    reach: Reach,
    outlives_us: bool,
}

/// How a process gets the bytes for its stdin.
enum Input {
    Pipe(Zeroizing<Vec<u8>>),
    /// As a file that only it can open, by `/dev/stdin`, and read as often as it likes.
    File(Zeroizing<Vec<u8>>),
}

impl Cmd {
    pub fn new(program: impl AsRef<OsStr>) -> Cmd {
        Cmd {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            dir: PathBuf::from("/"),
            stdin: None,
            timeout: Duration::from_secs(30),
            stop: None,
            who: None,
            reach: Reach::Group,
            outlives_us: true,
        }
    }

    /// Another program, with all else as it is.
    pub fn program(mut self, program: impl AsRef<OsStr>) -> Cmd {
        self.program = program.as_ref().to_owned();
        self
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Cmd {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Cmd {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Cmd {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub fn envs(mut self, all: impl IntoIterator<Item = (OsString, OsString)>) -> Cmd {
        self.env.extend(all);
        self
    }

    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Cmd {
        self.dir = dir.into();
        self
    }

    /// Bytes for its stdin; without this it reads nothing.
    pub fn stdin(mut self, bytes: Vec<u8>) -> Cmd {
        self.stdin = Some(Input::Pipe(Zeroizing::new(bytes)));
        self
    }

    /// Bytes that it finds in the file `/dev/stdin`; they are never on a disk.
    pub fn stdin_file(mut self, bytes: Vec<u8>) -> Cmd {
        self.stdin = Some(Input::File(Zeroizing::new(bytes)));
        self
    }

    pub fn timeout(mut self, timeout: Duration) -> Cmd {
        self.timeout = timeout;
        self
    }

    /// Ended, as at its time limit, soon after this is set.
    pub fn stop_on(mut self, stop: &Arc<AtomicBool>) -> Cmd {
        self.stop = Some(Arc::clone(stop));
        self
    }

    /// The process itself is killed when we are. Not what it started.
    pub fn dies_with_us(mut self) -> Cmd {
        self.outlives_us = false;
        self
    }

    /// The process gets exactly this uid, gid and groups; needs root.
    pub fn run_as(mut self, who: Option<&RunAs>) -> Cmd {
        self.who = who.cloned();
        self
    }

    /// The process leads a session of its own: it has no terminal to ask questions at, and the
    /// time limit also ends the process groups that it made.
    pub fn own_session(mut self) -> Cmd {
        self.reach = Reach::Session;
        self
    }

    /// Runs it to its end. At the time limit the whole process group is ended.
    pub fn run(self) -> Result<Output, Error> {
        let program = self.name();
        let (status, output) = self.run_any()?;
        match status.success() {
            true => Ok(output),
            false => Err(Error::Failed {
                program,
                status,
                output: String::from_utf8_lossy(match output.stderr.is_empty() {
                    true => &output.stdout,
                    false => &output.stderr,
                })
                .into_owned(),
            }),
        }
    }

    /// Like [`Cmd::run`], but an exit status other than 0 is the caller's to judge.
    pub fn run_any(self) -> Result<(ExitStatus, Output), Error> {
        let (mut stdout, mut stderr) = (Kept::new(OUTPUT_LIMIT), Kept::new(OUTPUT_LIMIT));
        let mut command = self.command();
        let read_out = self.pipe_to(&mut command, Command::stdout)?;
        let read_err = self.pipe_to(&mut command, Command::stderr)?;
        let streams = vec![
            Stream::new(read_out, |bytes| stdout.push(bytes)),
            Stream::new(read_err, |bytes| stderr.push(bytes)),
        ];
        let status = self.pump(command, streams)?;
        let output = Output {
            stdout: stdout.into_bytes(),
            stderr: stderr.into_bytes(),
        };
        Ok((status, output))
    }

    /// Runs it and hands over what it prints, stdout and stderr in the order in which they were
    /// written, as it comes. A process that outlives it loses this pipe (SIGPIPE on writing).
    pub fn run_into(self, sink: impl FnMut(&[u8])) -> Result<ExitStatus, Error> {
        let mut command = self.command();
        let (reader, writer) = io::pipe().map_err(|e| self.not_started(e))?;
        let twin = writer.try_clone().map_err(|e| self.not_started(e))?;
        command.stdout(writer).stderr(twin);
        self.pump(command, vec![Stream::new(reader, sink)])
    }

    fn name(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    fn not_started(&self, source: io::Error) -> Error {
        Error::Start {
            program: self.name(),
            source,
        }
    }

    /// None where nothing is handed over.
    fn input(&self) -> Result<Option<Stdio>, Error> {
        Ok(match &self.stdin {
            None => None,
            Some(Input::Pipe(_)) => Some(Stdio::piped()),
            Some(Input::File(bytes)) => {
                let file = memory::file_of(bytes).map_err(|e| self.not_started(e))?;
                Some(Stdio::from(file))
            }
        })
    }

    fn piped(&self) -> Option<&[u8]> {
        match &self.stdin {
            Some(Input::Pipe(bytes)) => Some(bytes),
            _ => None,
        }
    }

    fn pipe_to(
        &self,
        command: &mut Command,
        stream: fn(&mut Command, io::PipeWriter) -> &mut Command,
    ) -> Result<PipeReader, Error> {
        let (reader, writer) = io::pipe().map_err(|e| self.not_started(e))?;
        stream(command, writer);
        Ok(reader)
    }

    fn pump(&self, mut command: Command, streams: Vec<Stream<'_>>) -> Result<ExitStatus, Error> {
        command.stdin(self.input()?.unwrap_or_else(Stdio::null));
        let mut child = command.spawn().map_err(|e| self.not_started(e))?;
        // Our copies of the pipes' writing ends: with them open there would be no end of file.
        drop(command);
        let input = self.piped();
        let stop = self.stop.as_deref();
        let pumped = Pump::new(&mut child, input, streams).and_then(|p| p.run(self.timeout, stop));
        match pumped {
            Ok(Pumped::Ended(status)) => Ok(status),
            Ok(Pumped::TimedOut) => {
                self.end(&mut child);
                Err(Error::TimedOut {
                    program: self.name(),
                    seconds: self.timeout.as_secs(),
                })
            }
            Ok(Pumped::Stopped) => {
                self.end(&mut child);
                Err(Error::Stopped {
                    program: self.name(),
                })
            }
            Err(source) => {
                self.end(&mut child);
                Err(Error::Output {
                    program: self.name(),
                    source,
                })
            }
        }
    }

    fn end(&self, child: &mut Child) {
        end::group(child);
        if self.reach == Reach::Session {
            end::session(child.id());
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn command(&self) -> Command {
        let mut argv = self.prefix();
        argv.push(find(&self.program).into_os_string());
        let mut command = Command::new(&argv[0]);
        command
            .args(&argv[1..])
            .args(&self.args)
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.dir);
        if self.reach == Reach::Group {
            command.process_group(0);
        }
        if let Some(who) = self.who.as_ref().filter(|who| who.groups == Groups::None) {
            command.gid(who.gid).uid(who.uid);
        }
        command
    }

    /// Small programs that change themselves, then become ours under the same pid. std can
    /// neither keep a user's groups nor make a session without unsafe code.
    fn prefix(&self) -> Vec<OsString> {
        let mut argv = Vec::new();
        if self.reach == Reach::Session {
            argv.push(find(OsStr::new("setsid")).into_os_string());
        }
        let login = self.who.as_ref();
        let login = login.filter(|who| who.groups == Groups::OfAccount);
        if login.is_none() && self.outlives_us {
            return argv;
        }
        argv.push(find(OsStr::new("setpriv")).into_os_string());
        if let Some(who) = login {
            argv.push(format!("--reuid={}", who.uid).into());
            argv.push(format!("--regid={}", who.gid).into());
            argv.push("--init-groups".into());
        }
        if !self.outlives_us {
            argv.push("--pdeathsig=KILL".into());
        }
        argv.push("--".into());
        argv
    }
}

/// The program's full path, so that std need not search (and can use posix_spawn).
fn find(program: &OsStr) -> PathBuf {
    let name = Path::new(program);
    if name.components().count() > 1 {
        return name.to_owned();
    }
    PATH.split(':')
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| name.to_owned())
}

/// Whether there is such a program where [`Cmd::new`] would look for it.
pub fn is_installed(program: &str) -> bool {
    installed(program).is_some()
}

/// Where [`Cmd::new`] finds it.
pub fn installed(program: &str) -> Option<PathBuf> {
    Some(find(OsStr::new(program))).filter(|path| path.is_file())
}

/// `exit 3` or `signal 9`, for messages.
pub fn status_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}
