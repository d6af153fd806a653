//! Arbitrary bytes: nothing panics, and how the network cuts them changes nothing.

use proptest::collection::vec;
use proptest::prelude::*;

use wod::intake::gate::{Envelope, Peer, check};
use wod::intake::message;
use wod::intake::refusal::Refusal;
use wod::intake::session::{Event, Mail};

use crate::intake::{converse, policy};

const PEER: Peer = Peer::Network(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)));

/// Bytes that look like a mail often enough to get deep into the reader.
fn mail_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"Subject: ".to_vec()),
        Just(b"CREATE 121 825".to_vec()),
        Just(b"RESET [object Promise] 12".to_vec()),
        Just(b"=?utf-8?Q?".to_vec()),
        Just(b"=?utf-16?B?".to_vec()),
        Just(b"?=".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b"\n ".to_vec()),
        Just(b"Content-Type: multipart/mixed; boundary=b\n".to_vec()),
        Just(b"Content-Type: text/plain; charset=utf-16; boundary*0*=utf-8'%\n".to_vec()),
        Just(b"Content-Transfer-Encoding: base64\n".to_vec()),
        Just(b"Content-Transfer-Encoding: quoted-printable\n".to_vec()),
        Just(b"Content-Disposition: ".to_vec()),
        Just(b"\n--b\n".to_vec()),
        Just(b"--b--".to_vec()),
        Just(b"WKSHP-API101\n".to_vec()),
        Just(b"From ".to_vec()),
        Just(b"X-Wod-Signature: v1 k 1 ".to_vec()),
        Just([b'a'; 64].to_vec()),
        Just(b"Return-Path: <".to_vec()),
        vec(any::<u8>(), 0..12),
    ];
    vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn wire_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"HELO x".to_vec()),
        Just(b"EHLO x".to_vec()),
        Just(b"MAIL FROM: api@frontend.example".to_vec()),
        Just(b"MAIL FROM:<api@frontend.example> SIZE=9".to_vec()),
        Just(b"RCPT TO:<wodadmin@x>".to_vec()),
        Just(b"DATA".to_vec()),
        Just(b"MAIL FROM:<api@frontend.example>\nRCPT TO:<wodadmin>\nDATA\n".to_vec()),
        Just(b"MAIL FROM:<api@frontend.example>\r\nRCPT TO:<wodadmin>\r\nDATA\r\n".to_vec()),
        Just(b"QUIT".to_vec()),
        Just(b"RSET".to_vec()),
        Just(b".".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\n.\n".to_vec()),
        Just(b"\r\n.\r\n".to_vec()),
        Just(vec![b'x'; 1100]),
        vec(any::<u8>(), 0..12),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Event> {
    converse(&policy(), PEER, pieces, |mail: &Mail| {
        message::read(&mail.text)
            .map(|request| format!("{request:?}"))
            .map_err(Refusal::from)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn any_mail_is_an_action_or_one_printable_line(mail in mail_like()) {
        let _ = message::recorded_sender(&mail);
        let envelope = Envelope {
            peer: PEER,
            sender: "api@frontend.example".to_owned(),
            recipients: vec!["wodadmin".to_owned()],
        };
        let verdict = message::read(&mail)
            .map_err(Refusal::from)
            .and_then(|request| check(&policy(), &envelope, request));
        if let Err(refusal) = verdict {
            prop_assert!(refusal.line.bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert!((10..=480).contains(&refusal.line.len()));
        }
    }

    #[test]
    fn any_bytes_do(mail in vec(any::<u8>(), 0..2000)) {
        let _ = message::read(&mail);
        let _ = events(std::iter::once(&mail[..]));
    }

    #[test]
    fn a_session_is_the_same_in_any_pieces(wire in wire_like(), size in 1_usize..50) {
        let whole = events(std::iter::once(&wire[..]));
        prop_assert_eq!(&events(wire.chunks(1)), &whole);
        prop_assert_eq!(&events(wire.chunks(size)), &whole);
    }
}

fn mails(wire: &str) -> Vec<String> {
    let texts = events(std::iter::once(wire.as_bytes()))
        .into_iter()
        .filter_map(|event| match event {
            Event::Mail(mail) => Some(String::from_utf8(mail.text).unwrap()),
            _ => None,
        });
    texts.collect()
}

fn replies(wire: &str) -> Vec<String> {
    let lines = events(std::iter::once(wire.as_bytes()))
        .into_iter()
        .filter_map(|event| match event {
            Event::Reply(line) => Some(line.split(' ').next().unwrap().trim_end().to_owned()),
            _ => None,
        });
    lines.collect()
}

const CRLF: &str = "HELO x\r\nMAIL FROM:<api@frontend.example>\r\nRCPT TO:<wodadmin>\r\nDATA\r\n";
const LF: &str = "HELO x\nMAIL FROM: api@frontend.example\nRCPT TO: wodadmin\nDATA\n";
const INNER: &str =
    "MAIL FROM:<api@frontend.example>\r\nRCPT TO:<wodadmin>\r\nDATA\r\nSubject: PURGE 1 1\r\n.\r\n";

#[test]
fn nothing_is_smuggled_into_a_crlf_session() {
    for dot in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r\r\n"] {
        let wire = format!("{CRLF}Subject: x{dot}{INNER}");
        assert_eq!(mails(&wire).len(), 1, "{dot:?}");
    }
}

#[test]
fn a_bare_lf_session_carries_one_mail_a_crlf_session_several() {
    let text = "Subject: PURGE 1 1\n.\n";
    assert_eq!(mails(&format!("{LF}{text}{LF}{text}")).len(), 1);
    assert_eq!(replies(&format!("{LF}{text}QUIT\n")).last().unwrap(), "221");
    assert_eq!(
        mails(&format!("{CRLF}x\r\n.\r\n{CRLF}y\r\n.\r\n")),
        ["x\n", "y\n"]
    );
}

#[test]
fn commands_and_their_limits() {
    let mail = "MAIL FROM:<api@frontend.example>";
    for (wire, codes) in [
        (
            "NOOP\r\nRSET\r\nVRFY x\r\nquit\r\nNOOP\r\n".to_owned(),
            "250 250 252 221",
        ),
        ("ETRN\r\n\r\n".to_owned(), "500 500"),
        ("DATA\r\nRCPT TO:<x>\r\n".to_owned(), "503 503"),
        (format!("{mail}\r\n{mail}\r\nDATA\r\n"), "250 503 503"),
        (
            format!("{mail} SIZE=99999999\r\n{mail} SIZE=x\r\n{mail} RET=HDRS\r\n"),
            "552 552 555",
        ),
        (
            "MAIL FROM: SIZE=5\r\nMAIL FROM:<a\r\nMAIL api\r\nMAIL FROM:<a>b\r\n".to_owned(),
            "501 501 501 501",
        ),
        (
            format!("{mail}\r\n{}", "RCPT TO:<wodadmin>\r\n".repeat(11)),
            "250 250 250 250 250 250 250 250 250 250 250 452",
        ),
        (format!("{}\r\nNOOP\r\n", "x".repeat(5000)), "500 250"),
        (
            "X\r\n".repeat(12),
            "500 500 500 500 500 500 500 500 500 500 421",
        ),
        (
            "POST / HTTP/1.1\r\nMAIL FROM:<api@frontend.example>\r\n".to_owned(),
            "421",
        ),
        ("HELO \u{e9}\r\n".to_owned(), "500"),
    ] {
        assert_eq!(replies(&wire).join(" "), codes, "{wire:?}");
    }
}
