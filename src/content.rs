//! What a student finds: a fresh home, the workshop's files, its variables; and how far they came.
//!
//! Everything below a home goes through `safefs`.

mod appliance;
mod compile;
mod completion;
mod homes;
mod passfile;
mod publish;
mod sshkey;
mod variables;

pub use appliance::address;
pub use compile::Compiler;
pub use completion::{Ratio, count_cells};
pub use homes::{Homes, HomesConfig};
pub use passfile::PassFiles;
pub use publish::{CONTENT_BYTES, CONTENT_FILES, DEEPEST, Publisher, PublisherConfig};
pub use publish::{Preview, Tree, include_below, is_template};
pub use variables::{OwnedRender, Variables};

/// Uid, gid and groups of WODUSER: with its rights workshops are read, it gets an ACL on homes.
pub type Admin = crate::safefs::Account;
