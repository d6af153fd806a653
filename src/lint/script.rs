//! Workshop scripts: names of the contract, and what can be told from their text.

use std::collections::BTreeSet;

use super::finding::{Finding, Place};
use super::rules;
use super::source::{Source, quoted};
use crate::domain::near::{meant, nearest};

/// What a script is for, by the first part of its name.
const PHASES: [&str; 7] = [
    "create",
    "cleanup",
    "reset",
    "setup",
    "setup-pre",
    "setup-post",
    "post-copy",
];

/// Scripts of no single workshop.
const RESERVED: [&str; 5] = [
    "create-appliance.sh",
    "reset-appliance.sh",
    "setup-appliance.sh",
    "setup-globalappliance.sh",
    "functions.sh",
];

/// Variables that hold a secret while a script runs.
const SECRETS: [&str; 8] = [
    "randompw",
    "accessToken",
    "WODBETOKEN",
    "WODLDAPPWD",
    "WODAPIDBUSERPWD",
    "VAULTPWD",
    "PASSSTU",
    "password",
];

/// Whether a script is one of the workshop's own: a phase, its name, `.sh`.
pub fn belongs_to(script: &str, workshop: &str) -> bool {
    let stem = script.strip_suffix(".j2").unwrap_or(script);
    let stem = stem.strip_suffix(".sh").unwrap_or(stem);
    stem.strip_suffix(workshop)
        .is_some_and(|phase| phase.ends_with('-'))
}

/// Whether a name is only a helper's: nothing in it speaks of a workshop.
fn is_helper(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with("get-") || !name.contains("WKSHP-")
}

/// Is a script's name one that anybody looks for? `workshops` are those that exist.
pub fn check_name(
    shown: &str,
    name: &str,
    workshops: &BTreeSet<String>,
    compiled: &BTreeSet<String>,
) -> Option<Finding> {
    let plain = name.strip_suffix(".j2").unwrap_or(name);
    if is_helper(plain) || compiled.contains(name) {
        return None;
    }
    let place = Place::whole(shown);
    let (phase, workshop) = plain.split_at(plain.find("WKSHP-")?);
    let phase = phase.strip_suffix('-').unwrap_or(phase);
    let workshop = workshop.strip_suffix(".sh");
    let told = |message: String, help: Option<String>| {
        let finding = Finding::new(&rules::SCRIPT_NAME, place.clone(), message);
        let usual = format!("phases are {}", PHASES.join(", "));
        Some(finding.help(usual).maybe_help(help))
    };
    let Some(workshop) = workshop else {
        let message = format!(
            "no backend looks for {}: it does not end in .sh",
            quoted(name)
        );
        return told(message, Some("rename it".to_owned()));
    };
    if !PHASES.contains(&phase) {
        let message = format!(
            "no backend looks for {}: there is no phase {}",
            quoted(name),
            quoted(phase)
        );
        let meant =
            nearest(phase, PHASES).map(|phase| format!("did you mean {phase}-{workshop}.sh?"));
        return told(message, meant);
    }
    if workshops.contains(workshop) {
        return None;
    }
    let message = format!("there is no workshop {} for this script", quoted(workshop));
    let help = meant(workshop, workshops.iter().map(String::as_str));
    let finding = Finding::new(&rules::SCRIPT_WORKSHOP, place, message);
    Some(
        finding
            .help("remove it, or add the workshop")
            .maybe_help(help),
    )
}

/// Whether a backend starts a script of this name; others are sourced, or called by those.
pub fn is_started(name: &str) -> bool {
    RESERVED.contains(&name) && name != "functions.sh"
        || name.contains("WKSHP-") && !name.starts_with("get-")
}

/// What the text alone tells. `mode` is that of a file which is started as it is.
pub fn check(source: &Source<'_>, mode: Option<u32>) -> Vec<Finding> {
    let mut found = Vec::new();
    if mode.is_some_and(|mode| mode & 0o111 == 0) {
        let place = Place::whole(source.file);
        let finding = Finding::new(&rules::SCRIPT_MODE, place, "the script is not executable");
        found.push(finding.help(format!("chmod +x {}", source.file)));
    }
    if let Some(at) = source.text.find("\r\n") {
        let message = "the line ends in a carriage return, which bash takes for a part of it";
        let finding = source.found(&rules::SCRIPT_CRLF, at..at + 1, message);
        found.push(finding.help(format!("sed -i 's/\\r$//' {}", source.file)));
        return found;
    }
    if mode.is_some() && !source.text.starts_with("#!") {
        let at = 0..source.line(1).len();
        let message = "the first line does not say what runs the script; bash does";
        found.push(
            source
                .found(&rules::SCRIPT_SHEBANG, at, message)
                .help("begin it with #!/bin/bash"),
        );
    }
    found.extend(secrets(source));
    found
}

/// Whether bash could be asked about it as it stands.
pub fn is_plain(text: &str) -> bool {
    !text.contains("{{") && !text.contains("{%") && !text.contains('\0') && is_bash(text)
}

fn is_bash(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    !first.starts_with("#!") || first.contains("bash") || first.ends_with("/sh")
}

/// Secrets that end in the log: printed, or traced by `set -x`.
fn secrets(source: &Source<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut traced: Option<std::ops::Range<usize>> = None;
    let mut at = 0;
    for line in source.text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let code = without_comment(line.trim_end());
        let indent = code.len() - code.trim_start().len();
        let words: Vec<&str> = code.split_whitespace().collect();
        let is_shebang = start == 0 && line.starts_with("#!");
        if is_shebang && words.iter().skip(1).any(|word| is_trace(word)) {
            traced = Some(start..start + code.len());
        }
        match words[..] {
            ["set", flags, ..] if is_trace(flags) => {
                traced = Some(start + indent..start + code.len());
            }
            ["set", "+x", ..] | ["{", "set", "+x;", ..] => traced = None,
            _ => {}
        }
        let Some((secret, place)) = secret(code) else {
            continue;
        };
        let place = start + place.start..start + place.end;
        if prints(code, &words) {
            let message = format!("the secret ${secret} is printed, and with it in the log");
            found.push(
                source
                    .found(&rules::SCRIPT_SECRET, place, message)
                    .help("take the line out, or hand it over by stdin: printf … | command"),
            );
        } else if let Some(trace) = traced.take() {
            let line = source.place(place).line;
            let message =
                format!("commands are traced, and with them the secret ${secret} on line {line}");
            found.push(
                source
                    .found(&rules::SCRIPT_SECRET, trace, message)
                    .help("put set +x before the line that uses it"),
            );
        }
    }
    found
}

fn is_trace(flags: &str) -> bool {
    flags.starts_with('-') && !flags.starts_with("--") && flags.contains('x')
}

/// Up to a `#` that begins a word.
fn without_comment(line: &str) -> &str {
    if line.starts_with("#!") {
        return line;
    }
    let begins = |at: usize| at == 0 || line[..at].ends_with([' ', '\t', ';']);
    let hash = line.match_indices('#').map(|(at, _)| at);
    match hash.into_iter().find(|&at| begins(at)) {
        Some(at) => &line[..at],
        None => line,
    }
}

/// The first secret that a line expands, and where.
fn secret(code: &str) -> Option<(&'static str, std::ops::Range<usize>)> {
    code.match_indices('$').find_map(|(at, _)| {
        let rest = &code[at + 1..];
        let inner = rest.strip_prefix('{').unwrap_or(rest);
        let braces = rest.len() - inner.len();
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let name = SECRETS
            .into_iter()
            .find(|name| inner.strip_prefix(name).is_some_and(ends))?;
        Some((name, at..at + 1 + braces + name.len() + braces))
    })
}

/// Whether a line prints to where the log is.
fn prints(code: &str, words: &[&str]) -> bool {
    let first = words.first().copied().unwrap_or_default();
    let is_print = ["echo", "printf", "logger"].contains(&first);
    is_print && (!code.contains(['|', '>']) || code.contains(">&2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_contract_pass() {
        let workshops = BTreeSet::from(["WKSHP-A".to_owned()]);
        let told = |name: &str| {
            let finding = check_name(name, name, &workshops, &BTreeSet::new());
            finding.map(|finding| finding.rule.id)
        };
        for name in [
            "create-WKSHP-A.sh",
            "setup-pre-WKSHP-A.sh",
            "post-copy-WKSHP-A.sh.j2",
            "create-appliance.sh",
            "get-thing.sh",
            "common.sh",
        ] {
            assert_eq!(told(name), None, "{name}");
        }
        assert_eq!(told("creat-WKSHP-A.sh"), Some("script/name"));
        assert_eq!(told("create-WKSHP-A.bash"), Some("script/name"));
        assert_eq!(told("create-WKSHP-B.sh"), Some("script/workshop"));
    }

    #[test]
    fn secrets_are_found_where_they_are_printed() {
        let found = |text: &str| {
            let found = secrets(&Source::new("s", text));
            found.first().map(|f| (f.place.line, f.place.column))
        };
        for (text, place) in [
            ("#!/bin/bash\necho pw: $randompw\n", Some((2, 10))),
            ("printf '%s\\n' \"${randompw}\" >&2\n", Some((1, 16))),
            ("echo \"$randompw\" | passwd --stdin\n", None),
            ("echo \"$randompw\" >file\n", None),
            ("# echo $randompw\n", None),
            ("echo $randompwd\n", None),
            ("set -ex\ncurl -d $randompw\n", Some((1, 1))),
            ("set -x\nset +x\ncurl -d $randompw\n", None),
            ("#!/bin/bash -x\nfoo $accessToken\n", Some((1, 1))),
        ] {
            assert_eq!(found(text), place, "{text}");
        }
    }
}
