//! Templates: can they be read, and is every name in them known.

mod expression;
mod scope;

use std::collections::BTreeSet;
use std::ops::Range;

use crate::templates::inspect::{self, Tag, TagKind, Trouble, WordKind};

use self::scope::Scopes;
use super::finding::Finding;
use super::rules;
use super::rules::Level;
use super::source::{Source, quoted};
use crate::domain::near::meant;

/// What a template may name.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub variables: BTreeSet<String>,
    /// Names that a create script may have appended to the pass file.
    pub appended: BTreeSet<String>,
    /// How bad it is to name another one.
    pub undefined: Option<Level>,
}

/// What every seat sets.
pub const OF_SEAT: [&str; 5] = ["STDID", "CHALLENGE", "WORKSHOP", "MODEWS", "DIR"];

/// What there is of the host and of the run, without any inventory's doing.
pub const OF_HOST: [&str; 9] = [
    "ansible_check_mode",
    "group_names",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "vars",
];

/// Everything that is wrong with a template.
pub fn check(source: &Source<'_>, known: &Known) -> Vec<Finding> {
    let tags = inspect::tags(source.text);
    let mut check = Check {
        source,
        known,
        functions: inspect::functions(),
        found: Vec::new(),
        scopes: Scopes::new(),
        unclosed: Vec::new(),
    };
    // Line statements are no tags, so what they set is not known here.
    if !tags.has_line_statements {
        for tag in tags.tags.iter().take_while(|_| !source.is_full()) {
            check.tag(tag);
        }
    }
    let mut found = check.found;
    if source.is_full() {
        return found;
    }
    if let Some((at, trouble)) = tags.trouble {
        found.push(unreadable(source, at, trouble));
        return found;
    }
    let mut unclosed = check.unclosed;
    unclosed.extend(check.scopes.unclosed());
    match unclosed.is_empty() {
        true => found.extend(not_understood(source, &found)),
        false => found.extend(unclosed.into_iter().map(|(word, at)| {
            let message = format!("this {word} is never closed");
            source
                .found(&rules::TEMPLATE_UNCLOSED, at, message)
                .help(format!("end it with {{% end{word} %}}"))
        })),
    }
    found
}

fn unreadable(source: &Source<'_>, at: usize, trouble: Trouble) -> Finding {
    let opening = at..at + 2;
    let finding = told(source, opening.clone(), trouble);
    let line = source.line(finding.place.line);
    let is_json = source.file.ends_with(".ipynb") && line.contains("\\\"");
    match is_json && finding.rule != &rules::TEMPLATE_RAW {
        true => finding.help("within a JSON string, quote by ' what stands in a tag, not by \\\""),
        false => finding,
    }
}

fn told(source: &Source<'_>, opening: Range<usize>, trouble: Trouble) -> Finding {
    match trouble {
        Trouble::Raw => source
            .found(
                &rules::TEMPLATE_RAW,
                opening,
                "this raw block is never closed",
            )
            .help("end it with {% endraw %}"),
        Trouble::Unclosed => {
            let open = source.text.get(opening.clone()).unwrap_or_default();
            let close = match open {
                "{{" => "}}",
                "{#" => "#}",
                _ => "%}",
            };
            source
                .found(
                    &rules::TEMPLATE_UNCLOSED,
                    opening,
                    format!("this {open} is never closed"),
                )
                .help(format!(
                    "end it with {close}, or write {{{{ '{open}' }}}} for the signs themselves"
                ))
        }
        Trouble::Other(message) => source
            .found(&rules::TEMPLATE_SYNTAX, opening, message)
            .help("mend this tag, or put it between {% raw %} and {% endraw %}"),
    }
}

/// The engine's own complaint, unless it is about a place that was told already.
fn not_understood(source: &Source<'_>, found: &[Finding]) -> Option<Finding> {
    let error = inspect::check(source.file, source.text).err()?;
    if found.iter().any(|finding| finding.place.line == error.line) {
        return None;
    }
    let line = error.line.max(1);
    let (column, length) = match error.column {
        Some(column) => (column, 1),
        None => (1, source.line(line).chars().count()),
    };
    let at = source.offset(line, column)..source.offset(line, column + length);
    let finding = source.found(
        &rules::TEMPLATE_SYNTAX,
        at,
        format!("the template cannot be read: {}", error.message),
    );
    Some(finding.help("signs that are meant as they are stand in {% raw %} … {% endraw %}"))
}

struct Check<'a> {
    source: &'a Source<'a>,
    known: &'a Known,
    functions: BTreeSet<String>,
    found: Vec<Finding>,
    scopes: Scopes,
    unclosed: Vec<(String, Range<usize>)>,
}

impl Check<'_> {
    fn tag(&mut self, tag: &Tag) {
        let first = tag.words.first();
        match (tag.kind, first) {
            (TagKind::Block, Some(word)) if word.kind == WordKind::Name => self.statement(tag),
            (TagKind::Block, _) => {}
            (TagKind::Variable, _) => {
                self.expression(&tag.words);
            }
        }
    }

    fn undefined(&mut self, name: &str, at: Range<usize>) {
        let Some(level) = self.known.undefined else {
            return;
        };
        let names = self.known.variables.iter().map(String::as_str);
        let names = names
            .chain(self.functions.iter().map(String::as_str))
            .chain(self.scopes.names());
        let help = meant(name, names).unwrap_or_else(|| {
            format!(
                "set it in the inventory or in variables_<WORKSHOP>.yml, or write \
                 {{{{ {name} | default('') }}}}"
            )
        });
        let message = match level {
            Level::Error => format!("variable {} is not set anywhere", quoted(name)),
            _ => format!(
                "variable {} is none that every site has, and no inventory is known",
                quoted(name)
            ),
        };
        let finding = self.source.found(&rules::TEMPLATE_UNDEFINED, at, message);
        self.found.push(finding.level(level).help(help));
    }

    fn is_known(&self, name: &str) -> bool {
        self.known.variables.contains(name)
            || self.known.appended.contains(name)
            || self.functions.contains(name)
            || self.scopes.has(name)
    }
}
