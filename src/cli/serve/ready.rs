//! Tells systemd that the engine is ready, where a unit of `Type=notify` started us.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Nothing where nobody waits for it.
pub fn tell() {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(e) = send(&address) {
        tracing::warn!("systemd is not told that the engine is ready: {e}");
    }
}

fn send(address: &OsStr) -> io::Result<()> {
    // A leading @ is systemd's way to write an abstract socket.
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(b"READY=1", &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_at(socket: &UnixDatagram, address: &str) {
        send(OsStr::new(address)).unwrap();
        let mut buffer = [0; 32];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
    }

    #[test]
    fn systemd_is_told_by_path_and_by_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        told_at(&UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap());

        let name = format!("wod-ready-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        told_at(&socket, &format!("@{name}"));
        drop(socket);
        assert!(send(OsStr::new(&format!("@{name}"))).is_err());
    }
}
