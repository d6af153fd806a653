//! Ansible Vault, versions 1.1 and 1.2: the passwords of a site, what they open and seal.
//!
//! Keys are derived once per password and salt. Passwords and plain texts are never shown; no
//! message quotes either.

mod envelope;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use zeroize::Zeroizing;

use crate::domain::Secret;

use envelope::{Envelope, Keys, MAGIC};

/// Keys that are kept; past this all are derived anew, or an engine would collect those of all
/// the pass files that it ever read.
const MOST_KEYS: usize = 1024;

type Derived = Arc<OnceLock<Keys>>;

/// Why an envelope did not open, or could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("a vault value is damaged: {0}; encrypt it again")]
    Damaged(&'static str),
    #[error(
        "a vault value uses {0}, only versions 1.1 and 1.2 with AES256 are known; encrypt it again"
    )]
    Unknown(String),
    #[error(
        "a vault value{} needs a password and none is configured; set VAULTPWD or vault_secret",
        of(.label)
    )]
    NoPassword { label: Option<String> },
    #[error(
        "none of the {tried} vault passwords opens a vault value{}; check VAULTPWD and vault_secret",
        of(.label)
    )]
    WrongPassword { label: Option<String>, tried: usize },
    #[error("there is no vault password with id {0}")]
    NoSuchId(String),
    #[error("a vault value holds bytes that are no UTF-8 text; such things belong in files")]
    NotText,
    #[error("cannot get random bytes for a vault salt: {0}")]
    Random(String),
}

fn of(label: &Option<String>) -> String {
    label
        .as_ref()
        .map(|label| format!(" of vault id {}", crate::domain::quoted(label)))
        .unwrap_or_default()
}

/// Bytes out of an envelope, or for one; wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain(Zeroizing<Vec<u8>>);

impl Plain {
    pub fn new(bytes: Vec<u8>) -> Plain {
        Plain(Zeroizing::new(bytes))
    }

    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain(…)")
    }
}

/// What an envelope held, and how to seal it as it was.
#[derive(Debug)]
pub struct Opened {
    pub plain: Plain,
    label: Option<String>,
    password: usize,
}

/// The vault passwords of a site, with the keys already derived from them. Cheap to clone.
#[derive(Clone, Default)]
pub struct Passwords(Arc<Ring>);

#[derive(Default)]
struct Ring {
    passwords: Vec<(Option<String>, Secret)>,
    /// By password and salt.
    keys: Mutex<HashMap<(usize, Vec<u8>), Derived>>,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passwords({})", self.0.passwords.len())
    }
}

impl Passwords {
    /// Passwords with their vault ids, in the order they are to be tried; the first one seals.
    pub fn new(passwords: impl IntoIterator<Item = (Option<String>, Secret)>) -> Passwords {
        let passwords = passwords.into_iter().collect();
        Passwords(Arc::new(Ring {
            passwords,
            keys: Mutex::default(),
        }))
    }

    /// The one password of a site without vault ids.
    pub fn single(password: Secret) -> Passwords {
        Passwords::new([(None, password)])
    }

    pub fn is_empty(&self) -> bool {
        self.0.passwords.is_empty()
    }

    /// The text in an envelope, with the password of its label, else with any that fits.
    pub fn open(&self, envelope: &str) -> Result<Secret, VaultError> {
        let opened = self.open_bytes(envelope.as_bytes())?;
        let text = std::str::from_utf8(opened.plain.expose()).map_err(|_| VaultError::NotText)?;
        Ok(Secret::new(text.to_owned()))
    }

    /// As [`Passwords::open`], whatever bytes it holds.
    pub fn open_bytes(&self, envelope: &[u8]) -> Result<Opened, VaultError> {
        let text = std::str::from_utf8(envelope)
            .map_err(|_| VaultError::Damaged("its body is not hexadecimal"))?;
        let envelope = Envelope::parse(text)?;
        let label = envelope.label.clone();
        if self.is_empty() {
            return Err(VaultError::NoPassword { label });
        }
        let labelled = |at: &usize| label.is_some() && self.0.passwords[*at].0 == label;
        let order = 0..self.0.passwords.len();
        let first = order.clone().filter(labelled);
        for at in first.chain(order.filter(|at| !labelled(at))) {
            let keys = self.keys(at, &envelope.salt);
            if envelope.is_sealed_with(&keys) {
                return Ok(Opened {
                    plain: Plain(envelope.decrypt(&keys)?),
                    label,
                    password: at,
                });
            }
        }
        Err(VaultError::WrongPassword {
            label,
            tried: self.0.passwords.len(),
        })
    }

    /// Seals with the password of that id, or with the first one and its own id.
    pub fn seal(&self, id: Option<&str>, plain: &[u8]) -> Result<String, VaultError> {
        let mut all = self.0.passwords.iter();
        let found = match id {
            None => all.next(),
            Some(id) => all.find(|(have, _)| have.as_deref() == Some(id)),
        };
        let (label, password) = found.ok_or_else(|| match id {
            Some(id) => VaultError::NoSuchId(id.to_owned()),
            None => VaultError::NoPassword { label: None },
        })?;
        envelope::seal(password, label.as_deref(), plain)
    }

    /// Seals something else as `opened` was: same password, same label.
    pub fn seal_as(&self, opened: &Opened, plain: &[u8]) -> Result<String, VaultError> {
        let label = opened.label.as_deref();
        let (_, password) = self
            .0
            .passwords
            .get(opened.password)
            .ok_or(VaultError::NoPassword { label: None })?;
        envelope::seal(password, label, plain)
    }

    fn keys(&self, at: usize, salt: &[u8]) -> Keys {
        let name = (at, salt.to_vec());
        let mut known = self.0.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KEYS {
            known.clear();
        }
        let place = Arc::clone(known.entry(name).or_default());
        // Who asks for the same keys meanwhile waits for them; others do not.
        drop(known);
        let keys = place.get_or_init(|| envelope::derive(&self.0.passwords[at].1, salt));
        Arc::clone(keys)
    }
}

/// Whether a file starts as a vault envelope does.
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC.as_bytes())
}

/// Seals a text. With a label the envelope is of version 1.2, else 1.1.
pub fn seal(password: &Secret, label: Option<&str>, text: &Secret) -> Result<String, VaultError> {
    envelope::seal(password, label, text.expose().as_bytes())
}
