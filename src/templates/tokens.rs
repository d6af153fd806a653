//! The words of one `{{ … }}` or `{% … %}`: read, and rewritten where minijinja differs from Jinja2.
//!
//! Rewritten are string literals (Python's escapes), chains before `default` and
//! `is defined` (`a.b.c | default(1)` must not fail on a missing `a.b`), and
//! filter names with a collection (`ansible.builtin.bool`).

use super::mutable::{MUTABLE, SLICE};

/// The function that walks a chain; see `filters::chain`.
pub(super) const CHAIN: &str = "__chain";

/// The function that makes a text a list of its characters; see `filters::each`.
pub(super) const EACH: &str = "__each";

/// More words in one tag than any author writes: the engine recurses over them.
const MAX_WORDS: usize = 20_000;

/// How string literals are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strings {
    /// With Python's escapes.
    Escaped,
    /// As they stand.
    Literal,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Space(String),
    Name(String),
    Number(String),
    /// The inner text as written, without its quotes.
    Text(String),
    Sign(char),
}

use Token::{Name, Number, Sign, Space, Text};

/// Reads words up to the end delimiter (or a `-`/`+` before it), which may stand
/// inside brackets or strings without ending the tag. Returns the bytes read.
pub(super) fn read(text: &str, end: &str) -> Result<(Vec<Token>, usize), String> {
    let mut tokens = Vec::new();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if depth == 0 && is_end(rest, end) {
            break;
        }
        if tokens.len() > MAX_WORDS {
            return Err(format!("more than {MAX_WORDS} words in one tag; split it"));
        }
        let first = rest.chars().next().expect("not at the end");
        let len = match first {
            '\'' | '"' => {
                let inner = string_len(rest, first).ok_or("a string is never closed")?;
                tokens.push(Text(rest[1..1 + inner].to_owned()));
                inner + 2
            }
            _ if first.is_whitespace() => {
                push(&mut tokens, rest, Space, |char| char.is_whitespace())
            }
            _ if first.is_ascii_digit() => {
                let after_dot = tokens.last() == Some(&Sign('.'));
                number(&mut tokens, rest, after_dot)
            }
            _ if first == '_' || first.is_alphabetic() => push(&mut tokens, rest, Name, |char| {
                char == '_' || char.is_alphanumeric()
            }),
            _ => {
                match first {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                tokens.push(Sign(first));
                first.len_utf8()
            }
        };
        at += len;
    }
    Ok((tokens, at))
}

fn is_end(rest: &str, end: &str) -> bool {
    rest.strip_prefix(['-', '+'])
        .is_some_and(|rest| rest.starts_with(end))
        || rest.starts_with(end)
}

fn push(
    tokens: &mut Vec<Token>,
    rest: &str,
    make: fn(String) -> Token,
    belongs: impl Fn(char) -> bool,
) -> usize {
    let len = rest.find(|char| !belongs(char)).unwrap_or(rest.len());
    tokens.push(make(rest[..len].to_owned()));
    len
}

/// `foo.1.0` is two steps, `1.0` alone one number.
fn number(tokens: &mut Vec<Token>, rest: &str, after_dot: bool) -> usize {
    let digits = |text: &str| {
        text.find(|char: char| !char.is_ascii_alphanumeric() && char != '_')
            .unwrap_or(text.len())
    };
    let mut len = digits(rest);
    let fraction = rest[len..]
        .strip_prefix('.')
        .filter(|tail| tail.starts_with(|char: char| char.is_ascii_digit()));
    if let (Some(tail), false) = (fraction, after_dot) {
        len += 1 + digits(tail);
    }
    if rest[..len].ends_with(['e', 'E'])
        && !rest.starts_with("0x")
        && rest[len..].starts_with(['+', '-'])
    {
        len += 1 + digits(&rest[len + 1..]);
    }
    tokens.push(Number(rest[..len].to_owned()));
    len
}

/// The length of the text between the quotes.
fn string_len(rest: &str, quote: char) -> Option<usize> {
    let mut chars = rest[1..].char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => {
                chars.next();
            }
            _ if char == quote => return Some(at),
            _ => {}
        }
    }
    None
}

/// Writes the words out for minijinja; `changes` says that collections are changed in place.
pub(super) fn adapt(
    mut tokens: Vec<Token>,
    strings: Strings,
    changes: bool,
) -> Result<String, String> {
    drop_collections(&mut tokens);
    if changes {
        make_mutable(&mut tokens);
    }
    rewrite_chains(&mut tokens);
    rewrite_slices(&mut tokens);
    rewrite_loops(&mut tokens);
    join_texts(&mut tokens);
    let mut out = String::new();
    for token in tokens {
        match token {
            Text(inner) => {
                out.push('\'');
                out.push_str(&literal(&inner, strings)?);
                out.push('\'');
            }
            Space(text) | Name(text) | Number(text) => out.push_str(&text),
            Sign(sign) => out.push(sign),
        }
    }
    Ok(out)
}

/// Neighbouring literals are one literal, as in Python.
fn join_texts(tokens: &mut Vec<Token>) {
    let mut joined: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens.drain(..) {
        let before = match &token {
            Text(_) => joined.iter().rposition(|token| !matches!(token, Space(_))),
            _ => None,
        };
        match (token, before.map(|at| &mut joined[at])) {
            (Text(more), Some(Text(text))) => text.push_str(&more),
            (token, _) => joined.push(token),
        }
    }
    *tokens = joined;
}

/// `x | ansible.builtin.bool` is `x | bool`.
fn drop_collections(tokens: &mut Vec<Token>) {
    let mut at = 0;
    while at < tokens.len() {
        let begins = match &tokens[at] {
            Sign('|') => true,
            Name(word) => word == "is" || word == "not" && follows_is(tokens, at),
            _ => false,
        };
        at += 1;
        if !begins {
            continue;
        }
        while matches!(tokens.get(at), Some(Space(_))) {
            at += 1;
        }
        let full = tokens.get(at..at + 5);
        if matches!(
            full,
            Some([Name(_), Sign('.'), Name(_), Sign('.'), Name(_)])
        ) {
            tokens.drain(at..at + 4);
        }
    }
}

fn follows_is(tokens: &[Token], at: usize) -> bool {
    let before = tokens[..at]
        .iter()
        .rev()
        .find(|token| !matches!(token, Space(_)));
    matches!(before, Some(Name(word)) if word == "is")
}

/// `a.b['c'] | default(x)` becomes `__chain(a, 'b', 'c') | default(x)`.
fn rewrite_chains(tokens: &mut Vec<Token>) {
    let mut at = 0;
    while at < tokens.len() {
        if tolerates_missing(&tokens[at..])
            && let Some((start, end, call)) = chain_before(tokens, at)
        {
            let grown = call.len();
            tokens.splice(start..end, call);
            at = at - (end - start) + grown;
        }
        at += 1;
    }
}

/// `[]` becomes `__mutable([])`: this template changes its collections in place.
fn make_mutable(tokens: &mut Vec<Token>) {
    let mut out = Vec::with_capacity(tokens.len());
    let mut wrapped = Vec::new();
    for token in tokens.drain(..) {
        match token {
            Sign('[' | '{') => {
                let is_literal = starts_value(&out);
                if is_literal {
                    out.extend([Name(MUTABLE.to_owned()), Sign('(')]);
                }
                wrapped.push(is_literal);
                out.push(token);
            }
            Sign(']' | '}') => {
                out.push(token);
                if wrapped.pop() == Some(true) {
                    out.push(Sign(')'));
                }
            }
            _ => out.push(token),
        }
    }
    *tokens = out;
}

/// `for c in text` becomes `for c in __each(text)`: only of a list the engine knows the length.
fn rewrite_loops(tokens: &mut Vec<Token>) {
    let is = |token: &Token, word: &str| matches!(token, Name(name) if name == word);
    let first = tokens.iter().position(|token| !matches!(token, Space(_)));
    if !first.is_some_and(|first| is(&tokens[first], "for")) {
        return;
    }
    let (mut depth, mut start, mut end) = (0_usize, None, tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Sign('[' | '(' | '{') => depth += 1,
            Sign(']' | ')' | '}') => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ if start.is_none() && is(token, "in") => start = Some(at + 1),
            Sign(',') if start.is_some() => return,
            _ if start.is_some() && (is(token, "if") || is(token, "recursive")) => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    if let Some(start) = start {
        tokens.splice(end..end, [Sign(')'), Space(" ".to_owned())]);
        tokens.splice(
            start..start,
            [Space(" ".to_owned()), Name(EACH.to_owned()), Sign('(')],
        );
    }
}

/// `x[a:b:c]` becomes `x.__slice(a, b, c)`: the engine's own slices differ where steps go backwards.
fn rewrite_slices(tokens: &mut Vec<Token>) {
    let mut opened: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut slices = Vec::new();
    for at in 0..tokens.len() {
        match tokens[at] {
            Sign('[' | '(' | '{') => opened.push((at, Vec::new())),
            Sign(':') => {
                if let Some((_, colons)) = opened.last_mut() {
                    colons.push(at);
                }
            }
            Sign(']' | ')' | '}') => match opened.pop() {
                Some((open, colons))
                    if tokens[open] == Sign('[')
                        && !colons.is_empty()
                        && !starts_value(&tokens[..open]) =>
                {
                    slices.push((open, colons, at));
                }
                _ => {}
            },
            _ => {}
        }
    }
    let nothing = || Name("none".to_owned());
    // Each word is replaced by some, so that places stay.
    let mut out: Vec<Vec<Token>> = tokens.drain(..).map(|token| vec![token]).collect();
    for (open, colons, close) in slices {
        out[open] = vec![Sign('.'), Name(SLICE.to_owned()), Sign('(')];
        out[close] = vec![Sign(')')];
        let mut before = open;
        for colon in colons.iter().copied().chain([close]) {
            let is_empty = out[before + 1..colon]
                .iter()
                .flatten()
                .all(|token| matches!(token, Space(_)));
            if is_empty {
                out[before].push(nothing());
            }
            if colon != close {
                out[colon] = vec![Sign(',')];
            }
            before = colon;
        }
    }
    *tokens = out.into_iter().flatten().collect();
}

/// Whether a bracket after these words begins a value rather than a step.
fn starts_value(before: &[Token]) -> bool {
    match before.iter().rev().find(|token| !matches!(token, Space(_))) {
        Some(Name(word)) => is_keyword(word),
        Some(Sign(']' | ')' | '}') | Text(_) | Number(_)) => false,
        _ => true,
    }
}

/// Whether `| default`, `is defined` or the like begins here.
fn tolerates_missing(tokens: &[Token]) -> bool {
    let mut words = tokens.iter().filter(|token| !matches!(token, Space(_)));
    match words.next() {
        Some(Sign('|')) => {
            matches!(words.next(), Some(Name(name)) if matches!(name.as_str(), "default" | "d"))
        }
        Some(Name(is)) if is == "is" => {
            let mut word = words.next();
            if matches!(word, Some(Name(not)) if not == "not") {
                word = words.next();
            }
            matches!(word, Some(Name(name)) if matches!(name.as_str(), "defined" | "undefined"))
        }
        _ => false,
    }
}

/// The chain of at least one step that ends just before `at`: its range and the call in its place.
fn chain_before(tokens: &[Token], at: usize) -> Option<(usize, usize, Vec<Token>)> {
    let end = 1 + tokens[..at]
        .iter()
        .rposition(|token| !matches!(token, Space(_)))?;
    if tokens[end - 1] == Sign(')') {
        // `(a.b) | default(1)`: the chain is what the brackets hold.
        let open = group(tokens, end)?;
        let inner = chain_before(tokens, end - 1)?;
        return (tokens[open + 1..inner.0]
            .iter()
            .all(|token| matches!(token, Space(_))))
        .then_some(inner);
    }
    let mut steps = Vec::new();
    let mut head = end;
    loop {
        match &tokens[..head] {
            [.., Sign('.'), Name(name)] => {
                steps.push(vec![Text(name.clone())]);
                head -= 2;
            }
            [.., Sign('.'), Number(index)] => {
                steps.push(vec![Number(index.clone())]);
                head -= 2;
            }
            [.., Sign(']')] => {
                let open = opening(tokens, head)?;
                steps.push(tokens[open + 1..head - 1].to_vec());
                head = open;
            }
            [.., Name(base)] if !steps.is_empty() && !is_keyword(base) => break,
            _ => return None,
        }
    }
    let mut call = vec![Name(CHAIN.to_owned()), Sign('('), tokens[head - 1].clone()];
    for step in steps.into_iter().rev() {
        call.push(Sign(','));
        call.extend(step);
    }
    call.push(Sign(')'));
    Some((head - 1, end, call))
}

/// Where the round brackets closed just before `head` were opened, unless they are a call's.
fn group(tokens: &[Token], head: usize) -> Option<usize> {
    let mut depth = 0;
    let open = (0..head).rev().find(|at| {
        match tokens[*at] {
            Sign(']' | ')' | '}') => depth += 1,
            Sign('[' | '(' | '{') => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    starts_value(&tokens[..open]).then_some(open)
}

/// Where the bracket closed just before `head` was opened; a slice is no step.
fn opening(tokens: &[Token], head: usize) -> Option<usize> {
    let mut depth = 0;
    for at in (0..head).rev() {
        match tokens[at] {
            Sign(']' | ')' | '}') => depth += 1,
            Sign('[' | '(' | '{') => depth -= 1,
            Sign(':' | ',') if depth == 1 => return None,
            _ => {}
        }
        if depth == 0 {
            // `[1, 2] is defined` is a list, not a step.
            let is_step = matches!(tokens[..at].last(), Some(Name(_) | Sign(']' | ')')));
            return (is_step && at + 2 < head).then_some(at);
        }
    }
    None
}

fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "in" | "not" | "and" | "or" | "if" | "else" | "elif" | "is" | "set" | "print" | "do"
    )
}

/// A literal in minijinja's spelling, without the quotes.
fn literal(inner: &str, strings: Strings) -> Result<String, String> {
    let mut out = String::new();
    match strings {
        // A raw newline stays raw, so that lines keep their numbers.
        Strings::Literal => inner
            .chars()
            .for_each(|char| write(&mut out, char, char == '\n')),
        Strings::Escaped => decode(inner, |char, is_raw| write(&mut out, char, is_raw))?,
    }
    Ok(out)
}

fn write(out: &mut String, char: char, is_raw: bool) {
    match char {
        '\\' => out.push_str("\\\\"),
        '\'' => out.push_str("\\'"),
        '\n' if !is_raw => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        _ => out.push(char),
    }
}

/// Decodes Python's string escapes.
pub(super) fn unescape(inner: &str) -> Result<String, String> {
    let mut out = String::new();
    decode(inner, |char, _| out.push(char))?;
    Ok(out)
}

fn decode(inner: &str, mut emit: impl FnMut(char, bool)) -> Result<(), String> {
    let mut rest = inner;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        if first != '\\' {
            emit(first, true);
            continue;
        }
        let Some(escape) = rest.chars().next() else {
            emit('\\', true);
            break;
        };
        let after = &rest[escape.len_utf8()..];
        rest = match escape {
            '\n' => after,
            'x' => coded(after, 2, 16, &mut emit)?,
            'u' => coded(after, 4, 16, &mut emit)?,
            'U' => coded(after, 8, 16, &mut emit)?,
            '0'..='7' => {
                let len = rest
                    .chars()
                    .take(3)
                    .take_while(|digit| digit.is_digit(8))
                    .count();
                coded(rest, len, 8, &mut emit)?
            }
            _ => {
                match simple(escape) {
                    Some(char) => emit(char, false),
                    // Python leaves an escape it does not know as it is.
                    None => {
                        emit('\\', true);
                        emit(escape, true);
                    }
                }
                after
            }
        };
    }
    Ok(())
}

fn simple(escape: char) -> Option<char> {
    Some(match escape {
        '\\' | '\'' | '"' => escape,
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        _ => return None,
    })
}

fn coded<'a>(
    text: &'a str,
    len: usize,
    radix: u32,
    emit: &mut impl FnMut(char, bool),
) -> Result<&'a str, String> {
    let digits = text.get(..len).unwrap_or(text);
    let char = u32::from_str_radix(digits, radix)
        .ok()
        .filter(|_| digits.len() == len);
    let char = char.and_then(char::from_u32);
    emit(
        char.ok_or_else(|| format!("bad escape before `{digits}` in a string"))?,
        false,
    );
    Ok(&text[len..])
}
