//! fail2ban's filter, on lines that a real JupyterHub writes: those of this minute, and recorded
//! ones of the versions that we know.

use std::collections::BTreeMap;
use std::fs;

use crate::support::backend::{Backend, HUB, Options};
use crate::support::{on_private_host, root, sh};

/// Addresses that the filter finds in a log, and how often each.
fn found_in(log: &str) -> BTreeMap<String, usize> {
    let filter = root().join("sys/fail2ban-filter.conf");
    let said = sh(&format!(
        "fail2ban-regex --out ip {log} {} 2>/dev/null || true",
        filter.display()
    ));
    let mut found = BTreeMap::new();
    for address in said.lines().filter(|line| !line.trim().is_empty()) {
        *found.entry(address.trim().to_owned()).or_default() += 1;
    }
    found
}

/// Tries a password at the hub from an address of this host, with more words for curl.
fn try_from(address: &str, name: &str, more: &str) -> String {
    sh(&format!(
        "jar=$(mktemp); curl=(curl -s -b \"$jar\" -c \"$jar\" --interface {address} {more})
         \"${{curl[@]}}\" -o /dev/null {HUB}/hub/login
         xsrf=$(awk '$6 == \"_xsrf\" {{ print $7 }}' \"$jar\")
         \"${{curl[@]}}\" -o /dev/null -w '%{{http_code}}' --data-urlencode 'username={name}' \
           --data-urlencode password=wrong --data-urlencode \"_xsrf=$xsrf\" {HUB}/hub/login"
    ))
}

#[test]
fn wrong_passwords_at_a_real_hub_are_counted_for_whoever_sent_them() {
    on_private_host(|| {
        let _backend = Backend::start(Options {
            hub: true,
            ..Options::default()
        });
        sh("useradd student1");
        for (address, times) in [("127.0.0.2", 3), ("127.0.0.3", 1)] {
            for _ in 0..times {
                assert_eq!(try_from(address, "student1", ""), "403");
            }
        }
        // Whose address stands in a header is not asked, and nobody is banned by another's name.
        try_from("127.0.0.4", "student1", "-H 'X-Forwarded-For: 9.9.9.9'");
        try_from("127.0.0.4", "student1", "-H 'X-Real-IP: 9.9.9.9'");
        // What is no attack: pages that are not there, no login, a form without its cookie.
        sh(&format!(
            "for n in 1 2 3; do
               curl -s -o /dev/null --interface 127.0.0.5 {HUB}/hub/favicon.png
               curl -s -o /dev/null --interface 127.0.0.5 {HUB}/no/such/page
               curl -s -o /dev/null --interface 127.0.0.5 {HUB}/hub/home
               curl -s -o /dev/null --interface 127.0.0.5 -d username=student1 -d password=x {HUB}/hub/login
             done"
        ));
        let expected = [("127.0.0.2", 3), ("127.0.0.3", 1), ("127.0.0.4", 2)];
        let expected = expected.map(|(address, times)| (address.to_owned(), times));
        let log = fs::read_to_string("/run/hub.log").unwrap();
        assert_eq!(found_in("/run/hub.log"), BTreeMap::from(expected), "{log}");
        assert!(log.contains("127.0.0.5"), "{log}");
    });
}

/// A recorded log says in its name how many lines are wrong passwords.
#[test]
fn recorded_logs_are_understood() {
    on_private_host(|| {
        let dir = root().join("tests/system/deliver/fail2ban");
        let mut tried = 0;
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let (_, count) = name.rsplit_once('-').unwrap();
            let found: usize = found_in(path.to_str().unwrap()).values().sum();
            assert_eq!(found, count.parse::<usize>().unwrap(), "{name}");
            tried += 1;
        }
        assert!(tried > 0);
    });
}
