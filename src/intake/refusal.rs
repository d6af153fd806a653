//! Why a mail is not taken. It has two faces, an exit status for Postfix and an SMTP code, and one line.

use crate::domain::Invalid;

use super::message::Malformed;

/// What is wrong, as the sender has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not an action, or one that can never be meant.
    Malformed,
    UnknownWorkshop,
    /// The participant has no seat here.
    UnknownSeat,
    UnknownRecipient,
    /// The peer or the sender.
    NotAllowed,
    TooLarge,
    /// Our own trouble: the sender shall try again.
    Temporary,
}

impl Kind {
    /// The exit status, as sysexits(3) and Postfix read it.
    pub fn exit(self) -> u8 {
        match self {
            Kind::Malformed | Kind::TooLarge => 65,
            Kind::UnknownWorkshop | Kind::UnknownSeat | Kind::UnknownRecipient => 67,
            Kind::NotAllowed => 77,
            Kind::Temporary => 75,
        }
    }

    /// The reply code and the enhanced status code.
    pub fn smtp(self) -> (u16, &'static str) {
        match self {
            Kind::Malformed => (550, "5.6.0"),
            Kind::UnknownWorkshop | Kind::UnknownSeat | Kind::UnknownRecipient => (550, "5.1.1"),
            Kind::NotAllowed => (550, "5.7.1"),
            Kind::TooLarge => (552, "5.3.4"),
            Kind::Temporary => (451, "4.3.0"),
        }
    }
}

/// Why a mail is not taken: one line, printable ASCII, short enough for an SMTP reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}")]
pub struct Refusal {
    pub kind: Kind,
    pub line: String,
}

impl Refusal {
    /// SMTP allows 512 bytes for a reply line with its codes.
    const LONGEST: usize = 480;

    pub fn new(kind: Kind, line: impl AsRef<str>) -> Refusal {
        let ascii = line.as_ref().replace('…', "...");
        let printable = |c: char| match c {
            ' '..='~' => c,
            _ => '?',
        };
        let line = ascii
            .chars()
            .take(Refusal::LONGEST)
            .map(printable)
            .collect();
        Refusal { kind, line }
    }

    pub fn too_large(max_bytes: u64) -> Refusal {
        Refusal::new(
            Kind::TooLarge,
            format!("mail is too large: expected at most {max_bytes} bytes"),
        )
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Refusal {
        Refusal::new(Kind::Malformed, malformed.0)
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Refusal {
        Refusal::new(Kind::Malformed, invalid.to_string())
    }
}
