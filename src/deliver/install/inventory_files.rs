//! An inventory to begin with: every variable explained, and a token for the hub that nobody else has.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::ports::Fault;
use crate::safefs::Dir;

use super::super::item::{Change, Resource};
use super::super::place::{is_here, of_files};

const EXPLAINED: &str = include_str!("../../../inventory/group_vars/all.yml");
const HOSTS: &str = include_str!("../../../inventory/hosts");
/// The line that a token takes the place of.
const NO_TOKEN: &str = "#WODBETOKEN:\n";
/// With fewer rights than the engine has, where systemd can start it beside the engine.
const WATCHDOG: (&str, &str) = ("#WODWATCHDOG: serve\n", "WODWATCHDOG: unit\n");

/// A site that has one keeps it as it is.
pub struct InventoryFiles {
    pub dir: PathBuf,
}

impl Resource for InventoryFiles {
    fn name(&self) -> String {
        format!("inventory {}", self.dir.display())
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        // The last one that is written.
        let done = self.dir.join("group_vars/all.yml");
        let other = self.dir.join("group_vars");
        let is_there = is_here(&done.display().to_string())
            || (is_here(&other.display().to_string()) && !is_empty(&other)?);
        Ok(match is_there {
            true => Vec::new(),
            false => vec![Box::new(Make {
                dir: self.dir.clone(),
            })],
        })
    }
}

fn is_empty(dir: &Path) -> Result<bool, Fault> {
    let entries = Dir::open_root(dir).and_then(|dir| dir.entries());
    Ok(entries.map_err(|e| of_files(dir, &e))?.is_empty())
}

struct Make {
    dir: PathBuf,
}

impl Change for Make {
    fn line(&self) -> String {
        "made, with a fresh token for the hub; look through group_vars/all.yml".to_owned()
    }

    fn apply(&self) -> Result<(), Fault> {
        let text = with_token(&token()?)?;
        let failed = |e| of_files(&self.dir, &e);
        let rest = self.dir.strip_prefix("/").unwrap_or(&self.dir);
        let dir = Dir::open_root(Path::new("/"))
            .and_then(|root| root.make_dir(rest, 0o755))
            .map_err(failed)?;
        let hosts = Path::new("hosts");
        if dir.stat(hosts).map_err(failed)?.is_none() {
            dir.write(hosts, HOSTS.as_bytes(), 0o644).map_err(failed)?;
        }
        let vars = dir
            .make_dir(Path::new("group_vars"), 0o755)
            .map_err(failed)?;
        vars.write_durable(Path::new("all.yml"), text.as_bytes(), 0o600)
            .map_err(failed)
    }
}

/// 256 bits in hex.
fn token() -> Result<Zeroizing<String>, Fault> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|e| Fault::permanent(format!("the system gives no random bytes: {e}")))?;
    let hex = bytes.iter().map(|byte| format!("{byte:02x}"));
    Ok(Zeroizing::new(hex.collect()))
}

fn with_token(token: &str) -> Result<Zeroizing<String>, Fault> {
    let explained = EXPLAINED.replace(WATCHDOG.0, WATCHDOG.1);
    match explained.split_once(NO_TOKEN) {
        Some((before, after)) => Ok(Zeroizing::new(format!(
            "{before}WODBETOKEN: {token}\n{after}"
        ))),
        None => Err(Fault::permanent("the inventory has no place for a token")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_inventory_has_a_token_of_its_own() {
        let (one, other) = (token().unwrap(), token().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(*one, *other);
        let text = with_token(&one).unwrap();
        assert!(text.contains(&format!("\nWODBETOKEN: {}\n", *one)));
        assert!(text.contains("\nWODWATCHDOG: unit\n"));
        assert_eq!(text.lines().count(), EXPLAINED.lines().count());
    }

    #[test]
    fn one_that_is_there_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let of = |dir: &Path| InventoryFiles {
            dir: dir.to_owned(),
        };
        let fresh = of(&dir.path().join("inventory"));
        let changes = fresh.diff().unwrap();
        changes[0].apply().unwrap();
        assert!(fresh.diff().unwrap().is_empty());
        let all = dir.path().join("inventory/group_vars/all.yml");
        let mode = std::os::unix::fs::PermissionsExt::mode(&all.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);

        let theirs = dir.path().join("theirs");
        std::fs::create_dir_all(theirs.join("group_vars/all")).unwrap();
        assert!(of(&theirs).diff().unwrap().is_empty());
    }
}
