//! Programs that the backend starts, and JupyterHub's own.

use std::path::Path;

use crate::deliver::is_here;
use crate::exec::{self, Cmd};

use super::{Found, Look, problem};

/// Program, package on Debian, what does not work without it.
const NEEDED: &[(&str, &str, &str)] = &[
    ("setpriv", "util-linux", "workshop scripts run by it"),
    ("setsid", "util-linux", "workshop scripts run by it"),
    (
        "chpasswd",
        "passwd",
        "participants' passwords are set by it",
    ),
    (
        "ssh-keygen",
        "openssh-client",
        "a student's key pair is made by it",
    ),
    (
        "bash",
        "bash",
        "students and workshop scripts have it as their shell",
    ),
    ("sudo", "sudo", "workshop scripts become root by it"),
    ("crontab", "cron", "a guest's crontab is taken away by it"),
];
const SHC: (&str, &str, &str) = ("shc", "shc", "scripts of compile: are made by it");

pub fn all(look: &Look<'_>) -> Vec<Found> {
    let workshops = super::content::listed(look.site).unwrap_or_default();
    let compiles = workshops.iter().any(|one| !one.compile.is_empty());
    let wanted = NEEDED.iter().chain(compiles.then_some(&SHC));
    let missing = wanted.filter(|(program, _, _)| !exec::is_installed(program));
    missing
        .map(|(program, package, why)| {
            problem(
                format!("there is no {program}: {why}"),
                format!("apt-get install {package}, or: wod deliver --install"),
            )
        })
        .collect()
}

pub fn jupyterhub(look: &Look<'_>) -> Vec<Found> {
    if !look.site.has_hub() {
        return Vec::new();
    }
    let dir = look.site.hub_dir();
    let program = format!("{dir}/bin/jupyterhub");
    if !is_here(&program) {
        let line = format!("there is no JupyterHub in JPHUB {dir}");
        return vec![problem(line, "wod install, or set JPHUB to where it is")];
    }
    let mut found = Vec::new();
    // Its metadata: the program itself takes half a second to say so.
    let python = Path::new(&dir).join("bin/python3");
    let code = "import importlib.metadata as m, sys; print(*sys.version_info[:2], m.version('jupyterhub'))";
    let said = Cmd::new(python).args(["-I", "-B", "-c", code]).run();
    match said {
        Ok(said) => found.extend(old(&String::from_utf8_lossy(&said.stdout), &dir)),
        Err(e) => found.push(problem(
            format!("the Python of JPHUB {dir} does not work: {e}"),
            "wod install makes it anew, once the directory is moved away",
        )),
    }
    let proxy = "configurable-http-proxy";
    let own = format!("{dir}/lib/node_modules/{proxy}/bin/{proxy}");
    if !is_here(&own) && !exec::is_installed(proxy) {
        let line = format!("there is no {proxy}, which JupyterHub starts");
        found.push(problem(line, "wod install"));
    }
    found
}

/// `3 11 6.1.1`: what is wrong with such a Python and such a hub.
fn old(versions: &str, dir: &str) -> Option<Found> {
    let words: Vec<&str> = versions.split_whitespace().collect();
    let [_, minor, hub] = words[..] else {
        return None;
    };
    let number = |text: &str| text.parse::<u32>().unwrap_or(0);
    let mut parts = hub.split('.').map(number);
    let (major, second) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let upgrade = format!("{dir}/bin/pip install 'jupyterhub>=5.5,<7'");
    match (major, second) {
        _ if number(minor) < 9 => Some(problem(
            format!("Python 3.{minor} in JPHUB {dir} is too old; expected 3.9 or later"),
            "move it away, install a newer python3, and run wod install",
        )),
        (5, 5..) | (6, _) => None,
        _ => Some(problem(
            format!("JupyterHub {hub} is not one that wod was tried with (5.5 up to 6)"),
            upgrade,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::old;

    #[test]
    fn only_versions_that_were_tried_pass() {
        for good in ["3 11 6.1.1", "3 9 5.5.4", "3 13 6.0.0rc1"] {
            assert!(old(good, "/hub").is_none(), "{good}");
        }
        for (bad, told) in [
            ("3 11 4.1.6", "JupyterHub 4.1.6"),
            ("3 11 5.4.0", "JupyterHub 5.4.0"),
            ("3 11 7.0.0", "JupyterHub 7.0.0"),
            ("3 8 5.5.0", "Python 3.8"),
        ] {
            assert!(old(bad, "/hub").unwrap().line.contains(told), "{bad}");
        }
    }
}
