//! A source file as the rules see it: its text, and its code without comments, the insides of
//! literals and tests. Both have the same length, so that a place in one is that place in the other.

use std::fs;
use std::path::Path;

pub struct Source {
    /// From the project's directory: `src/engine/lanes.rs`.
    pub path: String,
    pub text: String,
    pub code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let code = match (path.ends_with(".rs"), is_test(path)) {
            (true, false) => without_tests(&without_words(text)),
            _ => String::new(),
        };
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
        }
    }

    /// `path:line` of a place in the text.
    pub fn at(&self, place: usize) -> String {
        let line = self.text[..place].matches('\n').count() + 1;
        format!("{}:{line}", self.path)
    }

    /// The places of a word in the code, where it is not part of a longer one.
    pub fn words(&self, word: &str) -> Vec<usize> {
        whole_words(&self.code, word)
    }
}

pub fn whole_words(text: &str, word: &str) -> Vec<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let starts = word.starts_with(part);
    let ends = word.ends_with(part);
    let found = text.match_indices(word).map(|(place, _)| place);
    found
        .filter(|&place| {
            let before = text[..place].chars().next_back().is_some_and(part);
            let after = text[place + word.len()..].chars().next().is_some_and(part);
            !(starts && before || ends && after)
        })
        .collect()
}

/// Every file with one of these endings below `dirs`, in order of their paths.
pub fn read_all(dirs: &[&str], endings: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut todo: Vec<_> = dirs.iter().map(|dir| root.join(dir)).collect();
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let ending = path.extension().and_then(|e| e.to_str());
            if path.is_dir() {
                todo.push(path);
            } else if ending.is_some_and(|ending| endings.contains(&ending)) {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                let text = fs::read(&path).unwrap();
                found.push(Source::new(name, &String::from_utf8_lossy(&text)));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// A file that `#[cfg(test)] mod tests;` takes in, or a test program's.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// Blanks for comments and for what stands between quotes; the quotes stay.
fn without_words(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = match rest[0] {
            b'/' if rest.starts_with(b"//") => at + until(rest, b"\n"),
            b'/' if rest.starts_with(b"/*") => at + comment(rest),
            b'r' | b'b' | b'c' | b'"' if !is_word_before(bytes, at) => match string(rest) {
                Some((open, end)) => {
                    blank(&mut out, at + open, at + end - 1);
                    at += end;
                    continue;
                }
                None => at,
            },
            b'\'' => match character(rest) {
                Some(end) => {
                    blank(&mut out, at + 1, at + end - 1);
                    at += end;
                    continue;
                }
                None => at,
            },
            _ => at,
        };
        blank(&mut out, at, end);
        at = end.max(at + 1);
    }
    String::from_utf8(out).unwrap()
}

fn blank(out: &mut [u8], from: usize, to: usize) {
    for byte in out.get_mut(from..to).into_iter().flatten() {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn is_word_before(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn until(rest: &[u8], end: &[u8]) -> usize {
    let found = rest.windows(end.len()).position(|w| w == end);
    found.unwrap_or(rest.len())
}

/// The length of a block comment, which may have others in it.
fn comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length up to and with the opening quote, and up to and with the end, of a string literal.
fn string(rest: &[u8]) -> Option<(usize, usize)> {
    let prefix = rest.iter().take_while(|b| b"brc".contains(b)).count();
    let raw = rest[..prefix].contains(&b'r');
    let hashes = match raw {
        true => rest[prefix..].iter().take_while(|b| **b == b'#').count(),
        false => 0,
    };
    let open = prefix + hashes + 1;
    if rest.get(open - 1) != Some(&b'"') {
        return None;
    }
    if raw {
        let end = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
        return Some((
            open,
            (open + until(&rest[open..], &end) + 1).min(rest.len()),
        ));
    }
    let mut at = open;
    while at < rest.len() && rest[at] != b'"' {
        at += 1 + usize::from(rest[at] == b'\\');
    }
    Some((open, (at + 1).min(rest.len())))
}

/// The length of a character literal; None for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return Some((3 + until(rest.get(3..)?, b"'") + 1).min(rest.len()));
    }
    let end = (2..=5).find(|&at| rest.get(at) == Some(&b'\''))?;
    let inside = std::str::from_utf8(&rest[1..end]).ok()?;
    (inside.chars().count() == 1).then_some(end + 1)
}

/// Blanks for every item behind `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    for (start, _) in code.match_indices("#[cfg(test)]") {
        let mut depth = 0_i32;
        let mut end = code.len();
        for (at, c) in code[start..].char_indices().skip("#[cfg(test)]".len()) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ';' if depth == 0 => {}
                _ => continue,
            }
            if depth == 0 {
                end = start + at + 1;
                break;
            }
        }
        blank(&mut out, start, end);
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn words_that_are_no_code_are_blank() {
    let text = "let a = \"crate::x \\\" y\"; // crate::y\n/* a /* b */ crate::z */ let b: &'a str = r#\"q\"w\"#; let c = '\"'; crate::real();";
    let source = Source::new("src/a.rs", text);
    assert_eq!(source.words("crate").len(), 1);
    assert_eq!(source.code.len(), text.len());
    assert_eq!(source.at(source.words("crate")[0]), "src/a.rs:2");
    let tests = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { c() }\n}\nfn d() {}";
    let code = Source::new("src/a.rs", tests).code;
    assert!(code.contains("fn a") && code.contains("fn d") && !code.contains("fn b"));
    assert_eq!(Source::new("src/a/tests.rs", tests).code, "");
    let chars = Source::new("src/a.rs", "b\"x\"; f('\\''); g('…'); h::<'static>(\"z\")").code;
    assert_eq!(chars, "b\" \"; f('  '); g('   '); h::<'static>(\" \")");
}
