//! What the watchdog did so far, in numbers: for `wod watchdog status` and for metrics.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::finding::{Finding, Level, Rule};
use super::policy::Response;
use crate::domain::Time;

/// The upper ends of the classes of latencies, in milliseconds.
const CLASSES: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 1000, 10_000];

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Figures {
    pub pid: u32,
    pub since: Option<Time>,
    pub at: Option<Time>,
    /// Whether execs are seen as they happen.
    pub connector: bool,
    /// Execs that the kernel told of, and those of them that were a student's.
    pub execs: u64,
    pub checked: u64,
    /// Execs that the kernel could not tell of.
    pub missed: u64,
    pub samples: u64,
    /// Processes of students in the last sample.
    pub processes: u64,
    /// `name certain`, by how often it was found newly.
    pub found: BTreeMap<String, u64>,
    pub allowed: u64,
    pub stopped_processes: u64,
    pub stopped_seats: u64,
    /// Times from sight to end: how many were below so many milliseconds.
    pub latency_ms: BTreeMap<u64, u64>,
    /// Seconds on processors.
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    /// Why the policy on disk is not the one in use.
    pub policy_problem: Option<String>,
}

#[derive(Debug, Default)]
pub struct Counters(Mutex<Figures>);

impl Counters {
    pub fn add(&self, change: impl FnOnce(&mut Figures)) {
        change(
            &mut self
                .0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
    }

    pub fn now(&self) -> Figures {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    pub fn found(&self, finding: &Finding) {
        self.add(|f| {
            *f.found.entry(key(finding.rule, finding.level)).or_default() += 1;
            f.allowed += u64::from(finding.allowed.is_some());
        });
    }

    pub fn stopped(&self, response: Response, latency_us: i64) {
        let ms = u64::try_from(latency_us).unwrap_or(0).div_ceil(1000);
        let class = CLASSES.into_iter().find(|class| ms <= *class);
        self.add(|f| {
            match response {
                Response::StopSeat => f.stopped_seats += 1,
                _ => f.stopped_processes += 1,
            }
            *f.latency_ms.entry(class.unwrap_or(u64::MAX)).or_default() += 1;
        });
    }
}

fn key(rule: Rule, level: Level) -> String {
    format!("{rule} {level}")
}

impl Figures {
    /// As Prometheus reads it from a file.
    pub fn to_prometheus(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for (name, value) in [
            ("execs_total", self.execs as f64),
            ("checked_total", self.checked as f64),
            ("missed_total", self.missed as f64),
            ("samples_total", self.samples as f64),
            ("processes", self.processes as f64),
            ("allowed_total", self.allowed as f64),
            ("stopped_processes_total", self.stopped_processes as f64),
            ("stopped_seats_total", self.stopped_seats as f64),
            ("cpu_seconds_total", self.cpu_seconds),
            ("resident_bytes", self.resident_bytes as f64),
            ("connector", f64::from(u8::from(self.connector))),
        ] {
            let _ = writeln!(text, "wod_watchdog_{name} {value}");
        }
        for (key, count) in &self.found {
            let (rule, level) = key.split_once(' ').unwrap_or((key, ""));
            let labels = format!("rule=\"{rule}\",level=\"{level}\"");
            let _ = writeln!(text, "wod_watchdog_found_total{{{labels}}} {count}");
        }
        let mut sum = 0;
        for (class, count) in &self.latency_ms {
            sum += count;
            let end = match *class {
                u64::MAX => "+Inf".to_owned(),
                ms => format!("{}", ms as f64 / 1000.0),
            };
            let _ = writeln!(
                text,
                "wod_watchdog_stop_seconds_bucket{{le=\"{end}\"}} {sum}"
            );
        }
        text
    }
}
