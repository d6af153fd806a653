//! An account of the system's own: not a student's, and never one that somebody logs in to by password.

use std::path::PathBuf;

use users::os::unix::UserExt;

use crate::exec::Cmd;
use crate::ports::Fault;

use super::item::{Change, Resource};

#[derive(Clone)]
pub struct Account {
    pub name: String,
    pub shell: PathBuf,
    /// Whether it gets a home of its own.
    pub home: bool,
}

impl Resource for Account {
    fn name(&self) -> String {
        format!("account {}", self.name)
    }

    /// An account that is there keeps its uid, its home and its groups.
    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let shell = self.shell.display();
        let (line, program, args) = match users::get_user_by_name(&self.name) {
            None => (format!("made, shell {shell}"), "useradd", self.new_args()),
            Some(there) if there.shell() != self.shell => (
                format!("shell {} -> {shell}", there.shell().display()),
                "usermod",
                vec!["--shell".to_owned(), shell.to_string(), self.name.clone()],
            ),
            Some(_) => return Ok(Vec::new()),
        };
        let account = self.name.clone();
        Ok(vec![Box::new(Run {
            line,
            account,
            program,
            args,
        })])
    }
}

impl Account {
    fn new_args(&self) -> Vec<String> {
        let group = match users::get_group_by_name(&self.name) {
            Some(_) => ["--gid", &self.name].map(str::to_owned).to_vec(),
            None => vec!["--user-group".to_owned()],
        };
        let home: &[&str] = match self.home {
            true => &["--create-home"],
            false => &["--no-create-home", "--home-dir", "/nonexistent"],
        };
        let shell = self.shell.display().to_string();
        let mut args = vec!["--system".to_owned(), "--shell".to_owned(), shell];
        args.extend(group);
        args.extend(home.iter().map(|&word| word.to_owned()));
        args.push(self.name.clone());
        args
    }
}

struct Run {
    line: String,
    account: String,
    program: &'static str,
    args: Vec<String>,
}

impl Change for Run {
    fn line(&self) -> String {
        self.line.clone()
    }

    fn apply(&self) -> Result<(), Fault> {
        let ran = Cmd::new(self.program).args(&self.args).run();
        ran.map(drop).map_err(|e| {
            Fault::permanent(format!("the account {} cannot be set up", self.account)).because(&e)
        })
    }
}
