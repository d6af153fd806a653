//! Signed mails: vectors from another implementation, headers, and every decision of the door and
//! of the engine, each from a file below `tests/cases/signature`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use wod::domain::signature::{Demand, Key, Keyring, Retired, Rule, Signature, Words};
use wod::domain::{Secret, Time};
use wod::intake::gate::{Envelope, Peer, Policy, judge};
use wod::intake::message::{self, Request};
use wod::intake::proof::proven;
use wod::intake::refusal::Kind;
use wod::intake::spool::{Record, Route};

use crate::intake::policy;

fn cases(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/signature");
    fs::read_to_string(dir.join(name)).unwrap()
}

#[derive(Deserialize)]
struct Vector {
    key: String,
    secret: String,
    at: i64,
    message_id: String,
    subject: String,
    line: String,
    header: String,
}

impl Vector {
    fn words(&self) -> Words<'_> {
        Words {
            message_id: &self.message_id,
            subject: &self.subject,
            line: &self.line,
        }
    }

    fn key(&self, secret: &str) -> Key {
        Key::new(
            self.key.parse().unwrap(),
            Secret::new(secret.to_owned()),
            Time(0),
        )
    }
}

#[test]
fn what_python_signs_we_sign_and_take() {
    let all: Vec<Vector> = serde_json::from_str(&cases("vectors.json")).unwrap();
    assert!(all.len() >= 6);
    for vector in &all {
        let key = vector.key(&vector.secret);
        let signed = key.sign(Time(vector.at * 1000 + 999), vector.words());
        assert_eq!(signed.to_string(), vector.header);
        let read: Signature = vector.header.parse().unwrap();
        assert_eq!(read, signed);
        let keys = Keyring(vec![key]);
        keys.verify(&read, vector.words(), Time(0)).unwrap();
        for words in other_words(vector) {
            let words = Words {
                message_id: &words[0],
                subject: &words[1],
                line: &words[2],
            };
            keys.verify(&read, words, Time(0)).expect_err("other words");
        }
        let mut other = read.clone();
        other.at += 1;
        keys.verify(&other, vector.words(), Time(0))
            .expect_err("another time");
        let keys = Keyring(vec![vector.key("another")]);
        keys.verify(&read, vector.words(), Time(0))
            .expect_err("another secret");
    }
}

/// The same with one thing changed, or moved across the border to the next.
fn other_words(vector: &Vector) -> Vec<[String; 3]> {
    let (id, subject, line) = (&vector.message_id, &vector.subject, &vector.line);
    vec![
        [format!("{id}x"), subject.clone(), line.clone()],
        [id.clone(), format!("{subject}x"), line.clone()],
        [id.clone(), subject.clone(), format!("{line}x")],
        [id.clone(), subject.to_lowercase() + " ", line.clone()],
        [id.clone(), format!("{subject}\n{line}"), String::new()],
        [format!("{id}\n{subject}"), line.clone(), String::new()],
    ]
}

#[test]
fn headers() {
    let mut count = 0;
    for case in cases("headers.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let (verdict, text) = case.split_once('|').unwrap();
        let read = text.parse::<Signature>();
        assert_eq!(read.is_ok(), verdict.trim() == "ok", "{case}: {read:?}");
        if let Ok(read) = read {
            assert_eq!(read.to_string().parse::<Signature>().unwrap(), read);
        }
        count += 1;
    }
    assert!(count > 20);
}

const WINDOW: i64 = 300;
const NOW: Time = Time(1_798_761_600_000);
const DAY: i64 = 86_400_000;

fn keys() -> Keyring {
    let key = |id: &str, retired| {
        let mut key = Key::new(id.parse().unwrap(), Secret::new(id.repeat(9)), Time(0));
        key.retired = retired;
        key
    };
    let at = Time(NOW.0 - 2 * DAY);
    let until = Some(Time(NOW.0 - DAY));
    Keyring(vec![
        key("over", Some(Retired { at, until })),
        key("old", Some(Retired { at, until: None })),
        key("new", None),
        key("retired-later", Some(Retired { at, until: None })),
    ])
}

fn mail(headers: &str, student: u32, workshop: &str) -> String {
    format!("{headers}Subject: CREATE  {student}\t825\n\n{workshop}\n")
}

/// The mail of a case, signed as `CREATE 121 825` for WKSHP-API101 and then perhaps changed.
fn mail_of(case: &str) -> String {
    let seconds = match case {
        "expired" => -WINDOW - 31,
        "future" => WINDOW + 31,
        "just-expired" => -WINDOW - 1,
        "just-future" => WINDOW + 1,
        "almost-expired" => -WINDOW,
        "almost-future" => WINDOW,
        _ => 0,
    };
    let id = match case {
        "retired" => "old",
        "over" => "over",
        "unknown-key" => "nobody",
        _ => "new",
    };
    let secret = match case {
        "wrong-secret" => "wrong".to_owned(),
        _ => id.repeat(9),
    };
    let key = Key::new(id.parse().unwrap(), Secret::new(secret), Time(0));
    let words = Words {
        message_id: "<1@frontend>",
        subject: "CREATE 121 825",
        line: "WKSHP-API101",
    };
    let signature = key.sign(Time(NOW.0 + seconds * 1000), words).to_string();
    let header = match case {
        "none" => String::new(),
        "malformed" => "X-Wod-Signature: v1 new now 00\n".to_owned(),
        "other-time" => {
            let changed = signature.replace("1798761600", "1798761601");
            format!("X-Wod-Signature: {changed}\n")
        }
        _ => format!("X-WOD-Signature: {signature}\n"),
    };
    let message_id = match case {
        "without-id" => "",
        "other-id" => "Message-ID: <2@frontend>\n",
        _ => "Message-ID: <1@frontend>\n",
    };
    let student = if case == "other-student" { 122 } else { 121 };
    let workshop = match case {
        "other-workshop" => "CHLG-API101",
        _ => "WKSHP-API101",
    };
    mail(&format!("{message_id}{header}"), student, workshop)
}

fn record(request: Request, case: &str) -> Record {
    let mut action = request.action;
    if case == "forged-record" {
        action.seat = serde_json::from_str(r#"{"students":[5,5]}"#).unwrap();
    }
    Record {
        version: Record::VERSION,
        received: NOW,
        route: Route::Smtp,
        peer: "192.0.2.7".to_owned(),
        sender: "api@frontend.example".to_owned(),
        message_id: request.message_id,
        signed: request.signed.ok().flatten(),
        reason: None,
        action,
    }
}

fn at_the_door(policy: &Policy, mail: &str) -> &'static str {
    let envelope = Envelope {
        peer: Peer::Network("192.0.2.7".parse().unwrap()),
        sender: "api@frontend.example".to_owned(),
        recipients: Vec::new(),
    };
    match judge(policy, &envelope, mail.as_bytes(), NOW) {
        Ok(_) => "accept",
        Err(refusal) if refusal.kind == Kind::Malformed => "malformed",
        Err(refusal) if refusal.kind == Kind::NotAllowed => "not-allowed",
        Err(refusal) => panic!("{refusal:?}"),
    }
}

#[test]
fn decisions() {
    let keys = keys();
    let mut count = 0;
    for line in cases("decisions.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let [demand, case, door] = [words.next(), words.next(), words.next()].map(Option::unwrap);
        let engine = words.collect::<Vec<_>>().join(" ");
        let demand: Demand = serde_json::from_value(demand.into()).unwrap();
        let mut policy = policy();
        policy.signatures = demand;
        policy.replay_seconds = WINDOW as u64;
        let mail = mail_of(case);
        assert_eq!(at_the_door(&policy, &mail), door, "{line}");
        count += 1;
        if engine == "-" {
            continue;
        }
        // What a door would pass on that lets everything in.
        let request = message::read(mail.as_bytes()).unwrap();
        let asked = request.action.clone();
        let rule = Rule {
            demand,
            window: Duration::from_secs(WINDOW as u64),
        };
        match proven(&record(request, case), NOW, rule, &keys) {
            Ok(action) => {
                assert_eq!(engine, "do", "{line}");
                assert_eq!(action, asked, "{line}");
            }
            Err(told) => assert!(told.starts_with(&engine), "{line}: {told}"),
        }
    }
    assert!(count >= 30);
}

#[test]
fn the_newest_key_that_is_not_retired_signs() {
    assert_eq!(keys().signing().unwrap().id.to_string(), "new");
    assert!(Keyring::default().signing().is_none());
}

#[test]
fn of_a_signed_mail_the_signed_words_count() {
    let subject = "PURGE [object Promise] 12";
    let words = Words {
        message_id: "<1@frontend>",
        subject,
        line: "VOID",
    };
    let keys = keys();
    let header = keys.signing().unwrap().sign(NOW, words);
    let mail = format!(
        "Subject: {subject}\nMessage-ID: <1@frontend>\nX-Wod-Signature: {header}\n\nVOID\n"
    );
    let request = message::read(mail.as_bytes()).unwrap();
    let asked = request.action.clone();
    // The door says which seat that is; a door that lies is not listened to.
    let record = record(request, "forged-record");
    let rule = Rule {
        demand: Demand::Required,
        window: Duration::from_secs(1),
    };
    assert_eq!(proven(&record, NOW, rule, &keys).unwrap(), asked);
    let later = Time(NOW.0 + 32_000);
    proven(&record, later, rule, &keys).expect_err("too late");
}
