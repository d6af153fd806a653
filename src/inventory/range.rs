//! Host patterns of an inventory: `web[01:10:2].example.org:2222` becomes names and a port.

use std::sync::LazyLock;

use regex::Regex;

use super::scalar::pattern;

/// More hosts than this are a mistake in the range.
const MAX_HOSTS: usize = 100_000;
/// What alphabetic ranges count in.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

static BRACKETED_PORT: LazyLock<Regex> = LazyLock::new(|| pattern(r"\[(.+)\]:([0-9]+)"));
static PORT: LazyLock<Regex> = LazyLock::new(|| pattern(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)"));

/// What may stand before a port: an address or a name, each with ranges in it.
static HOST: LazyLock<Regex> = LazyLock::new(|| {
    let numbers = r"\[[0-9]+:[0-9]+(?::[0-9]+)?\]";
    let hex = r"\[[0-9a-f]+:[0-9a-f]+(?::[0-9]+)?\]";
    let letters = r"\[(?:[a-z]:[a-z]|[0-9]+:[0-9]+)(?::[0-9]+)?\]";
    let v4 = format!("(?:[01]?[0-9]{{1,2}}|2[0-4][0-9]|25[0-5]|{numbers})");
    let v6 = format!("(?:[0-9a-f]{{1,4}}|{hex})");
    // A label ends with a letter, a digit or a range.
    let label = format!(r"(?:(?:\w|{letters})(?:[\w-]|{letters})*)?(?:[^\W_]|{letters})");
    let v6_forms = [
        format!("(?:{v6}:){{7}}{v6}"),
        format!("(?:{v6}:){{1,6}}:"),
        format!("{v6}:(?::{v6}){{1,6}}"),
        format!("(?:{v6}:){{2}}(?::{v6}){{1,5}}"),
        format!("(?:{v6}:){{3}}(?::{v6}){{1,4}}"),
        format!("(?:{v6}:){{4}}(?::{v6}){{1,3}}"),
        format!("(?:{v6}:){{5}}(?::{v6}){{1,2}}"),
        format!("(?:{v6}:){{6}}:{v6}"),
        format!(":(?::{v6}){{1,6}}"),
        format!("{v6}?::"),
        format!(r"(?:0:){{6}}(?:{v6}\.){{3}}{v6}"),
        format!(r"::(?:ffff:)?(?:{v6}\.){{3}}{v6}"),
        format!(r"(?:0:){{5}}ffff:(?:{v6}\.){{3}}{v6}"),
    ];
    pattern(&format!(
        r"(?i:(?:{v4}\.){{3}}{v4}|{}|{label}(?:\.{label})*)",
        v6_forms.join("|")
    ))
});

/// The hosts that a pattern stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hosts {
    pub names: Vec<String>,
    pub port: Option<i128>,
}

/// Splits the port off and expands the ranges. What is no address at all is a name as it stands.
pub(super) fn hosts(pattern: &str) -> Result<Hosts, String> {
    let (host, port) = address(pattern)?.unwrap_or((pattern, None));
    let mut names = Vec::new();
    expand(host.to_owned(), &mut names)?;
    Ok(Hosts { names, port })
}

type Address<'a> = Option<(&'a str, Option<i128>)>;

fn address(pattern: &str) -> Result<Address<'_>, String> {
    let mut host = pattern;
    let mut port = None;
    // One after the other: `[a:1]:2` is host a with port 1.
    for form in [&BRACKETED_PORT, &PORT] {
        if let Some(found) = form.captures(host)
            && let (Some(before), Some(digits)) = (found.get(1), found.get(2))
        {
            host = before.as_str();
            let number = digits.as_str().parse();
            port = Some(number.map_err(|_| format!("port {} is too large", digits.as_str()))?);
        }
    }
    Ok(HOST.is_match(host).then_some((host, port)))
}

fn expand(name: String, names: &mut Vec<String>) -> Result<(), String> {
    if !name.contains('[') {
        if names.len() >= MAX_HOSTS {
            return Err(format!("a range of more than {MAX_HOSTS} hosts"));
        }
        names.push(name);
        return Ok(());
    }
    let flaw = |what: &str| format!("host range {name}: {what}");
    let marked = name.replacen('[', "|", 1).replacen(']', "|", 1);
    let parts: Vec<&str> = marked.split('|').collect();
    let [head, range, tail] = parts[..] else {
        return Err(flaw("expected one `[` and its `]`"));
    };
    for middle in counted(range).map_err(|what| flaw(&what))? {
        expand(format!("{head}{middle}{tail}"), names)?;
    }
    Ok(())
}

/// What the inside of `[begin:end:step]` counts through.
fn counted(range: &str) -> Result<Vec<String>, String> {
    let (begin, end, step) = match range.split(':').collect::<Vec<_>>()[..] {
        [begin, end] => (begin, end, "1"),
        [begin, end, step] => (begin, end, step),
        _ => return Err("expected [begin:end] or [begin:end:step]".to_owned()),
    };
    let begin = if begin.is_empty() { "0" } else { begin };
    if end.is_empty() {
        return Err("it has no end".to_owned());
    }
    let width = if begin.len() > 1 && begin.starts_with('0') {
        begin.chars().count()
    } else {
        0
    };
    if width > 0 && width != end.chars().count() {
        return Err(format!("{begin} and {end} differ in length"));
    }
    let step_size = whole(step).filter(|step| *step != 0);
    let fill = |text: String| format!("{text:0>width$}");
    if let (Some(from), Some(to)) = (LETTERS.find(begin), LETTERS.find(end)) {
        if from > to {
            return Err(format!("{begin} comes after {end}"));
        }
        if let Some(step) = step_size {
            let letters = LETTERS[from..=to].chars();
            let Ok(step) = usize::try_from(step) else {
                return Ok(Vec::new());
            };
            return Ok(letters.step_by(step).map(|c| fill(c.to_string())).collect());
        }
    }
    let (Some(from), Some(to), Some(step)) = (whole(begin), whole(end), step_size) else {
        return Err("expected numbers or single letters".to_owned());
    };
    let mut all = Vec::new();
    let mut at = from;
    while if step > 0 { at <= to } else { at > to + 1 } {
        if all.len() >= MAX_HOSTS {
            return Err(format!("more than {MAX_HOSTS} hosts"));
        }
        all.push(match (at < 0, width) {
            (true, width) => format!("-{:0>1$}", -at, width.saturating_sub(1)),
            (false, _) => fill(at.to_string()),
        });
        at += step;
    }
    Ok(all)
}

/// A number as Python's `int` reads a text.
pub(super) fn whole(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let well_spaced = !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
    let number = digits.replace('_', "");
    let is_number = well_spaced && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let size: i64 = number.parse().ok().filter(|_| is_number)?;
    Some(i128::from(if text.starts_with('-') { -size } else { size }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> Vec<String> {
        hosts(pattern).unwrap().names
    }

    #[test]
    fn ranges_are_counted() {
        assert_eq!(names("h[01:10:3]"), ["h01", "h04", "h07", "h10"]);
        assert_eq!(
            names("h[a:c]-[1:2]"),
            ["ha-1", "ha-2", "hb-1", "hb-2", "hc-1", "hc-2"]
        );
        assert_eq!(names("h[:2]"), ["h0", "h1", "h2"]);
        assert_eq!(names("h[3:1]"), [""; 0]);
        assert_eq!(
            names("10.0.0.[8:10]"),
            ["10.0.0.8", "10.0.0.9", "10.0.0.10"]
        );
        for wrong in [
            "h[1:]",
            "h[c:a]",
            "h[001:10]",
            "h[1:3:0]",
            "h[x:9]",
            "h[1",
            "h[1:9999999]",
        ] {
            assert!(hosts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_are_split_off() {
        let one = |pattern: &str| {
            let found = hosts(pattern).unwrap();
            (found.names.concat(), found.port)
        };
        let is = |name: &str, port| (name.to_owned(), port);
        assert_eq!(one("web:2222"), is("web", Some(2222)));
        assert_eq!(one("[fe80::1]:22"), is("fe80::1", Some(22)));
        assert_eq!(one("fe80::1"), is("fe80::1", None));
        assert_eq!(one("::1"), is("::1", None));
        assert_eq!(one("bad_:22"), is("bad_:22", None));
        assert_eq!(one("a_b.c-d:1"), is("a_b.c-d", Some(1)));
    }
}
