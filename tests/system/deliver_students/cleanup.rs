//! `wod cleanup-users` and `wod cleanup-processes`.

use std::mem::MaybeUninit;

use rustix::fd::OwnedFd;
use rustix::fs::inotify;

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

/// How often a directory is opened by somebody else, until this goes.
struct Opened(OwnedFd);

impl Opened {
    fn watch(dir: &str) -> Opened {
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        let watch = inotify::init(flags).unwrap();
        // The kernel joins events that are the same as the one before: closing keeps them apart.
        let wanted = inotify::WatchFlags::OPEN | inotify::WatchFlags::CLOSE_NOWRITE;
        inotify::add_watch(&watch, dir, wanted).unwrap();
        Opened(watch)
    }

    fn times(&self) -> usize {
        let mut buffer = [MaybeUninit::uninit(); 64 << 10];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        let flags = std::iter::from_fn(|| Some(events.next().ok()?.events()));
        let whole = inotify::ReadFlags::OPEN | inotify::ReadFlags::ISDIR;
        flags.filter(|flags| flags.contains(whole)).count()
    }
}

/// The places that all students share may be many, and full.
#[test]
fn places_of_all_are_looked_through_once_for_all_who_go() {
    on_private_host(|| {
        let backend = quiet_site("");
        assert_eq!(deliver(&backend, &[]).status, 0);
        sh("mkdir -m 1777 /var/tmp/place; touch /var/tmp/place/of-root
            for n in $(seq 1 40); do
              for left in /var/tmp/place/$n /tmp/$n /var/spool/cron/crontabs/student$n; do
                echo x >$left; chown student$n: $left
              done
            done");
        let mut times = Vec::new();
        for range in [["2", "4"], ["5", "30"]] {
            let place = Opened::watch("/var/tmp/place");
            let run = wod(&backend, &["cleanup-users", range[0], range[1], "--json"]);
            assert_eq!(run.status, 0, "{}", run.said);
            times.push(place.times());
        }
        assert!(times[0] > 0 && times[0] == times[1], "{times:?}");
        let left = "1 31 32 33 34 35 36 37 38 39 40";
        for dir in ["/var/tmp/place", "/tmp", "/var/spool/cron/crontabs"] {
            let names = sh(&format!(
                "cd {dir}; ls | sed s/^student// | grep -x '[0-9][0-9]*' | sort -n | xargs"
            ));
            assert_eq!(names.trim(), left, "{dir}");
        }
    });
}

#[test]
fn who_cannot_be_swept_keeps_nobody_else() {
    on_private_host(|| {
        let backend = quiet_site("");
        assert_eq!(deliver(&backend, &[]).status, 0);
        sh("cd /var/spool/cron/crontabs; mkdir -p student5/mounted
            mount -t tmpfs none student5/mounted
            for n in 4 6; do echo x >/tmp/of-$n; chown student$n: /tmp/of-$n; done");
        let run = wod(&backend, &["cleanup-users", "4", "6", "--json"]);
        assert_eq!(run.status, 1, "{}", run.said);
        let failed = run.all("failed");
        assert!(
            failed.len() == 1 && failed[0].starts_with("student5: what was left outside a home"),
            "{}",
            run.said
        );
        assert_eq!(proper_accounts(), 38);
        assert!(sh("getent passwd student5").contains("student5"));
        assert_eq!(sh("ls /tmp | grep of- || true"), "");
        sh("umount /var/spool/cron/crontabs/student5/mounted");
        let run = wod(&backend, &["cleanup-users", "4", "6", "--json"]);
        assert_eq!(run.status, 0, "{}", run.said);
        assert_eq!(proper_accounts(), 37);
    });
}
