//! `wod watchdog list` and `show`. What students wrote (names, arguments, paths) is shown escaped: a
//! terminal must not do what it says.

use anyhow::Context;
use serde_json::json;

use crate::cli::{Exit, journal_of, print_json, print_table};
use crate::journal::Incident;
use crate::site::Site;
use crate::watchdog::{Described, Finding, Process, Report, report_of};

#[derive(clap::Args)]
pub struct ListArgs {
    /// How many
    #[arg(long, default_value_t = 50)]
    most: u32,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct ShowArgs {
    /// The incident, as `wod watchdog list` numbers it
    id: i64,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub fn list(args: &ListArgs, site: &Site) -> anyhow::Result<Exit> {
    let all = journal_of(site)?.incidents(args.most)?;
    if args.json {
        all.iter()
            .for_each(|incident| print_json(&object(incident)));
        return Ok(Exit::Done);
    }
    let titles = [
        "id",
        "time",
        "student",
        "participant",
        "workshop",
        "answer",
        "state",
        "why",
    ];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(row));
    print_table(&rows);
    Ok(Exit::Done)
}

fn row(incident: &Incident) -> Vec<String> {
    let none = || "-".to_owned();
    vec![
        incident.id.to_string(),
        incident.at.to_string(),
        incident.student.account(),
        incident
            .participant
            .map_or_else(none, |who| who.to_string()),
        incident
            .workshop
            .as_ref()
            .map_or_else(none, ToString::to_string),
        incident.response.clone(),
        incident.answered.as_str().to_owned(),
        findings(incident)
            .first()
            .map_or_else(none, |f| shown(&f.sentence)),
    ]
}

fn findings(incident: &Incident) -> Vec<Finding> {
    serde_json::from_str(&incident.findings).unwrap_or_default()
}

fn object(incident: &Incident) -> serde_json::Value {
    json!({
        "id": incident.id,
        "at": incident.at,
        "student": incident.student,
        "participant": incident.participant,
        "workshop": incident.workshop,
        "response": incident.response,
        "state": incident.answered.as_str(),
        "findings": findings(incident),
        "done": incident.done,
        "evidence": incident.evidence,
        "latency_ms": incident.latency_us.map(|us| us as f64 / 1000.0),
    })
}

pub fn show(args: &ShowArgs, site: &Site) -> anyhow::Result<Exit> {
    let incident = journal_of(site)?.incident(args.id)?;
    let incident = incident
        .with_context(|| format!("there is no incident {}; see wod watchdog list", args.id))?;
    let below = site.state.evidence();
    let report = incident.evidence.as_ref().map(|name| {
        report_of(&below, name).map_err(|e| format!("the evidence {name} cannot be read: {e}"))
    });
    if args.json {
        let mut object = object(&incident);
        if let Some(Ok(report)) = &report {
            object["report"] = json!(report);
        }
        print_json(&object);
        return Ok(Exit::Done);
    }
    head(&incident);
    match report {
        Some(Ok(report)) => body(&report),
        Some(Err(line)) => outln!("\n{line}"),
        None => outln!("\nthere is no evidence of it"),
    }
    if let Some(name) = &incident.evidence {
        outln!("\nevidence is in {}", below.join(name).display());
    }
    Ok(Exit::Done)
}

fn head(incident: &Incident) {
    outln!("Incident {} at {}", incident.id, incident.at);
    let row = row(incident);
    outln!("seat         {}", row[2]);
    outln!("participant  {}", row[3]);
    outln!("workshop     {}", row[4]);
    outln!("answer       {}, {}", row[5], row[6]);
    if let Some(us) = incident.latency_us {
        outln!(
            "took         {:.1} ms from sight to end",
            us as f64 / 1000.0
        );
    }
    for finding in findings(incident) {
        outln!(
            "\n{} ({}, score {}): {}",
            finding.rule,
            finding.level,
            finding.score,
            shown(&finding.sentence)
        );
        finding
            .evidence
            .iter()
            .for_each(|fact| outln!("  {}", shown(fact)));
    }
    outln!();
    incident
        .done
        .iter()
        .for_each(|line| outln!("done         {}", shown(line)));
}

fn body(report: &Report) {
    outln!(
        "\n{} processes on {}, {} of them described",
        report.processes,
        shown(&report.host),
        report.described.len()
    );
    report.described.iter().for_each(described);
    outln!("\nancestors");
    report
        .ancestors
        .iter()
        .for_each(|process| outln!("  {}", line(process)));
    for (number, program) in report.programs.iter().enumerate() {
        let sum = program.sha256.as_deref().unwrap_or("unknown");
        let part = if program.partly {
            ", of its beginning"
        } else {
            ""
        };
        let copy = program.copy.as_deref().unwrap_or("not copied");
        outln!(
            "\nprogram {number}: {} bytes, {copy}\n  sha256 {sum}{part}",
            program.size
        );
    }
}

fn described(one: &Described) {
    outln!("\n{}", line(&one.process));
    let process = &one.process;
    outln!("  arguments    {}", shown(&process.argv.join(" ")));
    if let Some(cwd) = &process.cwd {
        outln!("  directory    {}", shown(&cwd.to_string_lossy()));
    }
    outln!(
        "  on processors {} ms, nice {}, {} threads",
        process.cpu_ms,
        process.nice,
        process.threads
    );
    if process.tracer != 0 {
        outln!("  debugged by  {}", process.tracer);
    }
    if let Some(program) = one.program {
        outln!("  program      {program}");
    }
    one.files
        .iter()
        .for_each(|file| outln!("  open         {}", shown(file)));
    if !one.environment.is_empty() {
        outln!("  environment  {}", shown(&one.environment.join(" ")));
    }
}

fn line(process: &Process) -> String {
    let exe = process
        .exe
        .path
        .as_ref()
        .map(|path| path.to_string_lossy().into_owned());
    let deleted = if process.exe.deleted {
        " (deleted)"
    } else {
        ""
    };
    format!(
        "process {} of uid {}, parent {}: {} ({}){deleted}",
        process.id.pid,
        process.uid,
        process.parent,
        shown(&process.name),
        exe.as_deref()
            .map_or_else(|| "no program".to_owned(), shown),
    )
}

/// In one line, whatever it holds.
fn shown(text: &str) -> String {
    const MOST: usize = 2000;
    text.chars()
        .take(MOST)
        .flat_map(|c| match c {
            '\\' => "\\\\".chars().collect::<Vec<_>>(),
            c if c.is_control() || is_invisible(c) => c.escape_unicode().collect(),
            c => vec![c],
        })
        .collect()
}

/// Marks that turn the direction of writing, and the like.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        let hostile = "a\u{1b}[2J\nb\u{202e}c\\n\u{9b}";
        assert_eq!(shown(hostile), r"a\u{1b}[2J\u{a}b\u{202e}c\\n\u{9b}");
        assert_eq!(shown("größe"), "größe");
    }
}
