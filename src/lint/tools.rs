//! bash and shellcheck, asked about a script that is handed to them by stdin; neither runs it.

use crate::content::Admin;
use crate::exec::{self, Cmd, RunAs};

use super::finding::Finding;
use super::rules;
use super::rules::Level;
use super::source::{Source, quoted};

/// Told by shellcheck of every script of ours: what is sourced is not there, and the variables
/// of the contract come from the environment.
const NOT_ASKED: &str = "SC1090,SC1091,SC2154";

/// What could be asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Asked(Vec<Finding>),
    /// The program is not installed, or did not come to an end.
    NotAsked,
}

/// Whether bash can read it.
pub fn bash(source: &Source<'_>, who: Option<&Admin>) -> Answer {
    let ended = command("bash", source, who).arg("-n").run_any();
    match ended {
        Ok((status, _)) if status.success() => Answer::Asked(Vec::new()),
        Ok((_, output)) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Answer::Asked(vec![syntax(source, &said)])
        }
        Err(exec::Error::TimedOut { .. }) => {
            let message = "bash does not come to an end reading the script";
            let finding = source.found(&rules::SCRIPT_SYNTAX, 0..1, message);
            Answer::Asked(vec![finding.help("make it shorter")])
        }
        Err(_) => Answer::NotAsked,
    }
}

/// Of lines such as ``bash: line 3: syntax error near unexpected token `fi'`` the first.
fn syntax(source: &Source<'_>, said: &str) -> Finding {
    let told = said.lines().find_map(|line| {
        let (_, rest) = line.split_once("line ")?;
        let (number, message) = rest.split_once(": ")?;
        Some((number.parse::<usize>().ok()?, message))
    });
    let (line, message) = told.unwrap_or((1, "bash cannot read the script"));
    let last = source.text.trim_end().lines().count().max(1);
    let line = line.min(last);
    let text = source.line(line);
    let token = message.split('`').nth(1).and_then(|t| t.split('\'').next());
    let found = token
        .filter(|t| !t.is_empty())
        .and_then(|t| Some((text.rfind(t)?, t.len())));
    let (start, length) =
        found.unwrap_or((text.len() - text.trim_start().len(), text.trim().len()));
    let begin = source.offset(line, 1) + start;
    source
        .found(
            &rules::SCRIPT_SYNTAX,
            begin..begin + length,
            format!("bash cannot read it: {message}"),
        )
        .help("try it with bash -n")
}

/// What shellcheck finds.
pub fn shellcheck(source: &Source<'_>, who: Option<&Admin>) -> Answer {
    let mut asked = command("shellcheck", source, who).args([
        "--norc",
        "--format=json1",
        "--exclude",
        NOT_ASKED,
    ]);
    if !source.text.starts_with("#!") {
        asked = asked.arg("--shell=bash");
    }
    let Ok((_, output)) = asked.arg("-").run_any() else {
        return Answer::NotAsked;
    };
    let Ok(said) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else {
        return Answer::NotAsked;
    };
    let comments = said["comments"].as_array();
    let comments = comments.map(Vec::as_slice).unwrap_or_default();
    Answer::Asked(comments.iter().map(|one| comment(source, one)).collect())
}

fn comment(source: &Source<'_>, one: &serde_json::Value) -> Finding {
    let number = |name: &str| one[name].as_u64().and_then(|n| usize::try_from(n).ok());
    let start = source.offset(number("line").unwrap_or(1), number("column").unwrap_or(1));
    let end = match number("endLine") == number("line") {
        true => source.offset(
            number("line").unwrap_or(1),
            number("endColumn").unwrap_or(1),
        ),
        false => start + 1,
    };
    let level = match one["level"].as_str() {
        Some("error" | "warning") => Level::Warning,
        _ => Level::Note,
    };
    let code = number("code").unwrap_or(0);
    let message = one["message"].as_str().unwrap_or_default();
    let message = quoted_line(message);
    source
        .found(
            &rules::SCRIPT_CHECK,
            start..end.max(start + 1),
            format!("SC{code}: {message}"),
        )
        .level(level)
        .help(format!("see https://www.shellcheck.net/wiki/SC{code}"))
}

/// As `quoted`, for a whole sentence: it may quote the script.
fn quoted_line(message: &str) -> String {
    let words: Vec<String> = message
        .split_whitespace()
        .map(|word| quoted(word).trim_matches('`').to_owned())
        .collect();
    words.join(" ")
}

fn command(program: &str, source: &Source<'_>, who: Option<&Admin>) -> Cmd {
    let us = rustix::process::geteuid();
    let who = who.filter(|who| us.is_root() && who.uid != 0);
    let who = who.map(|who| RunAs::bare(who.uid, who.gid));
    Cmd::new(program)
        .stdin(source.text.as_bytes().to_vec())
        .run_as(who.as_ref())
}
