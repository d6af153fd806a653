//! The overlay's playbook, carried out by a real Ansible.

use std::fs;

use super::{OVERLAY, SECRET, deliver, site};
use crate::support::{on_private_host, sh};

const PLAYBOOK: &str = "\
- hosts: '{{ PBKDIR }}'
  gather_facts: false
  tasks:
    - name: variables have their types
      assert:
        that:
          - WODUSERMAX == 40 and LDAPSETUP == '0'
          - GREETING == 'good 40 day'
          - inventory_hostname in groups['production']
    - name: what nobody may see
      debug: {msg: 'it is {{ SITEPASSWORD }}'}
    - name: a file of the overlay
      copy: {content: \"{{ SITEPASSWORD }}\\n\", dest: /home/wodadmin/made, mode: '0600'}
";

fn playbook(text: &str) {
    let path = format!("{OVERLAY}/ansible/check_backend.yml");
    fs::write(&path, text).unwrap();
    sh(&format!("chown wodadmin: {path}"));
}

#[test]
fn a_playbook_has_the_sites_variables_and_tells_what_it_changed() {
    on_private_host(|| {
        let backend = site("");
        sh("mount -t tmpfs -o mode=0755 ours /usr/local/bin");
        playbook(PLAYBOOK);
        let none = deliver(&backend, &[]);
        assert_eq!(
            none.all("skipped"),
            ["playbook check_backend.yml: ansible-playbook is not here"]
        );
        sh("ln -s /opt/ansible/bin/ansible-playbook /usr/local/bin/");

        let before = sh("find /home/wodadmin -printf '%p %T@ %C@\\n' | sort");
        let check = deliver(&backend, &["--check", "--detailed-exitcode"]);
        let named = "playbook check_backend.yml: 1 changed: a file of the overlay";
        assert_eq!(check.all("changed"), [named], "{}", check.said);
        assert_eq!(check.status, 3);
        assert_eq!(
            before,
            sh("find /home/wodadmin -printf '%p %T@ %C@\\n' | sort")
        );

        let run = deliver(&backend, &[]);
        assert_eq!(run.all("changed"), [named], "{}", run.said);
        assert_eq!(run.status, 0, "{}", run.said);
        sh("test \"$(stat -c '%U %a' /home/wodadmin/made)\" = 'wodadmin 600'");
        assert!(run.said.contains("it is ***"), "{}", run.said);
        assert!(
            !check.said.contains(SECRET) && !run.said.contains(SECRET),
            "{}",
            run.said
        );
        let again = deliver(&backend, &[]);
        again.changes_nothing();
        assert_eq!(again.total["ok"], 1, "{}", again.said);

        playbook("- hosts: elsewhere\n  tasks: []\n");
        let run = deliver(&backend, &[]);
        assert!(
            run.all("skipped")[0].ends_with("none of its plays is for this host"),
            "{}",
            run.said
        );
        playbook(
            "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: that cannot be\n      command: /bin/false\n",
        );
        let run = deliver(&backend, &[]);
        assert_eq!(run.status, 2, "{}", run.said);
        let failed = &run.all("failed")[0];
        assert!(
            failed
                .starts_with("playbook check_backend.yml: failed (exit 2): that cannot be: fatal"),
            "{failed}"
        );
        playbook("- hosts: [\n");
        let run = deliver(&backend, &[]);
        assert_eq!(run.all("failed").len(), 1, "{}", run.said);
        // What everybody can write to is not carried out.
        sh(&format!("chmod 666 {OVERLAY}/ansible/check_backend.yml"));
        let run = deliver(&backend, &[]);
        assert!(
            run.all("failed")[0].contains("can be written by everybody"),
            "{}",
            run.said
        );
    });
}
