//! The pages of an SQLite file and of the log beside it, as far as they are whole, and the records
//! on those pages that hold rows. Bytes in, bytes out; whatever the bytes are.

/// That of every journal: SQLite's own.
pub const PAGE: usize = 4096;
/// Of the log's file, and of each frame in it.
const LOG_HEAD: usize = 32;
const FRAME_HEAD: usize = 24;
/// Kind byte of a page with rows of a table.
const ROWS: u8 = 0x0D;

/// The newest version of each page; the first is number 1.
pub struct Pages<'a> {
    pages: Vec<&'a [u8]>,
    /// Places in the log that are not what was written.
    pub lost_frames: usize,
}

/// One row as its page has it, not decoded.
pub struct Cell {
    pub rowid: i64,
    pub record: Vec<u8>,
}

impl<'a> Pages<'a> {
    pub fn of(file: &'a [u8], log: &'a [u8]) -> Pages<'a> {
        let mut pages: Vec<&[u8]> = file.chunks(PAGE).collect();
        let (frames, lost_frames) = frames(log);
        for (number, page) in frames {
            // A file has no more pages than it and its log together.
            if number == 0 || number > (file.len() + log.len()) / PAGE + 1 {
                continue;
            }
            if pages.len() < number {
                pages.resize(number, &[]);
            }
            pages[number - 1] = page;
        }
        Pages { pages, lost_frames }
    }

    pub fn numbers(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.pages.len()
    }

    fn page(&self, number: usize) -> Option<&'a [u8]> {
        self.pages.get(number.checked_sub(1)?).copied()
    }

    /// All rows of a page; None in the place of one that cannot be found. Empty for other pages.
    pub fn cells(&self, number: usize) -> Vec<Option<Cell>> {
        let Some(page) = self.page(number) else {
            return Vec::new();
        };
        let head = if number == 1 { 100 } else { 0 };
        if page.get(head) != Some(&ROWS) {
            return Vec::new();
        }
        let count = short(page, head + 3).unwrap_or(0).min(PAGE / 2);
        let place = |nth: usize| short(page, head + 8 + 2 * nth);
        (0..count).map(|nth| self.cell(page, place(nth)?)).collect()
    }

    fn cell(&self, page: &[u8], at: usize) -> Option<Cell> {
        let (length, at) = number(page, at)?;
        let (rowid, at) = number(page, at)?;
        let length = usize::try_from(length).ok()?;
        if length > self.pages.len() * PAGE {
            return None;
        }
        let here = kept_here(length);
        let mut record = page.get(at..at + here)?.to_vec();
        let mut next = long(page, at + here).filter(|_| here < length);
        while record.len() < length {
            let more = self.page(next.filter(|&next| next > 0)?)?;
            let part = (length - record.len()).min(PAGE - 4);
            record.extend(more.get(4..4 + part)?);
            next = long(more, 0);
        }
        Some(Cell { rowid, record })
    }
}

/// How many bytes of a record that long stand on its page; the others are on pages of their own.
fn kept_here(length: usize) -> usize {
    let most = PAGE - 35;
    let least = (PAGE - 12) * 32 / 255 - 23;
    match least + length.saturating_sub(least) % (PAGE - 4) {
        _ if length <= most => length,
        here if here <= most => here,
        _ => least,
    }
}

/// Number and content of the frames that are whole, up to the last one that ends a transaction;
/// and how many are not.
fn frames(log: &[u8]) -> (Vec<(usize, &[u8])>, usize) {
    let Some((head, rest)) = log.split_at_checked(LOG_HEAD) else {
        return (Vec::new(), usize::from(!log.is_empty()));
    };
    let Some(words) = Words::of(head) else {
        return (Vec::new(), 1);
    };
    let salts = &head[16..24];
    let mut before = stored(head);
    let (mut all, mut committed, mut lost, mut lost_before) = (Vec::new(), 0, 0, 0);
    for frame in rest.chunks(FRAME_HEAD + PAGE) {
        let Some((head, page)) = frame.split_at_checked(FRAME_HEAD) else {
            break;
        };
        // Each frame's sum begins with that of the frame before it.
        let sum = words.add(words.add(before, &head[..8]), page);
        if page.len() == PAGE && &head[8..16] == salts && sum == stored(head) {
            all.push((long(head, 0).unwrap_or(0), page));
            if long(head, 4) != Some(0) {
                (committed, lost_before) = (all.len(), lost);
            }
        } else {
            // Or left behind by an earlier use of the log; then none of ours follows.
            lost += 1;
        }
        before = stored(head);
    }
    all.truncate(committed);
    (all, lost_before)
}

/// How the log's sums read its bytes.
struct Words {
    big: bool,
}

impl Words {
    fn of(head: &[u8]) -> Option<Words> {
        let big = match long(head, 0)? {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        let words = Words { big };
        (words.add((0, 0), &head[..24]) == stored(head)).then_some(words)
    }

    fn add(&self, from: (u32, u32), bytes: &[u8]) -> (u32, u32) {
        let word = |four: &[u8]| {
            let four = [four[0], four[1], four[2], four[3]];
            match self.big {
                true => u32::from_be_bytes(four),
                false => u32::from_le_bytes(four),
            }
        };
        bytes.chunks_exact(8).fold(from, |(one, two), eight| {
            let one = one.wrapping_add(word(&eight[..4])).wrapping_add(two);
            let two = two.wrapping_add(word(&eight[4..])).wrapping_add(one);
            (one, two)
        })
    }
}

/// The sum at the end of a head of the log.
fn stored(head: &[u8]) -> (u32, u32) {
    let at = head.len().saturating_sub(8);
    let part = |at| long(head, at).and_then(|sum| u32::try_from(sum).ok());
    (part(at).unwrap_or(0), part(at + 4).unwrap_or(0))
}

fn short(bytes: &[u8], at: usize) -> Option<usize> {
    let two = bytes.get(at..at + 2)?;
    Some(usize::from(two[0]) << 8 | usize::from(two[1]))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(
        four.iter()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte)),
    )
}

/// One of SQLite's numbers of 1 to 9 bytes, and where it ends.
pub fn number(bytes: &[u8], mut at: usize) -> Option<(i64, usize)> {
    let mut value: u64 = 0;
    for nth in 0..9 {
        let byte = *bytes.get(at)?;
        at += 1;
        if nth == 8 {
            value = value << 8 | u64::from(byte);
            break;
        }
        value = value << 7 | u64::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some((value.cast_signed(), at))
}
