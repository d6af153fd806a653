//! One SMTP session as a state machine: bytes in, replies and mails out. No I/O, no clock.
//!
//! Hand-written because no crate parses the frontend's dialect: smtp-proto and the others insist
//! on `<` after `MAIL FROM:`, on CRLF, and on a client that waits for its turn.

use std::collections::VecDeque;
use std::sync::Arc;

use super::gate::{self, Envelope, Peer, Policy};
use super::refusal::{Kind, Refusal};
use super::text::{LineEnd, Text};

const LONGEST_COMMAND: usize = 1000;
const MOST_RECIPIENTS: usize = 10;
const MOST_ERRORS: u32 = 10;

/// What the caller has to do next, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// To be sent as it is, line end included.
    Reply(String),
    /// To be judged and spooled, then answered with [`Session::answer`].
    Mail(Mail),
    /// To be closed; nothing comes after it.
    Close,
}

/// A mail whose text has ended. Its line ends are LF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub envelope: Envelope,
    pub text: Vec<u8>,
}

#[derive(Debug)]
enum Mode {
    Command,
    /// Within a command line that is too long already.
    Overlong,
    Text(Text),
    /// A mail is out for an answer.
    Waiting,
    Closed,
}

/// A session, from after the greeting to its end.
#[derive(Debug)]
pub struct Session {
    peer: Peer,
    hostname: String,
    /// As of the connection; the mail itself is judged under the policy of its arrival.
    policy: Result<Arc<Policy>, Refusal>,
    mode: Mode,
    input: Vec<u8>,
    events: VecDeque<Event>,
    line_end: Option<LineEnd>,
    sender: Option<String>,
    recipients: Vec<String>,
    errors: u32,
    mails: u32,
}

impl Session {
    /// `policy` is the reason for a temporary refusal when there is none.
    pub fn new(peer: Peer, hostname: &str, policy: Result<Arc<Policy>, Refusal>) -> Session {
        Session {
            peer,
            hostname: hostname.to_owned(),
            policy,
            mode: Mode::Command,
            input: Vec::new(),
            events: VecDeque::new(),
            line_end: None,
            sender: None,
            recipients: Vec::new(),
            errors: 0,
            mails: 0,
        }
    }

    pub fn greeting(&self) -> String {
        format!("220 {} ESMTP wod\r\n", self.hostname)
    }

    /// Takes more of the client's bytes; then [`Session::next_event`] until there is none.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// None when more bytes are needed, or an answer.
    pub fn next_event(&mut self) -> Option<Event> {
        while self.events.is_empty() {
            match &mut self.mode {
                Mode::Command => self.command_line()?,
                Mode::Overlong => self.skip_line()?,
                Mode::Text(_) => self.text()?,
                Mode::Waiting | Mode::Closed => return None,
            }
        }
        self.events.pop_front()
    }

    /// The verdict over the mail that was last handed out: the line for its sender.
    pub fn answer(&mut self, verdict: Result<String, Refusal>) {
        if matches!(self.mode, Mode::Waiting) {
            self.mode = Mode::Command;
            match verdict {
                Ok(line) => self.reply(&format!("250 2.0.0 {line}")),
                Err(refusal) => self.reply(&refused(&refusal)),
            }
        }
    }

    /// Whether a mail was answered and nothing of another has come yet.
    pub fn is_settled(&self) -> bool {
        let between = matches!(self.mode, Mode::Command) && self.sender.is_none();
        self.mails > 0 && between && self.input.is_empty()
    }

    /// Whether the client is in the middle of sending a text.
    pub fn is_in_text(&self) -> bool {
        matches!(self.mode, Mode::Text(_))
    }

    fn reply(&mut self, line: &str) {
        self.events.push_back(Event::Reply(format!("{line}\r\n")));
    }

    fn close(&mut self, line: &str) {
        self.reply(line);
        self.events.push_back(Event::Close);
        self.mode = Mode::Closed;
    }

    /// A client that only errs is guessing, or does not speak SMTP at all.
    fn error(&mut self, line: &str) {
        self.errors += 1;
        self.reply(line);
        if self.errors >= MOST_ERRORS {
            self.close("421 4.7.0 too many errors in one session; closing");
        }
    }

    fn command_line(&mut self) -> Option<()> {
        let end = self.input.iter().position(|b| *b == b'\n');
        if end.unwrap_or(self.input.len()) > LONGEST_COMMAND {
            self.mode = Mode::Overlong;
            return Some(());
        }
        let line: Vec<u8> = self.input.drain(..=end?).collect();
        self.line_end.get_or_insert(match line.ends_with(b"\r\n") {
            true => LineEnd::CrLf,
            false => LineEnd::Lf,
        });
        let line = line.trim_ascii();
        match str::from_utf8(line) {
            Ok(line)
                if line
                    .bytes()
                    .all(|b| (b' '..=b'~').contains(&b) || b == b'\t') =>
            {
                self.command(line);
            }
            _ => self.error("500 5.5.2 command with bytes that are not printable ASCII"),
        }
        Some(())
    }

    fn skip_line(&mut self) -> Option<()> {
        let Some(end) = self.input.iter().position(|b| *b == b'\n') else {
            self.input.clear();
            return None;
        };
        self.input.drain(..=end);
        self.mode = Mode::Command;
        self.error("500 5.5.2 command line is too long: expected at most 1000 bytes");
        Some(())
    }

    fn command(&mut self, line: &str) {
        let (verb, rest) = match line.find([' ', '\t']) {
            Some(end) => (&line[..end], line[end..].trim()),
            None => (line, ""),
        };
        match verb.to_ascii_uppercase().as_str() {
            "HELO" => self.hello(&format!("250 {}", self.hostname)),
            "EHLO" => self.hello(&self.extensions()),
            // `MAIL FROM:addr` in one word too: what follows the colon is looked at later.
            "MAIL" => self.mail(rest),
            "RCPT" => self.rcpt(rest),
            "DATA" => self.data(rest),
            "RSET" => {
                self.forget();
                self.reply("250 2.0.0 ok");
            }
            "NOOP" => self.reply("250 2.0.0 ok"),
            "VRFY" => self.reply("252 2.0.0 send the action, it will be checked"),
            "QUIT" => self.close("221 2.0.0 bye"),
            // A browser that was made to post to this port, commands in its body.
            "GET" | "HEAD" | "POST" | "PUT" | "OPTIONS" | "CONNECT" => {
                self.close("421 4.7.0 this is an SMTP port; closing");
            }
            _ => self.error("500 5.5.2 unknown command; expected HELO, EHLO, MAIL, RCPT, DATA, RSET, NOOP, VRFY or QUIT"),
        }
    }

    fn hello(&mut self, line: &str) {
        self.forget();
        self.reply(line);
    }

    fn extensions(&self) -> String {
        let size = self.policy.as_ref().map_or(0, |policy| policy.max_bytes);
        format!(
            "250-{}\r\n250-SIZE {size}\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES",
            self.hostname
        )
    }

    fn mail(&mut self, rest: &str) {
        if self.sender.is_some() {
            return self.error("503 5.5.1 sender was named already; expected RCPT, DATA or RSET");
        }
        // The frontend sends one mail per connection and does not double its dots: what comes
        // after a bare LF text was part of that text, and not asked for by the frontend.
        if self.line_end == Some(LineEnd::Lf) && self.mails > 0 {
            return self.close(
                "421 4.7.0 only one mail per session with bare LF line ends; connect again",
            );
        }
        let Some((sender, parameters)) = path(rest, "FROM:") else {
            return self.error("501 5.5.4 expected MAIL FROM:<address>");
        };
        match self.check_mail(sender, parameters) {
            Ok(()) => {
                self.sender = Some(sender.to_owned());
                self.reply("250 2.1.0 ok");
            }
            Err(line) => self.error(&line),
        }
    }

    fn check_mail(&self, sender: &str, parameters: &str) -> Result<(), String> {
        let policy = self.policy.as_ref().map_err(refused)?;
        for parameter in parameters.split_ascii_whitespace() {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match key.to_ascii_uppercase().as_str() {
                "SIZE"
                    if value
                        .parse::<u64>()
                        .is_ok_and(|size| size <= policy.max_bytes) => {}
                "SIZE" => return Err(refused(&Refusal::too_large(policy.max_bytes))),
                "BODY" | "AUTH" => {}
                _ => return Err("555 5.5.4 unknown parameter; expected SIZE or BODY".to_owned()),
            }
        }
        gate::check_peer(policy, self.peer)
            .and_then(|()| gate::check_sender(policy, sender))
            .map_err(|refusal| refused(&refusal))
    }

    fn rcpt(&mut self, rest: &str) {
        if self.sender.is_none() {
            return self.error("503 5.5.1 no sender yet; expected MAIL first");
        }
        if self.recipients.len() >= MOST_RECIPIENTS {
            return self.error("452 4.5.3 too many recipients: expected at most 10");
        }
        let Some((recipient, _)) = path(rest, "TO:").filter(|(path, _)| !path.is_empty()) else {
            return self.error("501 5.5.4 expected RCPT TO:<address>");
        };
        let verdict = self
            .policy
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|policy| gate::check_recipient(policy, recipient));
        match verdict {
            Ok(()) => {
                self.recipients.push(recipient.to_owned());
                self.reply("250 2.1.5 ok");
            }
            Err(refusal) => self.error(&refused(&refusal)),
        }
    }

    fn data(&mut self, rest: &str) {
        if !rest.is_empty() {
            return self.error("501 5.5.4 expected DATA alone");
        }
        if self.sender.is_none() || self.recipients.is_empty() {
            return self.error("503 5.5.1 no sender or no recipient; expected MAIL and RCPT first");
        }
        let most = self.policy.as_ref().map_or(0, |policy| policy.max_bytes);
        let line_end = self.line_end.unwrap_or(LineEnd::CrLf);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.mode = Mode::Text(Text::new(line_end, most));
        self.reply("354 end the mail with a line that is a single dot");
    }

    fn text(&mut self) -> Option<()> {
        let Mode::Text(text) = &mut self.mode else {
            return None;
        };
        let Some(taken) = text.feed(&self.input) else {
            self.input.clear();
            return None;
        };
        self.input.drain(..taken);
        self.mails += 1;
        let envelope = Envelope {
            peer: self.peer,
            sender: self.sender.take().unwrap_or_default(),
            recipients: std::mem::take(&mut self.recipients),
        };
        match std::mem::replace(&mut self.mode, Mode::Waiting) {
            Mode::Text(text) => self.hand_out(envelope, text),
            other => self.mode = other,
        }
        Some(())
    }

    fn hand_out(&mut self, envelope: Envelope, text: Text) {
        let most = self.policy.as_ref().map_or(0, |policy| policy.max_bytes);
        match text.finish() {
            Some(text) => self.events.push_back(Event::Mail(Mail { envelope, text })),
            None => self.answer(Err(Refusal::too_large(most))),
        }
    }

    fn forget(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }
}

fn refused(refusal: &Refusal) -> String {
    let (code, status) = refusal.kind.smtp();
    format!("{code} {status} {}", refusal.line)
}

/// The reply to a client that is turned away before a session: RFC 5321 wants 554 there.
pub fn turned_away(refusal: &Refusal) -> String {
    match refusal.kind {
        Kind::Temporary => format!("421 4.3.0 {}\r\n", refusal.line),
        kind => format!("554 {} {}\r\n", kind.smtp().1, refusal.line),
    }
}

/// `FROM:<addr> PARAMETERS`, or without the angle brackets, or with spaces after the colon.
/// The address may be empty; None when this is not an address of at most 320 bytes.
fn path<'a>(rest: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let head = rest.get(..keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let rest = rest[keyword.len()..].trim_start();
    let (address, parameters) = match rest.strip_prefix('<') {
        Some(inside) => inside.split_once('>')?,
        None => rest.split_once([' ', '\t']).unwrap_or((rest, "")),
    };
    let separated =
        parameters.is_empty() || !rest.starts_with('<') || parameters.starts_with([' ', '\t']);
    // `MAIL FROM: SIZE=5` names nobody.
    let named = address.contains('@') || !address.contains('=');
    let sane = named && address.len() <= 320 && !address.contains([' ', '\t', '<', '>']);
    (separated && sane).then_some((address, parameters))
}
