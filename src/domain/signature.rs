//! Signed mails: what is signed, by which key, and whether that fits. No I/O; keys are handed in.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Invalid, Secret, Time, quoted};

/// The header of a signed mail: `X-Wod-Signature: v1 <key id> <unix seconds> <64 hex digits>`.
pub const HEADER: &str = "X-Wod-Signature";

const EXPECTED: &str = "expected v1 KEY-ID UNIX-SECONDS HMAC, the latter as 64 hex digits";
const LONGEST_ID: usize = 64;
const MAC_BYTES: usize = 32;

/// What a site wants of signatures (WODSIGNATURES).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Demand {
    /// The header is not looked at.
    Off,
    /// A wrong signature is refused, a missing one is fine.
    #[default]
    Optional,
    Required,
}

/// What counts as a good signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub demand: Demand,
    /// How far its time may be from the mail's arrival, before or after (WODREPLAYSECONDS).
    pub window: Duration,
}

/// The name of a key: letters, digits, `.`, `-`, `_`; no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl FromStr for KeyId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<KeyId, Invalid> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
        if text.is_empty() || text.len() > LONGEST_ID || !text.bytes().all(plain) {
            let expected = "expected at most 64 letters, digits, dots, dashes and underscores";
            return Err(Invalid::new("key id", text, expected));
        }
        Ok(KeyId(text.to_owned()))
    }
}

impl TryFrom<String> for KeyId {
    type Error = Invalid;
    fn try_from(text: String) -> Result<KeyId, Invalid> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> String {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature {
    pub key: KeyId,
    /// When it was made, in seconds since 1970.
    pub at: i64,
    mac: [u8; MAC_BYTES],
}

impl Signature {
    /// Fails when it was made more than `window` before or after `arrived`.
    pub fn check_time(&self, arrived: Time, window: Duration) -> Result<(), String> {
        let made = Time(self.at.saturating_mul(1000));
        if made.since(arrived).max(arrived.since(made)) <= window {
            return Ok(());
        }
        Err(format!(
            "signature: made at {made}; expected at most {} s before or after the mail's arrival, \
             so check both clocks and sign it again",
            window.as_secs()
        ))
    }
}

impl FromStr for Signature {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Signature, Invalid> {
        let wrong = || Invalid::new("signature", text, EXPECTED);
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let &["v1", key, at, mac] = words.as_slice() else {
            return Err(wrong());
        };
        // No sign, no more digits than a date needs: one text for one time.
        let plain = at.len() <= 11 && at.bytes().all(|b| b.is_ascii_digit());
        Ok(Signature {
            key: key.parse().map_err(|_| wrong())?,
            at: at.parse().ok().filter(|_| plain).ok_or_else(wrong)?,
            mac: from_hex(mac).ok_or_else(wrong)?,
        })
    }
}

impl TryFrom<String> for Signature {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Signature, Invalid> {
        text.parse()
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> String {
        signature.to_string()
    }
}

/// As the header has it.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1 {} {} ", self.key, self.at)?;
        self.mac.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn from_hex(text: &str) -> Option<[u8; MAC_BYTES]> {
    let mut bytes = [0; MAC_BYTES];
    if text.len() != 2 * MAC_BYTES || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// The words of a mail that are signed, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words<'a> {
    /// As in its header, `<…>` included.
    pub message_id: &'a str,
    /// One blank between two words.
    pub subject: &'a str,
    /// The first line of the body that is not blank, trimmed; empty when there is none.
    pub line: &'a str,
}

/// What the HMAC is made over: six lines, each ended by a line feed, UTF-8.
fn canonical(key: &KeyId, at: i64, words: Words<'_>) -> String {
    let Words {
        message_id,
        subject,
        line,
    } = words;
    format!("wod-signature-v1\n{key}\n{at}\n{message_id}\n{subject}\n{line}\n")
}

/// A key that frontends and this backend share.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: KeyId,
    pub made: Time,
    /// No longer for signing.
    pub retired: Option<Retired>,
    secret: Secret,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retired {
    pub at: Time,
    /// Until then what it signed is still taken; without end when None.
    pub until: Option<Time>,
}

impl Key {
    /// The HMAC's key is the secret's text, byte for byte.
    pub fn new(id: KeyId, secret: Secret, made: Time) -> Key {
        Key {
            id,
            made,
            retired: None,
            secret,
        }
    }

    /// For the one who has to tell it to a frontend, and the one who stores it.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    pub fn is_over(&self, now: Time) -> bool {
        let until = self.retired.and_then(|retired| retired.until);
        until.is_some_and(|until| until < now)
    }

    pub fn sign(&self, now: Time, words: Words<'_>) -> Signature {
        let at = now.0.div_euclid(1000);
        Signature {
            at,
            mac: self.mac(at, words).finalize().into_bytes().into(),
            key: self.id.clone(),
        }
    }

    fn mac(&self, at: i64, words: Words<'_>) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.expose().as_bytes())
            .expect("any length is a key");
        mac.update(canonical(&self.id, at, words).as_bytes());
        mac
    }
}

/// The keys of a site, in the order in which they were made.
#[derive(Debug, Clone, Default)]
pub struct Keyring(pub Vec<Key>);

impl Keyring {
    pub fn find(&self, id: &KeyId) -> Option<&Key> {
        self.0.iter().find(|key| key.id == *id)
    }

    /// The newest one that is not retired.
    pub fn signing(&self) -> Option<&Key> {
        self.0.iter().rev().find(|key| key.retired.is_none())
    }

    /// Whether one of these keys signed these words. Says nothing about the signature's time,
    /// but that of the key's end. Compares in constant time.
    pub fn verify(
        &self,
        signature: &Signature,
        words: Words<'_>,
        arrived: Time,
    ) -> Result<(), String> {
        let id = &signature.key;
        let Some(key) = self.find(id) else {
            return Err(format!(
                "signature: key {} is not known here; see wod keys list",
                quoted(&id.0)
            ));
        };
        if key.is_over(arrived) {
            return Err(format!(
                "signature: key {} was retired, and its time is over; sign with a newer one",
                quoted(&id.0)
            ));
        }
        key.mac(signature.at, words)
            .verify_slice(&signature.mac)
            .map_err(|_| {
                format!(
                    "signature: does not fit the mail under key {}; it was changed on its way, \
                     or signed with another secret",
                    quoted(&id.0)
                )
            })
    }
}
