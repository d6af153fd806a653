//! `wod doctor` on a private host: each fault, made for real, is found and told with what mends it.

mod delivered;
mod hub;
mod kernel;
mod secrets;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::support::backend::{Backend, Options, SHARE};
use crate::support::{on_private_host, sh};

/// Check, how the fault comes about, what the finding says, how it goes away.
const FAULTS: &[(&str, &str, &str, &str)] = &[
    (
        "homes",
        "chmod o+w /var/student",
        "written by everybody",
        "chmod o-w /var/student",
    ),
    (
        "homes",
        "mount -t tmpfs -o noexec,mode=711 homes /var/student",
        "noexec",
        "umount /var/student",
    ),
    (
        "homes",
        "mount -t ramfs homes /var/student; chmod 711 /var/student",
        "no POSIX ACLs",
        "umount /var/student",
    ),
    (
        "disks",
        "mount -t tmpfs -o size=1m,mode=711 homes /var/student; head -c 1000000 /dev/zero >/var/student/fill",
        "% of the room of /var/student",
        "umount /var/student",
    ),
    (
        "disks",
        "mount -t tmpfs -o nr_inodes=20,mode=711 homes /var/student
         for n in $(seq 18); do touch /var/student/$n; done",
        "% of the inodes of /var/student",
        "umount /var/student",
    ),
    (
        "reboot",
        "touch /run/reboot-required",
        "started again",
        "rm /run/reboot-required",
    ),
    (
        "clock",
        "mkdir -p /run/systemd/system; mount -t tmpfs -o mode=755 answers /usr/local/sbin
         printf '#!/bin/sh\\n[ \"$*\" = \"show -p NTPSynchronized --value\" ] && echo no\\n' >/usr/local/sbin/timedatectl
         chmod 755 /usr/local/sbin/timedatectl",
        "the clock is not synchronised",
        "umount /usr/local/sbin; rmdir /run/systemd/system /run/systemd",
    ),
    (
        "deliver",
        "sed -i s/directory/nothing/ /var/share/small/host.yml",
        "host.yml",
        "sed -i s/nothing/directory/ /var/share/small/host.yml",
    ),
    (
        "postfix",
        "postconf -e smtpd_forbid_unauth_pipelining=yes strict_rfc821_envelopes=yes",
        "strict_rfc821_envelopes = yes",
        "postconf -X smtpd_forbid_unauth_pipelining strict_rfc821_envelopes 2>/dev/null",
    ),
    (
        "postfix",
        "postconf -e 'smtpd_data_restrictions=reject_unauth_pipelining'",
        "reject_unauth_pipelining in smtpd_data_restrictions",
        "postconf -X smtpd_data_restrictions",
    ),
    (
        "spool",
        "mkdir -p /var/lib/wod/spool/bad; touch /var/lib/wod/spool/bad/x",
        "1 files in the spool",
        "rm -r /var/lib/wod/spool/bad",
    ),
    (
        "another engine",
        "(exec -a /usr/local/bin/wod bash -c 'sleep 600; :' serve) >/dev/null 2>&1 & echo $! >/run/second.pid
         until grep -qa ^/usr/local/bin/wod /proc/$!/cmdline; do sleep 0.02; done",
        "several engines",
        "kill $(cat /run/second.pid)",
    ),
    (
        "workshops",
        "echo 'ldap: true' >>/var/share/workshops/WKSHP-Shell101/wod.yml",
        "wants a directory",
        "sed -i '/^ldap: true/d' /var/share/workshops/WKSHP-Shell101/wod.yml",
    ),
    (
        "workshops",
        "echo '[' >>/var/share/workshops/WKSHP-API101/wod.yml",
        "is left out",
        "sed -i '$d' /var/share/workshops/WKSHP-API101/wod.yml",
    ),
    (
        "workshops",
        "mv /var/share/workshops /var/share/elsewhere; mkdir /var/share/workshops; chown wodadmin /var/share/workshops",
        "no workshop in WODNOBO",
        "rmdir /var/share/workshops; mv /var/share/elsewhere /var/share/workshops",
    ),
    (
        "variables",
        "echo 'MINE: \"{{ nobody_has_this }}\"' >>/etc/wod/inventory/group_vars/all.yml",
        "nobody_has_this",
        "sed -i '/^MINE:/d' /etc/wod/inventory/group_vars/all.yml",
    ),
    (
        "programs",
        "mount --bind /dev/null /usr/bin/ssh-keygen",
        "no ssh-keygen",
        "umount /usr/bin/ssh-keygen",
    ),
    (
        "accounts",
        "sed -i s/^wodmail:/notmail:/ /etc/passwd",
        "WODINTAKEUSER wodmail has no account",
        "sed -i s/^notmail:/wodmail:/ /etc/passwd",
    ),
    (
        "accounts",
        "echo student3:300000:65536 >>/etc/subuid",
        "/etc/subuid gives uids to student3: ",
        "sed -i /^student3:/d /etc/subuid",
    ),
];

/// Exit status, and `check: line` of each finding.
fn doctor(words: &[&str]) -> (i32, Vec<(String, String)>) {
    told(
        Command::new("/run/wod")
            .args(words)
            .args(["doctor", "--json"]),
    )
}

fn told(command: &mut Command) -> (i32, Vec<(String, String)>) {
    let output = command.output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = value["findings"].as_array().unwrap().iter().map(|one| {
        assert!(!one["mend"].as_str().unwrap().is_empty(), "{one}");
        let text = |key: &str| one[key].as_str().unwrap().to_owned();
        (text("check"), text("line"))
    });
    (output.status.code().unwrap(), found.collect())
}

#[test]
fn each_fault_is_found_and_nothing_else() {
    on_private_host(|| {
        small_manifest();
        let mut backend = Backend::start(Options {
            inventory: &format!(
                "WODSYSDIR: {SHARE}/small\nWODMONITOR: admin@test\nWODMAILHOST: 127.0.0.1\n\
                 WODPOSTPORT: 2599\nWODATTEMPTS: 1"
            ),
            ..Options::default()
        });
        let (status, usual) = doctor(&[]);
        assert_eq!(status, 0, "{usual:?}");
        let usual: BTreeSet<_> = usual.into_iter().collect();
        let mut wrong = Vec::new();
        for (check, fault, told, mend) in FAULTS {
            sh(fault);
            let (status, found) = doctor(&[]);
            let new: Vec<_> = found.iter().filter(|one| !usual.contains(one)).collect();
            let is_told = new
                .iter()
                .any(|(name, line)| name == check && line.contains(told));
            let is_problem = !matches!(*check, "reboot") && !told.contains("files in the spool");
            sh(mend);
            if !is_told || status != i32::from(is_problem) {
                wrong.push(format!("{check} {told}: {status} {new:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(doctor(&[]).0, 0);

        // A hub that is not there, a directory that does not answer: at the same time.
        let begun = Instant::now();
        let (status, found) = doctor(&[
            "-e",
            "WODHUB=jupyterhub",
            "-e",
            "WODBEPORT=9",
            "-e",
            "JPHUB=/nowhere",
            "-e",
            "WODLDAPSRVNAME=127.0.0.1",
            "-e",
            "WODLDAPDMN=dc=t",
            "-e",
            "WODLDAPPWD=hidden",
        ]);
        println!("doctor with what does not answer: {:?}", begun.elapsed());
        assert_eq!(status, 1);
        for check in ["hub", "jupyterhub", "directory"] {
            assert!(
                found.iter().any(|(name, _)| name == check),
                "{check}: {found:?}"
            );
        }
        assert!(
            found.iter().all(|(_, line)| !line.contains("hidden")),
            "{found:?}"
        );

        // Held actions and letters that nobody takes; the engine has seen workshops go and come.
        backend.stop_engine();
        backend.start_engine();
        sh(
            "echo 'exit 3' >/var/share/workshops/scripts/create-WKSHP-Shell101.sh
            chmod 755 /var/share/workshops/scripts/create-WKSHP-Shell101.sh
            chown wodadmin /var/share/workshops/scripts/create-WKSHP-Shell101.sh",
        );
        let output = backend.wod(&["test-action", "CREATE", "WKSHP-Shell101", "7", "--wait"]);
        assert_eq!(output.status.code(), Some(5));
        let held = crate::support::wait_for(20, "letter that cannot be sent", || {
            let (_, found) = doctor(&[]);
            let has = |check: &str| found.iter().any(|(name, _)| name == check);
            (has("letters") && has("actions")).then_some(found)
        });
        println!("{held:?}");

        // No engine, nobody at the port.
        backend.stop_engine();
        let (status, found) = doctor(&[]);
        assert_eq!(status, 1);
        for check in ["engine", "mail port"] {
            assert!(
                found.iter().any(|(name, _)| name == check),
                "{check}: {found:?}"
            );
        }
        let port = TcpListener::bind("127.0.0.1:2525").unwrap();
        assert!(doctor(&[]).1.iter().all(|(name, _)| name != "mail port"));
        drop(port);
    });
}

/// Of one item that is as it should be: nobody has run deliver here.
fn small_manifest() {
    sh(&format!(
        "mkdir -p {SHARE}/small; echo 'system: [{{directory: /etc/wod}}]' >{SHARE}/small/host.yml"
    ));
}

/// Whether exactly these findings have come to the usual ones: check, and a part of the line.
#[track_caller]
fn only_new(usual: &[(String, String)], found: &[(String, String)], wanted: &[(&str, &str)]) {
    let new: Vec<_> = found.iter().filter(|one| !usual.contains(one)).collect();
    let fits = |(one, wanted): (&&(String, String), &(&str, &str))| {
        one.0 == wanted.0 && one.1.contains(wanted.1)
    };
    let all_fit = new.len() == wanted.len() && new.iter().zip(wanted).all(fits);
    assert!(all_fit, "wanted {wanted:?}, found {new:?}");
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_line_by_line() {
    on_private_host(|| {
        small_manifest();
        let _backend = Backend::start(Options {
            inventory: &format!("WODSYSDIR: {SHARE}/small"),
            ..Options::default()
        });
        let (status, found) = doctor(&["-e", "WODWORKERS=many", "-e", "WODSTUDDIR=student"]);
        assert_eq!(status, 4);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|(check, _)| check == "inventory"));
        // With the words of a person.
        let said = Command::new("/run/wod").arg("doctor").output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains("checks, 0 problems"), "{said}");
    });
}
