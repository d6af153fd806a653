//! The files of which a process has code in its memory.

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, openat};

use super::proc_dir::ProcDir;

/// Of a table of mapped files, which students can make long.
const MOST_MAPPED: usize = 1 << 20;

/// Handles on those files, each once; those first that are no libraries by their names, and at most
/// so many.
pub fn mapped(dir: &ProcDir, teller: &str, most: usize) -> Vec<OwnedFd> {
    let table = dir.text(&format!("{teller}/maps"), MOST_MAPPED);
    let table = String::from_utf8_lossy(&table.unwrap_or_default()).into_owned();
    let mut known = HashSet::new();
    let code = table.lines().filter_map(code_of);
    let mut code: Vec<(bool, &str)> = code
        .filter(|(_, file, _)| known.insert(*file))
        .map(|(range, _, path)| (is_library(path), range))
        .collect();
    code.sort_by_key(|(is_library, _)| *is_library);
    let process = teller.split('/').next().unwrap_or_default();
    let handles = code.into_iter().filter_map(|(_, range)| {
        // The table has zeros before small numbers, and the directory has none.
        let (from, to) = range.split_once('-')?;
        let [from, to] = [from, to].map(|end| end.trim_start_matches('0'));
        let path = format!("{process}/map_files/{from}-{to}");
        openat(dir, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
    });
    handles.take(most).collect()
}

/// `7f00-7f08 r-xp 00001000 fe:00 1234   /a/path`: range, file and path, where it is a file's code.
fn code_of(line: &str) -> Option<(&str, (&str, &str), &str)> {
    let mut fields = line.splitn(6, ' ');
    let (range, permissions) = (fields.next()?, fields.next()?);
    let (device, inode) = (fields.nth(1)?, fields.next()?);
    let is_code = permissions.contains('x') && inode != "0";
    is_code.then_some((range, (device, inode), fields.next()?.trim_start()))
}

/// `libm.so`, `libc.so.6`
fn is_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.ends_with(".so") || name.contains(".so.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_by_its_file() {
        let code = "7f00-7f08 r-xp 00001000 fe:00 1234                       /a b/x.so";
        let file = ("fe:00", "1234");
        assert_eq!(code_of(code), Some(("7f00-7f08", file, "/a b/x.so")));
        for other in [
            "7f00-7f08 rw-p 00001000 fe:00 1234 /a/x",
            "7f00-7f08 r-xp 00000000 00:00 0 ",
            "7f00-7f08 r-xp 00000000 00:00 0 [vdso]",
            "",
        ] {
            assert_eq!(code_of(other), None, "{other}");
        }
        assert!(is_library("/lib/libc.so.6") && !is_library("/a.so/prog"));
    }
}
