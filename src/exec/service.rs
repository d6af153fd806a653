//! A process that runs beside us until we end it.

use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Cmd, Error, end};

/// A running child; ended when dropped.
pub struct Service {
    name: String,
    child: Child,
}

impl Cmd {
    /// Starts it and comes back at once. Its stdout and stderr are `output`, or ours without it;
    /// its stdin is `input`, or empty.
    pub fn start(
        self,
        input: Option<OwnedFd>,
        output: Option<std::fs::File>,
    ) -> Result<Service, Error> {
        let name = self.name();
        let mut command = self.command();
        command.stdin(input.map_or_else(Stdio::null, Stdio::from));
        if let Some(output) = output {
            let twin = output.try_clone().map_err(|e| self.not_started(e))?;
            command.stdout(output).stderr(twin);
        }
        let child = command.spawn().map_err(|e| self.not_started(e))?;
        Ok(Service { name, child })
    }
}

impl Service {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it alone to end (its children are its own to end) and waits; after `patience` the
    /// whole process group is killed.
    pub fn stop(&mut self, patience: std::time::Duration) {
        if let Ok(pid) = i32::try_from(self.child.id())
            && self.ended().is_none()
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let until = std::time::Instant::now() + patience;
        while self.ended().is_none() && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        if self.ended().is_none() {
            end::group(&mut self.child);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.ended().is_none() {
            end::group(&mut self.child);
        }
    }
}
