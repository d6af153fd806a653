//! Whom students talk to: connections that they made themselves to somebody else. Those between
//! programs of one student, and those that others made to a student's server, tell nothing.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::fs::{Dir, Mode, OFlags, openat, readlinkat};

use super::procfs::Proc;

/// Bytes of a table that are read; a host has 60,000 connections then.
const MOST: usize = 10 << 20;
/// Descriptors and connections of one process that are looked at.
const MOST_FILES: usize = 1024;
const MOST_PEERS: usize = 256;

const LISTEN: &str = "0A";
/// TIME_WAIT and CLOSE: nobody's any more.
const OVER: [&str; 2] = ["06", "07"];

/// By inode, the other ends.
pub type Outgoing = HashMap<u64, SocketAddr>;

struct Socket {
    local: SocketAddr,
    peer: SocketAddr,
    uid: u32,
    inode: u64,
    listens: bool,
}

/// The connections that these uids made, for each of them that made any.
pub fn outgoing(proc: &Proc, uids: &HashSet<u32>) -> HashMap<u32, Outgoing> {
    if uids.is_empty() {
        return HashMap::new();
    }
    let mut all = Vec::new();
    for table in ["net/tcp", "net/tcp6"] {
        let text = proc.text(table, MOST).unwrap_or_default();
        all.extend(parse(&String::from_utf8_lossy(&text), uids));
    }
    made(&all)
}

fn made(all: &[Socket]) -> HashMap<u32, Outgoing> {
    let listening: HashSet<(u32, u16)> = all
        .iter()
        .filter(|socket| socket.listens)
        .map(|socket| (socket.uid, socket.local.port()))
        .collect();
    let ends: HashSet<(u32, SocketAddr)> = all
        .iter()
        .map(|socket| (socket.uid, socket.local))
        .collect();
    let mut made: HashMap<u32, Outgoing> = HashMap::new();
    for socket in all {
        let is_taken = listening.contains(&(socket.uid, socket.local.port()));
        let is_own = ends.contains(&(socket.uid, socket.peer));
        if !socket.listens && !is_taken && !is_own {
            let own = made.entry(socket.uid).or_default();
            own.insert(socket.inode, socket.peer);
        }
    }
    made
}

/// `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode …`
fn parse(table: &str, uids: &HashSet<u32>) -> Vec<Socket> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| socket(line, uids))
        .collect()
}

fn socket(line: &str, uids: &HashSet<u32>) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace();
    let (local, peer, state) = (fields.nth(1)?, fields.next()?, fields.next()?);
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    if !uids.contains(&uid) || OVER.contains(&state) || inode == 0 {
        return None;
    }
    Some(Socket {
        local: address(local)?,
        peer: address(peer)?,
        uid,
        inode,
        listens: state == LISTEN,
    })
}

/// `0100007F:1F90`: words of the address in the host's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok();
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Which of them this process has open.
pub fn of_process(proc: &Proc, pid: u32, sockets: &Outgoing) -> Vec<SocketAddr> {
    let mut peers: Vec<SocketAddr> = inodes(proc, pid)
        .into_iter()
        .filter_map(|inode| sockets.get(&inode).copied())
        .take(MOST_PEERS)
        .collect();
    peers.sort_unstable();
    peers.dedup();
    peers
}

fn inodes(proc: &Proc, pid: u32) -> Vec<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(dir) = openat(
        proc,
        format!("{}/fd", proc.teller(pid)),
        flags,
        Mode::empty(),
    ) else {
        return Vec::new();
    };
    let Ok(entries) = Dir::read_from(&dir) else {
        return Vec::new();
    };
    let inode = |name: &std::ffi::CStr| {
        let link = readlinkat(&dir, name, Vec::new()).ok()?;
        let link = link.to_str().ok()?;
        link.strip_prefix("socket:[")?
            .strip_suffix(']')?
            .parse()
            .ok()
    };
    entries
        .flatten()
        .take(MOST_FILES)
        .filter_map(|entry| inode(entry.file_name()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  2012        0 900 1
   1: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000  2012        0 901 1
   2: 0100007F:C001 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  2012        0 902 1
   3: 0100007F:1F90 0100007F:C002 01 00000000:00000000 00:00000000 00000000  2012        0 903 1
   4: 0A00000A:D000 01020304:0D05 01 00000000:00000000 00:00000000 00000000  2012        0 904 1
   5: 0A00000A:D001 01020304:0D05 06 00000000:00000000 00:00000000 00000000  2012        0 0 1
   6: 0A00000A:D002 01020304:0D05 01 00000000:00000000 00:00000000 00000000  2013        0 906 1
";

    #[test]
    fn only_what_a_student_made_to_somebody_else_counts() {
        let uids = HashSet::from([2012]);
        let made = made(&parse(TABLE, &uids));
        let own = &made[&2012];
        assert_eq!(own.len(), 1, "{own:?}");
        assert_eq!(own[&904], "4.3.2.1:3333".parse().unwrap());
        assert!(!made.contains_key(&2013));
    }

    #[test]
    fn an_address_of_either_kind_is_read() {
        assert_eq!(address("0100007F:0D05"), "127.0.0.1:3333".parse().ok());
        let six = "00000000000000000000000001000000:01BB";
        assert_eq!(address(six), "[::1]:443".parse().ok());
        let mapped = "0000000000000000FFFF00000100007F:01BB";
        assert_eq!(address(mapped), "127.0.0.1:443".parse().ok());
        for bad in ["", "7F:1", "0100007F", "0100007F:zz", "ä100007:0001"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
