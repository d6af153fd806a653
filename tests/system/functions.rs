//! What workshop scripts rely on: functions.sh, compiled scripts whose sources nobody sees, and a
//! site that lacks something told before anybody's seat is touched.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::support::backend::{Backend, Options, SHARE, STATE, home};
use crate::support::site::{PRIVATE, Tree, notebook, private_tree, script, workshop};
use crate::support::student::{as_student, password, su_takes, try_as_student};
use crate::support::{on_private_host, sh};

#[test]
fn scripts_use_every_function() {
    on_private_host(|| inside::scripts_use_every_function());
}

#[test]
fn a_student_who_looks_everywhere_sees_no_source() {
    on_private_host(|| inside::a_student_who_looks_everywhere_sees_no_source());
}

#[test]
fn what_a_site_lacks_is_told_before_a_seat_is_touched() {
    on_private_host(|| inside::what_a_site_lacks_is_told_before_a_seat_is_touched());
}

mod inside {
    use super::*;

    const VAULT: &str = "the-vaults-word";

    fn site() {
        sh("useradd --system --create-home --shell /bin/bash wodadmin");
        private_tree();
    }

    fn private(more: &str) -> String {
        format!(
            "WODPRIVDIR: {PRIVATE}\nWODPRIVNOBO: {PRIVATE}/notebooks\n\
             WODSCRIPTPRIVDIR: {PRIVATE}/scripts\nWODANSIBLEPRIVDIR: {PRIVATE}/ansible\n\
             WODATTEMPTS: 2\nIP-WKSHP-Fun: 10.1.2.3\n{more}"
        )
    }

    fn done(backend: &Backend, words: &[&str]) {
        let ended = backend.act(words);
        assert_eq!(ended["state"], "done", "{ended}\n{}", backend.log());
    }

    fn held(backend: &Backend, words: &[&str]) -> String {
        let ended = backend.act(words);
        assert_eq!(ended["state"], "held", "{ended}\n{}", backend.log());
        ended["problem"].as_str().unwrap().to_owned()
    }

    /// As sites write them: each fact into a file, sourced by name and by its place.
    const USE_ALL: &str = "
        exec 3>/var/tmp/facts.$stdid
        id=$(wod_get_workshop_id $w); [ \"$id\" = \"$wid\" ]
        echo $(wod_get_range_min $wid) $(wod_get_range_max $wid) >&3
        echo $(wod_get_reset_status $wid) $(wod_get_ldap_status $wid) >&3
        echo $(wod_get_varpass_status $wid) $(wod_get_compile_status $wid) >&3
        echo $(wod_get_monoappliance_status $wid) $(wod_get_multiappliance_status $wid) >&3
        echo $(wod_get_appliance_baseip $ws) >&3
        old=$randompw; wod_generate_randompwd; [ \"$old\" = \"$randompw\" ]
        wod_update_ldap_passwd; wod_erase_student; wod_cleanup_processes_student
        wod_create_var_passwd; cp $WODANSIBLEPRIVDIR/$WODGROUP/pass/* /var/tmp/
        [ -z \"${accessToken+set}\" ] # the local registry asks for none
        echo port $((8000 + stdid - $(wod_get_range_min $wid))) >&3";

    pub fn scripts_use_every_function() {
        site();
        // The password is where Ansible's own commands look for it, too, and nowhere else.
        sh(&format!(
            "echo {VAULT} >{PRIVATE}/ansible/vault_secret; chmod 600 {PRIVATE}/ansible/vault_secret
             chown wodadmin {PRIVATE}/ansible/vault_secret"
        ));
        let book = notebook("{{ PASSSTU }}");
        let files = [("0-ReadMeFirst.ipynb", book.as_str())];
        let traits = "range: [11,20]\nmonoappliance: true";
        workshop(Tree::Public, "WKSHP-Fun", traits, &files);
        let backend = Backend::start(Options {
            inventory: &private("WODGROUP: production\n"),
            ..Options::default()
        });
        for (name, source) in [
            ("create-WKSHP-Fun.sh", "source functions.sh"),
            ("post-copy-WKSHP-Fun.sh", ". $WODSCRIPTDIR/functions.sh"),
        ] {
            script(Tree::Public, name, &format!("{source}\nset -x{USE_ALL}"));
        }
        let cleaned = ". functions.sh; wod_get_cleaned_status 900 >/var/tmp/cleaned
            wod_get_cleaned_status 7 2>/var/tmp/unknown || true";
        script(Tree::Private, "cleanup-WKSHP-Fun.sh", cleaned);
        done(
            &backend,
            &["CREATE", "CHLG-Fun", "13", "--participant", "900"],
        );
        let facts = fs::read_to_string("/var/tmp/facts.13").unwrap();
        assert_eq!(
            facts,
            "11 20\nfalse false\nfalse null\ntrue false\n10.1.2.3\nport 8002\n"
        );
        // A workshop without varpass: its script made the pass file, and templates had it.
        let word = password(13);
        let sealed = fs::read_to_string("/var/tmp/variables_WKSHP-Fun_13.yml").unwrap();
        assert!(sealed.starts_with("PASSSTU: !vault |\n"), "{sealed}");
        let book = fs::read_to_string(home(13).join("WKSHP-Fun/0-ReadMeFirst.ipynb")).unwrap();
        assert!(book.contains(&word), "{book}");
        assert!(su_takes(13, &word));
        assert_eq!(sh(&format!("ls {PRIVATE}/ansible/production/pass")), "");

        done(
            &backend,
            &["CLEANUP", "WKSHP-Fun", "13", "--participant", "900"],
        );
        assert_eq!(fs::read_to_string("/var/tmp/cleaned").unwrap(), "false\n");
        let unknown = fs::read_to_string("/var/tmp/unknown").unwrap();
        assert!(
            unknown.contains("participant 7 has no seat here"),
            "{unknown}"
        );
        let log = sh(&format!("cat {STATE}/private/log/*")) + &backend.log();
        assert!(!log.contains(&word) && !log.contains(VAULT), "{log}");
        // Root's own, and no secret in what everybody may read.
        let lib = format!("{STATE}/lib/functions.sh");
        let stat = fs::metadata(&lib).unwrap();
        assert_eq!((stat.uid(), stat.mode() & 0o7777), (0, 0o644));
        let link = fs::read_link(format!("{SHARE}/workshops/scripts/functions.sh")).unwrap();
        assert_eq!(link, Path::new(&lib));
        let told = as_student(13, &format!("{{ cat {STATE}/public/facts.json; }}"));
        assert!(told.contains("WKSHP-Fun") && !told.contains(&word) && !told.contains(VAULT));
    }

    /// Tries to read every file there may be something in, every process's arguments, environment
    /// and open files, again and again.
    const LOOK: &str = "
import os, stat, sys
word = b'hidden' + b'-word'
def look(path):
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            with open(path, 'rb') as file:
                if word in file.read(1 << 20): print(path, flush=True)
    except OSError: pass
def processes():
    for pid in filter(str.isdigit, os.listdir('/proc')):
        yield from (f'/proc/{pid}/cmdline', f'/proc/{pid}/environ')
        try: yield from (f'/proc/{pid}/fd/{fd}' for fd in os.listdir(f'/proc/{pid}/fd'))
        except OSError: pass
places = '/var/lib/wod /var/share /var/student /var/private /var/tmp /tmp /dev/shm /home/wodadmin'
rounds = 0
while True:
    for path in processes(): look(path)
    for place in places.split():
        for dir, below, names in os.walk(place):
            below[:] = [name for name in below if os.path.join(dir, name) != sys.argv[1]]
            for name in names: look(os.path.join(dir, name))
    rounds += 1
    with open('/run/spy/rounds.new', 'w') as file: file.write(str(rounds))
    os.rename('/run/spy/rounds.new', '/run/spy/rounds')";

    pub fn a_student_who_looks_everywhere_sees_no_source() {
        site();
        let book = notebook("x");
        let files = [("0-ReadMeFirst.ipynb", book.as_str())];
        let traits = "range: [1,9]\ncompile: tell.sh";
        workshop(Tree::Public, "WKSHP-Comp", traits, &files);
        workshop(Tree::Public, "WKSHP-Plain", "range: [1,9]", &files);
        let backend = Backend::start(Options::default());
        let source = format!("{SHARE}/workshops/scripts/tell.sh");
        script(
            Tree::Public,
            "tell.sh",
            "word=hidden-word; sleep ${1:-0}; echo told {{ STDID }}",
        );
        // Everybody could read it where it lies: told before anything is done.
        let problem = held(&backend, &["CREATE", "WKSHP-Comp", "1"]);
        assert!(
            problem.contains(&format!("run chmod o-r {source}")),
            "{problem}"
        );
        assert!(!home(1).exists());
        sh(&format!("chmod 700 {source}"));

        done(&backend, &["CREATE", "WKSHP-Plain", "2"]);
        sh("mkdir -m 700 /run/spy; chown 62002:62002 /run/spy");
        let mut spy = std::process::Command::new("setpriv")
            .args(["--reuid=62002", "--regid=62002", "--clear-groups", "setsid"])
            .args(["/usr/bin/python3", "-c", LOOK])
            .arg(crate::support::root())
            .stdout(fs::File::create("/run/spy/looked").unwrap())
            .spawn()
            .unwrap();
        let rounds = || -> u32 {
            let text = fs::read_to_string("/run/spy/rounds").unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        };
        // It would see one if it could.
        sh(&format!("chmod 755 {source}"));
        crate::support::wait_for(30, "a look that finds something", || {
            let seen = fs::read_to_string("/run/spy/looked").unwrap_or_default();
            seen.contains("tell.sh").then_some(())
        });
        sh(&format!("chmod 700 {source}"));
        let now = rounds();
        crate::support::wait_for(30, "a round", || (rounds() > now + 1).then_some(()));
        let seen_before = fs::read_to_string("/run/spy/looked").unwrap().len();
        let before = rounds();
        let mut made = 0;
        while made < 3 || rounds() - before <= 5 {
            done(&backend, &["CREATE", "WKSHP-Comp", "3"]);
            made += 1;
            assert!(made < 40, "too few looks");
        }
        let during = rounds() - before;
        sh(&format!("kill -9 -{0} || kill -9 {0}", spy.id()));
        spy.wait().unwrap();
        let seen = fs::read_to_string("/run/spy/looked").unwrap();
        assert_eq!(&seen[seen_before..], "", "after {during} rounds");
        println!("{during} looks at everything during {made} CREATEs saw nothing");
        assert_eq!(as_student(3, "~/tell.x"), "told 3\n");
        // Only the executable is left, and what is in it is no text.
        let compiled = try_as_student(3, "ls -A ~ | grep tell; grep -ac hidden-word ~/tell.x");
        assert_eq!(String::from_utf8_lossy(&compiled.stdout), "tell.x\n0\n");
        assert_eq!(sh(&format!("ls -A {STATE}/private/scratch")), "");
        what_fails_leaves_nothing(&backend);
    }

    fn what_fails_leaves_nothing(backend: &Backend) {
        let source = format!("{SHARE}/workshops/scripts/tell.sh");
        // No `#!`: shc refuses it.
        sh(&format!("echo hidden-word >{source}; chmod 700 {source}"));
        let problem = held(backend, &["CREATE", "WKSHP-Comp", "4"]);
        assert!(problem.contains("tell.sh cannot be compiled"), "{problem}");
        assert_eq!(sh(&format!("ls -A {STATE}/private/scratch")), "");
        assert_eq!(
            sh(&format!("ls -A {} | grep tell || true", home(4).display())),
            ""
        );
    }

    pub fn what_a_site_lacks_is_told_before_a_seat_is_touched() {
        site();
        let book = notebook("x");
        let files = [("0-ReadMeFirst.ipynb", book.as_str())];
        workshop(
            Tree::Public,
            "WKSHP-Vars",
            "range: [1,9]\nvarpass: true",
            &files,
        );
        workshop(Tree::Public, "WKSHP-Plain", "range: [1,9]", &files);
        let comp = "range: [1,9]\ncompile: missing.sh";
        workshop(Tree::Public, "WKSHP-Comp", comp, &files);
        let climbs = "range: [1,9]\ncompile: ../up.sh";
        workshop(Tree::Public, "WKSHP-Climbs", climbs, &files);
        let mut backend = Backend::start(Options {
            inventory: "WODGROUP: production\n",
            ..Options::default()
        });
        done(&backend, &["CREATE", "WKSHP-Plain", "1"]);
        let word = password(1);
        as_student(1, "echo mine >~/work");
        let mut told = |inventory: &str, workshop: &str, said: &str| {
            backend.stop_engine();
            fs::write("/etc/wod/inventory/group_vars/production", inventory).unwrap();
            backend.start_engine();
            let problem = held(&backend, &["CREATE", workshop, "1"]);
            assert!(problem.contains(said), "{problem}");
            // Whoever has the seat works on.
            assert!(su_takes(1, &word), "{said}");
            assert_eq!(as_student(1, "cat ~/work"), "mine\n");
            sh("runuser -u student1 -- true");
        };
        let vault = "VAULTPWD (or vault_secret in WODANSIBLEPRIVDIR) is not set";
        told(&private(""), "WKSHP-Vars", vault);
        let word_set = format!("VAULTPWD: {VAULT}\n");
        told(
            &word_set,
            "WKSHP-Vars",
            "WODANSIBLEPRIVDIR or WODGROUP is not set",
        );
        told(
            "A: 1\n",
            "WKSHP-Comp",
            "wants missing.sh compiled, but no script directory has it",
        );
        told(
            "A: 1\n",
            "WKSHP-Climbs",
            "expected the plain name of a script",
        );
    }
}
