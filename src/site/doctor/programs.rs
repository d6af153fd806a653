//! Programs that the backend starts, and JupyterHub's own.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::deliver::is_here;
use crate::exec::{self, Cmd};
use crate::safefs::Dir;

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
/// What a package says of itself.
const LARGEST: u64 = 1 << 20;
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
    let (program, node) = match is_here(&own) {
        true => (Some(PathBuf::from(own)), Path::new(&dir).join("bin/node")),
        false => (exec::installed(proxy), PathBuf::from("node")),
    };
    match program {
        Some(program) => found.extend(proxy_node(&program, &node)),
        None => {
            let line = format!("there is no {proxy}, which JupyterHub starts");
            found.push(problem(line, "wod install"));
        }
    }
    found
}

/// Whether the proxy's node runs, and is as new as the proxy itself says that it has to be.
fn proxy_node(proxy: &Path, node: &Path) -> Option<Found> {
    const MEND: &str =
        "wod install puts a proxy with a node of its own into JPHUB; or install a newer one";
    let version = match Cmd::new(node).arg("--version").run() {
        Ok(said) => String::from_utf8_lossy(&said.stdout).trim().to_owned(),
        Err(e) => {
            return Some(problem(
                format!("node, in which JupyterHub's proxy runs, does not run: {e}"),
                MEND,
            ));
        }
    };
    let package = proxy.canonicalize().ok()?;
    let dir = Dir::open_root(package.parent()?.parent()?).ok()?;
    let text = dir.read(Path::new("package.json"), LARGEST).ok()?;
    let about: Value = serde_json::from_slice(&text).ok()?;
    let least = major(about["engines"]["node"].as_str()?)?;
    let is_old = major(&version)? < least;
    is_old.then(|| {
        problem(
            format!("node {version} is too old for JupyterHub's proxy; expected {least} or later"),
            MEND,
        )
    })
}

/// Of `v20.1.2`, `>= 20` and the like.
fn major(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
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
    use super::{major, old};

    #[test]
    fn versions_and_demands_begin_alike() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major(">= 20"), Some(20));
        assert_eq!(major("^18.0.0 || >=20"), Some(18));
        assert_eq!(major("*"), None);
    }

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
