//! A program that speaks with whoever sits at our terminal: an editor, a pager.

use std::io::{ErrorKind, Write};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag;

use super::{Cmd, Error, Reach};

impl Cmd {
    /// Runs it to its end with our terminal and our whole environment, for as long as it takes.
    /// Its stdin is what was set, else ours. Signals of the keyboard are the program's: we
    /// outlive them, to tidy up after it.
    pub fn run_at_terminal(mut self) -> Result<ExitStatus, Error> {
        // In a group of its own it would be in the background.
        self.reach = Reach::Child;
        let held = Arc::new(AtomicBool::new(false));
        let signals = [SIGINT, SIGQUIT, SIGHUP, SIGTERM];
        let hooks: Vec<_> = signals
            .iter()
            .filter_map(|&signal| flag::register(signal, Arc::clone(&held)).ok())
            .collect();
        let ended = self.at_terminal();
        for hook in hooks {
            signal_hook::low_level::unregister(hook);
        }
        ended
    }

    fn at_terminal(self) -> Result<ExitStatus, Error> {
        let mut command = self.command();
        let input = self.input()?.unwrap_or_else(Stdio::inherit);
        command.envs(std::env::vars_os()).stdin(input);
        let mut child = command.spawn().map_err(|e| self.not_started(e))?;
        if let (Some(bytes), Some(mut stdin)) = (self.piped(), child.stdin.take())
            && let Err(source) = stdin.write_all(bytes)
            // A pager may be left before it has read all.
            && source.kind() != ErrorKind::BrokenPipe
        {
            let _ = child.kill();
            let _ = child.wait();
            return Err(self.unread(source));
        }
        child.wait().map_err(|source| self.unread(source))
    }

    fn unread(&self, source: std::io::Error) -> Error {
        Error::Output {
            program: self.name(),
            source,
        }
    }
}
