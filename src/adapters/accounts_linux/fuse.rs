//! File systems that an account serves (FUSE) and does not answer for: what waits for an answer that
//! its server has begun with cannot be killed, also the server itself, by which it would end.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// The kernel's own list, a directory for each with the uid of who mounted it, in whatever namespace.
/// systemd mounts it.
const CONNECTIONS: &str = "/sys/fs/fuse/connections";

/// Ends them all: who waits gets an error.
pub fn cut_off(uid: u32) {
    let Ok(connections) = fs::read_dir(CONNECTIONS) else {
        return;
    };
    for connection in connections.flatten() {
        let is_its = connection.metadata().is_ok_and(|found| found.uid() == uid);
        if !is_its {
            continue;
        }
        if let Err(e) = fs::write(connection.path().join("abort"), "1") {
            let at = connection.path();
            tracing::warn!("the file system {} is not cut off: {e}", at.display());
        }
    }
}
