//! `wod vars` and `wod inventory`: values, origins, masks; and what a host knows of other hosts.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Exit status, stdout, stderr, with the inventory's place written as `DIR`.
fn wod(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_wod"))
        .arg("-i")
        .arg(dir)
        .args(["-e", "WODHUB=none"])
        .args(args)
        .output()
        .unwrap();
    let text = |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        text.replace(dir.to_str().unwrap(), "DIR")
    };
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    put(
        at,
        "hosts",
        "[production]\nwod1 seats=10\n[staging]\nwod2 seats=20\nwod3 seats=\"{{ 15 * 2 }}\"\n[wods:children]\nproduction\nstaging\n",
    );
    put(
        at,
        "group_vars/all.yml",
        "WODGROUP: production\nLEVEL: all\nWODMONITOR: \"{{ LEVEL }}@example.org\"\nWODLDAPPWD: topsecretword\n",
    );
    put(
        at,
        "group_vars/production.yml",
        "LEVEL: production\n\nURL: \"ldap://admin:{{ WODLDAPPWD }}@host/\"\nlogin: {user: me, api_token: abcdefgh, n: 1}\n",
    );
    put(
        at,
        "group_vars/staging.yml",
        "LEVEL: staging\nsum: \"{{ seats | int + 1 }}\"\n",
    );
    put(
        at,
        "host_vars/wod2.yml",
        "LEVEL: wod2\nback: \"{{ hostvars['wod3'].round }}\"\n",
    );
    put(
        at,
        "host_vars/wod3.yml",
        "round: \"{{ hostvars['wod2'].back }}\"\n",
    );
    folder
}

#[test]
fn a_value_has_its_origin_and_what_it_beats() {
    let folder = site();
    let (exit, out, err) = wod(folder.path(), &["vars", "LEVEL", "WODMONITOR", "--origin"]);
    assert_eq!((exit, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "LEVEL: \"production\"\n    DIR/group_vars/production.yml:1\n    beats DIR/group_vars/all.yml:2\n\
         WODMONITOR: \"production@example.org\"\n    DIR/group_vars/all.yml:3\n"
    );
    let (_, out, _) = wod(
        folder.path(),
        &["-e", "LEVEL=top", "vars", "LEVEL", "--origin", "--json"],
    );
    let told: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(
        told["LEVEL"],
        json!({"value": "top", "origin": "command line",
            "beats": ["DIR/group_vars/production.yml:1", "DIR/group_vars/all.yml:2"]})
    );
}

#[test]
fn no_secret_is_shown() {
    let folder = site();
    for args in [
        &["vars"][..],
        &["vars", "--json", "--origin"],
        &["vars", "URL", "login"],
    ] {
        let (exit, out, err) = wod(folder.path(), args);
        assert_eq!((exit, err.as_str()), (0, ""), "{out}");
        assert!(
            !out.contains("topsecretword") && !out.contains("abcdefgh"),
            "{out}"
        );
        assert!(out.contains("ldap://admin:***@host/"), "{out}");
    }
    let (_, out, _) = wod(folder.path(), &["vars", "login", "--json"]);
    let told: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(
        told["login"],
        json!({"user": "me", "api_token": "***", "n": 1})
    );
}

#[test]
fn a_name_that_is_not_set_is_told_with_a_near_one() {
    let folder = site();
    let (exit, out, err) = wod(folder.path(), &["vars", "WODMONITR"]);
    assert_eq!((exit, out.as_str()), (1, ""));
    assert_eq!(
        err,
        "wod: variable WODMONITR is not set; did you mean WODMONITOR?\n"
    );
    let (exit, _, err) = wod(folder.path(), &["inventory", "host", "wod4"]);
    assert_eq!(exit, 1);
    assert!(
        err.starts_with("wod: host wod4 is not in the inventory; did you mean wod"),
        "{err}"
    );
}

#[test]
fn other_hosts_are_asked_lazily() {
    let folder = site();
    let at = folder.path();
    put(at, "group_vars/production/more.yml", "unused: 1\n");
    let ask = |expression: &str| {
        let set = format!("Q={{{{ {expression} }}}}");
        let args = [
            "-e",
            "inventory_hostname=wod1",
            "-e",
            &set,
            "vars",
            "Q",
            "--json",
        ];
        let (exit, out, err) = wod(at, &args);
        match exit {
            0 => serde_json::from_str::<Json>(&out).unwrap()["Q"].clone(),
            _ => json!(err),
        }
    };
    assert_eq!(ask("hostvars['wod2'].LEVEL"), "wod2");
    assert_eq!(ask("hostvars.wod3.seats"), 30);
    assert_eq!(ask("hostvars['wod3']['sum']"), 31);
    assert_eq!(ask("hostvars['wod2'].inventory_hostname_short"), "wod2");
    assert_eq!(
        ask("hostvars['wod2'].group_names"),
        json!(["staging", "wods"])
    );
    assert_eq!(ask("groups.wods"), json!(["wod1", "wod2", "wod3"]));
    assert_eq!(ask("hostvars | list"), json!(["wod1", "wod2", "wod3"]));
    assert_eq!(ask("hostvars['nobody'] is defined"), false);
    let told = ask("hostvars['wod2'].back");
    let told = told.as_str().unwrap();
    assert!(
        told.contains("variables refer to each other in a circle"),
        "{told}"
    );
    assert!(
        told.contains("hostvars['wod2'].back → hostvars['wod3'].round"),
        "{told}"
    );
}

#[test]
fn a_hosts_file_may_be_named_itself() {
    let folder = site();
    let (_, by_dir, _) = wod(folder.path(), &["inventory", "list"]);
    let (exit, by_file, _) = wod(&folder.path().join("hosts"), &["inventory", "list"]);
    assert_eq!((exit, by_file), (0, by_dir));
}

#[test]
fn a_seat_has_its_workshops_variables() {
    let folder = site();
    let at = folder.path();
    put(
        at,
        "group_vars/of_workshops/production/variables_WKSHP-API101.yml",
        "LEVEL: workshop\nPORT: 8000\n",
    );
    let dir = format!(
        "WODANSIBLEDIR={}",
        at.join("group_vars/of_workshops").display()
    );
    let seat = ["--workshop", "CHLG-API101", "--student", "12"];
    let args = [
        &["-e", dir.as_str(), "-e", "WODACCOUNTS=sandbox", "vars"][..],
        &seat,
        &["LEVEL", "STDID", "MODEWS", "--origin"],
    ]
    .concat();
    let (exit, out, err) = wod(at, &args);
    assert_eq!(exit, 0, "{err}");
    assert!(out.contains("STDID: 12\n    not from a file\n"), "{out}");
    assert!(out.contains("LEVEL: \"workshop\"\n    DIR/group_vars/of_workshops/production/variables_WKSHP-API101.yml:1\n"), "{out}");
    assert!(out.contains("MODEWS: \"CHLG\""), "{out}");
}
