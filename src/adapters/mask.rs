//! Blots secrets out of a stream of bytes, in their plain form and in those that programs make
//! of them (base64, percent, hex, shell and JSON quoting), also when cut in two by a read.

use crate::domain::Secret;

const MASK: &[u8] = b"***";

/// An encoding of a very short secret is found by accident in any text.
const SHORTEST_ENCODED: usize = 4;

/// Holds back what may be the beginning of a secret until more has come.
#[derive(Clone)]
pub struct Masker {
    patterns: Vec<Vec<u8>>,
    starts: [bool; 256],
    held: Vec<u8>,
}

impl Masker {
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Masker {
        let mut patterns: Vec<Vec<u8>> = secrets
            .into_iter()
            .flat_map(|secret| forms(secret.expose().as_bytes()))
            .collect();
        // Longest first: a secret that begins with another one is found whole.
        patterns.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        patterns.dedup();
        let mut starts = [false; 256];
        for pattern in &patterns {
            starts[usize::from(pattern[0])] = true;
        }
        Masker {
            patterns,
            starts,
            held: Vec::new(),
        }
    }

    /// Takes bytes in, gives those out that are certain to be no part of a secret.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut clean = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while at < self.held.len() {
            match self.look(&self.held[at..]) {
                Look::Plain => {
                    clean.push(self.held[at]);
                    at += 1;
                }
                Look::Secret(length) => {
                    clean.extend_from_slice(MASK);
                    at += length;
                }
                Look::Undecided => break,
            }
        }
        self.held.drain(..at);
        clean
    }

    /// The rest, at the end of the stream.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut clean = Vec::new();
        while !self.held.is_empty() {
            // Not the longest then, but there may be a shorter one in it.
            let length = match self.complete(&self.held) {
                Some(length) => {
                    clean.extend_from_slice(MASK);
                    length
                }
                None => {
                    clean.push(self.held[0]);
                    1
                }
            };
            self.held.drain(..length);
        }
        clean
    }

    /// A text at once, e.g. for a message.
    pub fn mask(mut self, text: &str) -> String {
        let mut clean = self.push(text.as_bytes());
        clean.extend(self.finish());
        String::from_utf8_lossy(&clean).into_owned()
    }

    fn look(&self, rest: &[u8]) -> Look {
        if !self.starts[usize::from(rest[0])] {
            return Look::Plain;
        }
        let undecided = |pattern: &Vec<u8>| pattern.len() > rest.len() && pattern.starts_with(rest);
        if self.patterns.iter().any(undecided) {
            return Look::Undecided;
        }
        self.complete(rest).map_or(Look::Plain, Look::Secret)
    }

    fn complete(&self, rest: &[u8]) -> Option<usize> {
        let found = |pattern: &&Vec<u8>| rest.starts_with(pattern);
        self.patterns.iter().find(found).map(Vec::len)
    }
}

enum Look {
    Plain,
    Secret(usize),
    Undecided,
}

fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    if secret.is_empty() {
        return Vec::new();
    }
    let mut forms = vec![secret.to_vec()];
    if secret.len() < SHORTEST_ENCODED {
        return forms;
    }
    for alphabet in [BASE64, BASE64_URL] {
        forms.extend((0..3).map(|offset| base64_core(secret, offset, alphabet)));
    }
    for hex in [b"0123456789abcdef", b"0123456789ABCDEF"] {
        forms.push(percent(secret, hex, b"-_.~"));
        forms.push(secret.iter().flat_map(|&b| hex_pair(b, hex)).collect());
    }
    // What bash prints for `set -x` and `printf %q`, and what JSON writers make of it.
    forms.push(replaced(secret, |b| match b {
        b'\'' => b"'\\''".to_vec(),
        _ => vec![b],
    }));
    forms.push(replaced(secret, |b| match b {
        b if b.is_ascii_alphanumeric() || b"-_./:=%+@,".contains(&b) => vec![b],
        b => vec![b'\\', b],
    }));
    forms.push(replaced(secret, |b| match b {
        b'"' | b'\\' => vec![b'\\', b],
        _ => vec![b],
    }));
    forms.retain(|form| form.len() >= SHORTEST_ENCODED);
    forms
}

fn replaced(secret: &[u8], with: impl Fn(u8) -> Vec<u8>) -> Vec<u8> {
    secret.iter().flat_map(|&b| with(b)).collect()
}

fn hex_pair(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    [
        digits[usize::from(byte >> 4)],
        digits[usize::from(byte & 15)],
    ]
}

fn percent(secret: &[u8], digits: &[u8; 16], kept: &[u8]) -> Vec<u8> {
    replaced(secret, |b| {
        if b.is_ascii_alphanumeric() || kept.contains(&b) {
            return vec![b];
        }
        let [high, low] = hex_pair(b, digits);
        vec![b'%', high, low]
    })
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The characters that the secret alone decides when `offset` bytes (modulo 3) stand before it,
/// as in the base64 of `user:password`.
fn base64_core(secret: &[u8], offset: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let padded: Vec<u8> = [vec![0; offset], secret.to_vec()].concat();
    let bit = |n: usize| padded[n / 8] >> (7 - n % 8) & 1;
    let first = (offset * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    (first..last)
        .map(|digit| (0..6).fold(0, |value, n| value << 1 | bit(digit * 6 + n)))
        .map(|value| alphabet[usize::from(value)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masker(secrets: &[&str]) -> Masker {
        let secrets: Vec<_> = secrets.iter().map(|s| Secret::new(s.to_string())).collect();
        Masker::new(&secrets)
    }

    fn masked(secrets: &[&str], text: &str) -> String {
        masker(secrets).mask(text)
    }

    #[test]
    fn every_occurrence_goes() {
        assert_eq!(
            masked(&["hunter22"], "+ pw=hunter22; echo hunter22hunter22\n"),
            "+ pw=***; echo ******\n"
        );
        assert_eq!(masked(&["aab"], "aaab aab"), "a*** ***");
        assert_eq!(masked(&[""], "text"), "text");
        assert_eq!(masked(&[], "text"), "text");
    }

    #[test]
    fn the_longest_secret_wins() {
        assert_eq!(
            masked(&["abcd", "abcdefgh"], "abcdefgh abcdef"),
            "*** ***ef"
        );
        assert_eq!(masked(&["abcd", "abcdefgh"], "abcdef"), "***ef");
    }

    #[test]
    fn wherever_it_is_cut() {
        let text = b"xx hunter22 yy hunterhunter22";
        for cut in 0..text.len() {
            let mut masker = masker(&["hunter22"]);
            let mut out = masker.push(&text[..cut]);
            out.extend(masker.push(&text[cut..]));
            out.extend(masker.finish());
            assert_eq!(
                String::from_utf8(out).unwrap(),
                "xx *** yy hunter***",
                "{cut}"
            );
        }
    }

    #[test]
    fn encodings_go_too() {
        // echo -n 'p@ss/w"o'\''rd!' and the like, as base64, curl, python and bash print them.
        let secret = "p@ss/w\"o'rd!";
        for form in [
            "cEBzcy93Im8ncmQh",
            "dXNlcjpwQHNzL3cibydyZCE=",
            "p%40ss%2Fw%22o%27rd%21",
            "p%40ss%2fw%22o%27rd%21",
            "704073732f77226f27726421",
            "p@ss/w\"o'\\''rd!",
            "p@ss/w\\\"o\\'rd\\!",
            "p@ss/w\\\"o'rd!",
        ] {
            assert!(masked(&[secret], form).contains("***"), "{form}");
        }
        // Of `user:` and the password, only what stands for both at once is left.
        assert_eq!(
            masked(&[secret], "dXNlcjpwQHNzL3cibydyZCE="),
            "dXNlcjp***E="
        );
    }
}
