//! Inventories that are wrong (`tests/cases/inventory-bad`): what the program says of each, line by
//! line, how it ends, and that it writes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use wod::inventory::{Inventory, KNOWN, Vars};

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

/// Every typed setting can be what a mistyped name was meant to be.
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

#[test]
fn a_large_range_is_read_in_no_time() {
    let started = std::time::Instant::now();
    let large = inventory("[seats]\ns[00001:20000] a=1\n[more]\ns[00001:20000]\n");
    assert_eq!(large.hosts().count(), 20_000);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rubbish_hosts_never_panic(parts in proptest::collection::vec(
        prop_oneof![
            Just("a"), Just("[a]"), Just("[a:children]"), Just("[a:vars]"), Just("\n"), Just("\n"), Just(" "),
            Just("b"), Just("="), Just("'"), Just("\""), Just("\\"), Just("#"), Just("["), Just("]"), Just(":"),
            Just("1"), Just("[1:3]"), Just("[01:10:2]"), Just("[a:c]"), Just(","), Just("{"), Just("}"), Just("("),
            Just("all:"), Just("\n  hosts:"), Just("\n  children:"), Just("- "), Just("é"), Just("0x"), Just("_"),
            Just("."), Just("e5"), Just("ansible_group_priority="), Just("\u{85}"), Just("---"), Just("\0"),
        ],
        0..32,
    ), yaml in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let name = if yaml { "hosts.yml" } else { "hosts" };
        fs::write(folder.path().join(name), parts.concat()).unwrap();
        if let Ok(read) = Inventory::read(folder.path(), None) {
            read.listing(&Vars::default()).unwrap();
        }
    }
}

/// The order of the facts: all, parents, children (by priority, then name), WODGROUP, the host.
#[test]
fn a_host_has_the_variables_of_its_groups_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put(
        "hosts",
        "[top:children]\nlow\n[low]\nh\n[other]\n[low:vars]\ng=inline\n",
    );
    let names = ["all", "top", "low", "other", "free"];
    for (at, name) in names.iter().enumerate() {
        let lines = "abcdefg".chars().skip(at).map(|c| format!("{c}: {name}\n"));
        put(
            &format!("group_vars/{name}.yml"),
            &lines.collect::<String>(),
        );
    }
    put("host_vars/h.yml", "f: host\n");
    let read = Inventory::read(folder.path(), None).unwrap();
    let of = |host: Option<&str>, group: Option<&str>| -> Vec<String> {
        let vars = read.vars_of(host, group, None).unwrap();
        let text = |name: &str| vars.get(name).unwrap().value.as_text().unwrap().to_owned();
        ["a", "b", "c", "d", "e", "f"].map(text).to_vec()
    };
    assert_eq!(of(None, None), ["all"; 6]);
    assert_eq!(
        of(Some("h"), None),
        ["all", "top", "low", "low", "low", "host"]
    );
    assert_eq!(
        of(Some("h"), Some("low")),
        ["all", "top", "low", "low", "low", "host"]
    );
    assert_eq!(
        of(Some("h"), Some("other")),
        ["all", "top", "low", "other", "other", "host"]
    );
    assert_eq!(
        of(Some("h"), Some("free")),
        ["all", "top", "low", "low", "free", "host"]
    );
    assert_eq!(
        of(None, Some("other")),
        ["all", "all", "all", "other", "other", "other"]
    );
}
