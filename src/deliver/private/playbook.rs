//! The overlay's `check_backend.yml`, as Ansible carries it out here. Its inventory is this host with
//! the site's variables; that is a file in memory, for secrets are among them.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::exec::{Cmd, is_installed, status_text};
use crate::ports::Fault;

use super::super::item::{Change, Mode, Outcome, Performed, Resource};
use super::super::place::Place;
use super::{Runner, ThisHost, Variables, told, trusted};

const ANSIBLE: &str = "ansible-playbook";

/// What the reference gives to it as well: no appliance is set up by it.
const EXTRA: [&str; 3] = ["LDAPSETUP=0", "APPMIN=0", "APPMAX=0"];

/// How Ansible has to speak for its output to be read by a program.
const MANNERS: [(&str, &str); 6] = [
    ("ANSIBLE_NOCOLOR", "1"),
    ("ANSIBLE_NOCOWS", "1"),
    ("ANSIBLE_STDOUT_CALLBACK", "default"),
    ("ANSIBLE_RETRY_FILES_ENABLED", "0"),
    ("ANSIBLE_DEPRECATION_WARNINGS", "0"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

pub struct Playbook {
    path: PathBuf,
    host: ThisHost,
    runner: Arc<Runner>,
}

impl Playbook {
    pub fn new(path: PathBuf, host: ThisHost, runner: Arc<Runner>) -> Playbook {
        Playbook { path, host, runner }
    }

    pub fn is_there(&self) -> Result<bool, Fault> {
        Ok(Place::open(&self.path)?.stat()?.is_some())
    }

    fn run(&self, mode: Mode) -> Result<Performed, Fault> {
        let given = (self.runner.given)();
        let (cmd, run_as) = self.runner.command(&self.path, &given)?;
        trusted(&self.path, run_as.uid)?;
        let ran = Runner::run(self.arranged(cmd, mode, &given), &given.secrets);
        if let Some((outcome, line)) = ran.cut_short() {
            return Ok(ran.became(outcome, line));
        }
        let told_of = Told::read(&ran.printed);
        let failed = match &ran.ended {
            Ok(status) if !status.success() => Some(status_text(*status)),
            _ => (told_of.failed > 0).then(|| "exit 0".to_owned()),
        };
        Ok(match failed {
            Some(how) if told_of.failures.is_empty() => ran.failed(&format!("failed ({how})")),
            Some(how) => {
                let line = format!("failed ({how}): {}", told(&told_of.failures));
                ran.became(Outcome::Failed, line)
            }
            None if !told_of.any_host => {
                ran.became(Outcome::Skipped, "none of its plays is for this host")
            }
            None if told_of.changed > 0 => {
                let line = format!("{} changed: {}", told_of.changed, told(&told_of.changes));
                ran.became(Outcome::Changed, line)
            }
            None => ran.became(Outcome::Ok, ""),
        })
    }

    fn arranged(&self, cmd: Cmd, mode: Mode, given: &Variables) -> Cmd {
        let mut cmd = cmd
            .program(ANSIBLE)
            .args(["-i", "/dev/stdin"])
            .stdin_file(self.inventory(given).to_string().into_bytes())
            .envs(MANNERS.map(|(name, value)| (name.into(), value.into())));
        for extra in EXTRA {
            cmd = cmd.args(["-e", extra]);
        }
        cmd = cmd.args(["-e", &format!("PBKDIR={}", self.host.group)]);
        if let Some(file) = &self.host.vault_secret {
            cmd = cmd.env("ANSIBLE_VAULT_PASSWORD_FILE", file);
        }
        if mode == Mode::Check {
            // Not in WODUSER's home: nothing is changed there.
            let temporary = ["ANSIBLE_HOME", "ANSIBLE_LOCAL_TEMP", "ANSIBLE_REMOTE_TEMP"];
            cmd = cmd
                .args(["--check", "--diff"])
                .envs(temporary.map(|name| (name.into(), "/tmp".into())));
        }
        cmd.arg(&self.path)
    }

    fn inventory(&self, given: &Variables) -> Value {
        let name = &self.host.name;
        let here = json!({name: {
            "ansible_connection": "local",
            "ansible_python_interpreter": "auto_silent",
        }});
        let groups = self.host.groups.iter().chain([&self.host.group]);
        let groups = groups.filter(|group| !["", "all", "ungrouped"].contains(&group.as_str()));
        let groups: serde_json::Map<String, Value> = groups
            .map(|group| (group.clone(), json!({"hosts": {name: {}}})))
            .collect();
        json!({"all": {"vars": given.values, "hosts": here, "children": groups}})
    }
}

impl Resource for Playbook {
    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        format!("playbook {}", name.to_string_lossy())
    }

    fn not_here(&self) -> Option<String> {
        (!is_installed(ANSIBLE)).then(|| format!("{ANSIBLE} is not here"))
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        Ok(Vec::new())
    }

    fn perform(&self, mode: Mode) -> Option<Performed> {
        let run = self.run(mode);
        Some(run.unwrap_or_else(|fault| Performed::new(Outcome::Failed, fault.chain())))
    }
}

/// What Ansible's output says of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    any_host: bool,
    changed: u32,
    failed: u32,
    /// Tasks that changed something.
    changes: Vec<String>,
    /// Tasks that failed, and with what.
    failures: Vec<String>,
}

impl Told {
    fn read(printed: &str) -> Told {
        let mut told = Told::default();
        let mut task = "";
        let mut recap = false;
        for line in printed.lines() {
            let heading = |word: &str| Some(line.strip_prefix(word)?.rsplit_once(']')?.0);
            if let Some(name) = heading("TASK [").or_else(|| heading("RUNNING HANDLER [")) {
                task = name;
            } else if line.starts_with("changed: [") {
                if told.changes.last().is_none_or(|last| last != task) {
                    told.changes.push(task.to_owned());
                }
            } else if line.starts_with("fatal: [") || line.starts_with("failed: [") {
                told.failures.push(format!("{task}: {line}"));
            } else if line.starts_with("PLAY RECAP") {
                recap = true;
            } else if recap && line.contains(" ok=") {
                told.any_host = true;
                told.changed += count(line, "changed");
                told.failed += count(line, "failed") + count(line, "unreachable");
            }
        }
        told
    }
}

fn count(recap: &str, what: &str) -> u32 {
    let found = recap
        .split_ascii_whitespace()
        .filter_map(|word| word.split_once('='))
        .find(|(name, _)| *name == what);
    found
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_change_or_fail_are_named() {
        let told = Told::read(
            "PLAY [all] ***\n\nTASK [one] ****\nchanged: [h] => (item=a)\nchanged: [h] => (item=b)\n\n\
             TASK [two [x]] ***\nok: [h]\n\nTASK [three] **\nfatal: [h]: FAILED! => {\"msg\": \"no\"}\n\n\
             PLAY RECAP *****\nh : ok=2    changed=1    unreachable=0    failed=1    skipped=0\n",
        );
        let wanted = Told {
            any_host: true,
            changed: 1,
            failed: 1,
            changes: vec!["one".to_owned()],
            failures: vec!["three: fatal: [h]: FAILED! => {\"msg\": \"no\"}".to_owned()],
        };
        assert_eq!(told, wanted);
        // A task that prints such a line before the recap counts for nothing.
        assert_eq!(Told::read("h : ok=1 changed=9 failed=9\n").changed, 0);
    }
}
