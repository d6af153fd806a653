//! Tests on real parts, each on a private host of its own: accounts, JupyterHub, Postfix, slapd.
//! They need root; without it each says that it is left out.

#![allow(
    clippy::disallowed_methods,
    clippy::redundant_closure,
    reason = "tests start what they like; a private host wants its test's own closure"
)]

mod acceptance;
mod accounts;
mod bad_input;
mod booted;
mod border;
mod commands;
mod crashes;
mod deliver;
mod deliver_runs;
mod deliver_students;
mod demo;
mod directory;
mod doctor;
mod faults;
mod functions;
mod history;
mod hub;
mod hub_faults;
mod hung_guest;
mod install;
mod last_guest;
mod matrix;
mod mistakes;
mod never_again;
mod one_mail;
mod order;
mod secrets;
mod signed;
mod support;
mod units;
mod watchdog;
mod workshops;
