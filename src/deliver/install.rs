//! What a fresh host needs before the rest of deliver can work: packages, the program and its files,
//! an inventory, JupyterHub. Each step looks at what is there, so a run that was cut short is gone on
//! with by the next one.
//!
//! What differs between distributions is data, `sys/install.yml`.

mod hub;
mod inventory_files;
mod needs;
mod program;
mod shipped;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Resource;
use super::packages::{Missing, Packages};

pub use needs::Needs;

/// Where everything goes. A site may only choose what its inventory says.
#[derive(Debug, Clone)]
pub struct Places {
    /// The program that is installed: the one that runs.
    pub own: PathBuf,
    /// `/usr/local/bin/wod`
    pub program: PathBuf,
    /// `/usr/share/wod`
    pub share: PathBuf,
    /// A directory with `hosts` and `group_vars`.
    pub inventory: PathBuf,
}

/// The steps before there is a site, in order.
pub fn before_site(needs: &Needs, places: &Places) -> Vec<Arc<dyn Resource>> {
    let mut steps: Vec<Arc<dyn Resource>> = Vec::new();
    for (number, names) in needs.packages.iter().enumerate() {
        steps.push(Arc::new(Numbered {
            number: number + 1,
            packages: Packages {
                names: names.clone(),
                missing: Missing::Install,
            },
        }));
    }
    steps.push(Arc::new(program::Program {
        from: places.own.clone(),
        to: places.program.clone(),
    }));
    steps.push(Arc::new(shipped::Shipped {
        share: places.share.clone(),
    }));
    steps.push(Arc::new(inventory_files::InventoryFiles {
        dir: places.inventory.clone(),
    }));
    steps
}

/// JupyterHub and its proxy in a directory of their own.
pub fn hub(needs: &Needs, dir: &Path) -> Arc<dyn Resource> {
    Arc::new(hub::JupyterHub {
        dir: dir.to_owned(),
        python: needs.python.clone(),
        proxy: needs.proxy.clone(),
    })
}

/// Packages that come before others.
struct Numbered {
    number: usize,
    packages: Packages,
}

impl Resource for Numbered {
    fn name(&self) -> String {
        format!("packages {}", self.number)
    }

    fn not_here(&self) -> Option<String> {
        self.packages.not_here()
    }

    fn diff(&self) -> Result<Vec<Box<dyn super::Change>>, crate::ports::Fault> {
        self.packages.diff()
    }
}
