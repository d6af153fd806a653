//! Each `*.case` file goes through the pipe, a CRLF session and a bare-LF one-shot dialogue: the
//! verdict and its line must be the expected one, and the same, on all of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use wod::intake::admit;
use wod::intake::gate::{Peer, SeatsKnown};
use wod::intake::pipe::{Context, ingest};
use wod::intake::session::Event;
use wod::intake::spool::{Record, Route};

use crate::intake::{Site, cases_dir, converse, policy};

/// What a route made of a mail: the exit status where it has one, the reply code where it has one.
#[derive(Debug, PartialEq)]
struct Verdict {
    exit: Option<u8>,
    code: Option<u16>,
    line: String,
}

struct Case {
    keys: BTreeMap<String, String>,
    text: Vec<u8>,
}

impl Case {
    fn load(path: &Path) -> Case {
        let raw = fs::read(path).unwrap();
        let bar = b"\n----\n";
        let end = raw
            .windows(bar.len())
            .position(|w| w == bar)
            .expect("a ---- line");
        let head = std::str::from_utf8(&raw[..end]).unwrap();
        let keys: BTreeMap<String, String> = head
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let (key, value) = line.split_once(':').expect("key: value");
                (key.to_owned(), value.trim().to_owned())
            })
            .collect();
        let mut text = raw[end + bar.len()..].to_vec();
        if keys.contains_key("escapes") {
            text = unescaped(&text);
        }
        if let Some(times) = keys.get("repeat") {
            let start = text[..text.len() - 1]
                .iter()
                .rposition(|b| *b == b'\n')
                .unwrap()
                + 1;
            let line = text.split_off(start);
            text.extend(line.repeat(times.parse().unwrap()));
        }
        Case { keys, text }
    }

    fn key(&self, name: &str) -> Option<&str> {
        self.keys.get(name).map(String::as_str)
    }

    fn takes(&self, route: &str) -> bool {
        self.key("routes")
            .is_none_or(|routes| routes.contains(route))
    }

    fn mail(&self) -> Vec<u8> {
        let Some(start) = find(&self.text, b"DATA\n").filter(|_| self.key("dialogue").is_some())
        else {
            return self.text.clone();
        };
        let text = &self.text[start + 5..];
        text[..find(text, b"\n.\n").unwrap() + 1].to_vec()
    }

    /// What a client sends that never waits for a reply.
    fn wire(&self, end: &str) -> Vec<u8> {
        if self.key("dialogue").is_some() {
            return self.text.clone();
        }
        let (sender, recipient) = (self.key("sender").unwrap(), self.key("recipient").unwrap());
        let mut wire = match end {
            "\n" => format!("HELO frontend\nMAIL FROM: {sender}\nRCPT TO: {recipient}\nDATA\n"),
            _ => format!("EHLO [192.0.2.7]{end}MAIL FROM:<{sender}> SIZE=100 BODY=8BITMIME{end}RCPT TO:<{recipient}>{end}DATA{end}"),
        }
        .into_bytes();
        let text = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
        for line in text.split(|b| *b == b'\n') {
            let line = match end {
                "\n" => line,
                _ => line.strip_suffix(b"\r").unwrap_or(line),
            };
            wire.extend(line.first().filter(|b| **b == b'.'));
            wire.extend_from_slice(line);
            wire.extend_from_slice(end.as_bytes());
        }
        wire.extend_from_slice(format!(".{end}").as_bytes());
        wire
    }

    fn expected(&self) -> Verdict {
        let expect = self.key("expect").expect("expect");
        if let Some(action) = expect.strip_prefix("accept ") {
            return Verdict {
                exit: Some(0),
                code: Some(250),
                line: format!("accepted: {action}"),
            };
        }
        let mut words = expect
            .strip_prefix("refuse ")
            .expect("accept or refuse")
            .splitn(3, ' ');
        Verdict {
            exit: words.next().map(|word| word.parse().unwrap()),
            code: words.next().map(|word| word.parse().unwrap()),
            line: words.next().unwrap().to_owned(),
        }
    }

    fn site(&self) -> Site {
        let mut policy = policy();
        if self.key("seats") == Some("open") {
            policy.seats_complete = SeatsKnown::Partly;
        }
        if let Some(demand) = self.key("signatures") {
            policy.signatures = serde_json::from_value(demand.into()).unwrap();
            // The signatures of cases are of one day.
            policy.replay_seconds = u64::MAX / 1000;
        }
        Site::new(policy)
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

/// `\x00`, `\r`, `\n`, `\t` and `\\`.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'x' => {
                    let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                }
                other => other,
            },
            byte => byte,
        });
    }
    plain
}

fn over_pipe(case: &Case, site: &Site) -> Verdict {
    let context = Context {
        sender: case.key("sender").map(str::to_owned),
        recipient: case.key("recipient").map(str::to_owned),
        peer: case
            .key("peer")
            .filter(|peer| *peer != "local")
            .map(str::to_owned),
    };
    let mail = case.mail();
    let outcome = ingest(mail.as_slice(), &context, &site.gate(), &site.spool());
    Verdict {
        exit: Some(outcome.exit),
        code: None,
        line: outcome.line,
    }
}

fn over_smtp(case: &Case, site: &Site, end: &str) -> Verdict {
    let peer = Peer::Network(case.key("peer").unwrap().parse().unwrap());
    let (gate, spool) = (site.gate(), site.spool());
    let wire = case.wire(end);
    let events = converse(&site.policy, peer, std::iter::once(&wire[..]), |mail| {
        admit(&gate, &spool, Route::Smtp, &mail.envelope, &mail.text)
    });
    let telling = events.iter().find_map(|event| match event {
        Event::Reply(line) if line.starts_with(['4', '5']) => Some(line),
        Event::Reply(line) if line.contains("accepted") => Some(line),
        _ => None,
    });
    let mut words = telling.expect("a verdict").trim_end().splitn(3, ' ');
    let code: u16 = words.next().unwrap().parse().unwrap();
    let _status = words.next();
    Verdict {
        exit: None,
        code: Some(code),
        line: words.next().unwrap().to_owned(),
    }
}

fn check_records(
    case: &Case,
    expected: &Verdict,
    site: &Site,
    faults: &mut Vec<String>,
) -> Option<Record> {
    let records = site.take_records();
    if records.len() != usize::from(expected.exit == Some(0)) {
        faults.push(format!("{} records in the spool", records.len()));
    }
    let record = records.into_iter().next()?;
    let kept = [
        ("email", record.action.email.clone()),
        ("message-id", record.message_id.clone()),
        (
            "signed",
            record
                .signed
                .as_ref()
                .map(|signed| format!("{} | {}", signed.subject, signed.line))
                .map(|words| words.trim_end().to_owned()),
        ),
    ];
    for (key, value) in kept {
        if case
            .key(key)
            .is_some_and(|wanted| value.as_deref() != Some(wanted))
        {
            faults.push(format!("{key} is {value:?}"));
        }
    }
    Some(record)
}

fn run(case: &Case) -> Vec<String> {
    let expected = case.expected();
    let site = case.site();
    let mut faults = Vec::new();
    let mut actions = Vec::new();
    for route in ["pipe", "crlf", "lf"] {
        let smtp = route != "pipe";
        let skipped = smtp && case.key("peer") == Some("local")
            || route == "crlf" && case.key("dialogue").is_some();
        if skipped || !case.takes(if smtp { "smtp" } else { "pipe" }) {
            continue;
        }
        let got = match route {
            "pipe" => over_pipe(case, &site),
            "crlf" => over_smtp(case, &site, "\r\n"),
            _ => over_smtp(case, &site, "\n"),
        };
        let same = got.line == expected.line
            && got.exit.is_none_or(|exit| Some(exit) == expected.exit)
            && got.code.is_none_or(|code| Some(code) == expected.code);
        if !same {
            faults.push(format!("{route}: got {got:?}"));
        }
        let record = check_records(case, &expected, &site, &mut faults);
        actions.push(record.map(|record| (record.action, record.message_id)));
    }
    if actions.windows(2).any(|pair| pair[0] != pair[1]) {
        faults.push("the routes made different records".to_owned());
    }
    faults
}

#[test]
fn every_case_on_every_route() {
    let mut names: Vec<_> = fs::read_dir(cases_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "case"))
        .collect();
    names.sort();
    assert!(names.len() >= 70, "only {} cases", names.len());
    let mut failed = 0;
    for name in &names {
        let faults = run(&Case::load(name));
        failed += usize::from(!faults.is_empty());
        for fault in faults {
            eprintln!("{}: {fault}", name.file_name().unwrap().display());
        }
    }
    assert_eq!(failed, 0, "of {} cases", names.len());
}
