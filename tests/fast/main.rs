//! Tests without real parts: pure rules as data-driven cases, and files below a directory handle.

#![allow(clippy::disallowed_methods, reason = "tests start what they like")]

mod deliver;
mod docs;
mod hostile_homes;
mod intake;
mod inventory;
mod plan;
mod samples;
mod signature;
mod templates;
mod tidy;
mod vault;
