//! `wod cleanup-users` and `wod cleanup-processes`.

use super::{deliver, proper_accounts, quiet_site, wod};
use crate::support::seats::linger_as;
use crate::support::{living, on_private_host, sh, wait_for};

fn sleeping() -> usize {
    living("-C sleep").len()
}

#[test]
fn students_of_a_range_are_removed_and_their_processes_end() {
    on_private_host(|| {
        let backend = quiet_site("");
        assert_eq!(deliver(&backend, &[]).status, 0);
        sh("for n in 4 5 9; do
              mkdir /var/student/student$n; chown student$n: /var/student/student$n
            done; useradd -u 61999 -M -N xstudent1
            setpriv --reuid 61999 --regid nogroup --clear-groups setsid sleep 1000 >/dev/null 2>&1 &");
        [4, 5, 9].into_iter().for_each(linger_as);
        wait_for(10, "all of them", || (sleeping() == 4).then_some(()));
        let check = wod(&backend, &["cleanup-processes", "--check", "--json"]);
        assert_eq!(check.status, 0, "{}", check.said);
        assert!(
            check
                .said
                .contains("3 processes of 3 students ended: student4 to student5, student9"),
            "{}",
            check.said
        );
        assert_eq!(sleeping(), 4);

        let outside = wod(&backend, &["cleanup-users", "4", "41", "--json"]);
        assert_eq!(outside.status, 2, "{}", outside.said);
        assert!(outside.said.contains("add --outside"), "{}", outside.said);
        let check = wod(&backend, &["cleanup-users", "4", "6", "--check", "--json"]);
        assert_eq!(check.status, 0, "{}", check.said);
        assert_eq!(proper_accounts(), 40);
        let run = wod(&backend, &["cleanup-users", "4", "6", "--json"]);
        assert_eq!(run.status, 0, "{}", run.said);
        assert_eq!(check.all("changed"), run.all("changed"));
        assert_eq!(proper_accounts(), 37);
        assert_eq!(sh("ls /var/student").trim(), "student9");
        assert_eq!(sleeping(), 2);

        let run = wod(&backend, &["cleanup-processes", "--json"]);
        assert_eq!(run.status, 0, "{}", run.said);
        assert_eq!(sleeping(), 1);
        let again = wod(&backend, &["cleanup-processes", "--json"]);
        assert_eq!(again.total["changed"], 0, "{}", again.said);

        sh("groupadd -g 62050 student50; useradd -u 62050 -g 62050 -M student50");
        let run = wod(
            &backend,
            &["cleanup-users", "41", "60", "--outside", "--json"],
        );
        assert_eq!(run.status, 0, "{}", run.said);
        assert_eq!(sh("getent passwd student50 || true"), "");
    });
}
