//! Sends an action mail as a frontend would, for `wod test-action`: the other end of the intake.
//! It knows the mail's form and nothing of how it is read.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use lettre::message::Message;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::transport::smtp::{Error, response::Response};
use lettre::{SmtpTransport, Transport};

use super::notify_mail::mailbox;
use crate::domain::signature::{HEADER, Key, Words};
use crate::domain::{Action, Seat, Time, Verb, quoted};
use crate::ports::Fault;

/// Which backend, and who we say we are.
#[derive(Debug, Clone)]
pub struct Config {
    pub host: String,
    /// WODPOSTPORT.
    pub port: u16,
    /// WODSENDER.
    pub from: String,
    /// Whom the backend takes mail for, e.g. `wodadmin@backend`.
    pub to: String,
    /// For the connection, and again for each line of the dialogue.
    pub timeout: Duration,
}

/// What the backend said to the mail in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 250 for an accepted action, 4xx for one to be sent again, 5xx for a refused one.
    pub code: u16,
    /// Its first line, without the code.
    pub text: String,
}

impl Reply {
    pub fn accepted(&self) -> bool {
        self.code / 100 == 2
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

/// A Message-ID that was never used before: what the mail became is found by it.
pub fn message_id() -> String {
    let mut random = [0u8; 16];
    // Without randomness the time alone has to do.
    let _ = getrandom::fill(&mut random);
    let random = u128::from_le_bytes(random);
    format!("<{}.{random:032x}@wod>", Time::now().0)
}

/// Sends the mail, signed when there is a key; a refusal is a [`Reply`]. Fails when there was no
/// reply at all.
pub fn send_action(
    config: &Config,
    action: &Action,
    message_id: &str,
    key: Option<&Key>,
) -> Result<Reply, Fault> {
    let message = message(config, action, message_id, key)?;
    let transport = SmtpTransport::builder_dangerous(&config.host)
        .port(config.port)
        .timeout(Some(config.timeout))
        .build();
    match transport.send(&message) {
        Ok(response) => Ok(accepted(&response)),
        Err(error) => refused(&error).ok_or_else(|| {
            Fault::retry(format!(
                "no mail server answers at {}:{}; does wod serve run there, on WODPOSTPORT?",
                config.host, config.port
            ))
            .because(&error)
        }),
    }
}

fn message(
    config: &Config,
    action: &Action,
    message_id: &str,
    key: Option<&Key>,
) -> Result<Message, Fault> {
    let (subject, body) = (subject(action), body(action));
    let mut message = Message::builder()
        .from(mailbox("WODSENDER", &config.from)?)
        .to(mailbox("the backend's address", &config.to)?)
        .message_id(Some(message_id.to_owned()))
        .date_now();
    if let Some(key) = key {
        let words = Words {
            message_id,
            subject: &subject,
            line: body.trim(),
        };
        message = message.header(SignatureHeader(key.sign(Time::now(), words).to_string()));
    }
    message
        .subject(subject)
        .body(body)
        .map_err(|e| Fault::permanent("the action cannot be put into a mail").because(&e))
}

/// What the intake looks for in a signed mail.
#[derive(Clone)]
struct SignatureHeader(String);

impl Header for SignatureHeader {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str(HEADER)
    }

    fn parse(text: &str) -> Result<SignatureHeader, Box<dyn std::error::Error + Send + Sync>> {
        Ok(SignatureHeader(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(SignatureHeader::name(), self.0.clone())
    }
}

/// `CREATE 121 825 someone@example.org`
fn subject(action: &Action) -> String {
    let seat = match action.seat {
        Seat::Students(range) => range.to_string(),
        // Word for word what frontends send that forget to wait for the number.
        Seat::OfParticipant => "[object Promise]".to_owned(),
    };
    let email = action
        .email
        .as_deref()
        .filter(|_| action.verb == Verb::Create)
        .map_or(String::new(), |email| format!(" {email}"));
    format!("{} {seat} {}{email}", action.verb, action.participant)
}

fn body(action: &Action) -> String {
    match &action.workshop {
        Some(workshop) => format!("{workshop}\r\n"),
        None => "VOID\r\n".to_owned(),
    }
}

fn accepted(response: &Response) -> Reply {
    Reply {
        code: response.code().into(),
        text: response.first_line().unwrap_or_default().to_owned(),
    }
}

fn refused(error: &Error) -> Option<Reply> {
    let text = error
        .source()
        .map_or(String::new(), |text| text.to_string());
    Some(Reply {
        code: error.status()?.into(),
        text: quoted_line(&text),
    })
}

/// What a stranger's server says may hold anything.
fn quoted_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        true => line.to_owned(),
        false => quoted(line),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::domain::Participant;

    fn action(verb: Verb, seat: Seat) -> Action {
        Action {
            verb,
            seat,
            participant: Participant::new(825),
            email: Some("a@example.org".into()),
            workshop: (verb != Verb::Purge).then(|| "CHLG-API101".parse().unwrap()),
        }
    }

    #[test]
    fn the_mail_is_what_a_frontend_sends() {
        let seven = Seat::Students("7,9".parse().unwrap());
        for (verb, seat, expected, workshop) in [
            (
                Verb::Create,
                seven,
                "CREATE 7,9 825 a@example.org",
                "CHLG-API101\r\n",
            ),
            (Verb::Cleanup, seven, "CLEANUP 7,9 825", "CHLG-API101\r\n"),
            (
                Verb::Purge,
                Seat::OfParticipant,
                "PURGE [object Promise] 825",
                "VOID\r\n",
            ),
        ] {
            let action = action(verb, seat);
            assert_eq!(subject(&action), expected);
            assert_eq!(body(&action), workshop);
        }
    }

    /// A mail server that gives one reply to the mail's end; gives back what it was told.
    fn server(reply: &'static str) -> (u16, thread::JoinHandle<String>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut told = String::new();
            let mut in_data = false;
            peer.write_all(b"220 x ESMTP\r\n").unwrap();
            for line in BufReader::new(peer.try_clone().unwrap()).lines() {
                let Ok(line) = line else { break };
                told += &line;
                told.push('\n');
                let answer = match line.as_str() {
                    "." => {
                        in_data = false;
                        reply
                    }
                    _ if in_data => continue,
                    "DATA" => {
                        in_data = true;
                        "354 go on"
                    }
                    "QUIT" => break,
                    _ => "250 ok",
                };
                peer.write_all(format!("{answer}\r\n").as_bytes()).unwrap();
            }
            told
        });
        (port, told)
    }

    fn sent(port: u16) -> Result<Reply, Fault> {
        let config = Config {
            host: "127.0.0.1".into(),
            port,
            from: "frontend@example.org".into(),
            to: "wodadmin@localhost".into(),
            timeout: Duration::from_secs(5),
        };
        let seat = Seat::Students("7".parse().unwrap());
        send_action(&config, &action(Verb::Create, seat), &message_id(), None)
    }

    #[test]
    fn the_last_reply_comes_back_be_it_good_or_bad() {
        for (line, accepted) in [
            ("250 2.0.0 action 17", true),
            ("451 4.3.0 spool is full", false),
            ("550 5.7.1 student `0`: expected a student number", false),
        ] {
            let (port, told) = server(line);
            let reply = sent(port).unwrap();
            assert_eq!(reply.to_string(), line);
            assert_eq!(reply.accepted(), accepted);
            drop(reply);
            let told = told.join().unwrap();
            for expected in [
                "MAIL FROM:<frontend@example.org>",
                "Subject: CREATE 7 825 a@example.org\n",
                "Message-ID: <",
                "\n\nCHLG-API101\n",
            ] {
                assert!(told.contains(expected), "{expected} in {told}");
            }
        }
    }

    #[test]
    fn no_server_is_a_fault_that_may_pass() {
        let fault = sent(1).unwrap_err();
        assert_eq!(fault.disposition, crate::ports::Disposition::Retry);
        assert!(fault.line().contains("does wod serve run there"), "{fault}");
    }
}
