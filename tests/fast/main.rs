//! Tests without real parts: pure rules as data-driven cases, and files below a directory handle.

#![allow(clippy::disallowed_methods, reason = "tests start what they like")]

mod bad_inventory;
mod cron;
mod deliver;
mod docs;
mod functions;
mod hostile_homes;
mod intake;
mod inventory;
mod lint;
mod output;
mod plan;
mod render;
mod samples;
mod signature;
mod templates;
mod tidy;
mod vars;
mod vault;
mod watchdog;
