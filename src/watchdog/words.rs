//! The lists of a policy, compiled: one pass over a text finds all of their words.

use aho_corasick::{AhoCorasick, BuildError};

use super::policy::Lists;

/// What kind of word was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Program,
    Word,
    Url,
    Pool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit<'a> {
    pub kind: Kind,
    /// As the list has it.
    pub word: &'a str,
    start: usize,
    end: usize,
}

#[derive(Debug)]
pub struct Words {
    searcher: AhoCorasick,
    words: Vec<(Kind, String)>,
}

/// What may follow a program's name, beside numbers.
const VERSIONS: [&str; 22] = [
    "aarch64", "amd", "amd64", "arm64", "bin", "cpu", "cuda", "elf", "exe", "gnu", "gpu", "linux",
    "linux64", "musl", "notls", "nvidia", "release", "static", "x64", "x86", "i686", "ubuntu",
];

impl Words {
    /// Fails when the lists are larger than a searcher can be: many millions of words.
    pub fn new(lists: &Lists) -> Result<Words, BuildError> {
        let kinds = [
            (Kind::Program, &lists.programs),
            (Kind::Word, &lists.words),
            (Kind::Url, &lists.urls),
            (Kind::Pool, &lists.pools),
        ];
        let words: Vec<(Kind, String)> = kinds
            .into_iter()
            .flat_map(|(kind, list)| list.iter().map(move |word| (kind, word.clone())))
            .collect();
        let searcher = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(words.iter().map(|(_, word)| word))?;
        Ok(Words { searcher, words })
    }

    /// Whether a listed word stands anywhere in the bytes; where none does, there are no hits.
    pub fn may_hit(&self, bytes: &[u8]) -> bool {
        self.searcher.is_match(bytes)
    }

    /// The listed words that stand in a text as whole words.
    pub fn hits<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Hit<'a>> {
        self.searcher
            .find_overlapping_iter(text)
            .filter_map(|found| {
                let (kind, word) = &self.words[found.pattern()];
                let (start, end) = (found.start(), found.end());
                let before = text[..start].chars().next_back();
                let after = text[end..].chars().next();
                let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
                let is_whole = is_edge(before) && (*kind == Kind::Url || is_edge(after));
                is_whole.then_some(Hit {
                    kind: *kind,
                    word,
                    start,
                    end,
                })
            })
    }

    /// The listed program that a file name names: the whole of it, or all but a version.
    pub fn program<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let of_name = self.hits(name).filter(|hit| {
            hit.kind == Kind::Program && hit.start == 0 && is_version(&name[hit.end..])
        });
        of_name.max_by_key(|hit| hit.end).map(|hit| hit.word)
    }
}

fn is_version(rest: &str) -> bool {
    rest.split(|c: char| !c.is_ascii_alphanumeric())
        .all(|part| {
            let digits = part.strip_prefix(['v', 'V', 'r']).unwrap_or(part);
            part.is_empty()
                || digits.starts_with(|c: char| c.is_ascii_digit())
                || VERSIONS.contains(&part.to_ascii_lowercase().as_str())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        Words::new(&Lists::default()).unwrap()
    }

    #[test]
    fn a_program_is_named_whole_or_with_a_version() {
        let words = words();
        for name in [
            "xmrig",
            "XMRig",
            "xmrig-6.21.0",
            "xmrig_notls",
            "xmrig-v6",
            "ethminer-cuda-x86_64",
            "packetcrypt",
            "xmrig.exe",
            "t-rex-miner",
            "xmrig.1",
        ] {
            assert!(words.program(name).is_some(), "{name}");
        }
        for name in [
            "r",
            "miner",
            "xmrigx",
            "xmrig-docs",
            "my-xmrig",
            "xmrigdashboard",
            "python3",
            "",
            "xmrig-exporter",
            "mineral",
        ] {
            assert_eq!(words.program(name), None, "{name}");
        }
    }

    #[test]
    fn words_are_whole() {
        let words = words();
        let found = |text: &str| {
            words
                .hits(text)
                .map(|hit| hit.word.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("--donate-level=1"), ["donate-level"]);
        assert_eq!(found("stratum+tcp://x:1"), ["stratum", "stratum+tcp://"]);
        assert_eq!(found("pool.supportxmr.com:443"), ["supportxmr.com"]);
        assert_eq!(found("substratum ethashes é"), [""; 0]);
    }
}
