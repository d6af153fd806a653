//! A mail on stdin, from Postfix, procmail or a shell: one mail in, one exit status out.
//!
//! Decides nothing itself: it finds out who hands the mail over and calls the common way.

use std::io::{self, Read};

use super::gate::{Envelope, Peer};
use super::gatefile::GateFile;
use super::refusal::{Kind, Refusal};
use super::spool::{Route, Spool};
use super::{admit, message};

/// How much of a mail that is too large is read away, in bytes, so that Postfix does not fail on
/// a closed pipe and hide our line. Its own limit is 10 MB unless a site raised it.
const DRAINED: u64 = 256 << 20;

/// What the caller says of the mail. None: not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// Empty for the null sender.
    pub sender: Option<String>,
    pub recipient: Option<String>,
    /// The network address of the client that Postfix had it from; empty when it was local.
    pub peer: Option<String>,
}

impl Context {
    /// As Postfix local(8) exports it: SENDER, RECIPIENT, CLIENT_ADDRESS. `variable` looks one up.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Context {
        Context {
            sender: variable("SENDER"),
            recipient: variable("RECIPIENT"),
            peer: variable("CLIENT_ADDRESS"),
        }
    }

    /// What was said on the command line, else what the environment says.
    pub fn or(self, other: Context) -> Context {
        Context {
            sender: self.sender.or(other.sender),
            recipient: self.recipient.or(other.recipient),
            peer: self.peer.or(other.peer),
        }
    }
}

/// What `wod ingest` prints, and its exit status (sysexits).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub exit: u8,
    pub line: String,
}

/// Takes one mail. Reads stdin to its end (or 256 MiB), keeps no more than the policy allows.
pub fn ingest(stdin: impl Read, context: &Context, gate: &GateFile, spool: &Spool) -> Outcome {
    match take(stdin, context, gate, spool) {
        Ok(line) => Outcome { exit: 0, line },
        Err(refusal) => {
            tracing::warn!(?context, "refused: {refusal}");
            Outcome {
                exit: refusal.kind.exit(),
                line: refusal.line,
            }
        }
    }
}

fn take(
    mut stdin: impl Read,
    context: &Context,
    gate: &GateFile,
    spool: &Spool,
) -> Result<String, Refusal> {
    let policy = gate.policy();
    let most = policy.as_ref().map_or(0, |policy| policy.max_bytes);
    let mail = read_bounded(&mut stdin, most).map_err(|fault| {
        let line = format!("the mail cannot be read from stdin ({fault}); send it again");
        Refusal::new(Kind::Temporary, line)
    })?;
    policy?;
    let envelope = Envelope {
        peer: peer(context)?,
        sender: sender(context, &mail)?,
        recipients: context.recipient.iter().cloned().collect(),
    };
    admit(gate, spool, Route::Pipe, &envelope, &mail)
}

/// One byte more than allowed tells the gate that it is too large.
fn read_bounded(stdin: &mut impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut mail = Vec::new();
    stdin.take(most.saturating_add(1)).read_to_end(&mut mail)?;
    io::copy(&mut stdin.take(DRAINED), &mut io::sink())?;
    Ok(mail)
}

/// Postfix says nothing, or the empty text, of mail that was submitted on its own host.
fn peer(context: &Context) -> Result<Peer, Refusal> {
    let text = context.peer.as_deref().unwrap_or_default();
    if text.is_empty() {
        let uid = rustix::process::getuid().as_raw();
        return Ok(Peer::Local { uid });
    }
    let address = match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => &text[5..],
        _ => text,
    };
    address.parse().map(Peer::Network).map_err(|_| {
        let line = format!(
            "peer {} is not allowed to send actions: expected an IP address as CLIENT_ADDRESS",
            crate::domain::quoted(text)
        );
        Refusal::new(Kind::NotAllowed, line)
    })
}

fn sender(context: &Context, mail: &[u8]) -> Result<String, Refusal> {
    let said = context.sender.clone().map(|sender| {
        let bare = sender.strip_prefix('<').and_then(|s| s.strip_suffix('>'));
        bare.map(str::to_owned).unwrap_or(sender)
    });
    said.or_else(|| message::recorded_sender(mail))
        .ok_or_else(|| {
            let line = "sender: nobody is named as the sender; \
                    expected SENDER in the environment, a mbox From line or a Return-Path header";
            Refusal::new(Kind::NotAllowed, line)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::gatefile::publish;

    struct Failing;

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("torn"))
        }
    }

    #[test]
    fn what_the_caller_says_comes_before_the_environment() {
        let said = Context {
            sender: Some("a@b".to_owned()),
            ..Context::default()
        };
        let whole = said.or(Context::from_environment(|name| Some(name.to_lowercase())));
        assert_eq!(whole.sender.as_deref(), Some("a@b"));
        assert_eq!(whole.recipient.as_deref(), Some("recipient"));
        assert_eq!(whole.peer.as_deref(), Some("client_address"));
    }

    #[test]
    fn our_own_trouble_is_temporary_and_stdin_is_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let (gate, spool) = (GateFile::new(dir.path()), Spool::open(dir.path()).unwrap());
        let mut long = io::repeat(b'x').take(10_000_000);
        let outcome = ingest(&mut long, &Context::default(), &gate, &spool);
        assert_eq!((outcome.exit, long.limit()), (75, 0));
        assert!(
            outcome.line.starts_with("no gate policy in "),
            "{outcome:?}"
        );
        let policy = r#"{"window":[1,2],"workshops":[],"peers":[],"senders":[],"recipients":[]}"#;
        publish(dir.path(), &serde_json::from_str(policy).unwrap()).unwrap();
        let outcome = ingest(Failing, &Context::default(), &gate, &spool);
        assert_eq!(outcome.exit, 75, "{outcome:?}");
    }

    #[test]
    fn an_ipv6_client_may_carry_a_tag() {
        for text in ["2001:db8::7", "IPv6:2001:db8::7"] {
            let context = Context {
                peer: Some(text.to_owned()),
                ..Context::default()
            };
            assert_eq!(peer(&context).unwrap().to_string(), "2001:db8::7");
        }
    }
}
