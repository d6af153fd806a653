//! `random` and `shuffle`, which with a seed must give what Python's `random.Random(seed)` gives.
//!
//! The generator is MT19937 (Matsumoto and Nishimura, 1998), seeded as CPython seeds it from a text.

use minijinja::value::Value;
use minijinja::{Environment, Error};
use sha2::{Digest, Sha512};

use super::{Arguments, Given, More, wrong};

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("random", random);
    engine.add_filter("shuffle", shuffle);
}

fn random(Given(end): Given, rest: More) -> Result<Value, Error> {
    let arguments = Arguments::new(rest)?;
    let start = arguments.number(0, "start")?.unwrap_or(0);
    let step = arguments
        .number(1, "step")?
        .filter(|step| *step != 0)
        .unwrap_or(1);
    let mut source = Source::new(arguments.get(2, "seed"))?;
    arguments.finish(3)?;
    if let (true, Some(stop)) = (end.is_integer(), end.as_i64()) {
        let width = i128::from(stop) - i128::from(start);
        let step = i128::from(step);
        let count = if step > 0 {
            (width + step - 1) / step
        } else {
            (width + step + 1) / step
        };
        if count <= 0 {
            return Err(wrong(format!(
                "there is no number from {start} up to {stop}"
            )));
        }
        let count = u64::try_from(count).map_err(|_| wrong("the range is too wide"))?;
        let chosen = i128::from(start) + step * i128::from(source.below(count)?);
        return Ok(i64::try_from(chosen).map_or_else(|_| Value::from(chosen), Value::from));
    }
    let items: Vec<Value> = end.try_iter()?.collect();
    if items.is_empty() {
        return Err(wrong("random cannot choose from an empty list"));
    }
    let at = source.below(items.len() as u64)?;
    Ok(items[at as usize].clone())
}

fn shuffle(Given(list): Given, rest: More) -> Result<Vec<Value>, Error> {
    let arguments = Arguments::new(rest)?;
    let mut source = Source::new(arguments.get(0, "seed"))?;
    arguments.finish(1)?;
    let mut items: Vec<Value> = list.try_iter()?.collect();
    for last in (1..items.len()).rev() {
        let other = source.below(last as u64 + 1)?;
        items.swap(last, other as usize);
    }
    Ok(items)
}

enum Source {
    System,
    Seeded(Box<Twister>),
}

impl Source {
    fn new(seed: Option<Value>) -> Result<Source, Error> {
        let Some(seed) = seed.filter(|seed| !seed.is_none()) else {
            return Ok(Source::System);
        };
        let words = if let Some(text) = seed.as_str() {
            text_words(text)
        } else if let Some(number) = seed.as_i64() {
            let number = number.unsigned_abs();
            let words = [number as u32, (number >> 32) as u32];
            words[..if words[1] == 0 { 1 } else { 2 }].to_vec()
        } else {
            return Err(wrong("seed takes a text or a whole number"));
        };
        Ok(Source::Seeded(Box::new(Twister::new(&words))))
    }

    fn word(&mut self) -> Result<u32, Error> {
        match self {
            Source::System => {
                getrandom::u32().map_err(|error| wrong(format!("no random numbers: {error}")))
            }
            Source::Seeded(twister) => Ok(twister.next()),
        }
    }

    /// A number below `count`: bits are drawn until they fit, as CPython does.
    fn below(&mut self, count: u64) -> Result<u64, Error> {
        let bits = u64::BITS - count.leading_zeros();
        loop {
            let drawn = match bits {
                ..=32 => u64::from(self.word()? >> (32 - bits)),
                _ => {
                    let low = u64::from(self.word()?);
                    low | u64::from(self.word()? >> (64 - bits)) << 32
                }
            };
            if drawn < count {
                return Ok(drawn);
            }
        }
    }
}

/// CPython's seed from a text: the bytes and their SHA-512, read as one big
/// number, as words with the lowest first.
fn text_words(text: &str) -> Vec<u32> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.extend_from_slice(&Sha512::digest(text.as_bytes()));
    let mut words: Vec<u32> = bytes
        .rchunks(4)
        .map(|chunk| {
            chunk
                .iter()
                .fold(0, |word, byte| word << 8 | u32::from(*byte))
        })
        .collect();
    while words.len() > 1 && words.last() == Some(&0) {
        words.pop();
    }
    words
}

const N: usize = 624;
const M: usize = 397;

struct Twister {
    state: [u32; N],
    at: usize,
}

impl Twister {
    fn new(key: &[u32]) -> Twister {
        let mut twister = Twister {
            state: linear(19_650_218),
            at: N,
        };
        twister.mix(key);
        twister
    }

    fn mix(&mut self, key: &[u32]) {
        let state = &mut self.state;
        let previous = |state: &[u32; N], at: usize| state[at - 1] ^ (state[at - 1] >> 30);
        let mut at = 1;
        let wrap = |state: &mut [u32; N], at: &mut usize| {
            *at += 1;
            if *at >= N {
                state[0] = state[N - 1];
                *at = 1;
            }
        };
        for turn in 0..N.max(key.len()) {
            let word = turn % key.len();
            state[at] = (state[at] ^ previous(state, at).wrapping_mul(1_664_525))
                .wrapping_add(key[word])
                .wrapping_add(word as u32);
            wrap(state, &mut at);
        }
        for _ in 1..N {
            state[at] = (state[at] ^ previous(state, at).wrapping_mul(1_566_083_941))
                .wrapping_sub(at as u32);
            wrap(state, &mut at);
        }
        state[0] = 0x8000_0000;
    }

    fn next(&mut self) -> u32 {
        if self.at >= N {
            self.refill();
        }
        let mut word = self.state[self.at];
        self.at += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    fn refill(&mut self) {
        for at in 0..N {
            let joined = (self.state[at] & 0x8000_0000) | (self.state[(at + 1) % N] & 0x7fff_ffff);
            let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[at] = self.state[(at + M) % N] ^ (joined >> 1) ^ twist;
        }
        self.at = 0;
    }
}

fn linear(seed: u32) -> [u32; N] {
    let mut state = [seed; N];
    for at in 1..N {
        let last = state[at - 1];
        state[at] = 1_812_433_253_u32
            .wrapping_mul(last ^ (last >> 30))
            .wrapping_add(at as u32);
    }
    state
}
