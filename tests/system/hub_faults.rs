//! A hub that is down, broken or slow while seats are made: they are held and safe, the admin is
//! told, and they go on when the hub is back.

use serde_json::Value;

use crate::support::backend::{Backend, HUB, Options};
use crate::support::browser::Browser;
use crate::support::front::{Front, Mailbox, Mood, PORT};
use crate::support::student::{password, processes, su_takes};
use crate::support::{on_private_host, sh, wait_for};

#[test]
fn a_hub_that_fails_holds_the_seat_and_harms_nobody() {
    on_private_host(|| inside::a_hub_that_fails_holds_the_seat_and_harms_nobody());
}

mod inside {
    use super::*;

    const SINK: u16 = 2626;

    pub fn a_hub_that_fails_holds_the_seat_and_harms_nobody() {
        let front = Front::start();
        let mails = Mailbox::start(SINK);
        let mut backend = Backend::start(Options {
            hub: true,
            inventory: &format!(
                "WODBEAPIURL: http://127.0.0.1:{PORT}/hub/api\nWODATTEMPTS: 3\n\
                 WODMONITOR: admin@test\nWODPOSTPORT: {SINK}\n"
            ),
            ..Options::default()
        });
        let word = broken_before_the_old_one_is_out(&backend, &front, &mails);
        let word = broken_at_the_start_of_the_server(&backend, &front, &mails, &word);
        down(&mut backend, &mails, &word);
        slow(&backend, &front);
    }

    fn create(backend: &Backend, participant: &str) -> Value {
        backend.act(&["CREATE", "WKSHP-API101", "11", "--participant", participant])
    }

    fn opens(word: &str) -> Browser {
        let mut browser = Browser::new(HUB);
        assert_eq!(browser.log_in("student11", word), 302);
        assert_eq!(browser.get("/user/student11/lab").status, 200);
        assert!(su_takes(11, word));
        browser
    }

    fn is_shut(word: &str) {
        assert_eq!(Browser::new(HUB).log_in("student11", word), 403);
        assert!(sh("getent shadow student11").contains(":!"));
        assert_eq!(processes(11).trim(), "");
    }

    /// The admin's mail about that action, with what is wrong and what to do.
    fn admin_is_told(mails: &Mailbox, action: &Value, problem: &str) {
        let id = action["id"].as_i64().unwrap();
        let subject = format!("Subject: HELD action {id}: CREATE");
        let mail = wait_for(20, "mail to the admin", || {
            let mails = mails.mails();
            mails.into_iter().find(|mail| mail.contains(&subject))
        });
        for part in [
            problem,
            &format!("wod actions retry {id}"),
            "To: admin@test",
        ] {
            assert!(mail.contains(part), "{part} is not in {mail}");
        }
    }

    fn goes_on(backend: &Backend, held: &Value) {
        let id = held["id"].as_i64().unwrap();
        let retried = backend.wod(&["actions", "retry", &id.to_string()]);
        assert!(retried.status.success());
        let action = wait_for(60, "end of the action", || {
            let action = backend.action(id);
            (action["state"] == "done" || action["state"] == "held").then_some(action)
        });
        assert_eq!(action["state"], "done", "{action}");
    }

    fn broken_before_the_old_one_is_out(
        backend: &Backend,
        front: &Front,
        mails: &Mailbox,
    ) -> String {
        assert_eq!(create(backend, "901")["state"], "done");
        let old_word = password(11);
        let mut old = opens(&old_word);
        front.is(Mood::Broken);
        let held = create(backend, "902");
        assert_eq!(held["state"], "held", "{held}");
        admin_is_told(mails, &held, "boom");
        is_shut(&old_word);
        front.is(Mood::Good);
        // The one before has a cookie still, but the hub is asked to forget it in time.
        wait_for(30, "end of the old session", || {
            let page = old.get("/hub/home");
            page.path.starts_with("/hub/login").then_some(())
        });
        goes_on(backend, &held);
        let word = password(11);
        assert_ne!(word, old_word);
        opens(&word);
        assert_eq!(Browser::new(HUB).log_in("student11", &old_word), 403);
        word
    }

    fn broken_at_the_start_of_the_server(
        backend: &Backend,
        front: &Front,
        mails: &Mailbox,
        old_word: &str,
    ) -> String {
        front.is(Mood::NoStarts);
        let held = create(backend, "903");
        assert_eq!(held["state"], "held", "{held}");
        admin_is_told(mails, &held, "start the server of student11");
        is_shut(old_word);
        is_shut(&password(11));
        let failures = backend.wod(&["actions", "show", &held["id"].to_string()]);
        let failures = String::from_utf8_lossy(&failures.stdout).into_owned();
        assert_eq!(
            failures.matches("failed, again at").count(),
            2,
            "{failures}"
        );
        front.is(Mood::Good);
        goes_on(backend, &held);
        let word = password(11);
        opens(&word);
        word
    }

    fn down(backend: &mut Backend, mails: &Mailbox, old_word: &str) {
        backend.stop_hub();
        let held = create(backend, "904");
        assert_eq!(held["state"], "held", "{held}");
        admin_is_told(mails, &held, "is jupyterhub running?");
        backend.start_hub_again();
        is_shut(old_word);
        goes_on(backend, &held);
        opens(&password(11));
    }

    fn slow(backend: &Backend, front: &Front) {
        front.is(Mood::Slow(700));
        let created = create(backend, "905");
        assert_eq!(created["state"], "done", "{created}");
        front.is(Mood::Good);
        opens(&password(11));
    }
}
