//! A mail-driven workshop provisioning backend: one mail makes, and unmakes, a hands-on workshop.
//!
//! ARCHITECTURE.md has the drawing and the invariants; a module may import only what stands below it.

pub mod adapters;
pub mod cli;
pub mod content;
pub mod deliver;
pub mod domain;
pub mod engine;
pub mod exec;
pub mod intake;
pub mod inventory;
pub mod journal;
pub mod lint;
pub mod plan;
pub mod ports;
pub mod safefs;
pub mod site;
pub mod templates;
pub mod watchdog;
