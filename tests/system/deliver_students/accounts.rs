//! Accounts and homes of a whole range.

use std::fs;

use super::{checked, deliver, proper_accounts, quiet_site, stamp};
use crate::support::backend::UID_BASE;
use crate::support::seats::{linger_as, processes};
use crate::support::{on_private_host, sh};

const FILES: [&str; 4] = ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"];

#[test]
fn two_thousand_from_nothing_and_then_nothing_more() {
    on_private_host(|| {
        let backend = quiet_site("WODUSERMAX: 2000");
        let (before, passwd) = (checked(), fs::read_to_string("/etc/passwd").unwrap());
        let stamps = FILES.map(stamp);
        let check = deliver(&backend, &["--check", "--detailed-exitcode"]);
        assert_eq!(check.status, 3, "{}", check.said);
        assert_eq!(FILES.map(stamp), stamps, "a check changed an account file");
        let first = deliver(&backend, &[]);
        assert_eq!(first.status, 0, "{}", first.said);
        assert_eq!(first.all("changed"), check.all("changed"));
        assert_eq!(
            first.all("changed"),
            ["accounts of students 1 to 2000: 2000 accounts made: student1 to student2000"]
        );
        assert_eq!(proper_accounts(), 2000);
        // No uids but their own: what runs is judged by them.
        assert_eq!(
            sh("cat /etc/subuid /etc/subgid | grep -cE '^(student|6[0-9]{4}:)' || true"),
            "0\n"
        );
        let shadow = fs::read_to_string("/etc/shadow").unwrap();
        let locked = |line: &&str| line.starts_with("student") && line.contains(":!*:");
        assert_eq!(shadow.lines().filter(locked).count(), 2000);
        assert!(
            fs::read_to_string("/etc/passwd")
                .unwrap()
                .starts_with(&passwd)
        );
        assert_eq!(checked(), before);

        let homes = "for n in $(seq 1 2000); do mkdir -p /var/student/student$n/.ssh
             echo x >/var/student/student$n/.ssh/key; echo x >/var/student/student$n/a; done";
        sh(homes);
        let owned = deliver(&backend, &[]);
        assert_eq!(owned.total["changed"], 1, "{}", owned.said);
        assert_eq!(owned.status, 0, "{}", owned.said);
        let stamps = FILES.map(stamp);
        let homes = [
            "/var/student",
            "/var/student/student7",
            "/var/student/student7/a",
        ];
        let home_stamps = homes.map(stamp);
        deliver(&backend, &[]).changes_nothing();
        deliver(&backend, &["--check"]).changes_nothing();
        assert_eq!(FILES.map(stamp), stamps);
        assert_eq!(homes.map(stamp), home_stamps);
        let id = UID_BASE + 1999;
        assert_eq!(
            sh("cd /var/student; stat -c '%u:%g %a' student1999 student1999/.ssh/key"),
            format!("{id}:{id} 770\n{id}:{id} 664\n")
        );
        let acl = sh("getfacl -cn /var/student/student1999");
        let admin = sh("id -u wodadmin");
        for line in [
            format!("user:{}:rwx", admin.trim()),
            format!("default:user:{}:rwx", admin.trim()),
            "other::---".to_owned(),
        ] {
            assert!(acl.contains(&line), "{line} is not in {acl}");
        }
    });
}

#[test]
fn one_thing_that_is_wrong_is_named_and_mended_alone() {
    on_private_host(|| {
        let backend = quiet_site("");
        assert_eq!(deliver(&backend, &[]).status, 0);
        sh("mkdir -p /var/student/student3/d; echo x >/var/student/student3/d/f");
        assert_eq!(deliver(&backend, &[]).status, 0);
        sh("echo student5:secret | chpasswd");
        let whole = sh(
            "grep -h ^student /etc/passwd /etc/group; grep ^student /etc/shadow | cut -d: -f1-3",
        );
        for (damage, named) in [
            ("usermod -s /bin/sh student5", "1 account mended: student5"),
            ("usermod -d /tmp student5", "1 account mended: student5"),
            ("usermod -c x student5", "1 account mended: student5"),
            ("usermod -g nogroup student5", "1 account mended: student5"),
            ("userdel -f student6 || true", "1 account made: student6"),
            (
                "sed -i /^student7:/d /etc/shadow",
                "1 account mended: student7",
            ),
            (
                "sed -i /^student7:/d /etc/gshadow",
                "1 account mended: student7",
            ),
            (
                "chown root /var/student/student3/d/f",
                "of 1 home: student3",
            ),
            ("chmod 755 /var/student/student3", "of 1 home: student3"),
            ("setfacl -b /var/student/student3/d", "of 1 home: student3"),
            (
                "setfacl -x d:u:wodadmin /var/student/student3",
                "of 1 home: student3",
            ),
        ] {
            sh(damage);
            let check = deliver(&backend, &["--check"]);
            let changed = check.all("changed");
            assert_eq!(changed.len(), 1, "{damage}: {}", check.said);
            assert!(changed[0].contains(named), "{damage}: {}", check.said);
            let run = deliver(&backend, &[]);
            assert_eq!(run.all("changed"), changed, "{damage}");
            deliver(&backend, &[]).changes_nothing();
        }
        let after = sh(
            "grep -h ^student /etc/passwd /etc/group; grep ^student /etc/shadow | cut -d: -f1-3",
        );
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        // A lost entry in shadow comes back locked; passwords that are there stay.
        assert_eq!(sorted(&after), sorted(&whole));
        assert_eq!(sh("grep -c '^student5:[$]' /etc/shadow").trim(), "1");
    });
}

#[test]
fn what_is_somebody_elses_is_told_and_the_others_are_made() {
    on_private_host(|| {
        let backend = quiet_site("");
        let uid = |n: u32| UID_BASE + n;
        sh(&format!(
            "groupadd -g 700 student7; useradd -u 700 -g 700 -M student7
             useradd -u {} -M -N squatter; groupadd -g {} elsewhere
             useradd -u {} -M -N student12x; useradd -u {} -M -N xstudent1
             useradd -u 900 -M -N student500
             mkdir -p /var/student/student7 /var/student/student12x; touch /var/student/student12x/f
             chown 700 /var/student/student7",
            uid(9),
            uid(11),
            uid(3001),
            uid(3002)
        ));
        let foreign = || {
            sh(
                "grep -h -e ^student7: -e ^squatter: -e ^student12x: -e ^xstudent1: -e ^student500: -e ^elsewhere: \
                /etc/passwd /etc/shadow /etc/group /etc/gshadow | sort; stat -c '%n %u %a %Z' /var/student/student7 /var/student/student12x/f",
            )
        };
        let before = foreign();
        for _ in 0..2 {
            let run = deliver(&backend, &[]);
            assert_eq!(run.status, 2, "{}", run.said);
            let failed = run.all("failed");
            assert_eq!(failed.len(), 3, "{}", run.said);
            for (line, told) in failed.iter().zip([
                "student7: account student7 has uid 700, but UIDBASE wants 62007: free the name",
                "student9: uid 62009 of student9 belongs to account squatter: free the uid",
                "student11: gid 62011 of student11 belongs to group elsewhere: free the gid",
            ]) {
                assert!(line.starts_with(told), "{line}");
            }
            assert_eq!(proper_accounts(), 37);
            assert_eq!(foreign(), before);
        }
        let clean = deliver(&backend, &["-e", "CLEAN=true"]);
        assert_eq!(clean.all("failed").len(), 3, "{}", clean.said);
        assert_eq!(foreign(), before);
        sh("userdel squatter; groupdel elsewhere; userdel student7");
        let run = deliver(&backend, &[]);
        assert_eq!(run.status, 0, "{}", run.said);
        assert_eq!(proper_accounts(), 40);
    });
}

#[test]
fn numbers_and_directories_that_cannot_be_are_refused() {
    on_private_host(|| {
        let backend = quiet_site("");
        let low = deliver(&backend, &["-e", "UIDBASE=980"]);
        assert_eq!(low.status, 2, "{}", low.said);
        let told = "which is a system account's; check UIDBASE";
        let failed = low.all("failed");
        let system = failed.iter().filter(|line| line.ends_with(told)).count();
        assert_eq!(system, 19, "{failed:?}");
        sh(
            "sed -i -e /^student/d /etc/passwd; sed -i -e /^student/d /etc/shadow
            sed -i -e /^student/d /etc/group; sed -i -e /^student/d /etc/gshadow",
        );
        let missing = deliver(&backend, &["-e", "WODSTUDDIR=/var/nowhere"]);
        assert_eq!(missing.status, 2, "{}", missing.said);
        assert!(
            missing
                .said
                .contains("WODSTUDDIR /var/nowhere is not a directory; make it"),
            "{}",
            missing.said
        );
        assert!(!std::path::Path::new("/var/nowhere").exists());
        let root = deliver(&backend, &["-e", "WODSTUDDIR=/", "-e", "CLEAN=true"]);
        assert_eq!(root.status, 4, "{}", root.said);
        assert!(
            root.said.contains("is a directory of the system's own"),
            "{}",
            root.said
        );
        let odd = deliver(&backend, &["-e", "WODSTUDDIR=/var/a:b"]);
        assert_eq!(odd.status, 2, "{}", odd.said);
        assert!(
            odd.said.contains("expected an absolute path of letters"),
            "{}",
            odd.said
        );
    });
}

#[test]
fn a_full_disk_leaves_the_account_files_as_they_were() {
    on_private_host(|| {
        let backend = quiet_site("WODUSERMAX: 2000");
        // Both ways to make accounts write in /etc.
        sh("mkdir /run/small; mount -t tmpfs -o size=1200k tmpfs /run/small
            cp -a /etc/. /run/small/ 2>/dev/null || { umount /run/small; mount -t tmpfs -o size=64m tmpfs /run/small; cp -a /etc/. /run/small/; }
            mount --bind /run/small /etc
            dd if=/dev/zero of=/etc/filler bs=4k 2>/dev/null || true");
        let before: Vec<Vec<u8>> = FILES.iter().map(|file| fs::read(file).unwrap()).collect();
        let run = deliver(&backend, &[]);
        assert_eq!(run.status, 2, "{}", run.said);
        assert!(run.said.contains("No space left"), "{}", run.said);
        let after: Vec<Vec<u8>> = FILES.iter().map(|file| fs::read(file).unwrap()).collect();
        assert!(before == after);
        sh("rm /etc/filler");
        let run = deliver(&backend, &[]);
        assert_eq!(run.status, 0, "{}", run.said);
        assert_eq!(proper_accounts(), 2000);
        assert_eq!(
            sh("find /etc -maxdepth 1 -name '*.lock' ! -name .pwd.lock -o -maxdepth 1 -name '*+'"),
            ""
        );
    });
}

#[test]
fn who_is_outside_of_a_lowered_range_goes() {
    on_private_host(|| {
        let backend = quiet_site("WODUSERMAX: 60");
        assert_eq!(deliver(&backend, &[]).status, 0);
        sh(
            "for n in 20 41 55; do mkdir /var/student/student$n; echo x >/var/student/student$n/f
              chown -R student$n: /var/student/student$n; done
            mkdir -p /var/student/student41x /var/student/student-41
            useradd -u 901 -M -N student70; useradd -M -N student41x
            gpasswd -a student41 audio >/dev/null
            setpriv --reuid student41 --regid student41 --clear-groups touch /tmp/of-41",
        );
        [41, 20].into_iter().for_each(linger_as);
        let args = ["-e", "WODUSERMAX=40"];
        let check = deliver(&backend, &[&["--check"], &args[..]].concat());
        assert_eq!(
            check.all("changed").first().map(String::as_str),
            Some(
                "no students but 1 to 40: 20 students removed with accounts and homes: student41 to student60"
            ),
            "{}",
            check.said
        );
        assert_eq!(proper_accounts(), 60);
        let run = deliver(&backend, &args);
        assert_eq!(run.status, 0, "{}", run.said);
        assert_eq!(proper_accounts(), 40);
        assert_eq!(
            sh("ls /var/student").trim(),
            "student-41\nstudent20\nstudent41x"
        );
        assert_eq!((processes(41), processes(20)), (0, 1));
        assert_eq!(sh("ls /tmp/of-41 2>/dev/null || true"), "");
        assert_eq!(
            sh("grep -c student41, /etc/group || grep -c 'audio.*student41' /etc/group || true")
                .trim(),
            "0\n0"
        );
        assert_eq!(
            sh("grep -c -e ^student70: -e ^student41x: /etc/passwd").trim(),
            "2"
        );
        assert_eq!(sh("find /var/student/.wod/trash -mindepth 1"), "");
        deliver(&backend, &args).changes_nothing();
    });
}

#[test]
fn clean_makes_everybody_anew() {
    on_private_host(|| {
        let backend = quiet_site("");
        assert_eq!(deliver(&backend, &[]).status, 0);
        sh(
            "mkdir /var/student/student4; echo old >/var/student/student4/f
            chown -R student4: /var/student/student4; echo student4:old | chpasswd
            userdel student5; mkdir /var/student/student5; echo old >/var/student/student5/f",
        );
        let run = deliver(&backend, &["-e", "CLEAN=true"]);
        assert_eq!(run.status, 0, "{}", run.said);
        assert_eq!(proper_accounts(), 40);
        assert_eq!(sh("ls /var/student"), "");
        assert_eq!(sh("grep -c '^student4:!' /etc/shadow").trim(), "1");
        deliver(&backend, &[]).changes_nothing();
    });
}
