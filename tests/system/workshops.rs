//! The sample workshops, and workshops that use everything of the contract, made and unmade.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::backend::{
    Backend, Options, SHARE, STATE, STUDENTS, UID_BASE, home, send_as_frontend,
};
use crate::support::site::{PRIVATE, Tree, notebook, private_tree, script, workshop, write};
use crate::support::student::{
    as_student, leave_all_over, nothing_is_left_of, password, su_takes, try_as_student,
};
use crate::support::{on_private_host, sh, wait_for};

#[test]
fn the_sample_workshops_and_the_way_back() {
    on_private_host(|| inside::the_sample_workshops_and_the_way_back());
}

#[test]
fn pass_files_ldap_compiled_scripts_overlay_and_appliances() {
    on_private_host(|| inside::pass_files_ldap_compiled_scripts_overlay_and_appliances());
}

mod inside {
    use super::*;

    fn done(backend: &Backend, words: &[&str]) -> Value {
        let ended = backend.act(words);
        assert_eq!(ended["state"], "done", "{ended}\n{}", backend.log());
        ended
    }

    pub fn the_sample_workshops_and_the_way_back() {
        let backend = Backend::start(Options::default());
        write(
            &Path::new(SHARE).join("sys/skel/.hello"),
            "from the skeleton\n",
        );
        for (student, asked) in [
            ("1", "WKSHP-Shell101"),
            ("11", "WKSHP-API101"),
            ("12", "CHLG-API101"),
            ("21", "WKSHP-Git101"),
            ("22", "WKSHP-Git101"),
            ("23", "WKSHP-Git101"),
        ] {
            let participant = format!("9{student}");
            done(
                &backend,
                &["CREATE", asked, student, "--participant", &participant],
            );
            let student = student.parse().unwrap();
            is_published(student, &asked.replace("CHLG", "WKSHP"));
        }
        challenge_differs();
        git_server_works(21);
        one_is_not_twelve(&backend);
        unmade_by_reset(&backend);
    }

    fn is_published(student: u32, workshop: &str) {
        let dir = home(student).join(workshop);
        let source = Path::new(SHARE).join("workshops").join(workshop);
        for entry in fs::read_dir(&source).unwrap() {
            let name = entry.unwrap().file_name();
            let made = dir.join(&name);
            assert!(made.exists(), "{}", made.display());
            if made.extension().is_some_and(|suffix| suffix == "ipynb") {
                let text = fs::read_to_string(&made).unwrap();
                serde_json::from_str::<Value>(&text).unwrap();
                for raw in ["STDID", "{%", "MODEWS", "BRANDING"] {
                    assert!(!text.contains(raw), "{raw} in {}", made.display());
                }
            }
        }
        let opened = fs::read_to_string(
            home(student).join(".jupyter/lab/workspaces/default-37a8.jupyterlab-workspace"),
        )
        .unwrap();
        assert!(
            opened.contains(&format!("{workshop}/0-ReadMeFirst.ipynb")),
            "{opened}"
        );
        let first = fs::read(dir.join("0-ReadMeFirst.ipynb")).unwrap();
        let checkpoint = dir.join(".ipynb_checkpoints/0-ReadMeFirst-checkpoint.ipynb");
        assert_eq!(first, fs::read(checkpoint).unwrap());
        assert!(dir.join("wod-generate-pdf.sh").exists());
        let skeleton = fs::read_to_string(home(student).join(".hello")).unwrap();
        assert_eq!(skeleton, "from the skeleton\n");
        is_owned(student);
        as_student(
            student,
            "ssh-keygen -lf ~/.ssh/id_ed25519 && test -w ~ && cat ~/WKSHP-*/*.ipynb",
        );
    }

    fn is_owned(student: u32) {
        let id = UID_BASE + student;
        let others = sh(&format!(
            "find {0} ! -uid {id} -o ! -gid {id} -o -perm /7022 ! -type l",
            home(student).display()
        ));
        // The group bits are the ACL's mask.
        let others: Vec<&str> = others
            .lines()
            .filter(|path| {
                let stat = fs::symlink_metadata(path).unwrap();
                stat.uid() != id || stat.gid() != id || stat.mode() & 0o7002 != 0
            })
            .collect();
        assert!(others.is_empty(), "{others:?}");
        let home = home(student);
        sh(&format!(
            "runuser -u wodadmin -- find {} -type f -exec cat {{}} + >/dev/null",
            home.display()
        ));
        sh(&format!(
            "getfacl -p {} | grep -q default:user:wodadmin:rwx",
            home.display()
        ));
        let looked = try_as_student(
            if student == 1 { 11 } else { 1 },
            &format!("ls {}", home.display()),
        );
        assert!(!looked.status.success());
    }

    fn challenge_differs() {
        let text = |student| {
            let dir = home(student).join("WKSHP-API101");
            [
                "0-ReadMeFirst.ipynb",
                "1-WKSHP-API101-Lab.ipynb",
                "2-Conclusion.ipynb",
            ]
            .map(|name| fs::read_to_string(dir.join(name)).unwrap())
            .concat()
        };
        assert_ne!(
            text(11).replace("student11", "student12"),
            text(12),
            "the challenge is the workshop"
        );
    }

    fn git_server_works(student: u32) {
        as_student(
            student,
            "cd ~; git clone -q $(cat WKSHP-Git101/REPOSITORY) clone; cd clone; test -f recipe.md
             git config user.name me; git config user.email me@test; echo more >>recipe.md
             git commit -qam more; git push -q origin HEAD 2>&1",
        );
        let owner = fs::metadata(home(student).join("WKSHP-Git101/REPOSITORY")).unwrap();
        assert_eq!(owner.uid(), UID_BASE + student);
    }

    /// What is done to student 1 does not touch students 11 and 12.
    fn one_is_not_twelve(backend: &Backend) {
        let (one, twelve) = (password(1), password(12));
        leave_all_over(1);
        leave_all_over(12);
        let before = home_of(12);
        done(
            backend,
            &["PURGE", "WKSHP-Shell101", "1", "--participant", "0"],
        );
        nothing_is_left_of(1);
        assert!(!su_takes(1, &one));
        assert_eq!(before, home_of(12));
        assert!(su_takes(12, &twelve));
        let still = crate::support::student::processes(12);
        assert!(still.contains("innocent"), "{still}");
        // The frontend's way: all at once, without the student's number in RESET and PURGE.
        send_as_frontend("RESET [object Promise] 912", "CHLG-API101");
        send_as_frontend("PURGE [object Promise] 912", "CHLG-API101");
        send_as_frontend("CLEANUP 12 912", "CHLG-API101");
        let all = backend.settled(10);
        assert!(
            all.iter().all(|action| action["state"] == "done"),
            "{all:?}"
        );
        nothing_is_left_of(12);
        assert!(!su_takes(12, &twelve));
        assert!(home(11).join("WKSHP-API101").is_dir());
    }

    fn home_of(student: u32) -> String {
        sh(&format!("find {} -ls | sort", home(student).display()))
    }

    /// CLEANUP of a workshop that is reset keeps the home; RESET of one, then of the rest.
    fn unmade_by_reset(backend: &Backend) {
        let words = [21, 22, 23].map(password);
        [21, 22, 23].into_iter().for_each(leave_all_over);
        done(
            backend,
            &["CLEANUP", "WKSHP-Git101", "21", "--participant", "921"],
        );
        assert!(home(21).join("WKSHP-Git101").is_dir());
        let seat = backend.seat(21).unwrap();
        assert_eq!(
            (&seat["assigned"], &seat["cleaned"]),
            (&true.into(), &true.into())
        );
        done(
            backend,
            &["RESET", "WKSHP-Git101", "21", "--participant", "921"],
        );
        nothing_is_left_of(21);
        done(backend, &["RESET", "WKSHP-Git101", "22,23"]);
        for (student, word) in [21, 22, 23].into_iter().zip(words) {
            nothing_is_left_of(student);
            assert!(!su_takes(student, &word));
            assert_eq!(backend.seat(student).unwrap()["assigned"], false);
        }
        let log = sh(&format!("cat {STATE}/private/log/*"));
        assert!(log.contains("reset-WKSHP-Git101.sh"), "{log}");
        assert!(!log.contains("failed"), "{log}");
    }

    // --- workshops that use the rest of the contract ---

    const VAULT: &str = "the-vaults-word";
    const BIND: &str = "s3cret-bind-word";
    const DUMP: &str = "env | sort >/var/tmp/$(basename $0).$stdid";

    pub fn pass_files_ldap_compiled_scripts_overlay_and_appliances() {
        private_site();
        slapd();
        let backend = Backend::start(Options {
            inventory: &format!(
                "WODPRIVDIR: {PRIVATE}\nWODPRIVNOBO: {PRIVATE}/notebooks\n\
                 WODSCRIPTPRIVDIR: {PRIVATE}/scripts\nWODANSIBLEPRIVDIR: {PRIVATE}/ansible\n\
                 WODGROUP: production\nVAULTPWD: {VAULT}\nWODBASESTDID: 2000\n\
                 WODLDAPSRVNAME: 127.0.0.1\nWODLDAPPORT: 3890\nWODLDAPDMN: dc=example,dc=org\n\
                 WODLDAPPWD: {BIND}\nIP-WKSHP-Mono: 10.1.2.3\nIP-WKSHP-Multi: 10.1.2.10\n\
                 WODAPIDBEXTURL: https://registry.test/api\nWODATTEMPTS: 2\n"
            ),
            ..Options::default()
        });
        public_workshops();
        wait_for(10, "gate that knows the workshops", || {
            let gate = sh(&format!("cat {STATE}/public/*"));
            gate.contains("WKSHP-Multi").then_some(())
        });
        pass_file(&backend);
        directory(&backend);
        compiled(&backend);
        overlay(&backend);
        appliances(&backend);
        script_environment(&backend);
        no_secret_in_logs(&backend);
        // As an action that was held leaves one.
        let pass = format!("{PRIVATE}/ansible/production/pass");
        sh(&format!(
            "touch {pass}/variables_WKSHP-{{Vars,Dir}}_2.yml {pass}/variables_WKSHP-Vars_12.yml"
        ));
        for student in 1..=9 {
            done(&backend, &["PURGE", "WKSHP-Vars", &student.to_string()]);
            sh(&format!("rm -f /var/tmp/*.{student}"));
            nothing_is_left_of(student);
        }
        assert_eq!(sh(&format!("ls {pass}")), "variables_WKSHP-Vars_12.yml\n");
    }

    fn private_site() {
        sh(
            "id wodadmin >/dev/null 2>&1 || useradd --system --create-home --shell /bin/bash wodadmin",
        );
        private_tree();
        write(&Path::new(PRIVATE).join("skel/.private-hello"), "private\n");
        let variables = "GREETING: from the private variables\n";
        let path = "ansible/production/variables_WKSHP-Private.yml";
        write(&Path::new(PRIVATE).join(path), variables);
        let book = notebook("{{ GREETING }} for {{ STDID }}");
        workshop(
            Tree::Private,
            "WKSHP-Private",
            "range: [7,8]",
            &[
                ("0-ReadMeFirst.ipynb", &book),
                ("raw.env", "{{ raw }}"),
                ("sub/dir/a.sh", "{{ STDID }}"),
            ],
        );
        script(
            Tree::Private,
            "create-WKSHP-Private.sh",
            "echo private >$stddir/by-private-create",
        );
        script(
            Tree::Private,
            "post-copy-WKSHP-Vars.sh",
            "echo private >>$stddir/order",
        );
    }

    fn public_workshops() {
        let book = notebook("{{ PASSSTU | default('none') }} {{ HTTPPORT | default('none') }}");
        let files = [("0-ReadMeFirst.ipynb", book.as_str())];
        workshop(
            Tree::Public,
            "WKSHP-Vars",
            "range: [1,2]\nvarpass: true",
            &files,
        );
        let copy = format!(
            "file={PRIVATE}/ansible/production/pass/variables_${{ws}}_$stdid.yml
             stat -c '%a %U' $file >/var/tmp/mode.$stdid; cp $file /var/tmp/pass.$stdid
             echo 'HTTPPORT: 18001' >>$file; echo public >$stddir/order; {DUMP}"
        );
        script(Tree::Public, "create-WKSHP-Vars.sh", &copy);
        script(
            Tree::Public,
            "post-copy-WKSHP-Vars.sh",
            &format!("echo post >>$stddir/order; echo x >$stddir/WKSHP-Vars/by-post-copy; {DUMP}"),
        );
        script(Tree::Public, "cleanup-WKSHP-Vars.sh", DUMP);
        workshop(
            Tree::Public,
            "WKSHP-Dir",
            "range: [3,4]\nldap: true",
            &files,
        );
        workshop(
            Tree::Public,
            "WKSHP-Comp",
            "range: [5,5]\ncompile: tell.shc,other.sh",
            &files,
        );
        for name in ["tell.shc", "other.sh"] {
            script(Tree::Public, name, "echo hidden-word for {{ STDID }}");
        }
        sh(&format!(
            "chmod 700 {SHARE}/workshops/scripts/tell.shc {SHARE}/workshops/scripts/other.sh"
        ));
        workshop(
            Tree::Public,
            "WKSHP-Mono",
            "range: [1,9]\nmonoappliance: true",
            &files,
        );
        workshop(
            Tree::Public,
            "WKSHP-Multi",
            "range: [6,9]\nmultiappliance: true",
            &files,
        );
        script(Tree::Public, "create-WKSHP-Mono.sh", DUMP);
        script(Tree::Public, "create-WKSHP-Multi.sh", DUMP);
    }

    fn pass_dir_is_empty() {
        assert_eq!(sh(&format!("ls {PRIVATE}/ansible/production/pass")), "");
    }

    fn pass_file(backend: &Backend) {
        done(backend, &["CREATE", "WKSHP-Vars", "1"]);
        let word = password(1);
        assert!(su_takes(1, &word));
        let seen = fs::read_to_string("/var/tmp/pass.1").unwrap();
        assert!(
            seen.starts_with("PASSSTU: !vault |\n  $ANSIBLE_VAULT;1."),
            "{seen}"
        );
        assert!(!seen.contains(&word));
        assert_eq!(
            fs::read_to_string("/var/tmp/mode.1").unwrap(),
            "600 wodadmin\n"
        );
        pass_dir_is_empty();
        let book = fs::read_to_string(home(1).join("WKSHP-Vars/0-ReadMeFirst.ipynb")).unwrap();
        assert!(book.contains(&format!("{word} 18001")), "{book}");
        let order = fs::read_to_string(home(1).join("order")).unwrap();
        assert_eq!(order, "public\npost\nprivate\n");
        is_owned_by(1, "order");
        is_owned_by(1, "WKSHP-Vars/by-post-copy");
        as_student(1, "echo more >>~/WKSHP-Vars/by-post-copy; rm ~/order");
        assert_eq!(
            sh(&format!("ls -A {STUDENTS}/student1 | grep hello")),
            ".private-hello\n"
        );

        sh("python3 - <<'END'
import json
path = '/var/student/student1/WKSHP-Vars/0-ReadMeFirst.ipynb'
book = json.load(open(path)); book['cells'][1]['execution_count'] = 4
json.dump(book, open(path, 'w'))
END");
        let cleaned = done(
            backend,
            &["CLEANUP", "WKSHP-Vars", "1", "--participant", "0"],
        );
        assert_eq!(cleaned["completion"], 50, "{cleaned}");
        pass_dir_is_empty();
        assert!(!su_takes(1, &word));
    }

    fn is_owned_by(student: u32, file: &str) {
        let stat = fs::metadata(home(student).join(file)).unwrap();
        assert_eq!(
            (stat.uid(), stat.gid()),
            (UID_BASE + student, UID_BASE + student)
        );
    }

    fn slapd() {
        let people: String = (1..=9)
            .map(|n| {
                format!(
                    "\ndn: uid=student{n},ou=People,dc=example,dc=org\nobjectClass: account\n\
                     objectClass: simpleSecurityObject\nuserPassword: very-old\n"
                )
            })
            .collect();
        sh(&format!(
            "mkdir -p /run/dir/db; cd /run/dir
             cat >slapd.conf <<'END'
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
moduleload back_mdb
pidfile /run/dir/pid
database mdb
suffix dc=example,dc=org
rootdn \"cn=never,dc=example,dc=org\"
directory /run/dir/db
access to attrs=userPassword by dn.exact=\"cn=Directory Manager\" write by anonymous auth
access to * by * read
database ldif
suffix \"cn=Directory Manager\"
rootdn \"cn=Directory Manager\"
rootpw {BIND}
directory /run/dir
END
             slapadd -n 1 -f slapd.conf <<'END'
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: x

dn: ou=People,dc=example,dc=org
objectClass: organizationalUnit
{people}END
             slapd -f slapd.conf -h ldap://127.0.0.1:3890"
        ));
        wait_for(10, "slapd", || {
            std::net::TcpStream::connect(("127.0.0.1", 3890)).ok()
        });
    }

    fn binds(student: u32, word: &str) -> bool {
        let dn = format!("uid=student{student},ou=People,dc=example,dc=org");
        let mut command = Command::new("ldapwhoami");
        command.args(["-x", "-H", "ldap://127.0.0.1:3890", "-D", &dn, "-w", word]);
        command.output().unwrap().status.success()
    }

    fn directory(backend: &Backend) {
        assert!(binds(3, "very-old"));
        done(backend, &["CREATE", "WKSHP-Dir", "3"]);
        let word = password(3);
        assert!(su_takes(3, &word));
        assert!(binds(3, &word));
        assert!(!binds(3, "very-old"));
        pass_dir_is_empty();
        done(backend, &["CLEANUP", "WKSHP-Dir", "3"]);
        assert!(!binds(3, &word));
    }

    fn compiled(backend: &Backend) {
        done(backend, &["CREATE", "WKSHP-Comp", "5"]);
        for name in ["tell.shc.x", "other.x"] {
            assert_eq!(as_student(5, &format!("~/{name}")), "hidden-word for 5\n");
        }
        let readable = try_as_student(
            5,
            &format!("grep -rsl hidden-word ~ {SHARE} {STATE} {STUDENTS} /var/tmp /dev/shm"),
        );
        assert_eq!(String::from_utf8_lossy(&readable.stdout), "");
        let left = sh(&format!(
            "ls -A {STATE}/private/scratch; find / -xdev -name '*.x.c'"
        ));
        assert_eq!(left, "");
    }

    fn overlay(backend: &Backend) {
        done(backend, &["CREATE", "WKSHP-Private", "7"]);
        let dir = home(7).join("WKSHP-Private");
        let book = fs::read_to_string(dir.join("0-ReadMeFirst.ipynb")).unwrap();
        assert!(book.contains("from the private variables for 7"), "{book}");
        assert_eq!(
            fs::read_to_string(dir.join("raw.env")).unwrap(),
            "{{ raw }}"
        );
        assert_eq!(fs::read_to_string(dir.join("sub/dir/a.sh")).unwrap(), "7");
        is_owned_by(7, "by-private-create");
        is_owned_by(7, "WKSHP-Private/sub/dir/a.sh");
    }

    fn environment(script: &str, student: u32) -> BTreeMap<String, String> {
        let text = fs::read_to_string(format!("/var/tmp/{script}.{student}")).unwrap();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn appliances(backend: &Backend) {
        done(backend, &["CREATE", "WKSHP-Mono", "9"]);
        assert_eq!(
            environment("create-WKSHP-Mono.sh", 9)["WODRTARGET"],
            "10.1.2.3"
        );
        done(backend, &["CREATE", "WKSHP-Multi", "8"]);
        let multi = environment("create-WKSHP-Multi.sh", 8);
        assert_eq!(multi["WODRTARGET"], "10.1.2.12");
        assert_eq!(multi["WODAPPMINVALUE"], "6");
    }

    fn script_environment(backend: &Backend) {
        done(backend, &["CREATE", "CHLG-Vars", "2"]);
        let word = password(2);
        let wid = backend.wod(&["workshops", "show", "WKSHP-Vars", "--json"]);
        let wid: Value = serde_json::from_slice(&wid.stdout).unwrap();
        let wid = wid["id"].to_string();
        for script in ["create-WKSHP-Vars.sh", "post-copy-WKSHP-Vars.sh"] {
            let environment = environment(script, 2);
            for (name, value) in [
                ("stdid", "2"),
                ("stddir", "/var/student/student2"),
                ("w", "CHLG-Vars"),
                ("ws", "WKSHP-Vars"),
                ("wid", wid.as_str()),
                ("randompw", &word),
                ("USER", "wodadmin"),
                ("HOME", "/home/wodadmin"),
                ("WODUSER", "wodadmin"),
                ("WODGROUP", "production"),
                ("WODNOBO", "/var/share/workshops"),
                ("WODPRIVNOBO", "/var/private/notebooks"),
                ("WODSCRIPTDIR", "/var/share/workshops/scripts"),
                ("WODSCRIPTPRIVDIR", "/var/private/scripts"),
                ("WODANSIBLEPRIVDIR", "/var/private/ansible"),
                ("WODPRIVDIR", "/var/private"),
                ("WODSTUDDIR", "/var/student"),
                ("WODUSERMIN", "1"),
                ("WODUSERMAX", "40"),
                ("WODBASESTDID", "2000"),
                ("UIDBASE", "62000"),
                ("WODBEPORT", "8000"),
                ("WODAPIDBEXTURL", "https://registry.test/api"),
                ("WODLDAPDMN", "dc=example,dc=org"),
                ("WODLDAPPWD", BIND),
                ("VAULTPWD", VAULT),
                ("BRANDING", "the tests"),
                ("IP-WKSHP-Mono", "10.1.2.3"),
            ] {
                assert_eq!(
                    environment.get(name).map(String::as_str),
                    Some(value),
                    "{name}"
                );
            }
            assert!(!environment.contains_key("WODRTARGET"));
            assert!(environment["PATH"].contains("/usr/bin"));
        }
        assert_ne!(environment("cleanup-WKSHP-Vars.sh", 1)["randompw"], "");
    }

    fn no_secret_in_logs(backend: &Backend) {
        let logs = sh(&format!("cat {STATE}/private/log/*")) + &backend.log();
        for secret in [&password(2), VAULT, BIND] {
            assert!(!logs.contains(secret), "{secret} is in a log");
        }
    }
}
