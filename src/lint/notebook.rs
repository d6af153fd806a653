//! Notebooks: JSON, format 4, and as clean as a participant should find them.

use std::collections::BTreeSet;
use std::ops::Range;

use super::finding::Finding;
use super::json::{self, Json, Node};
use super::rules::{self, Rule};
use super::source::{Source, quoted};

const CLEAR: &str =
    "clear it before it is committed: jupyter nbconvert --clear-output --inplace FILE";

/// The minor format of today, for what does not say.
const NEWEST: i64 = 5;

/// Everything that is wrong with a notebook but its template tags.
pub fn check(source: &Source<'_>) -> Vec<Finding> {
    let root = match json::read(source.text) {
        Ok(root) => root,
        Err(e) => return vec![not_json(source, &e)],
    };
    let mut check = Check {
        source,
        found: Vec::new(),
        ids: BTreeSet::new(),
        minor: 0,
    };
    check.notebook(&root);
    check.found
}

const TAGS: [&str; 3] = ["{%", "{{", "{#"];

fn not_json(source: &Source<'_>, e: &json::JsonError) -> Finding {
    // `{` may have been taken for an object before `%` was none of its keys.
    let starts = |at: &usize| {
        let rest = source.text.get(*at..).unwrap_or_default();
        TAGS.iter().any(|tag| rest.starts_with(tag))
    };
    if let Some(at) = [e.at, e.at.saturating_sub(1)].into_iter().find(starts) {
        let message = "a template tag stands outside of a string, so that no editor can open the \
                       notebook, and its cells are not checked";
        return source
            .found(&rules::NOTEBOOK_TAG, at..at + 2, message)
            .help("put the tag into a string of the cell's source");
    }
    let message = format!("the notebook is not JSON: {}", e.message);
    source
        .found(&rules::NOTEBOOK_JSON, e.at..e.at + 1, message)
        .help("open it in JupyterLab and save it again, or take an older version")
}

struct Check<'a> {
    source: &'a Source<'a>,
    found: Vec<Finding>,
    ids: BTreeSet<String>,
    minor: i64,
}

impl Check<'_> {
    fn tell(&mut self, rule: &'static Rule, at: Range<usize>, message: String, help: &str) {
        self.found
            .push(self.source.found(rule, at, message).help(help));
    }

    fn notebook(&mut self, root: &Node) {
        let is_map = matches!(root.value, Json::Map(_));
        if !is_map {
            let message = format!("a notebook is an object with cells, not {}", root.kind());
            self.tell(
                &rules::NOTEBOOK_FORMAT,
                start(root),
                message,
                "save it from JupyterLab",
            );
            return;
        }
        if !self.format(root) {
            return;
        }
        if self.needed(root, "metadata", &rules::NOTEBOOK_FORMAT, "the notebook")
            && let Some(node) = root.get("metadata")
            && !matches!(node.value, Json::Map(_))
        {
            self.wrong(&rules::NOTEBOOK_FORMAT, node, "metadata", "an object");
        }
        if !self.needed(root, "cells", &rules::NOTEBOOK_FORMAT, "the notebook") {
            return;
        }
        let Some(cells) = root.get("cells") else {
            return;
        };
        match &cells.value {
            Json::List(cells) => cells.iter().for_each(|cell| self.cell(cell)),
            _ => self.wrong(&rules::NOTEBOOK_FORMAT, cells, "cells", "a list"),
        }
    }

    /// Whether it is a notebook whose cells can be looked at.
    fn format(&mut self, root: &Node) -> bool {
        let rule = &rules::NOTEBOOK_FORMAT;
        if !self.needed(root, "nbformat", rule, "the notebook") {
            return true;
        }
        if let Some(node) = root.get("nbformat")
            && !matches!(node.value, Json::Number(Some(4)))
        {
            let shown = quoted(self.source.text.get(node.at.clone()).unwrap_or_default());
            self.tell(
                rule,
                node.at.clone(),
                format!("nbformat is {shown}, expected 4"),
                "convert it: jupyter nbconvert --to notebook --inplace FILE",
            );
            return false;
        }
        if self.needed(root, "nbformat_minor", rule, "the notebook") {
            match root.get("nbformat_minor") {
                Some(Node {
                    value: Json::Number(Some(minor)),
                    ..
                }) => self.minor = *minor,
                Some(node) => {
                    self.wrong(rule, node, "nbformat_minor", "a whole number");
                    self.minor = NEWEST;
                }
                None => {}
            }
        }
        true
    }

    fn needed(&mut self, node: &Node, name: &str, rule: &'static Rule, what: &str) -> bool {
        let is_there = node.get(name).is_some();
        if !is_there {
            let message = format!("{what} has no {name}");
            self.tell(
                rule,
                start(node),
                message,
                "save the notebook from JupyterLab",
            );
        }
        is_there
    }

    fn wrong(&mut self, rule: &'static Rule, node: &Node, name: &str, expected: &str) {
        let message = format!("{name} is {}, expected {expected}", node.kind());
        self.tell(
            rule,
            start(node),
            message,
            "save the notebook from JupyterLab",
        );
    }

    fn cell(&mut self, cell: &Node) {
        if self.source.is_full() {
            return;
        }
        let rule = &rules::NOTEBOOK_CELL;
        if !matches!(cell.value, Json::Map(_)) {
            return self.wrong(rule, cell, "a cell", "an object");
        }
        if let Some(node) = cell.get("metadata") {
            if !matches!(node.value, Json::Map(_)) {
                self.wrong(rule, node, "metadata", "an object");
            }
        } else {
            self.needed(cell, "metadata", rule, "a cell");
        }
        self.source(cell);
        self.id(cell);
        let kind = cell.get("cell_type");
        match kind.map(|node| (&node.value, node)) {
            None => {
                self.needed(cell, "cell_type", rule, "a cell");
            }
            Some((Json::Text(kind), _)) if kind == "code" => self.code(cell),
            Some((Json::Text(kind), _)) if kind == "markdown" || kind == "raw" => {
                self.no_code(cell, kind);
            }
            Some((Json::Text(kind), node)) => {
                let message = format!("cell_type is {}", quoted(kind));
                self.tell(
                    rule,
                    node.at.clone(),
                    message,
                    "expected code, markdown or raw",
                );
            }
            Some((_, node)) => self.wrong(rule, node, "cell_type", "a text"),
        }
    }

    fn source(&mut self, cell: &Node) {
        let rule = &rules::NOTEBOOK_CELL;
        let Some(node) = cell.get("source") else {
            self.needed(cell, "source", rule, "a cell");
            return;
        };
        let is_text = |node: &Node| matches!(node.value, Json::Text(_));
        match &node.value {
            Json::Text(_) => {}
            Json::List(lines) => {
                if let Some(line) = lines.iter().find(|line| !is_text(line)) {
                    self.wrong(rule, line, "a line of source", "a text");
                }
            }
            _ => self.wrong(rule, node, "source", "a text or a list of texts"),
        }
    }

    fn id(&mut self, cell: &Node) {
        let rule = &rules::NOTEBOOK_ID;
        let has_ids = self.minor >= 5;
        let Some(node) = cell.get("id") else {
            if has_ids {
                self.needed(cell, "id", rule, "a cell of nbformat 4.5 or later");
            }
            return;
        };
        let at = node.at.clone();
        let Json::Text(id) = &node.value else {
            return self.wrong(rule, node, "id", "a text");
        };
        let fits = (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !has_ids {
            let message = format!("cells of nbformat 4.{} have no id", self.minor);
            self.tell(rule, at, message, "set nbformat_minor to 5");
        } else if !fits {
            let message = format!("the cell's id {} is not well formed", quoted(id));
            self.tell(
                rule,
                at,
                message,
                "an id is 1 to 64 letters, digits, - or _",
            );
        } else if !self.ids.insert(id.clone()) {
            let message = format!("two cells have the id {}", quoted(id));
            self.tell(rule, at, message, "give this cell an id of its own");
        }
    }

    fn code(&mut self, cell: &Node) {
        let rule = &rules::NOTEBOOK_CELL;
        if let Some(node) = cell.get("outputs") {
            match &node.value {
                Json::List(outputs) => {
                    if let Some(first) = outputs.first() {
                        let message = format!(
                            "the cell comes with {} of its outputs; a participant sees the author's",
                            outputs.len()
                        );
                        self.tell(&rules::NOTEBOOK_OUTPUT, start(first), message, CLEAR);
                    }
                }
                _ => self.wrong(rule, node, "outputs", "a list"),
            }
        } else {
            self.needed(cell, "outputs", rule, "a code cell");
        }
        let Some(node) = cell.get("execution_count") else {
            self.needed(cell, "execution_count", rule, "a code cell");
            return;
        };
        match node.value {
            Json::Null => {}
            Json::Number(Some(_)) => {
                let message =
                    "the cell counts as executed, for every participant's completion ratio";
                self.tell(
                    &rules::NOTEBOOK_EXECUTED,
                    node.at.clone(),
                    message.to_owned(),
                    CLEAR,
                );
                if let Some(last) = self.found.last_mut() {
                    last.mend = Some("null".to_owned());
                }
            }
            _ => self.wrong(rule, node, "execution_count", "null or a number"),
        }
    }

    fn no_code(&mut self, cell: &Node, kind: &str) {
        let Json::Map(pairs) = &cell.value else {
            return;
        };
        for (key, _) in pairs {
            if key.name == "outputs" || key.name == "execution_count" {
                let message = format!("a {kind} cell has {}", key.name);
                self.tell(
                    &rules::NOTEBOOK_CELL,
                    key.at.clone(),
                    message,
                    "only code cells have it; take it out",
                );
            }
        }
    }
}

/// The first sign of a value: where an object begins.
fn start(node: &Node) -> Range<usize> {
    match node.value {
        Json::Map(_) | Json::List(_) => node.at.start..node.at.start + 1,
        _ => node.at.clone(),
    }
}
