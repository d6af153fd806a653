//! Inventories that are wrong (`tests/cases/inventory-bad`): what the program says of each, line by
//! line, how it ends, and that it writes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wod::inventory::{Inventory, KNOWN};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/inventory-bad");
    let mut dirs: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    dirs.sort();
    dirs
}

/// The exit status and stderr of `wod` on one inventory, its place written as `DIR`.
fn told(dir: &Path, state: &Path, command: &[&str]) -> String {
    let inventory = dir.join("inventory");
    let hub = match dir.ends_with("settings") {
        true => "WODX=y".to_owned(),
        false => "WODHUB=none".to_owned(),
    };
    let output = Command::new(env!("CARGO_BIN_EXE_wod"))
        .arg("-i")
        .arg(&inventory)
        .args(["-e", &hub, "-e"])
        .arg(format!("WODSTATEDIR={}", state.display()))
        .args(command)
        .env_remove("ANSIBLE_VAULT_PASSWORD_FILE")
        .env_remove("ANSIBLE_VAULT_IDENTITY_LIST")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let said = said.replace(inventory.to_str().unwrap(), "DIR");
    format!("exit {}\n{said}", output.status.code().unwrap())
}

#[test]
fn a_bad_inventory_is_told_at_once_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut wrong = Vec::new();
    for dir in cases() {
        let got = told(&dir, &state, &["vars", "--json"]);
        let want = fs::read_to_string(dir.join("told")).unwrap_or_default();
        if got != want {
            wrong.push(format!("{}:\n  got  {got}\n  want {want}", dir.display()));
        }
        assert!(!state.exists(), "{} wrote", dir.display());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_engine_does_not_start_on_one() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    for name in [
        "vars-syntax",
        "circle-in-settings",
        "locked-file",
        "settings",
        "hosts-circle",
    ] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/cases/inventory-bad")
            .join(name);
        let got = told(&dir, &state, &["serve"]);
        assert!(
            got.starts_with("exit 4\nwod: the configuration in DIR cannot be used:"),
            "{got}"
        );
        assert!(!state.exists(), "{name} wrote");
    }
}

/// What can be listed at all is known to the program without Ansible, too.
#[test]
fn a_setting_has_a_known_name() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/inventory/settings.rs"))
            .unwrap();
    let product = text.split("#[cfg(test)]").next().unwrap();
    let names = product.split('"').skip(1).step_by(2).filter(|word| {
        word.len() > 4 && word.starts_with("WOD") && word.bytes().all(|b| b.is_ascii_uppercase())
    });
    for name in names {
        assert!(
            KNOWN.contains(&name),
            "{name} is not in src/inventory/known.rs"
        );
    }
}

fn inventory(hosts: &str) -> Inventory {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hosts"), hosts).unwrap();
    Inventory::read(folder.path(), None).unwrap()
}

#[test]
fn which_host_we_are() {
    let never = || -> String { unreachable!("the resolver is slow") };
    let is = |hosts: &str, nodename: &str, fqdn: &str| {
        let fqdn = fqdn.to_owned();
        inventory(hosts).this_host(nodename, || fqdn)
    };
    assert_eq!(inventory("").this_host("wod1", never), "localhost");
    assert_eq!(inventory("other\n").this_host("wod1", never), "other");
    assert_eq!(inventory("wod1\nwod2\n").this_host("wod2", never), "wod2");
    assert_eq!(
        inventory("wod1.x.org\nwod2.x.org\n").this_host("wod2", never),
        "wod2.x.org"
    );
    assert_eq!(
        is("wod1.x.org\nwod1.y.org\n", "wod1", "wod1.y.org"),
        "wod1.y.org"
    );
    assert_eq!(is("a\nlocalhost\n", "wod1", "wod1.y.org"), "localhost");
    assert_eq!(is("a\nb\n", "wod1", "wod1.y.org"), "localhost");
}
