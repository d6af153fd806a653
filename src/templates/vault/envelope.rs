//! The format of a vault envelope, and its cryptography. Knows nothing of where passwords are.

use std::sync::Arc;

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::Secret;

use super::VaultError;

const ROUNDS: u32 = 10_000;
const KEYS_LEN: usize = 80;
const BLOCK: usize = 16;
const SALT_LEN: usize = 32;
const LINE: usize = 80;
pub const MAGIC: &str = "$ANSIBLE_VAULT";

pub type Keys = Arc<Zeroizing<[u8; KEYS_LEN]>>;

/// Cipher key, HMAC key and IV: what takes the time.
pub fn derive(password: &Secret, salt: &[u8]) -> Keys {
    let mut keys = Zeroizing::new([0; KEYS_LEN]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password.expose().as_bytes(), salt, ROUNDS, &mut *keys);
    Arc::new(keys)
}

/// An envelope of `plain`. Its salt is new: two texts under one salt would have the same key
/// stream, and each would show the other.
pub fn seal(password: &Secret, label: Option<&str>, plain: &[u8]) -> Result<String, VaultError> {
    let mut salt = [0; SALT_LEN];
    getrandom::fill(&mut salt).map_err(|error| VaultError::Random(error.to_string()))?;
    let keys = derive(password, &salt);
    let padding = BLOCK - plain.len() % BLOCK;
    let mut data = Vec::with_capacity(plain.len() + padding);
    data.extend_from_slice(plain);
    data.resize(plain.len() + padding, padding as u8);
    apply_cipher(&keys, &mut data);
    let tag = mac(&keys, &data).finalize().into_bytes();
    let inner = [hex(&salt), hex(&tag), hex(&data)].join("\n");
    let outer = hex(inner.as_bytes());
    let mut out = String::with_capacity(outer.len() + outer.len() / LINE + 64);
    out.push_str(MAGIC);
    match label {
        Some(label) => out.extend([";1.2;AES256;", label, "\n"]),
        None => out.push_str(";1.1;AES256\n"),
    }
    for line in outer.as_bytes().chunks(LINE) {
        out.push_str(std::str::from_utf8(line).expect("hex is ASCII"));
        out.push('\n');
    }
    Ok(out)
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

pub struct Envelope {
    pub label: Option<String>,
    pub salt: Vec<u8>,
    tag: Vec<u8>,
    data: Vec<u8>,
}

impl Envelope {
    pub fn parse(text: &str) -> Result<Envelope, VaultError> {
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

    pub fn is_sealed_with(&self, keys: &Keys) -> bool {
        mac(keys, &self.data).verify_slice(&self.tag).is_ok()
    }

    /// The bytes that were sealed.
    pub fn decrypt(mut self, keys: &Keys) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        apply_cipher(keys, &mut self.data);
        let mut data = Zeroizing::new(self.data);
        let padding = usize::from(*data.last().ok_or(VaultError::Damaged("it is empty"))?);
        let is_padded = (1..=BLOCK).contains(&padding)
            && padding <= data.len()
            && data[data.len() - padding..]
                .iter()
                .all(|byte| usize::from(*byte) == padding);
        if !is_padded {
            return Err(VaultError::Damaged("its padding is wrong"));
        }
        let length = data.len() - padding;
        data.truncate(length);
        Ok(data)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
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
