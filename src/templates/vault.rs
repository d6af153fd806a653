//! Ansible Vault envelopes, versions 1.1 and 1.2: opened and sealed.
//!
//! Keys are derived once per password and salt. Passwords and plain texts are
//! `Secret`s; no message quotes either.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::Secret;

const ROUNDS: u32 = 10_000;
const KEYS_LEN: usize = 80;
const BLOCK: usize = 16;
const SALT_LEN: usize = 32;
const LINE: usize = 80;
const MAGIC: &str = "$ANSIBLE_VAULT";

type Keys = Arc<Zeroizing<[u8; KEYS_LEN]>>;

/// Why an envelope did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("a vault value is damaged: {0}; encrypt it again")]
    Damaged(&'static str),
    #[error(
        "a vault value uses {0}, only versions 1.1 and 1.2 with AES256 are known; encrypt it again"
    )]
    Unknown(String),
    #[error("a vault value needs a password and none is configured; set VAULTPWD or vault_secret")]
    NoPassword,
    #[error("none of the {0} vault passwords opens a vault value; check VAULTPWD and vault_secret")]
    WrongPassword(usize),
    #[error("cannot get random bytes for a vault salt: {0}")]
    Random(String),
}

/// The vault passwords of a site, with the keys already derived from them. Cheap to clone.
#[derive(Clone, Default)]
pub struct Passwords(Arc<Ring>);

#[derive(Default)]
struct Ring {
    passwords: Vec<(Option<String>, Secret)>,
    keys: Mutex<HashMap<(usize, Vec<u8>), Keys>>,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passwords({})", self.0.passwords.len())
    }
}

impl Passwords {
    /// Passwords with their vault ids, in the order they are to be tried.
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

    /// Opens an envelope with the password of its label, else with any that fits.
    pub fn open(&self, envelope: &str) -> Result<Secret, VaultError> {
        let envelope = Envelope::parse(envelope)?;
        if self.0.passwords.is_empty() {
            return Err(VaultError::NoPassword);
        }
        let labelled =
            |at: &usize| envelope.label.is_some() && self.0.passwords[*at].0 == envelope.label;
        let order = 0..self.0.passwords.len();
        let first = order.clone().filter(labelled);
        for at in first.chain(order.filter(|at| !labelled(at))) {
            let keys = self.keys(at, &envelope.salt);
            if envelope.is_sealed_with(&keys) {
                return envelope.decrypt(&keys);
            }
        }
        Err(VaultError::WrongPassword(self.0.passwords.len()))
    }

    fn keys(&self, at: usize, salt: &[u8]) -> Keys {
        let name = (at, salt.to_vec());
        let known = self.0.keys.lock().unwrap_or_else(|held| held.into_inner());
        if let Some(keys) = known.get(&name) {
            return keys.clone();
        }
        drop(known);
        let keys = derive(&self.0.passwords[at].1, salt);
        let mut known = self.0.keys.lock().unwrap_or_else(|held| held.into_inner());
        known.insert(name, keys.clone());
        keys
    }
}

/// Seals a text. With a label the envelope is of version 1.2, else 1.1.
pub fn seal(password: &Secret, label: Option<&str>, text: &Secret) -> Result<String, VaultError> {
    let mut salt = [0; SALT_LEN];
    getrandom::fill(&mut salt).map_err(|error| VaultError::Random(error.to_string()))?;
    Ok(seal_with(&derive(password, &salt), &salt, label, text))
}

fn seal_with(keys: &Keys, salt: &[u8], label: Option<&str>, text: &Secret) -> String {
    let mut data = text.expose().as_bytes().to_vec();
    let padding = BLOCK - data.len() % BLOCK;
    data.resize(data.len() + padding, padding as u8);
    apply_cipher(keys, &mut data);
    let tag = mac(keys, &data).finalize().into_bytes();
    let inner = [hex(salt), hex(&tag), hex(&data)].join("\n");
    let mut out = match label {
        Some(label) => format!("{MAGIC};1.2;AES256;{label}\n"),
        None => format!("{MAGIC};1.1;AES256\n"),
    };
    let outer = hex(inner.as_bytes());
    for line in outer.as_bytes().chunks(LINE) {
        out.push_str(std::str::from_utf8(line).expect("hex is ASCII"));
        out.push('\n');
    }
    out
}

fn derive(password: &Secret, salt: &[u8]) -> Keys {
    let mut keys = Zeroizing::new([0; KEYS_LEN]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password.expose().as_bytes(), salt, ROUNDS, &mut *keys);
    Arc::new(keys)
}

fn mac(keys: &Keys, data: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&keys[32..64]).expect("any length is a key");
    mac.update(data);
    mac
}

fn apply_cipher(keys: &Keys, data: &mut [u8]) {
    ctr::Ctr128BE::<Aes256>::new_from_slices(&keys[..32], &keys[64..])
        .expect("32 and 16 bytes")
        .apply_keystream(data);
}

struct Envelope {
    label: Option<String>,
    salt: Vec<u8>,
    tag: Vec<u8>,
    data: Vec<u8>,
}

impl Envelope {
    fn parse(text: &str) -> Result<Envelope, VaultError> {
        let mut lines = text.trim().lines().map(str::trim);
        let header: Vec<&str> = lines
            .next()
            .unwrap_or_default()
            .split(';')
            .map(str::trim)
            .collect();
        let label = match header[..] {
            [MAGIC, "1.1", "AES256"] => None,
            [MAGIC, "1.2", "AES256", label] => Some(label.to_owned()),
            [MAGIC, version, cipher, ..] => {
                return Err(VaultError::Unknown(format!(
                    "version {version:?} with {cipher:?}"
                )));
            }
            _ => return Err(VaultError::Damaged("its first line is no vault header")),
        };
        let damaged = VaultError::Damaged;
        let outer: String = lines.collect();
        let inner = unhex(outer.as_bytes()).ok_or(damaged("its body is not hexadecimal"))?;
        let parts: Vec<&[u8]> = inner.splitn(3, |byte| *byte == b'\n').collect();
        let [salt, tag, data] = parts[..] else {
            return Err(damaged("its body does not have three parts"));
        };
        let part = |hexed| unhex(hexed).ok_or(damaged("a part of its body is not hexadecimal"));
        Ok(Envelope {
            label,
            salt: part(salt)?,
            tag: part(tag)?,
            data: part(data)?,
        })
    }

    fn is_sealed_with(&self, keys: &Keys) -> bool {
        mac(keys, &self.data).verify_slice(&self.tag).is_ok()
    }

    fn decrypt(mut self, keys: &Keys) -> Result<Secret, VaultError> {
        apply_cipher(keys, &mut self.data);
        let data = Zeroizing::new(self.data);
        let padding = usize::from(*data.last().ok_or(VaultError::Damaged("it is empty"))?);
        let is_padded = (1..=BLOCK).contains(&padding)
            && padding <= data.len()
            && data[data.len() - padding..]
                .iter()
                .all(|byte| usize::from(*byte) == padding);
        if !is_padded {
            return Err(VaultError::Damaged("its padding is wrong"));
        }
        let text = std::str::from_utf8(&data[..data.len() - padding])
            .map_err(|_| VaultError::Damaged("its plain text is not UTF-8"))?;
        Ok(Secret::new(text.to_owned()))
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?))
        .collect()
}
