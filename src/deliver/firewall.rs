//! Ports that the firewall lets in: ufw's, or firewalld's. Rules of others stay.

use std::collections::BTreeSet;
use std::path::Path;

use crate::exec::Cmd;
use crate::ports::Fault;

use super::item::{Change, Resource};
use super::place::{Place, is_here};

#[derive(Clone)]
pub struct Firewall {
    /// `22/tcp`
    pub ports: Vec<String>,
}

impl Resource for Firewall {
    fn name(&self) -> String {
        "firewall".to_owned()
    }

    fn not_here(&self) -> Option<String> {
        let known = is_here("ufw") || is_here("firewall-cmd");
        (!known).then(|| "neither ufw nor firewalld here".to_owned())
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        match is_here("ufw") {
            true => self.ufw(),
            false => self.firewalld(),
        }
    }
}

fn call(program: &'static str, words: &[&str], line: String) -> Box<dyn Change> {
    let words = words.iter().map(|&word| word.to_owned()).collect();
    Box::new(Call {
        program,
        words,
        line,
    })
}

impl Firewall {
    /// Its files are read: a look through its program takes longer than the rest of a run.
    fn ufw(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let rules = text("/etc/ufw/user.rules")?;
        let open: BTreeSet<String> = rules.lines().filter_map(ufw_port).collect();
        let is_open = |port: &&String| {
            let number = port.split('/').next().unwrap_or_default();
            open.contains(*port) || open.contains(&format!("{number}/any"))
        };
        let missing = self.ports.iter().filter(|port| !is_open(port));
        let mut changes: Vec<_> = missing
            .map(|port| call("ufw", &["allow", port], format!("{port} let in")))
            .collect();
        let enabled = text("/etc/ufw/ufw.conf")?
            .lines()
            .any(|line| line.trim().eq_ignore_ascii_case("ENABLED=yes"));
        if !enabled {
            // Last: sshd's port is open by then.
            changes.push(call("ufw", &["--force", "enable"], "enabled".to_owned()));
        }
        Ok(changes)
    }

    fn firewalld(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let runs = Cmd::new("firewall-cmd").arg("--state").run().is_ok();
        let (program, always): (_, &[&str]) = match runs {
            true => ("firewall-cmd", &["--permanent"]),
            false => ("firewall-offline-cmd", &[]),
        };
        let kept = listed(program, always)?;
        let is_kept = |port: &&String| kept.contains(*port);
        let mut changes = Vec::new();
        for port in self.ports.iter().filter(|port| !is_kept(port)) {
            let add = format!("--add-port={port}");
            let words: Vec<&str> = always.iter().copied().chain([add.as_str()]).collect();
            changes.push(call(program, &words, format!("{port} let in")));
        }
        // What is kept is not what counts now before a reload.
        if runs {
            let now = listed(program, &[])?;
            if self.ports.iter().any(|port| !now.contains(port)) {
                changes.push(call(program, &["--reload"], "reloaded".to_owned()));
            }
        }
        Ok(changes)
    }
}

fn listed(program: &str, words: &[&str]) -> Result<BTreeSet<String>, Fault> {
    let listed = Cmd::new(program)
        .args(words)
        .arg("--list-ports")
        .run()
        .map_err(|e| Fault::permanent("firewalld cannot be looked at").because(&e))?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// Of a line like `### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in`.
fn ufw_port(line: &str) -> Option<String> {
    let words: Vec<&str> = line.strip_prefix("### tuple ### ")?.split(' ').collect();
    match words[..] {
        ["allow", proto, port, "0.0.0.0/0", "any", "0.0.0.0/0", "in"] => {
            Some(format!("{port}/{proto}"))
        }
        _ => None,
    }
}

fn text(path: &str) -> Result<String, Fault> {
    let place = Place::open(Path::new(path))?;
    match place.stat()? {
        None => Ok(String::new()),
        Some(_) => Ok(String::from_utf8_lossy(&place.read()?).into_owned()),
    }
}

struct Call {
    program: &'static str,
    words: Vec<String>,
    line: String,
}

impl Change for Call {
    fn line(&self) -> String {
        self.line.clone()
    }

    fn apply(&self) -> Result<(), Fault> {
        let called = Cmd::new(self.program).args(&self.words).run();
        called.map(drop).map_err(|e| {
            let said = format!("{} {} fails", self.program, self.words.join(" "));
            Fault::permanent(said).because(&e)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rules_for_everybody_open_a_port() {
        let port = |rule: &str| ufw_port(&format!("### tuple ### {rule}"));
        let open = Some("22/tcp".to_owned());
        assert_eq!(port("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in"), open);
        assert_eq!(port("allow tcp 22 0.0.0.0/0 any 10.0.0.0/8 in"), None);
        assert_eq!(port("deny tcp 22 0.0.0.0/0 any 0.0.0.0/0 in"), None);
        assert_eq!(ufw_port("-A ufw-user-input -p tcp"), None);
    }
}
