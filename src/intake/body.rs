//! The text of a mail's body, out of whatever MIME clothes it came in.
//!
//! The parts are walked here because mailparse's own walk recurses as deep as the mail says;
//! mailparse decodes the one part that is read.

use mailparse::ParsedContentType;
use mailparse::body::Body;

use super::header::{Entity, line_at};

const DEEPEST: u32 = 4;
const MOST_PARTS: usize = 32;

/// The first non-blank line of the first `text/plain` part, trimmed; None when all are blank.
///
/// Fails with one line that names what stands in the way.
pub fn first_line(mail: &Entity) -> Result<Option<String>, String> {
    let mut walk = Walk {
        parts: 0,
        others: Vec::new(),
    };
    let Some(text) = walk.text_of(mail, 0)? else {
        return Err(format!(
            "body: expected a text/plain part, found only {}",
            walk.others.join(", ")
        ));
    };
    let line = text
        .split(['\n', '\r'])
        .map(|line| line.trim_start_matches('\u{feff}').trim())
        .find(|line| !line.is_empty());
    Ok(line.map(str::to_owned))
}

struct Walk {
    parts: usize,
    /// The types that were passed over, for the error line.
    others: Vec<String>,
}

impl Walk {
    fn text_of(&mut self, entity: &Entity, depth: u32) -> Result<Option<String>, String> {
        let kind = content_type(entity);
        if kind.mimetype.starts_with("multipart/") {
            return self.text_within(entity, &kind, depth);
        }
        if kind.mimetype != "text/plain" || is_attachment(entity) {
            self.others.push(shown(&kind.mimetype));
            return Ok(None);
        }
        decoded(entity, &kind).map(Some)
    }

    fn text_within(
        &mut self,
        entity: &Entity,
        kind: &ParsedContentType,
        depth: u32,
    ) -> Result<Option<String>, String> {
        if depth == DEEPEST {
            return Err(format!(
                "body: expected at most {DEEPEST} nested multiparts"
            ));
        }
        let boundary = kind.params.get("boundary").filter(|b| !b.is_empty());
        let boundary = boundary.ok_or("body: expected a boundary for its multipart type")?;
        let mut parts = parts(entity.body, boundary.as_bytes());
        // One that is counted but not kept tells that there are too many.
        self.parts += parts.len();
        if self.parts > MOST_PARTS {
            return Err(format!("body: expected at most {MOST_PARTS} MIME parts"));
        }
        for part in parts.drain(..) {
            let part = Entity::cut(part).map_err(|_| "body: expected smaller part headers")?;
            if let Some(text) = self.text_of(&part, depth + 1)? {
                return Ok(Some(text));
            }
        }
        if self.others.is_empty() {
            self.others.push("empty multiparts".to_owned());
        }
        Ok(None)
    }
}

/// Without a usable type a body is plain text (RFC 2045, 5.2).
fn content_type(entity: &Entity) -> ParsedContentType {
    match entity.first("Content-Type") {
        Some(value) if value.contains('/') => mailparse::parse_content_type(&value),
        _ => ParsedContentType::default(),
    }
}

fn is_attachment(entity: &Entity) -> bool {
    entity.first("Content-Disposition").is_some_and(|value| {
        value
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("attachment")
    })
}

fn decoded(entity: &Entity, kind: &ParsedContentType) -> Result<String, String> {
    let encoding = entity
        .first("Content-Transfer-Encoding")
        .map(|value| value.trim().to_ascii_lowercase());
    let text = match Body::new(entity.body, kind, &encoding) {
        Body::Base64(body) | Body::QuotedPrintable(body) => body.get_decoded_as_string(),
        Body::SevenBit(body) | Body::EightBit(body) => body.get_as_string(),
        Body::Binary(body) => body.get_as_string(),
    };
    text.map_err(|_| {
        format!(
            "body: expected text that can be decoded from {}",
            shown(encoding.as_deref().unwrap_or("7bit"))
        )
    })
}

/// The parts between `--boundary` lines; at most one more than are allowed.
fn parts<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let mut found = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at < body.len() && found.len() <= MOST_PARTS {
        let line = line_at(body, at);
        let after = line
            .strip_prefix(b"--")
            .and_then(|l| l.strip_prefix(boundary));
        let after = after.map(<[u8]>::trim_ascii);
        if let Some(b"" | b"--") = after {
            found.extend(start.take().map(|start| &body[start..at]));
            if after == Some(b"--") {
                return found;
            }
            start = Some(at + line.len());
        }
        at += line.len();
    }
    // Software that forgets the closing line is common.
    found.extend(start.map(|start| &body[start..at]));
    found
}

fn shown(token: &str) -> String {
    crate::domain::quoted(token).replace('`', "")
}
