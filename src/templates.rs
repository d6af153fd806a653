//! Templates as Ansible renders them: environment, variables resolved lazily, filters, vault.
//!
//! Rendering reads nothing from disk and starts nothing; a template cannot
//! include or import another file.

mod engine;
mod environment;
mod filters;
mod mutable;
mod python;
mod resolver;
mod scope;
mod source;
mod tokens;
mod values;
mod vault;

pub use environment::{Renderer, TemplateError};
pub use filters::{Known, known};
pub use scope::{Export, Exports, Scope};
pub use vault::{Passwords, VaultError, seal};
