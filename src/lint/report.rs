//! Findings for people: the place, the line with a caret, what to do next, and a last line that counts.

use std::fmt::Write;

use super::finding::Finding;
use super::rules::Level;
use super::run::Report;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    On,
    Off,
}

impl Colours {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Colours::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Colours::Off => text.to_owned(),
        }
    }

    fn level(self, level: Level, text: &str) -> String {
        let code = match level {
            Level::Error => "1;31",
            Level::Warning => "1;33",
            Level::Note => "1;36",
        };
        self.paint(code, text)
    }

    fn frame(self, text: &str) -> String {
        self.paint("1;34", text)
    }
}

/// One finding, several lines, with an empty one at the end.
pub fn for_people(finding: &Finding, colours: Colours) -> String {
    let place = &finding.place;
    let head = format!("{}[{}]", finding.level.as_str(), finding.rule.id);
    let mut out = format!(
        "{}: {}\n",
        colours.level(finding.level, &head),
        finding.message
    );
    let width = match place.line {
        0 => 1,
        line => line.to_string().len(),
    };
    let blank = " ".repeat(width);
    let shown = match place.line {
        0 => place.file.clone(),
        line => format!("{}:{line}:{}", place.file, place.column),
    };
    // Writing to a text does not fail.
    let _ = writeln!(out, "{blank}{} {shown}", colours.frame("-->"));
    let bar = colours.frame("|");
    if let Some(excerpt) = &place.excerpt {
        let number = colours.frame(&place.line.to_string());
        let carets = colours.level(finding.level, &"^".repeat(excerpt.carets));
        let _ = writeln!(out, "{blank} {bar}");
        let _ = writeln!(out, "{number} {bar} {}", excerpt.text);
        let _ = writeln!(out, "{blank} {bar} {}{carets}", " ".repeat(excerpt.before));
    }
    if let Some(help) = &finding.help {
        let _ = writeln!(out, "{blank} {} help: {help}", colours.frame("="));
    }
    out.push('\n');
    out
}

/// `3 errors, 1 warning in 2 workshops`.
pub fn summary(report: &Report) -> String {
    let levels = [Level::Error, Level::Warning, Level::Note];
    let counts = levels.map(|level| (level.as_str(), report.count(level)));
    let parts: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| plural(*count, name))
        .collect();
    let workshops = plural(report.workshops, "workshop");
    match parts.is_empty() {
        true => format!("nothing to say about {workshops}"),
        false => format!("{} in {workshops}", parts.join(", ")),
    }
}

fn plural(count: usize, name: &str) -> String {
    match count {
        1 => format!("1 {name}"),
        count => format!("{count} {name}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::rules;
    use crate::lint::source::Source;

    #[test]
    fn people_see_the_line_and_where_in_it() {
        let text = "one\nhello {{ STDIDD }}\n";
        let source = Source::new("a/b.py", text);
        let at = text.find("STDIDD").unwrap();
        let found = source
            .found(
                &rules::TEMPLATE_UNDEFINED,
                at..at + 6,
                "variable `STDIDD` is not set",
            )
            .help("did you mean `STDID`?");
        let shown = for_people(&found, Colours::Off);
        assert_eq!(
            shown,
            "error[template/undefined]: variable `STDIDD` is not set\n --> a/b.py:2:10\n  |\n\
             2 | hello {{ STDIDD }}\n  |          ^^^^^^\n  = help: did you mean `STDID`?\n\n"
        );
        assert!(for_people(&found, Colours::On).contains("\x1b[1;31merror"));
        let report = Report {
            findings: vec![found],
            workshops: 2,
            left_out: Vec::new(),
        };
        assert_eq!(summary(&report), "1 error in 2 workshops");
    }
}
