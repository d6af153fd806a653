//! Passwords, tokens and the vault's key through a busy round at the chattiest log level: looked
//! for in the arguments and environment of every process meanwhile, and in every file afterwards.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rusqlite::{Connection, OpenFlags};

use crate::support::backend::{Backend, Options, STATE, token};
use crate::support::seats::{password, workshop};
use crate::support::secrecy::Guard;
use crate::support::{on_private_host, sh, wait_for};

const VAULT: &str = "Correct-Horse/Battery-9";

/// Of the journal's files.
const COPY: &str = "/run/journal";

/// Prints what it was given in every way that comes to mind, with `set -x`.
const CHATTY: &str = "set -x
    echo \"$randompw $VAULTPWD $WODBETOKEN\"; echo \"$randompw\" >&2
    printf %s \"$randompw\" | base64; printf %s \"user:$randompw\" | base64
    printf %s \"$randompw\" | od -An -tx1 | tr -d ' \\n'; printf %s \"$VAULTPWD\" | base64
    env | sort; sleep 0.3";

/// Files that may have a secret in them: path, which one, why.
const ALLOWED: [(&str, Which, &str); 2] = [
    (
        "/etc/wod/inventory/group_vars/all.yml",
        Which::Configured,
        "the configuration itself, 0600",
    ),
    ("/run/hub/token", Which::Configured, "the hub's own, 0600"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Which {
    Configured,
    Minted,
}

#[test]
fn no_secret_is_anywhere() {
    on_private_host(|| {
        let private = "/var/share/private";
        sh(&format!(
            "mkdir -p {private}/production/pass; useradd --system --create-home wodadmin
             chown -R wodadmin {private}; touch /run/marker
             prlimit --pid $PPID --core=unlimited || true"
        ));
        workshop("Told", "range: [1,10]\nvarpass: true\n", &chatty(""));
        workshop(
            "Class",
            "range: [11,20]\nvarpass: true\nreset: true\n",
            &chatty(""),
        );
        workshop(
            "Broken",
            "range: [21,30]\n",
            &chatty("; echo \"failed with $randompw\"; exit 3"),
        );
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let sampler = scope.spawn(|| sample(&stop));
            let collector = scope.spawn(|| collect(&stop));
            let mut backend = Backend::start(Options {
                hub: true,
                inventory: &format!(
                    "WODGROUP: production\nWODANSIBLEPRIVDIR: {private}\nVAULTPWD: {VAULT}\n\
                     WODATTEMPTS: 2\n"
                ),
                filter: "trace",
            });
            let said = busy_round(&backend);
            no_core(&mut backend);
            stop.store(true, Ordering::SeqCst);
            let minted = collector.join().unwrap();
            let secrets = Secrets::new(minted);
            in_processes(&sampler.join().unwrap(), &secrets);
            for text in said {
                assert!(secrets.found_in(text.as_bytes()).is_empty(), "{text}");
            }
            in_files(&secrets);
        });
    });
}

/// What looks on beside every other test, given something to see.
#[test]
fn a_secret_in_the_open_is_seen() {
    on_private_host(|| {
        sh(&format!(
            "useradd --system wodadmin; useradd student1; mkdir -p {STATE}/public"
        ));
        let guard = Guard::start("WODLDAPPWD: in-the-directory\nBRANDING: in-the-open\n");
        // Orphans, as what a backend started and lost.
        sh("exec >/dev/null 2>&1
            setsid bash -c 'exec -a in-the-directory sleep 99' &
            setsid bash -c 'exec -a in-the-open sleep 99' &
            X=in-the-directory setsid setpriv --reuid student1 --clear-groups sleep 99 &
            until [ $(pgrep -c -x sleep) = 3 ]; do sleep 0.01; done");
        // Until now they were a tool's of this test.
        guard.looks_on();
        fs::write(format!("{STATE}/public/page"), "told in-the-directory\n").unwrap();
        fs::write(format!("{STATE}/public/other"), "told in-the-open\n").unwrap();
        let mut found = guard.end();
        found.sort();
        let begun = |what: &str| found.iter().filter(|one| one.starts_with(what)).count();
        let counts = [begun("arguments"), begun("environment"), begun("file")];
        assert_eq!(counts, [1, 1, 1], "{found:#?}");
    });
}

fn chatty(end: &str) -> Vec<(&'static str, &'static str)> {
    let body: &'static str = Box::leak(format!("{CHATTY}{end}").into_boxed_str());
    ["create", "post-copy", "cleanup", "reset"]
        .map(|phase| (phase, body))
        .to_vec()
}

/// Student 3 keeps the seat, 1, 2 and 11 are free in the end, 21 never gets anywhere. Gives back
/// what the commands say of it all.
fn busy_round(backend: &Backend) -> Vec<String> {
    let act = |verb: &str, name: &str, student: &str, state: &str| {
        let participant = format!("8{student}");
        let name = format!("WKSHP-{name}");
        let words = [verb, &name, student, "--participant", &participant];
        let action = backend.act(&words);
        assert_eq!(action["state"], state, "{action}");
    };
    thread::scope(|scope| {
        for (name, student) in [("Told", "1"), ("Told", "2"), ("Told", "3"), ("Class", "11")] {
            scope.spawn(move || act("CREATE", name, student, "done"));
        }
        scope.spawn(|| act("CREATE", "Broken", "21", "held"));
    });
    act("CLEANUP", "Told", "1", "done");
    act("CLEANUP", "Class", "11", "done");
    act("RESET", "Class", "11", "done");
    backend.wod(&[
        "test-action",
        "CLEANUP",
        "WKSHP-Told",
        "2",
        "--participant",
        "82",
    ]);
    act("PURGE", "Told", "2", "done");
    let mut said = Vec::new();
    for action in backend.actions() {
        let id = action["id"].to_string();
        if action["state"] == "held" {
            assert!(backend.wod(&["actions", "cancel", &id]).status.success());
        }
        for words in [
            &["actions", "show", &id][..],
            &["actions", "show", &id, "--json"],
        ] {
            let output = backend.wod(words);
            said.push(String::from_utf8_lossy(&output.stdout).into_owned());
        }
    }
    backend.settled(9);
    for words in [&["status"][..], &["students"], &["students", "verify", "3"]] {
        let output = backend.wod(words);
        said.push(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    said
}

/// What is killed by a signal that means a core dump leaves none, whatever the limit was.
fn no_core(backend: &mut Backend) {
    let id = backend.engine_id();
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let words: Vec<_> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["1", "1"], "{core}");
    let dumpable = sh(&format!(
        "setpriv --reuid=wodadmin --clear-groups cat /proc/{id}/maps 2>&1 || true"
    ));
    assert!(dumpable.contains("denied"), "{dumpable}");
    // Freed of passwords is the log beside the journal a moment later.
    wait_for(5, "empty log beside the journal", || {
        let wal = fs::metadata(format!("{STATE}/private/journal.db-wal")).unwrap();
        (wal.len() == 0).then_some(())
    });
    // As it is beside a running engine: whoever closes it last tidies up.
    sh(&format!(
        "mkdir {COPY} && cp {STATE}/private/journal.db* {COPY}/"
    ));
    sh(&format!("kill -ABRT {id}"));
    wait_for(5, "end of the engine", || {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        (status.is_empty() || status.contains("State:\tZ")).then_some(())
    });
    let cores =
        sh("find . /tmp /var/lib/wod /run -maxdepth 2 -name 'core*' -newer /run/marker -type f");
    assert_eq!(cores, "");
    backend.kill_engine();
}

/// One process as it was seen: uid, arguments, environment.
type Seen = (u32, Vec<u8>, Vec<u8>);

fn sample(stop: &AtomicBool) -> HashSet<Seen> {
    let mut seen = HashSet::new();
    while !stop.load(Ordering::SeqCst) {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let dir = entry.path();
            let read = |name: &str| fs::read(dir.join(name)).unwrap_or_default();
            let who = || Some((fs::metadata(&dir).ok()?.uid(), read("cmdline")));
            let before = who();
            let environment = read("environ");
            for (uid, arguments) in [before.clone(), who()].into_iter().flatten() {
                seen.insert((uid, arguments, Vec::new()));
            }
            // Else it became another program meanwhile, and nobody knows whose environment this is.
            if let Some((uid, arguments)) = before
                && who() == Some((uid, arguments.clone()))
                && !arguments.is_empty()
            {
                seen.insert((uid, arguments, environment));
            }
        }
    }
    seen
}

/// Every password that the journal ever had, as fast as it can be asked.
fn collect(stop: &AtomicBool) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let path = format!("{STATE}/private/journal.db");
    while !stop.load(Ordering::SeqCst) {
        thread::sleep(std::time::Duration::from_millis(3));
        let opened = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE);
        let Ok(journal) = opened else { continue };
        let sql = "select password from passwords union
                   select password from seats where password is not null";
        while !stop.load(Ordering::SeqCst) {
            let Ok(mut statement) = journal.prepare_cached(sql) else {
                break;
            };
            let Ok(rows) = statement.query_map([], |row| row.get::<_, String>(0)) else {
                break;
            };
            all.extend(rows.flatten());
            thread::sleep(std::time::Duration::from_millis(2));
        }
    }
    all
}

/// Every secret in the forms in which it could be written down.
struct Secrets(BTreeMap<Vec<u8>, Which>);

impl Secrets {
    fn new(minted: BTreeSet<String>) -> Secrets {
        println!("{} passwords were minted", minted.len());
        assert!(minted.len() >= 8, "the collector missed some");
        let configured = [VAULT.to_owned(), token()];
        let minted = minted.into_iter().map(|secret| (secret, Which::Minted));
        let all = configured
            .into_iter()
            .map(|secret| (secret, Which::Configured))
            .chain(minted);
        let mut forms = BTreeMap::new();
        for (secret, which) in all {
            let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
            let base64 = sh(&format!("printf %s '{secret}' | base64 -w0"));
            // Its last characters depend on what follows.
            let base64 = base64.trim_end_matches('=');
            let base64 = &base64[..base64.len() - 1];
            for form in [&secret, &hex.to_uppercase(), &hex, base64] {
                forms.insert(form.as_bytes().to_vec(), which);
            }
        }
        Secrets(forms)
    }

    fn found_in(&self, bytes: &[u8]) -> BTreeSet<(Which, String)> {
        let firsts: HashSet<[u8; 4]> = self.0.keys().map(|k| [k[0], k[1], k[2], k[3]]).collect();
        let starts = bytes.windows(4).enumerate();
        let starts = starts.filter(|(_, window)| firsts.contains(*window));
        let at = |at: usize| {
            self.0
                .iter()
                .filter(move |(form, _)| bytes[at..].starts_with(form))
        };
        starts
            .flat_map(|(start, _)| at(start))
            .map(|(form, which)| (*which, String::from_utf8_lossy(form).into_owned()))
            .collect()
    }
}

fn in_processes(seen: &HashSet<Seen>, secrets: &Secrets) {
    let admin: u32 = sh("id -u wodadmin").trim().parse().unwrap();
    let mut scripts = 0;
    for (uid, arguments, environment) in seen {
        let shown = String::from_utf8_lossy(arguments).replace('\0', " ");
        let found = secrets.found_in(arguments);
        // Those of this test, which knows the secrets.
        if shown.contains("base64 -w0") {
            continue;
        }
        assert!(found.is_empty(), "arguments of {shown}, uid {uid}");
        if secrets.found_in(environment).is_empty() {
            continue;
        }
        // As root only before they become WODUSER; nobody else can read it then.
        let on_the_way = ["setsid", "setpriv"]
            .iter()
            .any(|name| shown.contains(name));
        assert!(
            *uid == admin || *uid == 0 && on_the_way,
            "environment of {shown}, uid {uid}"
        );
        scripts += 1;
    }
    println!(
        "{} processes were seen, {scripts} of them scripts with a secret",
        seen.len()
    );
    assert!(scripts > 0, "no script was seen at all");
}

fn in_files(secrets: &Secrets) {
    let listed = sh("for mount in $(awk '{print $5}' /proc/self/mountinfo | sort -u); do
            case $mount in /proc*|/sys*) continue;; esac
            find \"$mount\" -xdev -type f -newer /run/marker ! -path '*/target/*' -print0 2>/dev/null || true
        done | sort -zu | tr '\\0' '\\n'");
    let files: Vec<PathBuf> = listed.lines().map(PathBuf::from).collect();
    println!("{} files were written", files.len());
    let journal = Path::new(STATE).join("private");
    assert!(files.contains(&journal.join("journal.db")), "{files:?}");
    let taken = password(3).unwrap();
    let mut found = Vec::new();
    for file in &files {
        let bytes = fs::read(file).unwrap_or_default();
        for (which, form) in secrets.found_in(&bytes) {
            let allowed =
                |(path, what, _): &(&str, Which, &str)| file == Path::new(path) && *what == which;
            // Of a seat that is taken: its guest has to be told, and asks again.
            let of_guest = form == taken
                && [journal.as_path(), Path::new(COPY)]
                    .iter()
                    .any(|dir| file.starts_with(dir));
            if !of_guest && !ALLOWED.iter().any(allowed) {
                found.push(format!("{}: {which:?} {form}", file.display()));
            }
        }
    }
    assert_eq!(found, [""; 0]);
    let log = fs::read_to_string("/run/serve.log").unwrap();
    assert!(log.contains("TRACE"), "{log}");
}
