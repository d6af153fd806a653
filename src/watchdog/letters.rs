//! The admin's mail about incidents. What students wrote is in it: escaped, and not too long.

use std::fmt::Write;

use super::finding::Finding;
use crate::journal::Incident;

/// The strongest finding's sentence.
pub fn why(findings: &[Finding]) -> String {
    let strongest = findings.iter().max_by_key(|f| (f.level, f.score));
    strongest.map_or_else(
        || "a reason that is lost".to_owned(),
        |f| one_line(&f.sentence),
    )
}

/// Names of students' programs are in it: plain ASCII, and short enough for the spool.
pub fn one_line(text: &str) -> String {
    let escaped = text.chars().flat_map(|c| match c {
        ' '..='~' => vec![c],
        _ => c.escape_default().collect(),
    });
    escaped.take(200).collect()
}

/// Of what was stopped.
pub fn letter(incident: &Incident, why: &str) -> String {
    let who = match incident.participant {
        Some(participant) => format!("participant {participant}"),
        None => "nobody".to_owned(),
    };
    let lift = match incident.participant {
        Some(participant) => format!("wrong?    wod students unban {participant}\n"),
        None => String::new(),
    };
    format!(
        "Incident {id}: {why}\n\
         seat      {student}, of {who}\n\
         done      {done}\n\
         \n\
         look      wod watchdog show {id}\n\
         {lift}",
        id = incident.id,
        student = incident.student.account(),
        done = incident
            .done
            .iter()
            .map(|line| one_line(line))
            .collect::<Vec<_>>()
            .join("\n          "),
    )
}

/// Of what was only seen: subject and text.
pub fn warning(incident: &Incident, findings: &[Finding]) -> (String, String) {
    let mut body = String::new();
    for finding in findings {
        let seen: Vec<String> = finding.evidence.iter().map(|fact| one_line(fact)).collect();
        let _ = write!(
            body,
            "{}\n\
             rule      {} ({}, score {})\n\
             seen      {}\n\
             \n",
            one_line(&finding.sentence),
            finding.rule,
            finding.level,
            finding.score,
            seen.join("\n          "),
        );
    }
    let workshop = match &incident.workshop {
        Some(workshop) => workshop.as_str(),
        None => "WKSHP-...",
    };
    body.push_str("Nothing was done about it.\n");
    if incident.id != 0 {
        let _ = writeln!(body, "look      wod watchdog show {}", incident.id);
    }
    for finding in findings {
        let rule = finding.rule;
        let _ = writeln!(
            body,
            "allow     wod watchdog allow {rule} --workshop {workshop} --comment WHY"
        );
    }
    (format!("SUSPICIOUS: {}", why(findings)), body)
}
