//! Scripts that an engine left running when it was killed, or stopped before they had ended. The
//! next engine runs their steps again, and two of one script would work on one seat.
//!
//! Only a script itself is ended, with its session; what it started to stay is left alone. Nobody
//! else's process is read beyond its uid: what a student's has in its memory may never come.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::exec;
use crate::ports::Phase;

/// Ends the scripts of an engine on this state directory, which ran as `uid`; to be called while
/// none runs. Gives back how many there were.
pub fn end(state_dir: &Path, uid: u32) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    let mut ended = 0;
    for entry in entries.flatten() {
        let pid = entry.file_name().to_str().and_then(|pid| pid.parse().ok());
        let is_stray = |process: &Path| runs_as(process, uid) && is_script(process, state_dir);
        if let Some(pid) = pid.filter(|_| is_stray(&entry.path())) {
            exec::end_session(pid);
            ended += 1;
        }
    }
    ended
}

/// By its real uid: /proc shows what is not dumpable as root's.
fn runs_as(process: &Path, uid: u32) -> bool {
    let status = fs::read(process.join("status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mut ids = status.lines().filter_map(|line| line.strip_prefix("Uid:"));
    let real = ids.next().and_then(|ids| ids.split_whitespace().next());
    real.is_some_and(|real| real.parse() == Ok(uid))
}

/// A script leads its session, so the pid is the session's, too.
fn is_script(process: &Path, state_dir: &Path) -> bool {
    let Ok(argv) = fs::read(process.join("cmdline")) else {
        return false;
    };
    let mut argv = argv.split(|&b| b == 0);
    argv.any(is_script_name) && is_of(process, state_dir)
}

/// `…/create-WKSHP-X.sh`
fn is_script_name(argument: &[u8]) -> bool {
    let name = argument.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let mut phases = Phase::ALL.iter();
    name.ends_with(b".sh")
        && phases.any(|phase| {
            let rest = name.strip_prefix(phase.as_str().as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b"-WKSHP-"))
        })
}

/// Whether it was started for an action of this state directory.
fn is_of(process: &Path, state_dir: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let environment = fs::read(process.join("environ")).unwrap_or_default();
    let mut variables = environment.split(|&b| b == 0);
    let ours = |variable: &[u8]| {
        variable
            .strip_prefix(b"WODSTATEDIR=")
            .map(OsStr::from_bytes)
            == Some(state_dir.as_os_str())
    };
    variables
        .clone()
        .any(|variable| variable.starts_with(b"WODACTION="))
        && variables.any(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_its_real_uids() {
        let us = rustix::process::getuid().as_raw();
        let own = Path::new("/proc/self");
        assert!(runs_as(own, us) && !runs_as(own, us + 1));
        assert!(!runs_as(Path::new("/proc/none"), us));
    }

    #[test]
    fn scripts_are_known_by_their_names() {
        for name in ["/a/b/create-WKSHP-X.sh", "post-copy-WKSHP-Git101.sh"] {
            assert!(is_script_name(name.as_bytes()), "{name}");
        }
        for name in [
            "bash",
            "create-WKSHP-X",
            "setup-WKSHP-X.sh",
            "/a/create-WKSHP-X.sh/b",
            "",
        ] {
            assert!(!is_script_name(name.as_bytes()), "{name}");
        }
    }
}
