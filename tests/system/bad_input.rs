//! Every mail that is no action, through both real doors: one line, the right code, and nothing
//! changed. And files that somebody puts straight into the spool.

mod forged;

use std::sync::atomic::Ordering;

use crate::support::backend::{Backend, Options, STATE, STUDENTS, send};
use crate::support::canary::{engine_has_settled, look, plant, roots_own, same};
use crate::support::client::{Envelope, by_pipe, by_smtp, hub_without_users};
use crate::support::{on_private_host, sh};

/// What becomes of a mail: the exit status, the reply code, a part of the one line.
struct Bad {
    envelope: Envelope<'static>,
    mail: Vec<u8>,
    exit: i32,
    code: i32,
    told: &'static str,
}

fn bad(exit: i32, code: i32, subject: &str, body: &str, told: &'static str) -> Bad {
    Bad {
        envelope: Envelope::default(),
        mail: format!("Subject: {subject}\n\n{body}\n").into_bytes(),
        exit,
        code,
        told,
    }
}

fn malformed(subject: &str, body: &str, told: &'static str) -> Bad {
    bad(65, 550, subject, body, told)
}

const DIGITS: &str = "expected a student number, digits only, from 1 and without leading zeros";
const WINDOW: &str = "expected a number within WODUSERMIN..WODUSERMAX, here 1..40";
const NAME: &str = "expected WKSHP- or CHLG- and letters, digits or -_.+";
const API: &str = "WKSHP-API101";

fn subjects() -> Vec<Bad> {
    vec![
        malformed(
            "DELETE 12 825",
            API,
            "verb `DELETE`: expected CREATE, CLEANUP, RESET or PURGE",
        ),
        malformed("Hello", API, "verb `Hello`: expected CREATE"),
        malformed("", API, "subject ``: expected VERB STUDENT PARTICIPANT"),
        malformed(
            "CREATE 12",
            API,
            "subject `CREATE 12`: expected VERB STUDENT PARTICIPANT",
        ),
        malformed(
            "Re: CREATE 12 825",
            API,
            "a reply or a forwarded mail is not an action",
        ),
        malformed(
            "Fwd: PURGE 12 825",
            API,
            "a reply or a forwarded mail is not an action",
        ),
        malformed("CREATE 0 825", API, DIGITS),
        malformed("CREATE -1 825", API, DIGITS),
        malformed("CREATE 05 825", API, DIGITS),
        malformed("CREATE 999999 825", API, DIGITS),
        malformed("CREATE 41 825", API, WINDOW),
        malformed("PURGE 41 0", "VOID", WINDOW),
        malformed("RESET 39,41 0", API, WINDOW),
        malformed("CREATE 1;id 825", API, DIGITS),
        malformed("CREATE $(id) 825", API, DIGITS),
        malformed("CREATE 1+a[$(id)] 825", API, DIGITS),
        malformed("PURGE 1[0-9] 5", API, DIGITS),
        malformed("PURGE 1/../3 5", API, DIGITS),
        malformed("PURGE * 5", API, DIGITS),
        malformed("RESET 5,3 0", API, "expected the lower number first"),
        malformed("PURGE 3,5 0", API, "only RESET takes a range"),
        malformed(
            "CREATE 12 -1",
            API,
            "participant `-1`: expected the registry's customer id",
        ),
        malformed(
            "CREATE 12 825 -oProxyCommand=id@x",
            API,
            "expected name@domain",
        ),
        malformed(
            "PURGE [object Promise] 0",
            API,
            "expected a participant with a seat",
        ),
        bad(
            67,
            550,
            "PURGE [object Promise] 4711",
            API,
            "participant 4711 has no seat here",
        ),
    ]
}

fn bodies() -> Vec<Bad> {
    vec![
        malformed("CREATE 12 825", "../../etc", NAME),
        malformed("CREATE 12 825", ".", NAME),
        malformed("CREATE 12 825", "WKSHP-X/../Y", NAME),
        malformed("CREATE 12 825", "WKSHP-..", NAME),
        malformed("CREATE 12 825", "/etc", NAME),
        malformed("CREATE 12 825", "WKSHP-API101; id", NAME),
        malformed("CREATE 12 825", "", "the body is empty; expected WKSHP-"),
        malformed(
            "CLEANUP 12 825",
            " \n\t\n",
            "the body is empty; expected WKSHP-",
        ),
        bad(
            67,
            550,
            "CREATE 12 825",
            "WKSHP-Nowhere",
            "workshop WKSHP-Nowhere is not one of this backend",
        ),
        bad(
            67,
            550,
            "RESET 12 825",
            "CHLG-Nowhere",
            "workshop CHLG-Nowhere is not one of this backend",
        ),
    ]
}

fn texts() -> Vec<Bad> {
    let raw = |mail: Vec<u8>, told| Bad {
        mail,
        ..malformed("", "", told)
    };
    let junk: Vec<u8> = (128..=255).cycle().take(5000).collect();
    let line = [&[b'x'; 70][..], b"\n"].concat();
    let huge = [
        b"Subject: CREATE 12 825\n\nWKSHP-API101\n",
        line.repeat((50 << 20) / line.len()).as_slice(),
    ]
    .concat();
    vec![
        raw(b"\n".to_vec(), "expected one Subject header, found none"),
        raw(
            b"Subject: CREATE 12 825\nSubject: PURGE 12 825\n\nWKSHP-API101\n".to_vec(),
            "expected one Subject header, found 2",
        ),
        raw(
            b"Subject: CREATE 12\0 825\n\nWKSHP-API101\n".to_vec(),
            "expected no control characters",
        ),
        raw(b"Subject: CREATE 12 825\n\nWKSHP-API101\0\n".to_vec(), NAME),
        raw(
            [b"Subject: CREATE 12 825\n\n", junk.as_slice(), b"\n"].concat(),
            NAME,
        ),
        raw(
            [b"Subject: ", junk.as_slice(), b"\n\nWKSHP-API101\n"].concat(),
            "subject",
        ),
        Bad {
            mail: huge,
            exit: 65,
            code: 552,
            ..malformed("", "", "mail is too large: expected at most 1048576 bytes")
        },
    ]
}

fn envelopes() -> Vec<Bad> {
    let with = |envelope, exit, told| Bad {
        envelope,
        ..bad(exit, 550, "CREATE 12 825", API, told)
    };
    let usual = Envelope::default();
    vec![
        with(
            Envelope {
                sender: "mallory@test",
                ..usual
            },
            77,
            "sender `mallory@test` is not allowed to send actions",
        ),
        with(
            Envelope {
                sender: "frontend@test.example",
                ..usual
            },
            77,
            "is not allowed to send actions",
        ),
        with(
            Envelope {
                sender: "",
                ..usual
            },
            65,
            "a bounce is not an action",
        ),
        with(
            Envelope {
                sender: "MAILER-DAEMON@test",
                ..usual
            },
            65,
            "a bounce is not an action",
        ),
        with(
            Envelope {
                recipient: "root@localhost",
                ..usual
            },
            67,
            "recipient `root@localhost` is not of this backend",
        ),
        Bad {
            code: 554,
            ..with(
                Envelope {
                    peer: "127.0.0.2",
                    ..usual
                },
                77,
                "peer 127.0.0.2 is not allowed to send actions",
            )
        },
    ]
}

/// All that an action could have changed, but the journal and the policy.
fn everything() -> crate::support::canary::Seen {
    let spool = format!("{STATE}/spool");
    look(&[
        "/etc",
        "/var/canary",
        STUDENTS,
        &spool,
        "/run/pwned",
        "/root/.ssh",
    ])
}

fn nothing_comes_of(all: Vec<Bad>) {
    let backend = Backend::start(Options {
        inventory: "WODHUB: jupyterhub\nWODSMTPPEERS: [127.0.0.1/32]\nWODATTEMPTS: 2",
        ..Options::default()
    });
    let asked = hub_without_users();
    plant("/var/canary", 62_039);
    roots_own();
    sh(&format!(
        "for n in 1 2 3 5 12; do mkdir -p {STUDENTS}/student$n/WKSHP-API101; echo mine >{STUDENTS}/student$n/WKSHP-API101/notes; done"
    ));
    engine_has_settled();
    let before = everything();
    let mut wrong = Vec::new();
    for bad in &all {
        let shown = String::from_utf8_lossy(&bad.mail[..bad.mail.len().min(60)]).into_owned();
        let (smtp, pipe) = (
            by_smtp(bad.envelope, &bad.mail),
            by_pipe(bad.envelope, &bad.mail),
        );
        let plain = |line: &str| line.bytes().all(|b| (b' '..=b'~').contains(&b));
        if smtp.code != bad.code
            || pipe.code != bad.exit
            || !smtp.line.contains(bad.told)
            || smtp.line != pipe.line
            || !plain(&smtp.line)
        {
            wrong.push(format!(
                "{shown:?}: {smtp:?} {pipe:?}; expected {} {} {}",
                bad.code, bad.exit, bad.told
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    same(&before, &everything(), "the host");
    assert_eq!(backend.actions(), Vec::<serde_json::Value>::new());
    assert_eq!(asked.load(Ordering::SeqCst), 0, "the hub was asked");
    // The door is still open, the hub would have been asked, and a change would have been seen.
    assert!(send("PURGE 3 0", "VOID").starts_with("250 "));
    assert_eq!(backend.settled(1)[0]["state"], "done");
    assert!(asked.load(Ordering::SeqCst) > 0);
    assert_ne!(before, everything());
    println!("{} bad mails over two routes", all.len());
}

#[test]
fn subjects_that_are_no_action() {
    on_private_host(|| nothing_comes_of(subjects()));
}

#[test]
fn bodies_texts_and_envelopes_that_are_none() {
    on_private_host(|| {
        nothing_comes_of(
            [bodies(), texts(), envelopes()]
                .into_iter()
                .flatten()
                .collect(),
        )
    });
}

#[test]
fn a_frontend_that_reads_no_reply_is_told_in_the_log() {
    on_private_host(|| {
        let backend = Backend::start(Options::default());
        crate::support::backend::send_as_frontend("CREATE 41 825", API);
        let told = crate::support::wait_for(10, "refusal in the log", || {
            let log = backend.log();
            log.lines()
                .find(|line| line.contains(WINDOW))
                .map(str::to_owned)
        });
        assert!(told.contains("41") && told.contains("127.0.0.1"), "{told}");
        assert!(sh(&format!("ls -A {STATE}/spool")).trim() == "bad");
    });
}
