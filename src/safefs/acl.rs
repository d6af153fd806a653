//! The kernel's form of POSIX ACLs (`system.posix_acl_*`, version 2, little
//! endian): encoding and decoding are pure; reading and setting work on an inode
//! that is held, by way of /proc/self/fd.

use std::os::fd::AsFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::safefs::error::Cause;
use crate::safefs::sys::{self, Raw};

const VERSION: u32 = 2;
const NO_ID: u32 = u32::MAX;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// An ACL; each permission is three bits, rwx as in a mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Acl {
    pub owner: u16,
    pub users: Vec<(u32, u16)>,
    pub group: u16,
    pub groups: Vec<(u32, u16)>,
    pub mask: Option<u16>,
    pub other: u16,
}

/// The two ACLs of an inode; only a directory has a default one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Access,
    Default,
}

impl Which {
    fn attribute(self) -> &'static str {
        match self {
            Which::Access => "system.posix_acl_access",
            Which::Default => "system.posix_acl_default",
        }
    }
}

impl Acl {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = VERSION.to_le_bytes().to_vec();
        let mut put = |tag: u16, perm: u16, id: u32| {
            out.extend(tag.to_le_bytes());
            out.extend(perm.to_le_bytes());
            out.extend(id.to_le_bytes());
        };
        // The kernel refuses any other order of the tags.
        put(USER_OBJ, self.owner, NO_ID);
        self.users
            .iter()
            .for_each(|&(id, perm)| put(USER, perm, id));
        put(GROUP_OBJ, self.group, NO_ID);
        self.groups
            .iter()
            .for_each(|&(id, perm)| put(GROUP, perm, id));
        if let Some(mask) = self.mask {
            put(MASK, mask, NO_ID);
        }
        put(OTHER, self.other, NO_ID);
        out
    }

    /// `None` when the bytes are not an ACL of version 2 with its three base
    /// entries.
    pub(super) fn decode(bytes: &[u8]) -> Option<Acl> {
        let (version, rest) = bytes.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*version) != VERSION || rest.len() % 8 != 0 {
            return None;
        }
        let (mut owner, mut group, mut other, mut mask) = (None, None, None, None);
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        for entry in rest.chunks_exact(8) {
            let tag = u16::from_le_bytes([entry[0], entry[1]]);
            let perm = u16::from_le_bytes([entry[2], entry[3]]) & 0o7;
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            match tag {
                USER_OBJ => owner = Some(perm),
                USER => users.push((id, perm)),
                GROUP_OBJ => group = Some(perm),
                GROUP => groups.push((id, perm)),
                MASK => mask = Some(perm),
                OTHER => other = Some(perm),
                _ => return None,
            }
        }
        Some(Acl {
            owner: owner?,
            users,
            group: group?,
            groups,
            mask,
            other: other?,
        })
    }
}

/// The ACL of a held inode, `None` when it has none beyond its mode.
pub(super) fn get(fd: impl AsFd, which: Which) -> Raw<Option<Acl>> {
    let path = sys::proc_path(fd);
    let mut buffer = vec![0; 1024];
    loop {
        match rustix::fs::getxattr(&path, which.attribute(), &mut buffer[..]) {
            // What cannot be decoded differs from whatever is wanted and is replaced.
            Ok(len) => return Ok(Acl::decode(&buffer[..len])),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(Errno::RANGE) if buffer.len() < 65536 => buffer.resize(65536, 0),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Sets the ACL of a held inode, or takes it away. Fails with `NoAcl` where the
/// file system knows none.
pub(super) fn set(fd: impl AsFd, which: Which, acl: Option<&Acl>) -> Raw<()> {
    let path = sys::proc_path(fd);
    let done = match acl {
        Some(acl) => {
            rustix::fs::setxattr(&path, which.attribute(), &acl.encode(), XattrFlags::empty())
        }
        None => match rustix::fs::removexattr(&path, which.attribute()) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            other => other,
        },
    };
    done.map_err(|e| {
        if e == Errno::OPNOTSUPP {
            Cause::NoAcl
        } else {
            e.into()
        }
    })
}
