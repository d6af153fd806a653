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
mod history;
pub mod install;
mod item;
mod ledger;
mod link;
mod manifest;
mod packages;
mod place;
pub mod post;
pub mod private;
mod report;
mod run;
mod service;
mod source;
pub mod students;
mod sysctl;
mod target;

pub use history::{Begun, End, History, Past, Recorder};
pub use item::{Aside, Change, Item, Mode, Outcome, Performed, Resource, Tag, Texts};
pub use ledger::Ledger;
pub use manifest::Manifest;
pub use packages::Missing;
pub use place::is_here;
pub use post::Post;
pub use report::{Count, Event, Recap, Report};
pub use run::run;
pub use source::{Facts, Source};
