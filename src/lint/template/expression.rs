//! The words of a tag: which of them are variables, filters and tests, and what a statement sets.
//!
//! This is no parser: the engine is. It finds names with their places, and takes what it does not
//! understand for right.

use std::collections::BTreeSet;

use crate::templates::inspect::{Tag, Word, WordKind};
use crate::templates::{self, inspect};

use super::Check;
use crate::domain::near::meant;
use crate::lint::rules::{self, Rule};
use crate::lint::source::quoted;

const KEYWORDS: [&str; 18] = [
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "elif",
    "true",
    "false",
    "none",
    "True",
    "False",
    "None",
    "recursive",
    "loop",
    "self",
    "super",
];

impl Check<'_> {
    /// A block tag: what it opens, closes and sets.
    pub(super) fn statement(&mut self, tag: &Tag) {
        let (first, rest) = (&tag.words[0], &tag.words[1..]);
        let word = first.text.as_str();
        match word {
            "for" => self.for_loop(tag, rest),
            "if" => {
                let guarded = self.expression(rest);
                self.scopes.enter(word, tag.at.clone());
                guarded.iter().for_each(|name| self.scopes.add_here(name));
            }
            "elif" => {
                let guarded = self.expression(rest);
                guarded.iter().for_each(|name| self.scopes.add_here(name));
            }
            "set" => self.set(tag, rest),
            "macro" => self.macro_or_call(tag, rest, word),
            "call" => {
                let skipped = brackets(rest);
                self.expression(&rest[skipped..]);
                self.macro_or_call(tag, rest, word);
            }
            "with" => {
                self.expression(rest);
                self.scopes.enter(word, tag.at.clone());
                for name in assigned(rest) {
                    self.scopes.add_here(&name);
                }
            }
            "filter" => {
                if let Some(name) = rest.first() {
                    self.named(&rules::TEMPLATE_FILTER, name);
                }
                self.scopes.enter(word, tag.at.clone());
            }
            "block" | "autoescape" => self.scopes.enter(word, tag.at.clone()),
            "import" | "from" => self.import(rest),
            "do" | "print" => drop(self.expression(rest)),
            "endset" | "endfor" | "endif" | "endmacro" | "endcall" | "endwith" | "endfilter"
            | "endblock" | "endautoescape" => {
                let unclosed = self.scopes.leave(&word[3..]);
                self.unclosed.extend(unclosed);
            }
            _ => {}
        }
    }

    fn for_loop(&mut self, tag: &Tag, rest: &[Word]) {
        let split = top_level(rest, "in").unwrap_or(rest.len());
        let (targets, after) = rest.split_at(split);
        let after = after.get(1..).unwrap_or_default();
        let condition = loop_condition(after).unwrap_or(after.len());
        self.expression(&after[..condition]);
        self.scopes.enter("for", tag.at.clone());
        for target in targets.iter().filter(|word| word.kind == WordKind::Name) {
            self.scopes.add_here(&target.text);
        }
        self.scopes.add_here("loop");
        self.expression(after.get(condition + 1..).unwrap_or_default());
    }

    fn set(&mut self, tag: &Tag, rest: &[Word]) {
        let equals = top_level(rest, "=");
        let targets = &rest[..equals.or(top_level(rest, "|")).unwrap_or(rest.len())];
        match equals {
            Some(at) => drop(self.expression(&rest[at + 1..])),
            None => {
                self.scopes.enter("set", tag.at.clone());
                // What is set stays when the block is over.
                for name in targets.iter().filter(|word| word.kind == WordKind::Name) {
                    self.scopes.add_here(&name.text);
                }
            }
        }
        for (at, target) in targets.iter().enumerate() {
            let is_step = at > 0 && targets[at - 1].text == ".";
            if target.kind == WordKind::Name && !is_step {
                match equals {
                    Some(_) => self.scopes.set(&target.text),
                    None => self.scopes.set_outside(&target.text),
                }
            }
        }
    }

    fn macro_or_call(&mut self, tag: &Tag, rest: &[Word], word: &str) {
        let is_macro = word == "macro";
        if let Some(name) = rest.first().filter(|_| is_macro) {
            self.scopes.set(&name.text);
        }
        let from = usize::from(is_macro).min(rest.len());
        let arguments = &rest[from..from + brackets(&rest[from..])];
        self.expression(&defaults(arguments));
        self.scopes.enter(word, tag.at.clone());
        for name in parameters(arguments) {
            self.scopes.add_here(&name);
        }
        for name in ["varargs", "kwargs", "caller"] {
            self.scopes.add_here(name);
        }
    }

    fn import(&mut self, rest: &[Word]) {
        let names = rest.iter().filter(|word| word.kind == WordKind::Name);
        let context = ["import", "as", "with", "without", "context"];
        for name in names.filter(|word| !context.contains(&word.text.as_str())) {
            self.scopes.set(&name.text);
        }
    }

    /// Looks at an expression; the names that it asks for before it uses them.
    pub(super) fn expression(&mut self, words: &[Word]) -> BTreeSet<String> {
        let uses: Vec<usize> = (0..words.len())
            .filter(|&at| is_variable(words, at))
            .collect();
        let asked = uses.iter().filter(|&&at| tolerates_missing(words, at));
        let guarded: BTreeSet<String> = asked.map(|&at| words[at].text.clone()).collect();
        for at in uses {
            let word = &words[at];
            if word.text == "hostvars" || word.text == "vars" {
                self.indirect(words, at);
            }
            if !guarded.contains(&word.text) && !self.is_known(&word.text) {
                self.undefined(&word.text, word.at.clone());
            }
        }
        for at in 1..words.len() {
            if words[at].kind != WordKind::Name {
                continue;
            }
            match words[at - 1].text.as_str() {
                "|" if is_sign(&words[at - 1]) => {
                    let name = unqualified(words, at);
                    self.named(&rules::TEMPLATE_FILTER, name);
                }
                "is" if words[at].text != "not" => self.test(words, at),
                "not" if at > 1 && words[at - 2].text == "is" => self.test(words, at),
                _ => {}
            }
        }
        self.percents(words);
        guarded
    }

    fn test(&mut self, words: &[Word], at: usize) {
        self.named(&rules::TEMPLATE_TEST, unqualified(words, at));
    }

    /// A filter or test has to exist.
    fn named(&mut self, rule: &'static Rule, word: &Word) {
        let name = word.text.as_str();
        let known = templates::known();
        let (what, exists, names): (_, fn(&str) -> bool, _) = match rule == &rules::TEMPLATE_FILTER
        {
            true => ("filter", inspect::has_filter, known.filters),
            false => ("test", inspect::has_test, known.tests),
        };
        if name == "not" || exists(name) {
            return;
        }
        let help = meant(name, names.iter().copied())
            .unwrap_or_else(|| format!("use a {what} of Jinja2 or of Ansible's own collection"));
        let message = format!("there is no {what} {}", quoted(name));
        let finding = self.source.found(rule, word.at.clone(), message);
        self.found.push(finding.help(help));
    }

    /// `hostvars[…]['NAME']` and `vars['NAME']`.
    fn indirect(&mut self, words: &[Word], at: usize) {
        let mut next = at + 1;
        if words[at].text == "hostvars" {
            next = step_end(words, next);
        }
        let named = match words.get(next..next + 3) {
            Some([open, name, close])
                if open.text == "[" && close.text == "]" && name.kind == WordKind::Text =>
            {
                name
            }
            _ => return,
        };
        let is_asked = asks(words, chain_end(words, at));
        if !is_asked && next > at && !self.is_known(&named.text) {
            self.undefined(&named.text, named.at.clone());
        }
    }

    /// `'%s' % x`: the engine knows no such thing.
    fn percents(&mut self, words: &[Word]) {
        for at in 1..words.len() {
            let (text, sign) = (&words[at - 1], &words[at]);
            if !(sign.text == "%" && is_sign(sign) && text.kind == WordKind::Text) {
                continue;
            }
            let from = at + 1;
            let end = match words.get(from) {
                Some(word) if word.text == "(" => from + brackets(&words[from..]),
                _ => chain_end(words, from),
            };
            let Some(last) = end.checked_sub(1).and_then(|end| words.get(end)) else {
                continue;
            };
            let slice = |from: usize, to: usize| self.source.text.get(from..to).unwrap_or("");
            let operand = slice(words[at].at.end, last.at.end).trim();
            let inner = operand.strip_prefix('(').and_then(|o| o.strip_suffix(')'));
            let mend = format!(
                "{} | format({})",
                slice(text.at.start, text.at.end),
                inner.unwrap_or(operand).trim().trim_end_matches(',')
            );
            let finding = self.source.found(
                &rules::TEMPLATE_PERCENT,
                text.at.start..last.at.end,
                "texts are not formatted by %",
            );
            self.found.push(
                finding
                    .help(format!("write it with the format filter: {mend}"))
                    .mend(mend),
            );
        }
    }
}

fn is_sign(word: &Word) -> bool {
    word.kind == WordKind::Sign
}

fn is(words: &[Word], at: usize, sign: &str) -> bool {
    words
        .get(at)
        .is_some_and(|word| is_sign(word) && word.text == sign)
}

/// Whether a word is a variable, or a function.
fn is_variable(words: &[Word], at: usize) -> bool {
    let word = &words[at];
    if word.kind != WordKind::Name || KEYWORDS.contains(&word.text.as_str()) {
        return false;
    }
    if let Some(before) = at.checked_sub(1) {
        let previous = &words[before];
        let of_test = previous.text == "is"
            || previous.text == "not" && before > 0 && words[before - 1].text == "is";
        if is(words, before, ".") || is(words, before, "|") || of_test && !is_sign(previous) {
            return false;
        }
    }
    let is_argument = is(words, at + 1, "=") && !is(words, at + 2, "=");
    !is_argument
}

/// The last word of `ansible.builtin.bool`.
fn unqualified(words: &[Word], mut at: usize) -> &Word {
    while is(words, at + 1, ".") && words.get(at + 2).is_some_and(|w| w.kind == WordKind::Name) {
        at += 2;
    }
    &words[at]
}

/// Behind one step (`.name`, `[…]`, `(…)`), or where it would begin.
fn step_end(words: &[Word], at: usize) -> usize {
    if is(words, at, ".") {
        return (at + 2).min(words.len());
    }
    match is(words, at, "[") || is(words, at, "(") {
        true => at + brackets(&words[at..]),
        false => at,
    }
}

/// Behind a name or literal with all its steps.
fn chain_end(words: &[Word], at: usize) -> usize {
    let mut end = (at + 1).min(words.len());
    loop {
        match step_end(words, end) {
            same if same == end => return end,
            next => end = next,
        }
    }
}

/// Whether the chain that begins here may be missing.
fn tolerates_missing(words: &[Word], at: usize) -> bool {
    let mut end = chain_end(words, at);
    let mut start = at;
    // `(a.b) | default(1)`
    while start > 0 && is(words, start - 1, "(") && is(words, end, ")") {
        start -= 1;
        end += 1;
        // Not the arguments of a call.
        if start > 0 && words[start - 1].kind == WordKind::Name && !asks(words, end) {
            return false;
        }
    }
    asks(words, end)
}

/// Whether `| default`, `is defined` or the like stands here.
fn asks(words: &[Word], at: usize) -> bool {
    let name = |at: usize, names: &[&str]| {
        let at = words.get(at).map(|_| unqualified(words, at));
        at.is_some_and(|word| names.contains(&word.text.as_str()))
    };
    if is(words, at, "|") {
        return name(at + 1, &["default", "d"]);
    }
    let behind = if name(at + 1, &["not"]) {
        at + 2
    } else {
        at + 1
    };
    words.get(at).is_some_and(|word| word.text == "is") && name(behind, &["defined", "undefined"])
}

/// How many words the brackets that open here take.
fn brackets(words: &[Word]) -> usize {
    words.first().map_or(0, |word| word.takes.min(words.len()))
}

/// Where a word stands outside of all brackets.
fn top_level(words: &[Word], text: &str) -> Option<usize> {
    let mut at = 0;
    while at < words.len() {
        match brackets(&words[at..]) {
            0 if words[at].text == text && words[at].kind != WordKind::Text => return Some(at),
            taken => at += taken.max(1),
        }
    }
    None
}

/// Where the condition of a loop begins: at an `if` that no `else` follows.
fn loop_condition(words: &[Word]) -> Option<usize> {
    let at = top_level(words, "if")?;
    let inline = top_level(&words[at..], "else").is_some();
    (!inline).then_some(at)
}

/// The names before `=` outside of brackets.
fn assigned(words: &[Word]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if is(words, at + 1, "=") && words[at].kind == WordKind::Name {
            names.push(words[at].text.clone());
        }
        at += brackets(&words[at..]).max(1);
    }
    names
}

/// The parameters of `(a, b=1)`.
fn parameters(words: &[Word]) -> Vec<String> {
    let mut names = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let begins = at > 0 && (is(words, at - 1, "(") || is(words, at - 1, ","));
        if word.kind == WordKind::Name && begins {
            names.push(word.text.clone());
        }
    }
    names
}

/// The same without the parameters' own names: what their defaults are made of.
fn defaults(words: &[Word]) -> Vec<Word> {
    let own = parameters(words);
    let kept = words.iter().filter(|word| !own.contains(&word.text));
    kept.cloned().collect()
}
