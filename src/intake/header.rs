//! Where the headers of a mail, or of one of its parts, end, and what they hold.
//!
//! Like Postfix, and unlike RFC 5322: the first line that is neither a header nor a continuation
//! starts the body, because the frontend's sender writes no blank line between the two.

/// The largest header block that is looked at, in bytes.
const LARGEST: usize = 256 * 1024;
/// The longest single header that is decoded, folds included, in bytes.
const LONGEST: usize = 4096;

/// One header, still folded and encoded.
#[derive(Debug)]
pub struct Header<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

/// A mail or a MIME part, cut at the end of its headers.
#[derive(Debug)]
pub struct Entity<'a> {
    headers: Vec<Header<'a>>,
    pub body: &'a [u8],
}

/// The headers are larger than anyone's.
#[derive(Debug)]
pub struct TooManyHeaders;

impl TooManyHeaders {
    pub const LINE: &str = "headers: expected at most 256 KiB of them";
}

impl<'a> Entity<'a> {
    /// Cuts one MIME part, or a mail without its mbox `From ` line.
    pub fn cut(whole: &'a [u8]) -> Result<Entity<'a>, TooManyHeaders> {
        let mut headers: Vec<Header> = Vec::new();
        let mut at = 0;
        while at < whole.len() {
            if at > LARGEST {
                return Err(TooManyHeaders);
            }
            let line = line_at(whole, at);
            let next = at + line.len();
            if is_blank(line) {
                at = next;
                break;
            }
            if let Some(colon) = name_end(line) {
                headers.push(Header {
                    name: line[..colon].trim_ascii_end(),
                    value: &whole[at + colon + 1..next],
                });
            } else if let (Some(last), b' ' | b'\t') = (headers.last_mut(), line[0]) {
                let start = next - line.len() - last.value.len();
                last.value = &whole[start..next];
            } else {
                break;
            }
            at = next;
        }
        Ok(Entity {
            headers,
            body: &whole[at..],
        })
    }

    /// Every header of this name, unfolded, RFC 2047 words decoded. A header that is longer than
    /// 4 KiB is cut there: no value that matters here is.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(Header::decoded)
            .collect()
    }

    /// The first header of this name.
    pub fn first(&self, name: &str) -> Option<String> {
        self.headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(Header::decoded)
    }
}

impl Header<'_> {
    fn decoded(&self) -> String {
        let value = &self.value[..self.value.len().min(LONGEST)];
        let line = [b"X:", value.trim_ascii()].concat();
        match mailparse::parse_header(&line) {
            Ok((header, _)) => header.get_value(),
            Err(_) => String::from_utf8_lossy(value).into_owned(),
        }
    }
}

/// The mbox separators (`From `, or `>From ` when nested) that delivery agents put before the
/// headers, cut off; with the address that the first of them names.
pub fn without_from_line(mail: &[u8]) -> (Option<String>, &[u8]) {
    let mut address = None;
    let mut rest = mail;
    while rest.starts_with(b"From ") || rest.starts_with(b">From ") {
        let line = line_at(rest, 0);
        let word = line.split(|b| b.is_ascii_whitespace()).nth(1);
        address = address.or_else(|| word.map(|word| String::from_utf8_lossy(word).into_owned()));
        rest = &rest[line.len()..];
    }
    (address, rest)
}

/// The line that starts at `at`, with its line end.
pub fn line_at(text: &[u8], at: usize) -> &[u8] {
    let rest = &text[at..];
    let end = rest.iter().position(|b| *b == b'\n');
    &rest[..end.map_or(rest.len(), |end| end + 1)]
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// Where the colon stands, when the line is a header: printable name, colon.
fn name_end(line: &[u8]) -> Option<usize> {
    let colon = line.iter().position(|b| *b == b':')?;
    let name = line[..colon].trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(colon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_is_no_header_starts_the_body() {
        for mail in [
            "A: 1\nSubject: x\n y\nWKSHP-A\n",
            "A: 1\r\nSubject: x\r\n y\r\n\r\nWKSHP-A\n",
            "A : 1\nsubject:x\n\ty\n\nWKSHP-A\n",
        ] {
            let entity = Entity::cut(mail.as_bytes()).unwrap();
            assert_eq!(entity.first("SUBJECT").unwrap(), "x y", "{mail:?}");
            assert_eq!(entity.body, b"WKSHP-A\n", "{mail:?}");
        }
    }

    #[test]
    fn from_lines_are_no_headers() {
        let (address, rest) = without_from_line(b"From a@b Mon Jan 1\n>From c@d Tue\nTo: x\n");
        assert_eq!(address.as_deref(), Some("a@b"));
        assert_eq!(rest, b"To: x\n");
    }
}
