//! What is looked up before planning.

use crate::domain::{Action, StudentRange, Verb};
use crate::plan::{Facts, Plan, plan};
use crate::ports::{Fault, Phase};

use super::Ports;

/// The plan of an action as things are now; changes nothing.
///
/// Permanent when the workshop is unknown or cannot be given as it is set up.
pub fn plan_for(ports: &Ports, action: &Action, students: StudentRange) -> Result<Plan, Fault> {
    let facts = gather(ports, action, students)?;
    plan(action, &facts).map_err(|e| Fault::permanent(e.to_string()))
}

fn gather(ports: &Ports, action: &Action, students: StudentRange) -> Result<Facts, Fault> {
    let mut facts = Facts {
        students,
        workshop: None,
        scripts: Default::default(),
        directory: ports.directory.is_some(),
        awaits_cleanup: awaits_cleanup(ports, action, students)?,
    };
    let Some(asked) = action
        .workshop
        .as_ref()
        .filter(|_| action.verb != Verb::Purge)
    else {
        return Ok(facts);
    };
    let name = &asked.name;
    facts.workshop = ports.registry.workshop(name)?;
    if facts.workshop.is_none() {
        return Err(Fault::permanent(format!(
            "workshop {name} is not known to the registry; run wod workshops list"
        )));
    }
    facts.scripts = Phase::ALL
        .into_iter()
        .map(|phase| (phase, ports.scripts.find(phase, name)))
        .filter(|(_, found)| !found.is_empty())
        .collect();
    Ok(facts)
}

/// Whether the participant sits on one of the seats and was not cleaned up.
pub fn awaits_cleanup(
    ports: &Ports,
    action: &Action,
    students: StudentRange,
) -> Result<bool, Fault> {
    let erases = matches!(action.verb, Verb::Reset | Verb::Purge);
    if !erases || action.participant.is_nobody() {
        return Ok(false);
    }
    let record = ports.registry.participant(action.participant)?;
    Ok(record.is_some_and(|record| {
        !record.cleaned && record.student.is_some_and(|seat| students.contains(seat))
    }))
}
