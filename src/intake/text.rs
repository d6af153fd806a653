//! The text of a mail as SMTP carries it: where it ends, dots unstuffed, line ends made LF.
//!
//! Pure, byte by byte, so that it cannot matter how the network cut the bytes.

/// What ends a line for this client, as its first command line showed.
///
/// After CRLF commands only CRLF `.` CRLF ends the text. A relay that passes a bare LF through
/// as text could otherwise be made to smuggle a second mail in its name. A client that speaks
/// bare LF is the frontend itself, never a relay: for it a line ends at the LF, with CR or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    CrLf,
    Lf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    LineStart,
    Dot,
    DotCr,
    Within,
    Cr,
}

/// A text that is being received.
#[derive(Debug)]
pub struct Text {
    line_end: LineEnd,
    place: Place,
    kept: Vec<u8>,
    most: usize,
    size: Size,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Fits,
    TooLarge,
}

impl Text {
    /// Keeps at most `most` bytes (line ends count as one); the rest is read and dropped.
    pub fn new(line_end: LineEnd, most: usize) -> Text {
        Text {
            line_end,
            place: Place::LineStart,
            kept: Vec::new(),
            most,
            size: Size::Fits,
        }
    }

    /// Takes bytes up to the end of the text: how many it took, once the end is among them.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, byte) in bytes.iter().enumerate() {
            if self.take(*byte) {
                return Some(index + 1);
            }
        }
        None
    }

    /// The text, or None when it was larger than allowed.
    pub fn finish(self) -> Option<Vec<u8>> {
        (self.size == Size::Fits).then_some(self.kept)
    }

    /// True at the last byte of the text.
    fn take(&mut self, byte: u8) -> bool {
        let ends_line = byte == b'\n'
            && (self.line_end == LineEnd::Lf || matches!(self.place, Place::Cr | Place::DotCr));
        match (self.place, byte) {
            (Place::Dot | Place::DotCr, _) if ends_line => return true,
            (_, _) if ends_line => {
                self.keep(b'\n');
                self.place = Place::LineStart;
            }
            (Place::LineStart, b'.') => self.place = Place::Dot,
            (Place::Dot, b'\r') => self.place = Place::DotCr,
            // It was text after a dot that the sender had doubled (or should have).
            (Place::DotCr | Place::Cr, _) => {
                self.keep(b'\r');
                self.within(byte);
            }
            _ => self.within(byte),
        }
        false
    }

    fn within(&mut self, byte: u8) {
        self.place = match byte {
            b'\r' => Place::Cr,
            _ => Place::Within,
        };
        if byte != b'\r' {
            self.keep(byte);
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.kept.len() < self.most {
            self.kept.push(byte);
        } else {
            self.size = Size::TooLarge;
            self.kept = Vec::new();
            self.most = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(line_end: LineEnd, wire: &str) -> Option<(String, usize)> {
        let mut text = Text::new(line_end, 1000);
        let taken = text.feed(wire.as_bytes())?;
        Some((String::from_utf8(text.finish().unwrap()).unwrap(), taken))
    }

    #[test]
    fn dots_and_line_ends() {
        use LineEnd::{CrLf, Lf};
        for (line_end, wire, text) in [
            (CrLf, "a\r\n.\r\n", "a\n"),
            (CrLf, ".\r\n", ""),
            (CrLf, "..a\r\n.b\r\n.\r\n", ".a\nb\n"),
            (CrLf, "a\rb\r\r\n.\r\n", "a\rb\r\n"),
            (CrLf, ".\ra\r\n.\r\n", "\ra\n"),
            (Lf, "a\n.\n", "a\n"),
            (Lf, "a\r\n.\r\n", "a\n"),
            (Lf, ".\n", ""),
            (Lf, "\n..\n.\n", "\n.\n"),
        ] {
            let expected = Some((text.to_owned(), wire.len()));
            assert_eq!(received(line_end, wire), expected, "{wire:?}");
        }
    }

    #[test]
    fn nothing_smuggled_ends_a_crlf_text() {
        for wire in [
            "a\n.\n",
            "a\n.\r\n",
            "a\r\n.\n",
            "a\r.\r",
            "a\r\n.\r\r\n",
            "a\r.\r\n",
        ] {
            assert_eq!(received(LineEnd::CrLf, wire), None, "{wire:?}");
        }
    }

    #[test]
    fn too_large_is_read_to_its_end() {
        let mut text = Text::new(LineEnd::Lf, 3);
        assert_eq!(text.feed(b"abcd\n.\nQUIT"), Some(7));
        assert!(text.finish().is_none());
    }
}
