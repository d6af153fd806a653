//! What is to be done about findings, and about which processes. Pure: the account that may be
//! touched is checked by whoever carries it out.

use std::collections::BTreeMap;
use std::time::Instant;

use super::finding::Finding;
use super::policy::{Policy, Response};
use super::process::ProcessId;
use super::snapshot::Seat;
use crate::domain::Student;

/// What an answer answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub student: Student,
    /// Those that something is to be stopped for.
    pub findings: Vec<Finding>,
    pub seat: Option<Seat>,
    /// When what was found was first seen.
    pub seen: Instant,
}

impl Case {
    /// The processes that were found, each once.
    pub fn processes(&self) -> Vec<ProcessId> {
        let ids = self.findings.iter().flat_map(|found| &found.processes);
        let mut ids: Vec<ProcessId> = ids.copied().collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// One case for each student of whom something is to be stopped, with the strongest answer.
pub fn choose(
    policy: &Policy,
    findings: Vec<Finding>,
    seats: &BTreeMap<Student, Seat>,
    seen: Instant,
) -> Vec<(Response, Case)> {
    let mut cases: BTreeMap<Student, (Response, Case)> = BTreeMap::new();
    for finding in findings {
        let response = policy.response(&finding);
        if response < Response::StopProcess {
            continue;
        }
        let student = finding.student;
        let (strongest, case) = cases.entry(student).or_insert_with(|| {
            let case = Case {
                student,
                findings: Vec::new(),
                seat: seats.get(&student).cloned(),
                seen,
            };
            (response, case)
        });
        *strongest = response.max(*strongest);
        case.findings.push(finding);
    }
    cases.into_values().collect()
}
