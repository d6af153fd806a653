//! A kernel setting, live. That it is set again at the next boot is a file's matter.

use std::path::PathBuf;

use crate::exec::Cmd;
use crate::ports::Fault;
use crate::safefs::Dir;

use super::item::{Change, Resource};

#[derive(Clone)]
pub struct Sysctl {
    /// `net.ipv4.tcp_keepalive_time`
    pub key: String,
    pub value: String,
}

const LARGEST: u64 = 4096;

impl Resource for Sysctl {
    fn name(&self) -> String {
        format!("sysctl {}", self.key)
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let rel = PathBuf::from(self.key.replace('.', "/"));
        let bytes = Dir::open_root("/proc/sys".as_ref())
            .and_then(|dir| dir.read(&rel, LARGEST))
            .map_err(|e| {
                Fault::permanent(format!("this kernel has no setting {}", self.key)).because(&e)
            })?;
        let live = String::from_utf8_lossy(&bytes);
        let words =
            |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        if words(&live) == words(&self.value) {
            return Ok(Vec::new());
        }
        Ok(vec![Box::new(Set {
            live: live.trim().to_owned(),
            sysctl: self.clone(),
        })])
    }
}

struct Set {
    live: String,
    sysctl: Sysctl,
}

impl Change for Set {
    fn line(&self) -> String {
        format!("{} -> {}", self.live, self.sysctl.value)
    }

    fn apply(&self) -> Result<(), Fault> {
        let Sysctl { key, value } = &self.sysctl;
        Cmd::new("sysctl")
            .args(["-q", "-w", &format!("{key}={value}")])
            .run()
            .map(drop)
            .map_err(|e| Fault::permanent(format!("{key} cannot be set")).because(&e))
    }
}
