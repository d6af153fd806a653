//! A mail's bytes become one action, or one clear line that says what was expected.
//!
//! Pure. Whether the action may be asked for here is the gate's question.

use serde::{Deserialize, Serialize};

use crate::domain::signature::{self, Signature};
use crate::domain::{
    Action, AskedWorkshop, Invalid, Participant, Seat, StudentRange, Verb, quoted,
};

use super::body;
use super::header::{Entity, TooManyHeaders, without_from_line};

/// What a mail asks for, and what of it is worth a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub action: Action,
    /// As the header has it, `<…>`; None when missing or not plain printable ASCII.
    pub message_id: Option<String>,
    /// The From header, cut to 250 characters. Anyone can write it: never trusted.
    pub from: Option<String>,
    /// None when the mail is not signed; the error is of no interest where signatures are off.
    pub signed: Result<Option<Signed>, Malformed>,
}

/// A signature and the words that it is for: a claim, until somebody with keys has looked at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    pub signature: Signature,
    /// Decoded, one blank between two words.
    pub subject: String,
    /// The first line of the body that is not blank; empty when there is none.
    pub line: String,
}

impl Signed {
    /// What these words ask for.
    pub fn action(&self) -> Result<Action, Malformed> {
        let line = Some(self.line.as_str()).filter(|line| !line.is_empty());
        action(parse_subject(&self.subject)?, Ok(line))
    }
}

/// Why a mail is not an action: field and expectation, one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl From<Invalid> for Malformed {
    fn from(invalid: Invalid) -> Malformed {
        Malformed(invalid.to_string())
    }
}

impl From<TooManyHeaders> for Malformed {
    fn from(_: TooManyHeaders) -> Malformed {
        Malformed(TooManyHeaders::LINE.to_owned())
    }
}

/// Longest values worth keeping, in bytes (message id, From) by common practice and RFC 5321.
const LONGEST_KEPT: usize = 250;
const LONGEST_EMAIL: usize = 254;
pub(super) const LONGEST_SUBJECT: usize = 500;
/// Of a line that is signed, in bytes.
pub(super) const LONGEST_LINE: usize = 320;

const SUBJECT: &str = "expected VERB STUDENT PARTICIPANT and perhaps an e-mail address, \
                       as in CREATE 121 825";

/// Understands a whole mail, with or without an mbox `From ` line, CRLF or bare LF.
pub fn read(mail: &[u8]) -> Result<Request, Malformed> {
    let (_, mail) = without_from_line(mail);
    let mail = Entity::cut(mail)?;
    let subject = the_subject(&mail)?;
    let line = body::first_line(&mail);
    let plain = line.as_ref().map(Option::as_deref).map_err(Clone::clone);
    Ok(Request {
        action: action(parse_subject(&subject)?, plain)?,
        signed: signed(&mail, &subject, line.ok().flatten()),
        message_id: mail.first("Message-ID").and_then(kept_id),
        from: mail
            .first("From")
            .map(|from| from.chars().take(LONGEST_KEPT).collect()),
    })
}

/// The envelope sender as the delivery agent wrote it into the mail: the mbox `From ` line, else
/// the first Return-Path. Empty for the null sender of bounces; None when neither is there.
pub fn recorded_sender(mail: &[u8]) -> Option<String> {
    let (address, mail) = without_from_line(mail);
    let path = || Entity::cut(mail).ok()?.first("Return-Path");
    let sender = address.or_else(path)?;
    let sender = sender.trim();
    let bare = sender.strip_prefix('<').and_then(|s| s.strip_suffix('>'));
    Some(bare.unwrap_or(sender).to_owned())
}

fn the_subject(mail: &Entity) -> Result<String, Malformed> {
    let subjects = mail.all("Subject");
    let [subject] = subjects.as_slice() else {
        return Err(Malformed(format!(
            "subject: expected one Subject header, found {}",
            match subjects.len() {
                0 => "none".to_owned(),
                many => many.to_string(),
            }
        )));
    };
    if subject.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Invalid::new("subject", subject, "expected no control characters").into());
    }
    if subject.len() > LONGEST_SUBJECT {
        let expected = format!("expected at most {LONGEST_SUBJECT} characters");
        return Err(Invalid::new("subject", subject, expected).into());
    }
    Ok(subject.clone())
}

type Asked = (Verb, Seat, Participant, Option<String>);

fn parse_subject(subject: &str) -> Result<Asked, Malformed> {
    let words: Vec<&str> = subject.split_ascii_whitespace().collect();
    match words.as_slice() {
        [first, ..] if first.contains(':') => Err(Malformed(format!(
            "subject {}: a reply or a forwarded mail is not an action; send a new mail",
            quoted(subject)
        ))),
        // What the frontend's sender makes of an id that it forgot to wait for.
        [verb, "[object", "Promise]", participant, rest @ ..] if rest.len() < 2 => {
            let verb = verb.parse()?;
            let participant = person_with_seat(participant)?;
            Ok((verb, Seat::OfParticipant, participant, email(rest)?))
        }
        [verb, student, participant, rest @ ..] if rest.len() < 2 => {
            let verb = verb.parse()?;
            let seat = Seat::Students(students(verb, student)?);
            Ok((verb, seat, participant.parse()?, email(rest)?))
        }
        [verb, ..] => {
            verb.parse::<Verb>()?;
            Err(Invalid::new("subject", subject, SUBJECT).into())
        }
        [] => Err(Invalid::new("subject", subject, SUBJECT).into()),
    }
}

fn students(verb: Verb, text: &str) -> Result<StudentRange, Malformed> {
    let range: StudentRange = text.parse()?;
    if text.contains(',') && verb != Verb::Reset {
        let expected = "expected one student number: only RESET takes a range";
        return Err(Invalid::new("student", text, expected).into());
    }
    Ok(range)
}

/// Nobody has no seat in the registry, so nothing could ever be found for participant 0.
fn person_with_seat(text: &str) -> Result<Participant, Malformed> {
    let participant: Participant = text.parse()?;
    if participant.is_nobody() {
        let expected = "expected a participant with a seat, as the subject names no student";
        return Err(Invalid::new("participant", text, expected).into());
    }
    Ok(participant)
}

fn email(rest: &[&str]) -> Result<Option<String>, Malformed> {
    let Some(text) = rest.first() else {
        return Ok(None);
    };
    if !is_email(text) {
        return Err(Invalid::new("e-mail", text, "expected name@domain").into());
    }
    Ok(Some((*text).to_owned()))
}

/// Sane, not RFC 5322: what can go into a header, an argument or a page without being more than
/// an address there.
pub(super) fn is_email(text: &str) -> bool {
    let plain = |c: char| {
        c.is_alphanumeric() || (c.is_ascii_graphic() && !r#"<>()[]\,;:"'`$|&"#.contains(c))
    };
    let halves = text.split_once('@');
    text.len() <= LONGEST_EMAIL
        && text.chars().all(plain)
        && halves.is_some_and(|(name, domain)| {
            !name.is_empty()
                && !name.starts_with('-')
                && !domain.is_empty()
                && !domain.contains('@')
        })
}

fn action(
    (verb, seat, participant, email): Asked,
    line: Result<Option<&str>, String>,
) -> Result<Action, Malformed> {
    Ok(Action {
        verb,
        seat,
        participant,
        email,
        workshop: workshop(verb, line)?,
    })
}

fn workshop(
    verb: Verb,
    line: Result<Option<&str>, String>,
) -> Result<Option<AskedWorkshop>, Malformed> {
    if !verb.needs_workshop() {
        return Ok(line.ok().flatten().and_then(|line| line.parse().ok()));
    }
    let line = line.map_err(Malformed)?.ok_or_else(|| {
        Malformed("workshop: the body is empty; expected WKSHP-… on its first line".to_owned())
    })?;
    Ok(Some(line.parse()?))
}

fn signed(mail: &Entity, subject: &str, line: Option<String>) -> Result<Option<Signed>, Malformed> {
    let headers = mail.all(signature::HEADER);
    let header = match headers.as_slice() {
        [] => return Ok(None),
        [header] => header,
        many => {
            let line = format!("signature: expected one header, found {}", many.len());
            return Err(Malformed(line));
        }
    };
    let signed = Signed {
        signature: header.parse()?,
        subject: subject
            .split_ascii_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
        line: line.unwrap_or_default(),
    };
    if signed.line.len() > LONGEST_LINE || signed.line.chars().any(char::is_control) {
        let line = "signature: the signed line of the body is not a short, plain one";
        return Err(Malformed(line.to_owned()));
    }
    Ok(Some(signed))
}

fn kept_id(id: String) -> Option<String> {
    let id = id.trim();
    let plain =
        !id.is_empty() && id.len() <= LONGEST_KEPT && id.bytes().all(|b| b.is_ascii_graphic());
    plain.then(|| id.to_owned())
}
