//! From a snapshot to findings. Pure: what time it is and what was before is handed in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::finding::{Finding, Level, Rule};
use super::glimpse::Glimpse;
use super::history::History;
use super::policy::Policy;
use super::rules;
use super::scene::Scene;
use super::snapshot::Snapshot;
use super::words::Words;
use crate::domain::{Student, Time, WorkshopName};

/// Lines of evidence that a finding has at most.
const MOST_EVIDENCE: usize = 24;

/// A policy, ready to judge by.
#[derive(Debug)]
pub struct Judge {
    policy: Policy,
    words: Words,
    exceptions: Vec<Exception>,
}

/// What a workshop may do, for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    pub rule: Rule,
    pub workshop: WorkshopName,
    /// Why, for those who read it later.
    pub comment: String,
    pub until: Time,
}

/// A policy that cannot be used though each of its fields can.
#[derive(Debug, thiserror::Error)]
#[error("the lists of the policy are too large to be searched for: {0}")]
pub struct TooLarge(#[from] aho_corasick::BuildError);

impl Judge {
    pub fn new(policy: Policy, exceptions: Vec<Exception>) -> Result<Judge, TooLarge> {
        Ok(Judge {
            words: Words::new(&policy.lists)?,
            policy,
            exceptions,
        })
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether `at_exec` has nothing to say of a program of root's that looks like this, whatever it
    /// calls itself: of those only listed words say anything.
    pub fn is_plain(&self, program: &Glimpse) -> bool {
        let texts = [program.file, program.argv];
        !texts.iter().any(|text| self.words.may_hit(text))
    }

    /// What can be said at the moment a program starts: the snapshot has that process, its
    /// ancestors, and its student's seat.
    pub fn at_exec(&self, snapshot: &Snapshot) -> Vec<Finding> {
        let scene = Scene::new(snapshot, None, &self.policy, &self.words);
        self.ask(&scene, &rules::AT_EXEC)
    }

    /// What there is to say of a snapshot that `history` has observed.
    pub fn judge(&self, snapshot: &Snapshot, history: &History) -> Vec<Finding> {
        let scene = Scene::new(snapshot, Some(history), &self.policy, &self.words);
        self.ask(&scene, &rules::ALL)
    }

    fn ask(&self, scene: &Scene, rules: &[(Rule, rules::Ask)]) -> Vec<Finding> {
        let mut found = Vec::new();
        for (rule, ask) in rules {
            if !self.policy.without.contains(rule) {
                found.extend(ask(scene));
            }
        }
        let mut found = merged(found);
        for finding in &mut found {
            finding.allowed = self.allowed(scene, finding);
        }
        found
    }

    fn allowed(&self, scene: &Scene, finding: &Finding) -> Option<String> {
        let workshop = scene.seat(finding.student)?.workshop.as_ref()?;
        let exception = self.exceptions.iter().find(|exception| {
            exception.rule == finding.rule
                && exception.workshop == *workshop
                && scene.snapshot.now < exception.until
        });
        exception.map(|exception| exception.comment.clone())
    }
}

/// What a rule says of several processes of a student is one finding, the strongest first.
fn merged(found: Vec<Finding>) -> Vec<Finding> {
    let mut groups: BTreeMap<(Student, Rule, Level), Vec<Finding>> = BTreeMap::new();
    for finding in found {
        let key = (finding.student, finding.rule, finding.level);
        groups.entry(key).or_default().push(finding);
    }
    let mut merged: Vec<Finding> = groups.into_values().filter_map(one).collect();
    merged.sort_by_key(|finding| (std::cmp::Reverse(finding.level), finding.student));
    merged
}

fn one(group: Vec<Finding>) -> Option<Finding> {
    let others = group.len() - 1;
    let mut group = group.into_iter();
    let mut first = group.next()?;
    for next in group {
        first.processes.extend(next.processes);
        first.score = first.score.max(next.score);
        first.evidence.extend(next.evidence);
    }
    if others > 0 {
        first.sentence = format!("{}, and {others} more like it", first.sentence);
    }
    first.processes.sort_unstable();
    first.processes.dedup();
    first.evidence.truncate(MOST_EVIDENCE);
    Some(first)
}
