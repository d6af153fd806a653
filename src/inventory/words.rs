//! A host line cut into words as a POSIX shell and Python's `shlex` cut it: quotes, backslashes,
//! and a `#` anywhere outside quotes ends the line.

/// The words of one line, or what is open at its end.
pub(super) fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' => break,
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or("a quote is not closed")? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => {
                let next = chars.next().ok_or("nothing follows the backslash")?;
                word.get_or_insert_default().push(next);
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    loop {
        match chars.next().ok_or("a quote is not closed")? {
            '"' => return Ok(()),
            '\\' => {
                let next = chars.next().ok_or("nothing follows the backslash")?;
                if !matches!(next, '"' | '\\') {
                    word.push('\\');
                }
                word.push(next);
            }
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn as_shlex_cuts() {
        for (line, words) in [
            ("a b=1\tc", &["a", "b=1", "c"][..]),
            ("a b='x y'z", &["a", "b=x yz"]),
            (r#"a b="x \"y\" \n""#, &["a", r#"b=x "y" \n"#]),
            (r"a b=x\ y\'", &["a", "b=x y'"]),
            ("a pw=one#two b=3", &["a", "pw=one"]),
            ("a pw='one#two'", &["a", "pw=one#two"]),
            ("'' b", &["", "b"]),
            ("# nothing", &[]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        assert!(split("a b='x").is_err() && split("a b=\"x").is_err() && split("a \\").is_err());
    }
}
