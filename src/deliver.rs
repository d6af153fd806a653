//! Brings this host to what the inventory says: items that look at it, changes that apply themselves.
//!
//! What is wanted is data (`manifest`, from `sys/host.yml`); a kind of item is one file here.

mod block;
mod directory;
mod file;
mod item;
mod ledger;
mod link;
mod manifest;
mod place;
mod report;
mod run;
pub mod students;
mod sysctl;

pub use item::{Aside, Change, Item, Resource, Tag, Texts};
pub use ledger::Ledger;
pub use manifest::{Facts, Manifest, Source};
pub use report::{Count, Event, Outcome, Recap, Report};
pub use run::{Mode, run};
