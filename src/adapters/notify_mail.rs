//! Mail to the admin, through the host's own mail server. Plain SMTP: the server is on loopback,
//! and what is sent names no secret.

use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, Message};
use lettre::{SmtpTransport, Transport};

use crate::domain::quoted;
use crate::ports::{Fault, Notify};

/// For the connection, and again for each line of the dialogue.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Which mail server, and between whom.
#[derive(Debug, Clone)]
pub struct Config {
    pub host: String,
    pub port: u16,
    /// An address, or a name on this host.
    pub from: String,
    /// WODMONITOR: one or several, with commas between.
    pub to: String,
}

/// A [`Notify`] that sends mail.
#[derive(Debug)]
pub struct Mail {
    transport: SmtpTransport,
    server: String,
    from: Mailbox,
    to: Mailboxes,
}

impl Mail {
    /// Fails, permanently, when an address is none.
    pub fn new(config: Config) -> Result<Mail, Fault> {
        let to = config
            .to
            .split(',')
            .map(|address| mailbox("WODMONITOR", address))
            .collect::<Result<Mailboxes, Fault>>()?;
        Ok(Mail {
            transport: SmtpTransport::builder_dangerous(&config.host)
                .port(config.port)
                .timeout(Some(TIMEOUT))
                .build(),
            from: mailbox("the sender of notices", &config.from)?,
            server: format!("{}:{}", config.host, config.port),
            to,
        })
    }

    fn message(&self, subject: &str, body: &str) -> Result<Message, Fault> {
        let one_line: String = subject
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let mut message = Message::builder()
            .from(self.from.clone())
            .mailbox(lettre::message::header::To::from(self.to.clone()))
            .subject(one_line)
            .message_id(None)
            .date_now()
            .body(body.to_owned())
            .map_err(|e| Fault::permanent("a notice cannot be put into a mail").because(&e))?;
        // So that no vacation responder answers, and no backend takes it for an action.
        message.headers_mut().insert_raw(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
        Ok(message)
    }
}

impl Notify for Mail {
    /// Retry when the mail server does not take it now, Permanent when it never will.
    fn send(&self, subject: &str, body: &str) -> Result<(), Fault> {
        let message = self.message(subject, body)?;
        let Err(error) = self.transport.send(&message) else {
            return Ok(());
        };
        let line = format!(
            "the mail server at {} did not take the notice {}",
            self.server,
            quoted(subject)
        );
        match error.is_permanent() {
            true => Err(Fault::permanent(line).because(&error)),
            false => Err(Fault::retry(line).because(&error)),
        }
    }
}

/// A mailbox; a bare name is one on this host.
pub(super) fn mailbox(what: &str, text: &str) -> Result<Mailbox, Fault> {
    let text = text.trim();
    let address = match text.contains('@') {
        true => text.to_owned(),
        false => format!("{text}@localhost"),
    };
    address.parse().map_err(|e| {
        Fault::permanent(format!("{what} {} is no mail address", quoted(text))).because(&e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(to: &str) -> Result<Mail, Fault> {
        Mail::new(Config {
            host: "localhost".into(),
            port: 25,
            from: "wodadmin".into(),
            to: to.into(),
        })
    }

    #[test]
    fn a_notice_is_marked_as_made_by_a_machine_and_its_subject_is_one_line() {
        let mail = mail("root, Ops <ops@example.org>").unwrap();
        let message = mail.message("a\r\nBcc: x@y.z", "über\n").unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        assert!(
            text.contains("Auto-Submitted: auto-generated\r\n"),
            "{text}"
        );
        assert!(
            text.contains("To: root@localhost, Ops <ops@example.org>\r\n"),
            "{text}"
        );
        assert!(text.contains("Subject: a  Bcc: x@y.z\r\n"), "{text}");
    }

    #[test]
    fn an_address_that_is_none_is_told() {
        let fault = mail("ops@@x").unwrap_err();
        assert!(
            fault
                .line()
                .starts_with("WODMONITOR `ops@@x` is no mail address"),
            "{fault}"
        );
    }
}
