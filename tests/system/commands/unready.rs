//! Commands where something is not there, not right or not theirs: one line, and what to do next.

use std::process::Command;

use super::wod;
use crate::support::backend::{Backend, Options};
use crate::support::{on_private_host, sh};

/// An account that may read the inventory and nothing else.
pub fn by_somebody_else() {
    for (words, status, said) in [
        (
            "keys",
            1,
            "Permission denied (os error 13); try it with sudo",
        ),
        (
            "journal check",
            4,
            "Permission denied (os error 13); try it with sudo",
        ),
        (
            "deliver history",
            1,
            "Permission denied (os error 13); try it with sudo",
        ),
        (
            "workshops",
            1,
            "can be taken on by root only; try it with sudo",
        ),
        (
            "deliver --check",
            4,
            "wod deliver is about the whole host; run it with sudo",
        ),
        (
            "serve",
            4,
            "WODSTATEDIR /var/lib/wod belongs to root; run it with sudo",
        ),
    ] {
        let output = Command::new("runuser")
            .args(["-u", "nobody", "--", "/run/wod"])
            .args(words.split(' '))
            .output()
            .unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{words}: {err}");
        assert!(
            err.contains(said) && err.lines().count() == 1,
            "{words}: {err}"
        );
    }
}

/// Where neither a site nor a checkout is.
pub fn no_inventory() {
    sh("mv /etc/wod/inventory /etc/wod/away");
    let run = |words: &[&str]| {
        let output = Command::new("/run/wod")
            .args(words)
            .current_dir("/tmp")
            .output();
        let output = output.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout) + &text(output.stderr),
        )
    };
    let said = "neither /etc/wod/inventory nor ./inventory is there; run wod install, or name one \
                with --inventory";
    for words in ["status", "vars", "serve", "inventory list"] {
        let words: Vec<&str> = words.split(' ').collect();
        let (exit, told) = run(&words);
        assert_eq!(exit, Some(4), "{words:?}: {told}");
        assert!(told.contains(said) && told.lines().count() == 1, "{told}");
    }
    let (exit, told) = run(&["doctor"]);
    assert_eq!(exit, Some(4), "{told}");
    assert!(
        told.contains(said)
            && told.contains("run wod install for an inventory to begin with")
            && told.ends_with(" checks, 1 problem, 0 pieces of advice\n"),
        "{told}"
    );
    sh("mv /etc/wod/away /etc/wod/inventory");
}

/// What mends a wrong setting is to see where it is set.
#[test]
fn variables_are_shown_though_settings_are_wrong() {
    on_private_host(|| {
        let mut backend = Backend::start(Options::default());
        backend.stop_engine();
        let (exit, out, err) = wod(&["-e", "WODUSERMAX=0", "vars", "WODUSERMIN", "--origin"]);
        assert_eq!(exit, 4, "{err}");
        assert!(
            out.starts_with("WODUSERMIN: 1\n    /etc/wod/inventory/group_vars/all.yml:"),
            "{out}"
        );
        assert!(err.contains("command line: WODUSERMAX is "), "{err}");
    });
}
