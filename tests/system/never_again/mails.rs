//! What it lost silently.

use super::{API, done};
use crate::support::backend::{Backend, Options, SENDER, home, send, send_as_frontend, send_bytes};
use crate::support::on_private_host;

#[test]
fn bodies_in_other_clothes() {
    on_private_host(|| {
        let backend = Backend::start(Options::default());
        let mails: [&[u8]; 5] = [
            b"Subject: CREATE 11 1\r\nContent-Transfer-Encoding: base64\r\n\r\nV0tTSFAtQVBJMTAxCg==\r\n",
            b"Subject: CREATE 12 2\r\n\r\n\r\n  \r\n\t\r\nWKSHP-API101\r\n",
            b"Subject: CREATE 13 3\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nWKSHP=2DAPI101\r\n",
            b"Subject: =?utf-8?B?Q1JFQVRFIDE0IDQ=?=\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xef\xbb\xbfWKSHP-API101\r\n",
            b"Subject: CREATE\r\n 15 5\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>WKSHP-API101\r\n--b\r\nContent-Type: text/plain\r\n\r\n\r\nCHLG-API101\r\n--b--\r\n",
        ];
        for mail in mails {
            let reply = send_bytes(SENDER, mail);
            assert!(reply.starts_with("250 "), "{reply}");
        }
        for action in backend.settled(5) {
            done(action);
        }
        for student in 11..=15 {
            assert!(home(student).join(API).join("0-ReadMeFirst.ipynb").exists());
        }
    });
}

/// The frontend forgot to wait for the student's number: the participant's seat is meant.
#[test]
fn object_promise() {
    on_private_host(|| {
        let backend = Backend::start(Options::default());
        done(backend.act(&["CREATE", API, "12", "--participant", "825"]));
        done(backend.act(&["CREATE", API, "13", "--participant", "826"]));
        send_as_frontend("PURGE [object Promise] 825", API);
        let actions = backend.settled(3);
        assert_eq!(
            (&actions[2]["state"], &actions[2]["student"]),
            (&"done".into(), &12.into())
        );
        assert!(!home(12).exists() && home(13).exists());
        let reply = send("PURGE [object Promise] 4711", API);
        assert!(
            reply.starts_with("550 ") && reply.contains("participant 4711 has no seat here"),
            "{reply}"
        );
        assert!(home(13).exists());
    });
}
