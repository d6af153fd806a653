//! The outside world: what stands behind the ports.

pub mod accounts_linux;
pub mod accounts_sandbox;
pub mod directory_ldap;
pub mod hub_jupyterhub;
pub mod hub_none;
pub mod mask;
pub mod notify_mail;
pub mod registry_local;
pub mod scripts;
pub mod send_action;
pub mod strays;
