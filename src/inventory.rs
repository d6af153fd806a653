//! What the site has written down: YAML files read as Ansible reads them, merged by precedence.
//!
//! Values stay raw here: a text may still be a template or a vault envelope.
//! Rendering and decryption stand above, in `templates`.

mod scalar;
mod settings;
mod value;
mod vars;
mod yaml;

pub use scalar::is_plain_text;
pub use settings::{AccountsKind, HubSettings, LdapSettings, Settings, Wrong};
pub use value::{Map, Value};
pub use vars::{Origin, Problem, Sources, Unlock, Variable, Vars, load, load_with};
pub use yaml::{Document, Warning, YamlError, from_str};
