//! Ours held against the real Ansible, which `sys/prepare.sh test` installs. Where it is missing each
//! test says that it is left out.

#![allow(clippy::disallowed_methods, reason = "tests start what they like")]

mod ansible;
mod inventory;
mod templates;
mod vault;
