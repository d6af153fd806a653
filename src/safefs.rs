//! The one door into a tree that a student controls: directory handles, and
//! operations that resolve beneath them without following a link or crossing a
//! mount. No other module opens, changes or removes a path in such a tree.
#![deny(unsafe_code)]

mod acl;
mod copy;
mod dir;
mod error;
mod fsuser;
mod look;
mod make_dirs;
mod own;
mod remove;
mod residue;
mod sys;
mod walk;

#[cfg(test)]
mod tests;

pub use copy::{Copied, CopyOptions, Decision, copy_tree};
pub use dir::{Dir, Entry, Owner, Replace};
pub use error::{Cause, Error, Result, shown};
pub use fsuser::{Account, as_user};
pub use own::{Owned, Ownership, look_through, own_tree};
pub use remove::{Removed, remove_tree};
pub use residue::{
    Crowd, find_open, find_owned, remove_abandoned, remove_owned, remove_unfinished,
};
pub use sys::{Kind, Stat};
