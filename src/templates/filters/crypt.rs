//! `password_hash`: SHA-crypt, as in /etc/shadow (Drepper's specification of 2007), and to_uuid.

use minijinja::value::Value;
use minijinja::{Environment, Error};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{Arguments, Given, More, wrong};
use crate::templates::python;

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("password_hash", password_hash);
    engine.add_filter("to_uuid", to_uuid);
}

const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SALT_LEN: usize = 16;
/// What a hash means that states no rounds.
const IMPLIED: usize = 5_000;
/// About a second's worth.
const MAX_ROUNDS: i64 = 1_000_000;

fn password_hash(Given(password): Given, rest: More) -> Result<String, Error> {
    let arguments = Arguments::new(rest)?;
    let kind = arguments
        .text(0, "hashtype")?
        .unwrap_or_else(|| "sha512".into());
    let salt = arguments.get(1, "salt").filter(|salt| !salt.is_none());
    let salt_size = arguments.number(2, "salt_size")?;
    let rounds = arguments.number(3, "rounds")?;
    let ident = arguments.get(4, "ident").filter(|ident| !ident.is_none());
    arguments.finish(5)?;
    if ident.is_some() {
        return Err(wrong("password_hash takes no ident with SHA hashes"));
    }
    let password = python::str_of(&password)?;
    let salt = match salt {
        Some(salt) => python::str_of(&salt)?,
        None => random_salt(salt_size)?,
    };
    let is_fit = salt.len() <= SALT_LEN && salt.bytes().all(|byte| LETTERS.contains(&byte));
    if !is_fit {
        return Err(wrong(format!(
            "password_hash takes a salt of at most {SALT_LEN} letters, digits, dots and slashes"
        )));
    }
    let rounds = match rounds {
        None if kind == "sha256" => 535_000,
        None => 656_000,
        Some(rounds @ 1_000..=MAX_ROUNDS) => rounds as usize,
        Some(_) => {
            return Err(wrong(format!(
                "password_hash takes 1000 to {MAX_ROUNDS} rounds"
            )));
        }
    };
    let (mark, hashed) = match kind.as_str() {
        "sha512" => (
            "6",
            sha_crypt::<Sha512>(&password, &salt, rounds, &ORDER_512),
        ),
        "sha256" => (
            "5",
            sha_crypt::<Sha256>(&password, &salt, rounds, &ORDER_256),
        ),
        other => {
            return Err(wrong(format!(
                "password_hash knows sha512 and sha256, not {other}"
            )));
        }
    };
    let stated = match rounds {
        IMPLIED => String::new(),
        _ => format!("rounds={rounds}$"),
    };
    Ok(format!("${mark}${stated}{salt}${hashed}"))
}

fn random_salt(size: Option<i64>) -> Result<String, Error> {
    let mut bytes = [0; SALT_LEN];
    getrandom::fill(&mut bytes).map_err(|error| wrong(format!("no random salt: {error}")))?;
    let size = match size {
        None => SALT_LEN,
        Some(size) => usize::try_from(size)
            .ok()
            .filter(|size| (1..=SALT_LEN).contains(size))
            .ok_or_else(|| wrong(format!("salt_size is 1 to {SALT_LEN}")))?,
    };
    let letter = |byte: &u8| char::from(LETTERS[usize::from(byte & 63)]);
    Ok(bytes[..size].iter().map(letter).collect())
}

/// As many bytes of `digest` as `len` says, over and over.
fn stretched(digest: &[u8], len: usize) -> Vec<u8> {
    digest.iter().copied().cycle().take(len).collect()
}

fn sha_crypt<D: Digest>(password: &str, salt: &str, rounds: usize, order: &[[usize; 3]]) -> String {
    let (password, salt) = (password.as_bytes(), salt.as_bytes());
    let second = D::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    let mut first = D::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(stretched(&second, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        match bits & 1 {
            1 => first.update(&second),
            _ => first.update(password),
        }
        bits >>= 1;
    }
    let mut state = first.finalize();
    let mut from_password = D::new();
    password.iter().for_each(|_| from_password.update(password));
    let password = stretched(&from_password.finalize(), password.len());
    let mut from_salt = D::new();
    (0..16 + usize::from(state[0])).for_each(|_| from_salt.update(salt));
    let salt = stretched(&from_salt.finalize(), salt.len());
    for round in 0..rounds {
        let odd = round % 2 == 1;
        let mut next = D::new();
        next.update(if odd { &password[..] } else { &state[..] });
        if round % 3 != 0 {
            next.update(&salt);
        }
        if round % 7 != 0 {
            next.update(&password);
        }
        next.update(if odd { &state[..] } else { &password[..] });
        state = next.finalize();
    }
    encoded(&state, order)
}

const NONE: usize = usize::MAX;

/// Which bytes stand together, highest first.
const ORDER_256: [[usize; 3]; 11] = [
    [0, 10, 20],
    [21, 1, 11],
    [12, 22, 2],
    [3, 13, 23],
    [24, 4, 14],
    [15, 25, 5],
    [6, 16, 26],
    [27, 7, 17],
    [18, 28, 8],
    [9, 19, 29],
    [NONE, 31, 30],
];

const ORDER_512: [[usize; 3]; 22] = [
    [0, 21, 42],
    [22, 43, 1],
    [44, 2, 23],
    [3, 24, 45],
    [25, 46, 4],
    [47, 5, 26],
    [6, 27, 48],
    [28, 49, 7],
    [50, 8, 29],
    [9, 30, 51],
    [31, 52, 10],
    [53, 11, 32],
    [12, 33, 54],
    [34, 55, 13],
    [56, 14, 35],
    [15, 36, 57],
    [37, 58, 16],
    [59, 17, 38],
    [18, 39, 60],
    [40, 61, 19],
    [62, 20, 41],
    [NONE, NONE, 63],
];

fn encoded(digest: &[u8], order: &[[usize; 3]]) -> String {
    let mut out = String::new();
    for group in order {
        let mut bits = 0_u32;
        for place in group {
            bits = bits << 8 | digest.get(*place).map_or(0, |byte| u32::from(*byte));
        }
        let bytes = group.iter().filter(|place| **place != NONE).count();
        for _ in 0..=bytes {
            out.push(char::from(LETTERS[(bits & 63) as usize]));
            bits >>= 6;
        }
    }
    out
}

/// A version 5 UUID in Ansible's own namespace, or the one given.
fn to_uuid(Given(text): Given, rest: More) -> Result<String, Error> {
    const ANSIBLE: &str = "361E6D51-FAEC-444A-9079-341386DA8E2E";
    let arguments = Arguments::new(rest)?;
    let namespace = arguments
        .text(0, "namespace")?
        .unwrap_or_else(|| ANSIBLE.into());
    arguments.finish(1)?;
    let digits = namespace.replace('-', "");
    let space = u128::from_str_radix(&digits, 16)
        .ok()
        .filter(|_| digits.len() == 32)
        .ok_or_else(|| wrong(format!("to_uuid: `{namespace}` is no UUID")))?;
    let hashed = Sha1::new()
        .chain_update(space.to_be_bytes())
        .chain_update(python::str_of(&text)?)
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hashed[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    Ok(Value::from(parts.join("-")).to_string())
}
