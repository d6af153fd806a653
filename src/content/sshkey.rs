//! A new SSH key pair, made by ssh-keygen where no student can look.

use std::path::Path;

use crate::exec::Cmd;
use crate::ports::Fault;
use crate::safefs::{self, Dir};

pub struct KeyPair {
    pub private: zeroize::Zeroizing<Vec<u8>>,
    pub public: Vec<u8>,
}

const LARGEST: u64 = 16 * 1024;

/// `scratch` is a directory that only we can enter.
pub fn generate(scratch: &Path, name: &str) -> Result<KeyPair, Fault> {
    let made = |e: &safefs::Error| Fault::of_files("a key pair cannot be made", e);
    let dir = Dir::open_root(scratch).map_err(|e| made(&e))?;
    let place = dir
        .private_dir(format!("key-{name}").as_ref())
        .map_err(|e| made(&e))?;
    // A run that was cut short may have left one; ssh-keygen would ask about it.
    for old in ["id", "id.pub"] {
        place.remove_file(old.as_ref()).map_err(|e| made(&e))?;
    }
    Cmd::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", "id"])
        .dir(place.path())
        .run()
        .map_err(|e| {
            Fault::retry("a key pair cannot be made (is openssh-client installed?)").because(&e)
        })?;
    let pair = KeyPair {
        private: place
            .read("id".as_ref(), LARGEST)
            .map_err(|e| made(&e))?
            .into(),
        public: place
            .read("id.pub".as_ref(), LARGEST)
            .map_err(|e| made(&e))?,
    };
    safefs::remove_tree(&dir, format!("key-{name}").as_ref()).map_err(|e| made(&e))?;
    Ok(pair)
}
