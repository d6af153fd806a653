//! The kernel's process connector: every exec on the host at the moment it happens.
//!
//! Only the initial pid and network namespaces have one, for root. What it could not deliver, because
//! nobody read fast enough, is counted by the kernel.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, bind, getsockname,
    recvfrom, send, socket_with, sockopt,
};

/// CN_IDX_PROC and CN_VAL_PROC: the connector's address, and the multicast group.
const PROC: u32 = 1;
const LISTEN: u32 = 1;
const EXEC: u32 = 2;
const NLMSG_DONE: u16 = 3;
/// Of `struct nlmsghdr` and `struct cn_msg`.
const HEADERS: usize = 16 + 20;
/// Up to its data, `struct proc_event` has kind, processor and time.
const EVENT: usize = HEADERS + 16;

/// Room for the execs of seconds in which nobody reads: about 800 bytes of it for each.
const BUFFER: usize = 32 << 20;

/// For so long `wait` waits.
pub const WAIT: Duration = Duration::from_millis(100);

/// One open connector.
pub struct Connector {
    socket: OwnedFd,
    port: u32,
    dropped: u64,
}

/// What a read came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// The pid of a process that runs another program now.
    Exec(u32),
    /// Nothing of interest; there may be more.
    Other,
    /// The kernel had to drop so many.
    Missed(u64),
    /// Nothing more for now.
    Nothing,
}

impl Connector {
    /// Fails where there is none: within a pid or network namespace, or without CAP_NET_ADMIN.
    pub fn open() -> io::Result<Connector> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            Some(netlink::CONNECTOR),
        )?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(WAIT))?;
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER);
        bind(&socket, &SocketAddrNetlink::new(0, PROC))?;
        let own = SocketAddrNetlink::try_from(getsockname(&socket)?)?;
        let connector = Connector {
            socket,
            port: own.pid(),
            dropped: 0,
        };
        connector.ask(&LISTEN.to_ne_bytes())?;
        // From Linux 6.6 on the kernel sends those of one kind only; others leave this unheard.
        connector.ask(&[LISTEN.to_ne_bytes(), EXEC.to_ne_bytes()].concat())?;
        connector.is_answered()?;
        Ok(connector)
    }

    fn ask(&self, data: &[u8]) -> io::Result<()> {
        let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
        let mut message = Vec::with_capacity(HEADERS + data.len());
        message.extend((HEADERS as u32 + u32::from(length)).to_ne_bytes());
        message.extend(NLMSG_DONE.to_ne_bytes());
        message.extend([0; 2 + 4 + 4]);
        message.extend(PROC.to_ne_bytes());
        message.extend(PROC.to_ne_bytes());
        message.extend([0; 4 + 4]);
        message.extend(length.to_ne_bytes());
        message.extend([0; 2]);
        message.extend(data);
        send(&self.socket, &message, SendFlags::empty())?;
        Ok(())
    }

    /// The kernel answers a wish to listen with an event of no kind. Where it does not, there is
    /// a socket, and nothing will ever come.
    fn is_answered(&self) -> io::Result<()> {
        let mut bytes = [0; 256];
        match recvfrom(&self.socket, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok(_) => Ok(()),
            Err(Errno::AGAIN) => Err(io::Error::other(
                "the kernel does not answer; this is not its first pid and network namespace",
            )),
            Err(e) => Err(e.into()),
        }
    }

    /// Takes one event; never waits.
    pub fn hear(&mut self) -> io::Result<Heard> {
        self.take(RecvFlags::DONTWAIT)
    }

    /// Takes one event, and waits for it: a poll before each would cost as much as the event.
    pub fn wait(&mut self) -> io::Result<Heard> {
        self.take(RecvFlags::empty())
    }

    fn take(&mut self, flags: RecvFlags) -> io::Result<Heard> {
        let mut bytes = [0; 256];
        match recvfrom(&self.socket, &mut bytes[..], flags) {
            Ok((length, _, from)) if is_kernels(from.as_ref()) => Ok(event(&bytes[..length])),
            Ok(_) => Ok(Heard::Other),
            Err(Errno::AGAIN) => Ok(Heard::Nothing),
            Err(Errno::NOBUFS) => Ok(Heard::Missed(self.newly_dropped())),
            Err(Errno::INTR) => Ok(Heard::Other),
            Err(e) => Err(e.into()),
        }
    }

    /// What the kernel counted since it was last asked; at least one.
    fn newly_dropped(&mut self) -> u64 {
        let table = fs::read_to_string("/proc/net/netlink").unwrap_or_default();
        let now = drops(&table, self.port).unwrap_or(self.dropped + 1);
        let new = now.saturating_sub(self.dropped).max(1);
        self.dropped = self.dropped.max(now);
        new
    }
}

impl AsFd for Connector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Other processes of root's can send to our socket, too; nobody else can.
fn is_kernels(from: Option<&SocketAddrAny>) -> bool {
    let from = from.cloned().map(SocketAddrNetlink::try_from);
    matches!(from, Some(Ok(address)) if address.pid() == 0)
}

fn event(bytes: &[u8]) -> Heard {
    let number = |at: usize| {
        let field = bytes.get(at..at + 4)?;
        Some(u32::from_ne_bytes(field.try_into().ok()?))
    };
    let is_ours = number(16) == Some(PROC) && number(20) == Some(PROC);
    match (number(HEADERS), number(EVENT + 4)) {
        // The second field is the process; the first one is that of its threads which asked.
        (Some(EXEC), Some(pid)) if is_ours => Heard::Exec(pid),
        _ => Heard::Other,
    }
}

/// `sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode`, protocol 11 for the connector.
fn drops(table: &str, port: u32) -> Option<u64> {
    let mut lines = table.lines().map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        fields
    });
    let port = port.to_string();
    let own = lines.find(|f| f.get(1) == Some(&"11") && f.get(2) == Some(&port.as_str()))?;
    own.get(8)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exec_is_told_by_its_process() {
        let mut bytes = vec![0; 76];
        bytes[16..20].copy_from_slice(&PROC.to_ne_bytes());
        bytes[20..24].copy_from_slice(&PROC.to_ne_bytes());
        bytes[36..40].copy_from_slice(&EXEC.to_ne_bytes());
        bytes[52..56].copy_from_slice(&4242u32.to_ne_bytes());
        bytes[56..60].copy_from_slice(&4240u32.to_ne_bytes());
        assert_eq!(event(&bytes), Heard::Exec(4240));
        bytes[36] = 1;
        assert_eq!(event(&bytes), Heard::Other);
        for length in 0..60 {
            assert_eq!(event(&bytes[..length]), Heard::Other, "{length}");
        }
    }

    #[test]
    fn the_kernels_count_is_that_of_our_socket() {
        let table = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n\
                     0000000000000000 0   77         00000000 0        0        0     2        9        1\n\
                     0000000000000000 11  12         00000001 0        0        0     2        3        2\n\
                     0000000000000000 11  77         00000001 0        0        0     2        41       3\n";
        assert_eq!(drops(table, 77), Some(41));
        assert_eq!(drops(table, 78), None);
    }
}
