//! Lines with colons between their fields, as bytes: a comment need not be UTF-8.

/// Without their newlines; comments and empty lines are lines, too.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let some = !text.is_empty();
    text.split(|&b| b == b'\n').filter(move |_| some)
}

/// The first so many fields; those that are missing are empty.
pub fn fields<const N: usize>(line: &[u8]) -> [&[u8]; N] {
    let mut all = line.split(|&b| b == b':');
    std::array::from_fn(|_| all.next().unwrap_or_default())
}

pub fn field(line: &[u8], nth: usize) -> &[u8] {
    line.split(|&b| b == b':').nth(nth).unwrap_or_default()
}

pub fn name_of(line: &[u8]) -> &[u8] {
    field(line, 0)
}

pub fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Each line as `change` wants it, or without it.
pub fn mapped(text: &[u8], change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 128);
    for line in lines(text).filter_map(change) {
        out.extend_from_slice(&line);
        out.push(b'\n');
    }
    // A last line without an end keeps it that way, unless something follows.
    if !text.ends_with(b"\n") {
        out.pop();
    }
    out
}

/// With new lines at the end, but before those that ask other name services.
pub fn with_new(text: &[u8], new: &[String]) -> Vec<u8> {
    if new.is_empty() {
        return text.to_vec();
    }
    let is_compat = |line: &[u8]| matches!(line.first(), Some(b'+' | b'-'));
    let mut out = Vec::with_capacity(text.len() + new.len() * 64);
    let mut put = |line: &[u8]| {
        out.extend_from_slice(line);
        out.push(b'\n');
    };
    lines(text)
        .take_while(|line| !is_compat(line))
        .for_each(&mut put);
    new.iter().for_each(|line| put(line.as_bytes()));
    lines(text)
        .skip_while(|line| !is_compat(line))
        .for_each(&mut put);
    out
}

pub fn with_field(line: &[u8], nth: usize, value: &str) -> Vec<u8> {
    let mut all: Vec<&[u8]> = line.split(|&b| b == b':').collect();
    if let Some(field) = all.get_mut(nth) {
        *field = value.as_bytes();
    }
    all.join(&b':')
}

/// A group's line without those members (the last field, and in gshadow the one before).
pub fn without_members(line: &[u8], gone: &dyn Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut all: Vec<Vec<u8>> = line.split(|&b| b == b':').map(<[u8]>::to_vec).collect();
    let has_lists = all.len() == 4;
    // group: name:x:gid:members; gshadow: name:!:admins:members
    for list in all.iter_mut().skip(2).filter(|_| has_lists) {
        let members = list.split(|&b| b == b',').filter(|member| !gone(member));
        let members: Vec<&[u8]> = members.collect();
        *list = members.join(&b',');
    }
    all.join(&b':')
}
