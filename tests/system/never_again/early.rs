//! What it said too early, and the failure mail that it never sent.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::{API, SCRIPTS, done, occupied, retry};
use crate::support::backend::{STATE, STUDENTS};
use crate::support::{on_private_host, patience, sh};

fn registry_password(student: u32) -> String {
    let query = format!("select password from seats where student = {student}");
    sh(&format!(
        "/usr/bin/python3 -c 'import sqlite3; print(sqlite3.connect(\"{STATE}/private/journal.db\").execute(\"{query}\").fetchone()[0])'"
    ))
    .trim()
    .to_owned()
}

fn script(phase: &str, text: &str) {
    let path = format!("{SCRIPTS}/{phase}-{API}.sh");
    fs::write(&path, format!("#!/bin/bash\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A home that cannot be renamed away is not erased, whatever the reason.
#[test]
fn unassigned_before_erasing() {
    on_private_host(|| {
        let (backend, created) = occupied("WODATTEMPTS: 2");
        let password = created["login"]["password"].as_str().unwrap();
        for taker in ["CLEANUP", "PURGE"] {
            sh(&format!(
                "mount --bind {STUDENTS}/student12 {STUDENTS}/student12"
            ));
            let held = backend.act(&[taker, API, "12", "--participant", "825"]);
            assert_eq!(held["state"], "held", "{held}");
            let seat = backend.seat(12).unwrap();
            assert_eq!(
                (&seat["assigned"], &seat["cleaned"]),
                (&true.into(), &false.into()),
                "{seat}"
            );
            if taker == "CLEANUP" {
                assert_eq!(registry_password(12), password);
            }
            assert!(sh("getent shadow student12").contains(":!"), "not locked");
            sh(&format!("umount {STUDENTS}/student12"));
            retry(&backend, &held["id"]);
            assert_eq!(backend.seat(12).unwrap()["assigned"], false);
            assert_ne!(registry_password(12), password);
            done(backend.act(&["CREATE", API, "12", "--participant", "825"]));
        }
    });
}

#[test]
fn password_changed_before_anything_is_sure() {
    on_private_host(|| {
        let (backend, created) = occupied("WODATTEMPTS: 2");
        let password = created["login"]["password"].as_str().unwrap();
        script("post-copy", "echo broken >&2; exit 3");
        let held = backend.act(&["CREATE", API, "12", "--participant", "826"]);
        assert_eq!(held["state"], "held", "{held}");
        assert_eq!(registry_password(12), password);
        assert_ne!(backend.seat(12).unwrap()["active"], true);
        assert!(sh("getent shadow student12").contains(":!"), "not locked");
        script("post-copy", "exit 0");
        retry(&backend, &held["id"]);
        assert_ne!(registry_password(12), password);
        assert_eq!(backend.seat(12).unwrap()["active"], true);
    });
}

/// Takes mails at 127.0.0.1:2526 and hands their text out.
fn postbox() -> Receiver<String> {
    let listener = TcpListener::bind("127.0.0.1:2526").unwrap();
    let (sender, mails) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            stream.write_all(b"220 postbox\r\n").unwrap();
            while let Some(Ok(line)) = lines.next() {
                let reply = match line.as_str() {
                    "DATA" => {
                        stream.write_all(b"354 go on\r\n").unwrap();
                        let text = lines
                            .by_ref()
                            .map_while(Result::ok)
                            .take_while(|line| line != ".");
                        let _ = sender.send(text.collect::<Vec<_>>().join("\n"));
                        "250 kept"
                    }
                    "QUIT" => "221 bye",
                    _ => "250 ok",
                };
                if stream.write_all(format!("{reply}\r\n").as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    mails
}

#[test]
fn the_failure_mail() {
    on_private_host(|| {
        let mails = postbox();
        let (backend, _) = occupied("WODATTEMPTS: 2\nWODMONITOR: admin@test\nWODPOSTPORT: 2526");
        script("cleanup", "echo \"$randompw is broken\" >&2; exit 3");
        let held = backend.act(&["CLEANUP", API, "12", "--participant", "825"]);
        assert_eq!(held["state"], "held", "{held}");
        let mail = mails.recv_timeout(patience(20)).unwrap();
        let id = &held["id"];
        for part in [
            format!("Subject: HELD action {id}: CLEANUP student12 participant 825"),
            format!("wod actions retry {id}"),
            format!("cleanup-{API}.sh"),
        ] {
            assert!(mail.contains(&part), "{part} is not in\n{mail}");
        }
        assert!(
            mails.recv_timeout(Duration::from_secs(1)).is_err(),
            "one is enough"
        );
    });
}
