//! What is wrong with workshops before a participant finds it: metadata, notebooks, templates, scripts.
//!
//! The rules are pure, texts in and findings out, one file per kind; only `tree` reads (by the
//! rights the publisher has) and only `tools` starts a process. Nothing is ever changed.

mod descriptor;
mod finding;
mod json;
mod notebook;
mod report;
mod rules;
mod run;
mod sarif;
mod script;
mod source;
mod template;
mod tools;
mod tree;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::content::Admin;
use crate::domain::StudentRange;

pub use finding::Finding;
pub use report::{Colours, for_people, summary};
pub use rules::Level;
pub use run::{Report, lint};
pub use sarif::sarif;
pub use tree::Reader;

/// One directory of workshops, and the scripts that belong to it.
#[derive(Debug, Clone)]
pub struct Shelf {
    pub dir: PathBuf,
    /// The same directory as findings name it.
    pub shown: PathBuf,
    pub tree: crate::content::Tree,
    /// With whose rights it is read; None for ours.
    pub admin: Option<Admin>,
    /// Only this workshop of the directory.
    pub only: Option<String>,
    pub scripts: Vec<Scripts>,
}

/// A directory of workshop scripts.
#[derive(Debug, Clone)]
pub struct Scripts {
    pub dir: PathBuf,
    pub shown: PathBuf,
    pub extent: Extent,
}

/// Which scripts of a directory are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All: the directory belongs to the shelf.
    All,
    /// Those of the shelf's workshops: others have a share in it.
    OfShelf,
}

/// What is known of the site that the workshops are for.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// Names of variables that every template sees.
    pub variables: BTreeSet<String>,
    /// `<WODANSIBLEDIR>/<WODGROUP>` and the like: `variables_<WORKSHOP>.yml` are in there.
    pub variables_dirs: Vec<PathBuf>,
    /// None without an inventory: what hangs on one is left out.
    pub inventory: Option<Inventory>,
}

/// What only an inventory says.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// WODUSERMIN to WODUSERMAX.
    pub window: StudentRange,
    pub has_ldap: bool,
    /// Which of WODGROUP, WODANSIBLEPRIVDIR and VAULTPWD are not set; pass files need all.
    pub missing_for_pass: Vec<&'static str>,
    /// Variables `IP-<WORKSHOP>` that have an address.
    pub appliances: BTreeSet<String>,
    /// Where the site's own workshops are; their ranges are taken.
    pub shelves: Vec<PathBuf>,
    pub admin: Option<Admin>,
}
