//! Where the real Ansible is.

use std::io::Write;
use std::path::{Path, PathBuf};

/// The venv of `sys/prepare.sh`; None, and a line that says so, where there is none.
pub fn venv() -> Option<PathBuf> {
    let named = std::env::var_os("WOD_ANSIBLE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let own = data.or_else(|| Some(home?.join(".local/share")));
    let places = [
        named,
        Some("/opt/ansible".into()),
        own.map(|dir| dir.join("wod/ansible")),
    ];
    let found = places.into_iter().flatten().find(|dir| works(dir));
    if found.is_none() {
        let test = std::thread::current();
        let test = test.name().unwrap_or("a test");
        // Past the test program, which keeps what a passing test prints to itself.
        let _ = writeln!(
            std::io::stderr(),
            "left out: {test}: no Ansible here; sys/prepare.sh test installs one"
        );
    }
    found
}

fn works(dir: &Path) -> bool {
    dir.join("bin/ansible-playbook").exists()
}

#[test]
fn it_is_there_or_left_out() {
    if let Some(venv) = venv() {
        let version = std::process::Command::new(venv.join("bin/ansible"))
            .arg("--version")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&version.stdout);
        assert!(text.starts_with("ansible [core 2."), "{text}");
    }
}
