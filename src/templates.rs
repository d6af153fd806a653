//! Templates as Ansible renders them: environment, variables resolved lazily, filters, vault.
//!
//! Rendering reads nothing from disk and starts nothing; what a template includes
//! or imports comes from the closure that its caller hands in.

mod engine;
mod environment;
mod filters;
mod hosts;
pub mod inspect;
mod mutable;
mod python;
mod resolved;
mod resolver;
mod scope;
mod source;
mod tokens;
mod values;
mod vault;

pub use engine::Include;
pub use environment::{Renderer, TemplateError};
pub use filters::{Known, known};
pub use hosts::Hosts;
pub use resolved::{Export, Exports};
pub use scope::Scope;
pub use vault::{Opened, Passwords, Plain, VaultError, is_sealed, seal};
