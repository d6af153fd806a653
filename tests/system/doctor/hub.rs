//! A real hub that does not give the backend what it needs, and programs of a hub that are too old.

use super::{doctor, only_new};
use crate::support::backend::{Backend, Options};
use crate::support::{on_private_host, sh};

const CONFIG: &str = "/etc/wod/jupyterhub_config.py";
const NODE: &str = "mount -t tmpfs -o mode=755 older /usr/local/sbin; cd /usr/local/sbin";

#[test]
fn scopes_and_programs_of_a_hub() {
    on_private_host(|| {
        let mut backend = Backend::start(Options {
            hub: true,
            ..Options::default()
        });
        let (at_first, usual) = doctor(&[]);
        let of_hub =
            |(check, _): &&(String, String)| ["hub", "jupyterhub"].contains(&check.as_str());
        assert_eq!(usual.iter().find(of_hub), None);

        let (_, found) = doctor(&["-e", "WODBETOKEN=0000000000000000000000000000000000000000"]);
        only_new(&usual, &found, &[("hub", "refuses our token")]);

        sh(&format!("cp {CONFIG} /run/config.py"));
        for (taken, told) in [
            (
                "\"admin:users\",",
                "does not give our token the scope admin:users",
            ),
            (
                "\"admin:servers\", \"servers\", \"delete:servers\",",
                "does not give our token the scope admin:servers",
            ),
            ("\"servers\", \"admin:servers\",", "the scope admin:servers"),
        ] {
            sh(&format!("cp /run/config.py {CONFIG}"));
            for scope in taken.split(' ') {
                sh(&format!(
                    "grep -q '^ *{scope}$' {CONFIG}; sed -i '/^ *{scope}$/d' {CONFIG}"
                ));
            }
            backend.stop_hub();
            backend.start_hub_again();
            let (status, found) = doctor(&[]);
            only_new(&usual, &found, &[("hub", told)]);
            assert_eq!(status, 1);
        }
        sh(&format!("cp /run/config.py {CONFIG}"));
        backend.stop_hub();
        let (_, found) = doctor(&[]);
        only_new(&usual, &found, &[("hub", "is jupyterhub running?")]);
        backend.start_hub_again();
        assert_eq!(doctor(&[]), (at_first, usual.clone()));

        for (fault, told, mend) in [
            (
                "printf '#!/bin/sh\necho v16.20.2\n' >node; chmod 755 node",
                "node v16.20.2 is too old for JupyterHub's proxy; expected 20 or later",
                "umount /usr/local/sbin",
            ),
            (
                "printf '#!/bin/sh\nexit 3\n' >node; chmod 755 node",
                "node, in which JupyterHub's proxy runs, does not run",
                "umount /usr/local/sbin",
            ),
            (
                "mount --bind /dev/null /usr/bin/configurable-http-proxy",
                "there is no configurable-http-proxy",
                "umount /usr/bin/configurable-http-proxy /usr/local/sbin",
            ),
        ] {
            sh(&format!("{NODE}; {fault}"));
            let (status, found) = doctor(&[]);
            only_new(&usual, &found, &[("jupyterhub", told)]);
            assert_eq!(status, 1);
            sh(&format!("cd /; {mend}"));
        }
        let (_, found) = doctor(&["-e", "JPHUB=/var/empty"]);
        only_new(
            &usual,
            &found,
            &[("jupyterhub", "there is no JupyterHub in JPHUB /var/empty")],
        );
    });
}
