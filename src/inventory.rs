//! What the site has written down: hosts, groups and variables as Ansible reads them, merged by precedence.
//!
//! Values stay raw here: a text may still be a template or a vault envelope.
//! Rendering and decryption stand above, in `templates`.

mod facts;
mod files;
mod groups;
mod hosts;
mod hosts_ini;
mod hosts_yaml;
mod known;
mod listing;
mod literal;
mod range;
mod scalar;
mod settings;
mod sources;
mod value;
mod vars;
mod words;
mod yaml;

pub use facts::{DATE_FORMAT, HOST_FACTS, HostFacts, Machine};
pub use files::{Problem, Unlock};
pub use hosts::Inventory;
pub use known::{KNOWN, is_secret_name, meant};
pub use scalar::is_plain_text;
pub use settings::{AccountsKind, HubSettings, LdapSettings, Settings, WatchdogBy, Wrong};
pub use sources::{Sources, load, load_extra, load_with};
pub use value::{Map, Value};
pub use vars::{Origin, Variable, Vars};
pub use yaml::{Document, Warning, YamlError, from_str};
