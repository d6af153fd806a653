//! Filters that recode a text: base64, digests, URL quoting.

use minijinja::{Environment, Error};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::{Arguments, Given, More, wrong};
use crate::templates::python;

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("b64encode", |Given(text): Given, _: More| {
        python::str_of(&text).map(|text| b64encode(text.as_bytes()))
    });
    engine.add_filter("b64decode", |Given(text): Given, _: More| {
        let text = python::str_of(&text)?;
        let bytes =
            b64decode(&text).ok_or_else(|| wrong("b64decode got something that is not base64"))?;
        String::from_utf8(bytes).map_err(|_| wrong("b64decode gave bytes that are not UTF-8"))
    });
    engine.add_filter("hash", |Given(text): Given, rest: More| {
        let arguments = Arguments::new(rest)?;
        let kind = arguments
            .text(0, "hashtype")?
            .unwrap_or_else(|| "sha1".into());
        arguments.finish(1)?;
        digest(&python::str_of(&text)?, &kind)
    });
    for (name, kind) in [("sha1", "sha1"), ("checksum", "sha1"), ("md5", "md5")] {
        engine.add_filter(name, move |Given(text): Given| {
            digest(&python::str_of(&text)?, kind)
        });
    }
    engine.add_filter("urlencode", urlencode);
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn b64encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let sextet = (bits >> (18 - 6 * at)) & 63;
            out.push(if at <= chunk.len() {
                char::from(ALPHABET[sextet as usize])
            } else {
                '='
            });
        }
    }
    out
}

/// As Python: foreign characters are passed over, the padding must be right.
fn b64decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits = 0_u32;
    let mut count = 0;
    let mut padding = 0;
    for byte in text.bytes() {
        if byte == b'=' {
            padding += 1;
            continue;
        }
        let Some(sextet) = ALPHABET.iter().position(|have| *have == byte) else {
            continue;
        };
        bits = bits << 6 | sextet as u32;
        count += 1;
        if count % 4 == 0 {
            out.extend_from_slice(&bits.to_be_bytes()[1..]);
            bits = 0;
        }
    }
    match count % 4 {
        0 => Some(out),
        2 if padding >= 2 => {
            out.push((bits >> 4) as u8);
            Some(out)
        }
        3 if padding >= 1 => {
            out.extend_from_slice(&((bits >> 2) as u16).to_be_bytes());
            Some(out)
        }
        _ => None,
    }
}

fn digest(text: &str, kind: &str) -> Result<String, Error> {
    let bytes = text.as_bytes();
    let hashed: Vec<u8> = match kind {
        "md5" => md5::Md5::digest(bytes).to_vec(),
        "sha1" => Sha1::digest(bytes).to_vec(),
        "sha224" => Sha224::digest(bytes).to_vec(),
        "sha256" => Sha256::digest(bytes).to_vec(),
        "sha384" => Sha384::digest(bytes).to_vec(),
        "sha512" => Sha512::digest(bytes).to_vec(),
        other => {
            return Err(wrong(format!(
                "hash knows md5, sha1, sha224, sha256, sha384 and sha512, not {other}"
            )));
        }
    };
    Ok(hashed.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn urlencode(Given(value): Given) -> Result<String, Error> {
    match value.kind() {
        minijinja::value::ValueKind::Map => {
            let pairs = python::pairs(&value)?;
            let texts: Result<Vec<String>, Error> = pairs
                .iter()
                .map(|(key, item)| {
                    let quoted = |value| {
                        Ok::<_, Error>(url_quote(&python::str_of(value)?, "").replace("%20", "+"))
                    };
                    Ok(format!("{}={}", quoted(key)?, quoted(item)?))
                })
                .collect();
            Ok(texts?.join("&"))
        }
        _ => Ok(url_quote(&python::str_of(&value)?, "/")),
    }
}

fn url_quote(text: &str, safe: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let char = char::from(byte);
        if char.is_ascii_alphanumeric() || "_.-~".contains(char) || safe.contains(char) {
            out.push(char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
