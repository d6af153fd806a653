//! Manifests of `wod deliver` that are wrong, each with what is to be told, and the project's own.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    ("ansible_hostname", "host7"),
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
    ("wod_watchdog_unit", "true"),
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

/// An item in one line, its templates rendered; None where it is not for this host.
fn line(value: &Value, renderer: &Renderer, family: &str) -> Option<String> {
    let rendered = |text: &str| renderer.render("host.yml", text).unwrap();
    Some(match value {
        Value::Text(text) => rendered(text).trim_end().replace('\n', "\\n"),
        Value::List(list) => {
            let list = list.iter().filter_map(|one| line(one, renderer, family));
            format!("[{}]", list.collect::<Vec<_>>().join(", "))
        }
        Value::Map(map) => {
            let mut fields = Vec::new();
            for (key, value) in map.iter() {
                let key = key.as_text().unwrap();
                let value = line(value, renderer, family)?;
                match (key, value.as_str()) {
                    ("when", "False" | "false") => return None,
                    ("when", _) => {}
                    ("Debian" | "RedHat", _) if key != family => {}
                    _ => fields.push(format!("{key}: {value}")),
                }
            }
            fields.join("; ")
        }
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        other => panic!("what is {other:?}?"),
    })
}

/// All of host.yml as a host of that family has it.
fn plan(family: &str) -> String {
    let mut stated = STATED.to_vec();
    stated[0].1 = family;
    let stated = stated
        .iter()
        .map(|(name, text)| ((*name).to_owned(), Value::Text((*text).to_owned())));
    let scope = Scope::new(Vars::default(), Passwords::default()).with(stated);
    let renderer = Renderer::new(scope);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("sys/host.yml")).unwrap();
    let Value::Map(tags) = wod::inventory::from_str("host.yml", &text).unwrap().value else {
        panic!("host.yml is no mapping");
    };
    let mut lines = String::new();
    for (tag, list) in tags.iter() {
        writeln!(lines, "{}", tag.as_text().unwrap()).unwrap();
        let Value::List(list) = list else {
            panic!("{tag:?} is no list");
        };
        for line in list.iter().filter_map(|one| line(one, &renderer, family)) {
            writeln!(lines, "  {line}").unwrap();
        }
    }
    lines
}

/// Names of packages, services, paths and accounts of a whole host, read by people: what is other in
/// one file and not in the other is what differs between the families.
#[test]
fn the_whole_plan_of_each_family_is_as_it_is_written_down() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/deliver-plan");
    for family in ["Debian", "RedHat"] {
        let file = dir.join(format!("{family}.txt"));
        let wanted = fs::read_to_string(&file).unwrap_or_default();
        let found = plan(family);
        let first = wanted.lines().zip(found.lines()).find(|(a, b)| a != b);
        assert_eq!(wanted, found, "{family}: the first other line is {first:?}");
    }
}

#[test]
fn the_scripts_that_deliver_puts_on_a_host_are_good_shell() {
    let sys = Path::new(env!("CARGO_MANIFEST_DIR")).join("sys");
    let scripts = [sys.join("wod-update.j2"), sys.join("prepare.sh")];
    for (program, words) in [("bash", &["-n"][..]), ("shellcheck", &["-s", "bash"])] {
        for script in &scripts {
            let output = match Command::new(program).args(words).arg(script).output() {
                Ok(output) => output,
                Err(e) => {
                    println!("{program} is left out: {e}");
                    continue;
                }
            };
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "{}: {said}{errors}",
                script.display()
            );
        }
    }
}

/// systemd answers openat2 with ENOSYS then, and safefs enters no directory. The intake does without.
#[test]
fn no_unit_takes_openat2_away_from_what_needs_it() {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("sys/systemd");
    let mut with = Vec::new();
    for entry in fs::read_dir(units).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        if text.lines().any(|line| line == "RestrictSUIDSGID=yes") {
            with.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert_eq!(with, ["wod-intake.service.j2"]);
}
