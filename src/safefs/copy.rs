//! Copies a tree (a skeleton, a workshop's content) into another one. Reading and
//! writing are two threads, so that the content can be opened with the rights of
//! the account it belongs to while root writes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::safefs::dir::{Dir, read_link};
use crate::safefs::error::{Cause, Error, Result};
use crate::safefs::fsuser::{Account, as_user};
use crate::safefs::sys::{self, Kind, Pinned, Raw};
use crate::safefs::walk::{Event, Locked, Walk};

const OP: &str = "copy";

/// Entries that were opened and wait to be written, each a handle.
const AHEAD: usize = 16;

/// Whether an entry is copied; `Skip` for a directory leaves out all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Take,
    Skip,
}

/// What to copy and how much at most. The filter sees the path below `from`.
/// `limit_files` counts directories and links as well.
#[derive(Clone, Copy)]
pub struct CopyOptions<'a> {
    pub filter: &'a (dyn Fn(&Path, Kind) -> Decision + Sync),
    pub limit_bytes: u64,
    pub limit_files: u64,
    /// The account whose rights decide what can be read; ours when `None`.
    pub read_as: Option<&'a Account>,
}

/// What was copied, and what cannot be: FIFOs, sockets, devices and mount points.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    pub files: u64,
    pub dirs: u64,
    pub links: u64,
    pub bytes: u64,
    pub skipped: Vec<PathBuf>,
}

/// Copies what is below `from` into `to`, which stays as it is otherwise. Files
/// and links replace what has their name; directories that are there are kept.
/// Links are made again as they are written. Modes are kept without setuid,
/// setgid and sticky bits, and the owner can always enter a directory; owners
/// are not kept. Fails with `Cause::TooLarge` at a limit, and then leaves what
/// was copied so far.
pub fn copy_tree(from: &Dir, to: &Dir, options: CopyOptions<'_>) -> Result<Copied> {
    let (sender, receiver) = sync_channel(AHEAD);
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_as(from, options, sender));
        let written = write_all(to, &receiver, options.limit_bytes);
        // The reader stops at its next entry when nobody takes them any more.
        drop(receiver);
        let read = reader
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let mut copied = written?;
        copied.skipped = read?;
        Ok(copied)
    })
}

/// One entry on its way from the reader to the writer.
struct Item {
    rel: PathBuf,
    what: What,
}

enum What {
    Directory { mode: u32 },
    File { file: File, mode: u32 },
    Link { target: PathBuf },
}

fn read_as(from: &Dir, options: CopyOptions<'_>, sender: SyncSender<Item>) -> Result<Vec<PathBuf>> {
    match options.read_as {
        Some(account) => as_user(account.uid, account.gid, &account.groups, || {
            read_all(from, options, &sender)
        })?,
        None => read_all(from, options, &sender),
    }
}

/// Returns the paths that cannot be copied.
fn read_all(
    from: &Dir,
    options: CopyOptions<'_>,
    sender: &SyncSender<Item>,
) -> Result<Vec<PathBuf>> {
    let mut walk = Walk::new(OP, from, Locked::Fail)?;
    let mut skipped = Vec::new();
    let (mut files, mut bytes) = (0, 0u64);
    while let Some(event) = walk.next()? {
        let pinned = match event {
            Event::Entry(_, pinned) => pinned,
            Event::Left(..) => continue,
            Event::Mount => {
                skipped.push(walk.rel().to_owned());
                continue;
            }
        };
        if (options.filter)(walk.rel(), pinned.stat.kind) == Decision::Skip {
            walk.skip();
            continue;
        }
        let Some(what) = open(&pinned).map_err(|cause| walk.error(cause))? else {
            skipped.push(walk.rel().to_owned());
            continue;
        };
        files += 1;
        if matches!(what, What::File { .. }) {
            bytes = bytes.saturating_add(pinned.stat.size);
        }
        check(files, options.limit_files).map_err(|cause| walk.error(cause))?;
        check(bytes, options.limit_bytes).map_err(|cause| walk.error(cause))?;
        if sender
            .send(Item {
                rel: walk.rel().to_owned(),
                what,
            })
            .is_err()
        {
            break;
        }
    }
    Ok(skipped)
}

fn check(amount: u64, limit: u64) -> Raw<()> {
    match amount > limit {
        true => Err(Cause::TooLarge { limit }),
        false => Ok(()),
    }
}

fn open(pinned: &Pinned) -> Raw<Option<What>> {
    let mode = pinned.stat.mode & 0o777;
    Ok(match pinned.stat.kind {
        Kind::Directory => Some(What::Directory { mode: mode | 0o700 }),
        Kind::File => Some(What::File {
            file: sys::open_file(pinned)?,
            mode,
        }),
        Kind::Link => Some(What::Link {
            target: read_link(pinned)?,
        }),
        Kind::Fifo | Kind::Socket | Kind::Device => None,
    })
}

fn write_all(to: &Dir, receiver: &Receiver<Item>, limit: u64) -> Result<Copied, Error> {
    let mut copied = Copied::default();
    for Item { rel, what } in receiver {
        match what {
            What::Directory { mode } => {
                to.make_dir(&rel, mode)?;
                copied.dirs += 1;
            }
            What::File { file, mode } => {
                // Again, for a file that grew since it was looked at.
                copied.bytes += to.write_from(&rel, file, mode, limit - copied.bytes)?;
                copied.files += 1;
            }
            What::Link { target } => {
                to.symlink(&target, &rel)?;
                copied.links += 1;
            }
        }
    }
    Ok(copied)
}
