//! Whether a program of root's is the system's loader, which runs any program that is an argument of
//! it. By what stands in the file: in a namespace of their own students give it any name.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use rustix::fs::Statx;
use rustix::io::pread;

const REMEMBERED: usize = 4096;
/// Room for the headers of a program, and for its dynamic section.
const ROOM: usize = 4096;

/// Device, inode, and when it was changed.
type File = (u32, u32, u64, i64, u32);

/// Files that were looked into.
#[derive(Debug, Default)]
pub struct Loaders(Mutex<HashMap<File, bool>>);

impl Loaders {
    /// Whether the file of which that was said is one; `open` is asked when it was not seen before.
    pub fn have<F: AsFd>(&self, stat: &Statx, open: impl FnOnce() -> Option<F>) -> bool {
        let file = (
            stat.stx_dev_major,
            stat.stx_dev_minor,
            stat.stx_ino,
            stat.stx_ctime.tv_sec,
            stat.stx_ctime.tv_nsec,
        );
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&file) {
            return *known;
        }
        let Some(opened) = open() else {
            return false;
        };
        let is_one = looks_like_one(&opened).unwrap_or(false);
        if known.len() > REMEMBERED {
            known.clear();
        }
        known.insert(file, is_one);
        is_one
    }
}

/// A shared object that wants no interpreter, and does not say that it is a program (static-pie).
fn looks_like_one(file: &impl AsFd) -> Option<bool> {
    let start = part(file, 0)?;
    let elf = Elf::parse(&start)?;
    if !elf.is_shared || elf.segments().any(|(kind, _)| kind == INTERPRETER) {
        return Some(false);
    }
    let (_, at) = elf.segments().find(|(kind, _)| *kind == DYNAMIC)?;
    Some(!elf.says_program(&part(file, at)?))
}

fn part(file: &impl AsFd, at: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; ROOM];
    let length = pread(file, &mut bytes[..], at).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

const DYNAMIC: u32 = 2;
const INTERPRETER: u32 = 3;
const SHARED: u16 = 3;
const FLAGS_1: u64 = 0x6fff_fffb;
const PROGRAM: u64 = 0x0800_0000;

/// The headers of a program for this machine, of 64 or 32 bits.
struct Elf<'a> {
    bytes: &'a [u8],
    is_64: bool,
    is_shared: bool,
    headers: usize,
    size: usize,
    count: usize,
}

impl<'a> Elf<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Elf<'a>> {
        let is_64 = match bytes.get(..5)? {
            b"\x7fELF\x02" => true,
            b"\x7fELF\x01" => false,
            _ => return None,
        };
        let (headers, size, count) = match is_64 {
            true => (word(bytes, 32, true)?, half(bytes, 54)?, half(bytes, 56)?),
            false => (word(bytes, 28, false)?, half(bytes, 42)?, half(bytes, 44)?),
        };
        Some(Elf {
            bytes,
            is_64,
            is_shared: half(bytes, 16)? == SHARED,
            headers: usize::try_from(headers).ok()?,
            size: size.into(),
            count: count.into(),
        })
    }

    /// What each is, and where it begins.
    fn segments(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        (0..self.count).map_while(|number| {
            let at = self.headers.checked_add(number * self.size)?;
            let kind = u32::try_from(word(self.bytes, at, false)?).ok()?;
            let offset = if self.is_64 { at + 8 } else { at + 4 };
            Some((kind, word(self.bytes, offset, self.is_64)?))
        })
    }

    fn says_program(&self, dynamic: &[u8]) -> bool {
        let size = if self.is_64 { 8 } else { 4 };
        let mut entries = dynamic.chunks_exact(2 * size).map_while(|entry| {
            let tag = word(entry, 0, self.is_64).filter(|tag| *tag != 0)?;
            Some((tag, word(entry, size, self.is_64)?))
        });
        entries.any(|(tag, value)| tag == FLAGS_1 && value & PROGRAM != 0)
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes(field.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize, is_64: bool) -> Option<u64> {
    if is_64 {
        let field = bytes.get(at..at.checked_add(8)?)?;
        return Some(u64::from_ne_bytes(field.try_into().ok()?));
    }
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(field.try_into().ok()?).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Write;

    fn is_one(path: &std::path::Path) -> bool {
        looks_like_one(&File::open(path).unwrap()).unwrap_or(false)
    }

    #[test]
    fn the_hosts_loader_is_one_and_its_programs_are_none() {
        let dirs = ["/lib64", "/lib"].map(fs::read_dir);
        let entries = dirs.into_iter().flatten().flatten().flatten();
        let mut paths = entries.map(|entry| entry.path());
        let loader = paths.find(|path| {
            let name = path.file_name().unwrap().as_encoded_bytes();
            super::super::process::is_loader(name)
        });
        let loader = loader.expect("a loader of this host");
        let loader = loader.canonicalize().unwrap();
        assert!(is_one(&loader), "{}", loader.display());
        let own = std::env::current_exe().unwrap();
        assert!(!is_one(&own));
        for entry in fs::read_dir("/usr/bin").unwrap().flatten() {
            let Ok(path) = entry.path().canonicalize() else {
                continue;
            };
            let is_told = path.is_file() && is_one(&path);
            assert!(!is_told || path == loader, "{}", path.display());
        }
    }

    #[test]
    fn what_is_no_program_is_none_wherever_it_ends() {
        let whole = fs::read(std::env::current_exe().unwrap()).unwrap();
        for length in (0..1000).chain([4000]) {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&whole[..length]).unwrap();
            assert!(!looks_like_one(&file).unwrap_or(false), "{length}");
        }
    }
}
