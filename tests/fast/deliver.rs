//! Manifests of `wod deliver` that are wrong, each with what is to be told, and the project's own.

use std::fs;
use std::path::{Path, PathBuf};

use wod::deliver::{Facts, Ledger, Manifest, Missing, Source};
use wod::inventory::{Value, Vars};
use wod::templates::{Passwords, Renderer, Scope};

fn read(dir: PathBuf, family: &str, stated: &[(&str, &str)]) -> Result<Vec<String>, Vec<String>> {
    let stated = stated.iter().map(|(name, text)| {
        let value = Value::Text((*text).to_owned());
        ((*name).to_owned(), value)
    });
    let scope = Scope::new(Vars::default(), Passwords::default()).with(stated);
    let renderer = Renderer::new(scope);
    let facts = Facts {
        renderer: &renderer,
        ledger: Ledger::new(PathBuf::from("/nonexistent/deliver")),
        family: family.to_owned(),
        packages: Missing::Tell,
    };
    let manifest = Manifest::read(&Source { dirs: vec![dir] }, &facts)?;
    Ok(manifest.items.iter().map(|item| item.name()).collect())
}

#[test]
fn a_manifest_that_is_wrong_says_where() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/deliver");
    let mut tried = 0;
    for entry in fs::read_dir(cases).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let wanted = text.lines().next().unwrap().trim_start_matches("# ");
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("host.yml"), &text).unwrap();
        let told = read(dir.path().to_owned(), "Debian", &[]).unwrap_err();
        let shown = path.display();
        assert_eq!(told.len(), 1, "{shown}: {told:?}");
        assert!(told[0].contains(wanted.trim_end()), "{shown}: {told:?}");
        tried += 1;
    }
    assert!(tried > 20, "{tried} cases");
}

const STATED: &[(&str, &str)] = &[
    ("ansible_os_family", "RedHat"),
    ("inventory_hostname", "host7"),
    ("wod_program", "/usr/local/bin/wod"),
    ("wod_inventory", "/etc/wod/inventory"),
    ("wod_home", "/home/wodadmin"),
    ("wod_address", "10.1.2.3"),
    ("WODUSER", "wodadmin"),
    ("WODINTAKEUSER", "wodmail"),
    ("WODSTATEDIR", "/var/lib/wod"),
    ("WODSTUDDIR", "/student"),
    ("WODUSERMIN", "1"),
    ("WODUSERMAX", "9"),
    ("WODSCRIPTDIR", "/nonexistent"),
    ("WODSCRIPTPRIVDIR", ""),
    ("WODSYSDIR", "/nonexistent"),
    ("WODSYSPRIVDIR", ""),
    ("WODSKELDIR", "/nonexistent"),
    ("WODPRIVDIR", ""),
    ("WODANSIBLEDIR", ""),
    ("WODANSIBLEPRIVDIR", ""),
    ("WODGROUP", "production"),
    ("WODMONITOR", ""),
    ("WODPOSTPORT", "10025"),
    ("WODSMTPLISTEN", "127.0.0.1:2525"),
    ("WODHUB", "jupyterhub"),
    ("WODHUBIDLESECONDS", "0"),
    ("WODSTUDENTCPU", "100"),
    ("WODSTUDENTMEMORY", "2048"),
    ("WODSTUDENTTASKS", "512"),
    ("UIDBASE", "2000"),
    ("WODCONFINE", "possible"),
    ("wod_has_watchdog", "true"),
    ("wod_smtp_peers", "127.0.0.0/8"),
    ("WODBEFQDN", "a.example.org"),
    ("WODBEEXTFQDN", "b.example.org"),
    ("WODBEPORT", "8000"),
    ("WODBETOKEN", "t"),
    ("VAULTPWD", ""),
    ("JPHUB", "/opt/jupyterhub"),
];

/// What differs between the families is data, and data for both.
#[test]
fn a_host_of_the_other_family_has_its_own_items() {
    let sys = Path::new(env!("CARGO_MANIFEST_DIR")).join("sys");
    let rocky = read(sys.clone(), "RedHat", STATED).unwrap();
    let mut stated = STATED.to_vec();
    stated[0].1 = "Debian";
    let debian = read(sys, "Debian", &stated).unwrap();
    assert_eq!(rocky.len(), debian.len());
    let only = |all: &[String], other: &[String]| -> Vec<String> {
        let found = all.iter().filter(|item| !other.contains(item));
        found.cloned().collect()
    };
    assert_eq!(
        only(&rocky, &debian),
        ["service firewalld", "service crond"]
    );
    assert_eq!(only(&debian, &rocky), ["service ufw", "service cron"]);
}
