//! `wod watchdog` with real processes under real student accounts, among all of this machine's
//! processes: what is stopped, how soon, and what is never touched.

#[path = "watchdog/alerts.rs"]
mod alerts;
#[path = "watchdog/claimed.rs"]
mod claimed;
#[path = "watchdog/evasions.rs"]
mod evasions;
#[path = "watchdog/evidence.rs"]
mod evidence;
#[path = "watchdog/groups.rs"]
mod groups;
#[path = "watchdog/honest.rs"]
mod honest;
#[path = "watchdog/hung.rs"]
mod hung;
#[path = "watchdog/idle.rs"]
mod idle;
#[path = "watchdog/listed.rs"]
mod listed;
#[path = "watchdog/mail.rs"]
mod mail;
#[path = "watchdog/missed.rs"]
mod missed;
#[path = "watchdog/others.rs"]
mod others;
#[path = "watchdog/recorded.rs"]
mod recorded;
#[path = "watchdog/resumed.rs"]
mod resumed;
#[path = "watchdog/serve.rs"]
mod serve;
#[path = "watchdog/sight.rs"]
mod sight;
#[path = "watchdog/stops.rs"]
mod stops;
#[path = "watchdog/tables.rs"]
mod tables;
#[path = "watchdog/unit.rs"]
mod unit;
