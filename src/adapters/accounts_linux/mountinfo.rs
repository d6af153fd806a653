//! The kernel's table of what is mounted, as bytes: students choose the names of mount points, and
//! a name need not be UTF-8.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::ports::Fault;

/// One mount: `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS … - TYPE SOURCE SUPER-OPTIONS`.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    pub id: u64,
    /// `8:1`
    pub device: String,
    /// Which part of the file system is mounted.
    pub part: PathBuf,
    pub point: PathBuf,
    /// `ext4`, `fuse.sshfs`
    pub kind: String,
    /// What the file system itself was told, with commas between.
    pub super_options: String,
}

const FILE: &str = "/proc/self/mountinfo";

/// In the order in which they were mounted. Retry when it cannot be read.
pub fn read() -> Result<Vec<Row>, Fault> {
    Ok(rows(&fs::read(FILE).map_err(|e| unknown(&e))?))
}

fn unknown(error: &io::Error) -> Fault {
    Fault::retry("cannot tell which file systems are mounted").because(error)
}

/// The table, read again only when the kernel says that it is another one. It does so from the
/// moment when a mount is in it, so nothing is missed that a fresh look would see.
#[derive(Debug, Default)]
pub struct Table(Mutex<Option<Known>>);

#[derive(Debug)]
struct Known {
    file: File,
    rows: Arc<Vec<Row>>,
}

impl Table {
    /// As it is now; see [`read`].
    pub fn rows(&self) -> Result<Arc<Vec<Row>>, Fault> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known
            && !is_another(&known.file)
        {
            return Ok(Arc::clone(&known.rows));
        }
        // An open table counts changes from now on, so it is opened first and read then.
        let fresh = Known::read().map_err(|e| unknown(&e))?;
        let rows = Arc::clone(&fresh.rows);
        *known = Some(fresh);
        Ok(rows)
    }
}

impl Known {
    fn read() -> io::Result<Known> {
        let mut file = File::open(FILE)?;
        let mut table = Vec::new();
        file.read_to_end(&mut table)?;
        Ok(Known {
            rows: Arc::new(rows(&table)),
            file,
        })
    }
}

/// Also where nobody can tell.
fn is_another(table: &File) -> bool {
    let mut asked = [PollFd::new(table, PollFlags::PRI)];
    match poll(&mut asked, Some(&Timespec::default())) {
        Ok(0) => false,
        Ok(_) | Err(_) => true,
    }
}

pub fn rows(table: &[u8]) -> Vec<Row> {
    table
        .split(|&b| b == b'\n')
        .filter_map(|line| {
            let words: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
            // As many optional fields as the kernel likes are before it.
            let dash = words.iter().skip(6).position(|word| *word == b"-")? + 6;
            let text = |at: usize| Some(String::from_utf8_lossy(words.get(at)?).into_owned());
            Some(Row {
                id: text(0)?.parse().ok()?,
                device: text(2)?,
                part: unescaped(words[3]),
                point: unescaped(words[4]),
                kind: text(dash + 1)?,
                super_options: text(dash + 3)?,
            })
        })
        .collect()
}

/// `\040` and the like stand for blanks.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let octal = text
            .get(at + 1..at + 4)
            .filter(|_| text[at] == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(octal.unwrap_or(text[at]));
        at += if octal.is_some() { 4 } else { 1 };
    }
    OsString::from_vec(plain).into()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_mount_is_told_by_its_bytes() {
        let table = b"77 29 0:50 / /tmp/a\\040b\xff rw,nosuid shared:1 master:2 - fuse.sshfs x:/ rw,user_id=7\n\
            78 29 8:1 /sub / rw - ext4 /dev/sda1 rw\n\
            79 29 8:1 / /cut rw - ext4\n\n";
        let rows = rows(table);
        assert_eq!(rows.len(), 2, "{rows:?}");
        let point = OsStr::from_bytes(b"/tmp/a b\xff");
        assert_eq!(
            (rows[0].id, rows[0].point.as_path()),
            (77, Path::new(point))
        );
        assert_eq!(
            (rows[0].kind.as_str(), rows[0].super_options.as_str()),
            ("fuse.sshfs", "rw,user_id=7")
        );
        assert_eq!(
            (rows[1].device.as_str(), rows[1].part.as_path()),
            ("8:1", Path::new("/sub"))
        );
    }
}
