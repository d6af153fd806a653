//! `wod deliver` on private hosts: from nothing to compliant, mending each thing in turn, killed at
//! every change, and every file tried by the program that it is for.

mod bans;
mod checkers;
mod damage;
pub mod host;
mod kills;
mod rocky;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::support::{on_private_host, sh};

use damage::damages;
use host::{Event, Host, assert_same, listing, listing_without_history, short_listing};

#[test]
fn a_host_becomes_compliant_and_each_damage_is_mended() {
    on_private_host(|| {
        let host = Host::new();
        let before = listing();
        let check = host.deliver(&["--check", "--install"]);
        assert_same(&before, &listing(), "--check has changed something");
        assert_eq!(check.status, 0, "{check:?}");
        assert!(check.changed().len() > 40, "{check:?}");
        assert_eq!(
            host.deliver(&["--check", "--install", "--detailed-exitcode"])
                .status,
            3
        );

        let first = host.deliver(&["--install"]);
        assert_eq!((first.status, first.of("failed")), (0, vec![]));
        let named: BTreeSet<&String> = check.changed().into_iter().collect();
        let done: BTreeSet<&String> = first.changed().into_iter().collect();
        // What useradd makes was not there to be looked at.
        assert!(named.is_superset(&done), "{:?}", done.difference(&named));
        let compliant = listing_without_history();
        let second = host.deliver(&[]);
        assert_eq!(
            (second.status, second.total("changed")),
            (0, 0),
            "{second:?}"
        );
        assert_eq!(second.total("failed"), 0);
        let now = listing_without_history();
        assert_same(&compliant, &now, "a second run has changed something");

        let mut tried = 0;
        let mut wrong = String::new();
        let items = host.items();
        for item in &items {
            let all = damages(item, &items);
            assert!(!all.is_empty(), "nobody knows how to damage {item}");
            for how in all {
                sh(&how);
                let before = short_listing();
                let check = host.deliver(&["--check", "--install"]);
                assert_same(&before, &short_listing(), &how);
                let mend = host.deliver(&["--install"]);
                let again = host.deliver(&["--check", "--install", "--detailed-exitcode"]);
                let exactly = |events: &host::Run| {
                    events.changed() == [item] && events.of("failed").is_empty()
                };
                if !exactly(&check) || !exactly(&mend) || again.status != 0 {
                    let _ = writeln!(wrong, "{how}\n  {check:?}\n  {mend:?}\n  {again:?}");
                }
                tried += 1;
            }
        }
        println!("{} items, {tried} damages", items.len());
        assert_eq!(wrong, "");
        assert!(items.len() > 50 && tried > 100);
        let strange: Vec<&Event> = second
            .events
            .iter()
            .filter(|e| e.outcome == "skipped")
            .collect();
        assert!(strange.is_empty(), "left out: {strange:?}");
    });
}

#[test]
fn foreign_lines_and_first_copies_stay() {
    on_private_host(|| {
        let host = Host::new();
        sh(
            "echo '10.9.8.7 of-others' >>/etc/hosts; echo 'mine = 1' >>/etc/postfix/main.cf
            printf 'theirs\\n' >/etc/skel/.bashrc",
        );
        assert_eq!(host.deliver(&["--install"]).status, 0);
        sh(
            "grep -q of-others /etc/hosts; grep -q '^mine = 1' /etc/postfix/main.cf
            grep -q theirs '/var/lib/wod/private/deliver/before/etc%skel%.bashrc'
            echo '# later' >>/etc/skel/.bashrc",
        );
        assert_eq!(host.deliver(&[]).status, 0);
        sh("grep -q theirs '/var/lib/wod/private/deliver/before/etc%skel%.bashrc'");
    });
}

#[test]
fn no_secret_is_shown() {
    on_private_host(|| {
        let host = Host::new();
        host.deliver(&["--install"]);
        sh(
            "echo x >/etc/wod/jupyterhub/token; echo x >/var/private/ansible/vault_secret
            rm /var/share/workshops/scripts/tells.sh",
        );
        let shown = sh("wod deliver --check --diff 2>&1 || true; wod deliver --diff 2>&1 || true");
        assert!(shown.contains("is jupyterhub running?"), "{shown}");
        assert!(shown.contains("tells.sh"), "{shown}");
        assert!(shown.contains("+token is ***"), "{shown}");
        for secret in [host::TOKEN, host::VAULT] {
            assert!(!shown.contains(secret), "{shown}");
        }
    });
}

#[test]
fn a_root_that_writes_follows_no_link_of_woduser() {
    on_private_host(|| {
        let host = Host::new();
        host.deliver(&["--install"]);
        let secret = "/home/only-for-root";
        sh(&format!("echo private >{secret}; chmod 600 {secret}"));
        // Each a place that deliver writes to below a directory of WODUSER's.
        sh(&format!(
            "cd /home/wodadmin; rm .profile; ln -s {secret} .profile; chown -h wodadmin .profile
             rm -r .mail; ln -s /etc/cron.d .mail; rm .procmailrc; ln ../only-for-root .procmailrc
             cd /var/share/workshops/scripts; rm tells.sh; ln -s {secret} tells.sh
             ln -s {secret} planted.sh.j2; ln -s /etc below"
        ));
        let run = host.deliver(&[]);
        assert_eq!(run.status, 2, "{run:?}");
        sh(&format!(
            "test \"$(cat {secret})\" = private
             test \"$(stat -c '%U %a %h' {secret})\" = 'root 600 2'
             test ! -e /var/share/workshops/scripts/planted.sh
             test \"$(stat -c '%U %a' /etc/cron.d)\" = 'root 755'
             test -L /var/share/workshops/scripts/tells.sh"
        ));
        // What is in the way is told, and everything else is done.
        assert_eq!(
            run.of("failed"),
            [
                "block in /home/wodadmin/.profile",
                "directory /home/wodadmin/.mail",
                "file /home/wodadmin/.procmailrc",
                "file /var/share/workshops/scripts/tells.sh",
            ]
        );
    });
}

#[test]
fn what_is_wrong_is_told_and_the_rest_is_done() {
    on_private_host(|| {
        let host = Host::new();
        host.deliver(&["--install"]);
        // A template of a script that does not render is one item's matter.
        sh(
            "echo '{{ nobody_set_this }}' >/var/share/workshops/scripts/bad.sh.j2
            rm /etc/cron.d/wod-update",
        );
        let run = host.deliver(&[]);
        assert_eq!(
            run.of("failed"),
            ["file /var/share/workshops/scripts/bad.sh"]
        );
        assert_eq!(run.changed(), ["file /etc/cron.d/wod-update"]);
        assert!(run.line("bad.sh").contains("nobody_set_this"), "{run:?}");
        sh("rm /var/share/workshops/scripts/bad.sh.j2");

        // A bad file does not go live.
        sh("mkdir -p /var/private/sys; echo 'wodadmin ALL=(' >/var/private/sys/sudoers.j2");
        let run = host.deliver(&[]);
        assert_eq!(run.of("failed"), ["file /etc/sudoers.d/60-wod"]);
        assert!(run.line("sudoers").contains("visudo"), "{run:?}");
        sh("visudo -c; rm /var/private/sys/sudoers.j2");

        // A disk that is full fails what has to be written there.
        sh(
            "mkdir /run/small; mount -t tmpfs -o size=16k small /run/small
            head -c 16000 /dev/zero >/run/small/fill || true
            cp -a /etc/cron.d/. /run/small/ 2>/dev/null || true
            mount --bind /run/small /etc/cron.d; rm /etc/logrotate.d/wod",
        );
        let run = host.deliver(&[]);
        assert!(
            run.of("failed")
                .iter()
                .all(|item| item.starts_with("file /etc/cron.d/"))
        );
        assert!(!run.of("failed").is_empty(), "{run:?}");
        assert!(run.line("cron.d").contains("No space left"), "{run:?}");
        assert_eq!(run.changed(), ["file /etc/logrotate.d/wod"]);
        sh("umount /etc/cron.d");
        assert_eq!(host.deliver(&[]).status, 0);

        for (setting, told) in [
            ("WODSTUDDIR=/", "a directory of the system's own"),
            ("WODSTUDDIR=/etc", "a directory of the system's own"),
            ("WODBEPORT=many", "expected a whole number"),
            ("WODSYSDIR=/nowhere", "there is no host.yml"),
        ] {
            let before = short_listing();
            let output = host.wod(&["-e", setting, "deliver"]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(4), "{setting}: {said}");
            assert!(said.contains(told), "{setting}: {said}");
            assert_same(&before, &short_listing(), setting);
        }
        let output = host.wod(&["deliver", "--limit", "elsewhere"]);
        assert_eq!(output.status.code(), Some(4));
        assert_eq!(host.deliver(&["--limit", "localhost"]).status, 0);

        // WODSTUDDIR is made, but not what it is in.
        let output = host.wod(&["-e", "WODSTUDDIR=/no/such/student", "deliver"]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("there is no directory /no/such"), "{said}");
        assert_eq!(output.status.code(), Some(2));
    });
}
