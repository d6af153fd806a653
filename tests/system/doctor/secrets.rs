//! The vault's password: missing, wrong, for others to read.

use super::{doctor, only_new};
use crate::support::backend::{Backend, Options};
use crate::support::{on_private_host, sh};

const SECRET: &str = "/var/private/ansible/vault_secret";

#[test]
fn a_vault_that_does_not_open_and_a_password_that_others_read() {
    on_private_host(|| {
        sh(&format!(
            "mkdir -p /var/private/ansible; printf 'correct horse' >{SECRET}; chmod 600 {SECRET}"
        ));
        let _backend = Backend::start(Options {
            inventory: "WODANSIBLEPRIVDIR: /var/private/ansible",
            ..Options::default()
        });
        sh("printf hidden-value | /run/wod vault encrypt-string --name MINE >>/etc/wod/inventory/group_vars/all.yml
            grep -q ANSIBLE_VAULT /etc/wod/inventory/group_vars/all.yml");
        let (at_first, usual) = doctor(&[]);
        let now = |fault: &str, wanted: (&str, &str)| {
            sh(&format!(
                "{fault}; chown wodadmin {SECRET} 2>/dev/null || true"
            ));
            let (status, found) = doctor(&[]);
            only_new(&usual, &found, &[wanted]);
            assert_eq!(status, 1);
            let text = format!("{found:?}");
            assert!(
                !["horse", "hidden-value", "donkey"]
                    .iter()
                    .any(|word| text.contains(word)),
                "{text}"
            );
        };
        for mode in ["644", "640", "604"] {
            now(
                &format!("chmod {mode} {SECRET}"),
                ("vault", &format!("(mode 0{mode})")),
            );
        }
        now(
            &format!("chmod 600 {SECRET}; echo 'wrong donkey' >{SECRET}"),
            (
                "variables",
                "none of the 1 vault passwords opens a vault value",
            ),
        );
        now(
            &format!("rm {SECRET}"),
            ("variables", "needs a password and none is configured"),
        );
        sh(&format!("touch {SECRET}; chmod 600 {SECRET}"));
        let (status, found) = doctor(&[]);
        assert_eq!(status, 4);
        assert!(
            found[0].1.contains("is empty; write the password into it"),
            "{found:?}"
        );
        sh(&format!("printf 'correct horse' >{SECRET}"));
        assert_eq!(doctor(&[]), (at_first, usual.clone()));
    });
}
