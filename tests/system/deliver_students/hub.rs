//! Users of a real JupyterHub.

use super::{deliver, proper_accounts};
use crate::support::backend::{Backend, HUB, Options, SHARE, hub_users, token};
use crate::support::{on_private_host, sh};

#[test]
fn hub_users_are_those_of_the_range() {
    on_private_host(|| {
        let inventory = format!("WODSYSDIR: {SHARE}/sys\nWODUSERMAX: 250");
        let mut backend = Backend::start(Options {
            hub: true,
            inventory: &inventory,
            ..Options::default()
        });
        let first = deliver(&backend, &[]);
        assert_eq!(first.status, 0, "{}", first.said);
        let made = "hub users of students 1 to 250: 250 hub users made: student1 to student250";
        assert!(
            first.all("changed").contains(&made.to_owned()),
            "{}",
            first.said
        );
        assert_eq!(hub_users().len(), 250);
        deliver(&backend, &[]).changes_nothing();

        sh(&format!(
            "useradd -u 901 -M student900
             curl -sf -X POST -H 'Authorization: token {}' {HUB}/hub/api/users/student900
             for n in 7 201; do curl -sf -X DELETE -H 'Authorization: token {}' {HUB}/hub/api/users/student$n; done",
            token(), token()
        ));
        let run = deliver(&backend, &["-e", "WODUSERMAX=240"]);
        assert_eq!(run.status, 0, "{}", run.said);
        let names = hub_users();
        assert_eq!(names.len(), 241);
        assert!(names.contains(&"student900".to_owned()));
        deliver(&backend, &["-e", "WODUSERMAX=240"]).changes_nothing();
        let clean = deliver(
            &backend,
            &[
                "-e",
                "WODUSERMAX=240",
                "-e",
                "WODUSERMIN=200",
                "-e",
                "CLEAN=true",
            ],
        );
        assert_eq!(clean.status, 0, "{}", clean.said);
        assert_eq!(hub_users().len(), 42);

        backend.stop_hub();
        sh("sed -i /^student230:/d /etc/passwd");
        let down = deliver(&backend, &["-e", "WODUSERMIN=200"]);
        assert_eq!(down.status, 2, "{}", down.said);
        assert_eq!(down.all("failed").len(), 1, "{}", down.said);
        assert!(
            down.said.contains("is jupyterhub running?"),
            "{}",
            down.said
        );
        assert_eq!(proper_accounts(), 51);
        // Nobody is half removed while nobody can tell the hub.
        let down = deliver(&backend, &["-e", "WODUSERMIN=210"]);
        assert_eq!(down.status, 2, "{}", down.said);
        assert_eq!(proper_accounts(), 51);
        backend.start_hub_again();
        let run = deliver(&backend, &["-e", "WODUSERMIN=210"]);
        assert_eq!(run.status, 0, "{}", run.said);
        assert_eq!(proper_accounts(), 41);
        assert_eq!(hub_users().len(), 42);
    });
}
