//! Brings this host to what the inventory says: items that look at it, changes that apply themselves.
//!
//! What is wanted is data (`manifest`, from `sys/host.yml`); a kind of item is one file here.

mod account;
mod directory;
mod edit;
mod expand;
mod fields;
mod file;
mod firewall;
pub mod install;
mod item;
mod ledger;
mod link;
mod manifest;
mod packages;
mod place;
mod report;
mod run;
mod service;
pub mod students;
mod sysctl;
mod target;

pub use item::{Aside, Change, Item, Resource, Tag, Texts};
pub use ledger::Ledger;
pub use manifest::{Facts, Manifest, Source};
pub use packages::Missing;
pub use place::is_here;
pub use report::{Count, Event, Outcome, Recap, Report};
pub use run::{Mode, run};
