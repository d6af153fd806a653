//! Where secrets were to be read: in `ps`, in logs, in files that everybody may read.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::{API, SCRIPTS, done, occupied};
use crate::support::backend::{STATE, token};
use crate::support::client::as_account;
use crate::support::{on_private_host, root, sh};

/// Every command line of every process that was seen, until told to end.
fn watch_ps() -> (Arc<AtomicBool>, JoinHandle<BTreeSet<Vec<u8>>>) {
    let end = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&end);
    let watcher = thread::spawn(move || {
        let mut seen = BTreeSet::new();
        while !ended.load(Ordering::SeqCst) {
            for entry in fs::read_dir("/proc").unwrap().flatten() {
                seen.extend(fs::read(entry.path().join("cmdline")));
            }
        }
        seen
    });
    (end, watcher)
}

#[test]
fn nobody_reads_a_secret() {
    on_private_host(|| {
        let (end, watcher) = watch_ps();
        // Made here, so that the sources of this test have none of them.
        let made = |what: &str| format!("{what}-{:x}", std::process::id() * 7919);
        let (vault, ldap, registry) = (made("vault"), made("ldap"), made("registry"));
        // A script that tells all it knows: set -x goes to its log.
        let telling = "#!/bin/bash\nset -x\necho \"$randompw\" \"$WODBETOKEN\" \"$VAULTPWD\" \"$WODLDAPPWD\" \"$WODAPIDBUSERPWD\" | tee /dev/stderr\nexport -p\n";
        let (backend, first) = occupied(&format!(
            "VAULTPWD: {vault}\nWODLDAPPWD: {ldap}\nWODAPIDBUSERPWD: {registry}"
        ));
        for phase in ["create", "post-copy", "cleanup"] {
            let path = format!("{SCRIPTS}/{phase}-{API}.sh");
            fs::write(&path, telling).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let second = done(backend.act(&["CREATE", API, "13", "--participant", "826"]));
        done(backend.act(&["CLEANUP", API, "13", "--participant", "826"]));
        done(backend.act(&["PURGE", API, "12", "--participant", "825"]));
        let third = done(backend.act(&["CREATE", API, "14", "--participant", "827"]));
        end.store(true, Ordering::SeqCst);
        let seen = watcher.join().unwrap();
        let mut secrets = vec![token(), vault, ldap, registry];
        for created in [&first, &second, &third] {
            secrets.push(created["login"]["password"].as_str().unwrap().to_owned());
        }
        let lines: Vec<String> = seen
            .iter()
            .map(|l| String::from_utf8_lossy(l).into_owned())
            .collect();
        assert!(
            lines.iter().any(|line| line.contains("chpasswd")),
            "ps was not seen: {lines:?}"
        );
        for secret in &secrets {
            let told = lines.iter().find(|line| line.contains(secret.as_str()));
            assert_eq!(told, None, "ps shows {secret}");
        }
        in_no_log(&secrets);
        in_nothing_that_a_student_reads(&secrets);
        let scripts = sh(&format!("cat {STATE}/private/log/* | wc -c"));
        assert!(
            scripts.trim().parse::<u64>().unwrap() > 500,
            "no log of the scripts"
        );
        assert!(!backend.log().is_empty());
    });
}

fn in_no_log(secrets: &[String]) {
    for secret in secrets {
        let found = sh(&format!(
            "grep -rlaF -e {secret} {STATE}/private/log /run/serve.log || true"
        ));
        assert_eq!(found, "", "{secret}");
    }
}

fn in_nothing_that_a_student_reads(secrets: &[String]) {
    fs::write("/run/patterns", secrets.join("\n")).unwrap();
    // So that the search is known to find something.
    fs::write("/tmp/planted", &secrets[0]).unwrap();
    let patterns = fs::File::open("/run/patterns").unwrap();
    sh("chmod 600 /run/patterns");
    let places = format!("/etc {STATE} /var/student /var/share /var/log /run /tmp /home /dev/shm");
    let line = format!("grep -rslaF --exclude-dir=target -D skip -f - {places}; true");
    let output = as_account("student14", &["/bin/bash", "-c", &line])
        .stdin(patterns)
        .output()
        .unwrap();
    // A checkout below /tmp is no part of the site; test vectors in it may look like a token.
    let checkout = format!("{}/", root().display());
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    let found: Vec<&str> = found
        .lines()
        .filter(|l| !l.starts_with(&checkout))
        .collect();
    assert_eq!(found, ["/tmp/planted"]);
}
