//! Bytes as a file that has no name and is on no disk.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, Mode, fchmod, memfd_create};

/// At its beginning. Who is handed it may open it again by `/dev/stdin`, whatever their account, and
/// nobody else finds it.
pub fn file_of(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    // A file that can be executed is one to some programs.
    fchmod(&file, Mode::RUSR | Mode::RGRP | Mode::ROTH)?;
    Ok(file.into())
}
