//! The house rules that a machine can check. Each finding names its place and what to do.
//!
//! A rule is a function from one file to lines; each has a test of its own on a bad example.

mod circles;
mod floors;
mod raw_files;
mod source;

use std::fmt::Display;
use std::marker::PhantomData;

use serde::Serialize;
use wod::domain::Secret;

use raw_files::RAW_FILES;
use source::{Source, read_all, whole_words};

const LONGEST: usize = 600;

/// Panics that cannot happen: file, words of the `expect`, why not.
const SURE: &[(&str, &str, &str)] = &[
    (
        "src/domain/signature.rs",
        "any length is a key",
        "what HMAC is",
    ),
    (
        "src/inventory/scalar.rs",
        "the pattern is a constant",
        "every start of the program compiles it",
    ),
    (
        "src/inventory/yaml.rs",
        "checked",
        "the caller looked at the same field",
    ),
    (
        "src/inventory/yaml.rs",
        "the parser pairs starts and ends",
        "saphyr gives no end without a start",
    ),
    (
        "src/inventory/yaml.rs",
        "still open",
        "pushed by this function's caller, popped after it",
    ),
    ("src/safefs/walk.rs", "one frame", "two were counted before"),
    (
        "src/safefs/walk.rs",
        "the last frame is open",
        "only frames above the last one are closed",
    ),
    (
        "src/safefs/walk.rs",
        "two frames",
        "they were counted before",
    ),
    (
        "src/templates/engine.rs",
        "the default delimiters are sound",
        "a constant",
    ),
    (
        "src/templates/environment.rs",
        "a thread can be started",
        "fails with the process's own limits only",
    ),
    (
        "src/templates/filters.rs",
        "there is one",
        "the branch asked for it",
    ),
    (
        "src/templates/filters/pattern.rs",
        "group 0 always matches",
        "what a match is",
    ),
    (
        "src/templates/tokens.rs",
        "not at the end",
        "the loop asked for it",
    ),
    (
        "src/templates/vault/envelope.rs",
        "32 and 16 bytes",
        "slices of a fixed array",
    ),
    (
        "src/templates/vault/envelope.rs",
        "any length is a key",
        "what HMAC is",
    ),
    (
        "src/templates/vault/envelope.rs",
        "hex is ASCII",
        "it was made two lines above",
    ),
];

fn has_header(source: &Source) -> Vec<String> {
    match source.text.lines().next() {
        Some(line) if line.starts_with("//! ") && line.len() > 12 => Vec::new(),
        _ => vec![format!(
            "{}:1: no header; say in `//!` lines what lives here and what must not",
            source.path
        )],
    }
}

fn is_short(source: &Source) -> Vec<String> {
    match source.text.lines().count() {
        lines if lines > LONGEST => vec![format!(
            "{}:{LONGEST}: {lines} lines, {LONGEST} are allowed; give a part of it a file of its own",
            source.path
        )],
        _ => Vec::new(),
    }
}

fn starts_no_process(source: &Source) -> Vec<String> {
    if source.path == "src/exec.rs" || source.path.starts_with("src/exec/") {
        return Vec::new();
    }
    let starts = [
        "process::Command",
        "Command::new",
        "nix::unistd::fork",
        "execv",
        "execve",
        "execveat",
        "execvp",
        "execvpe",
        "fexecve",
        "posix_spawn",
    ];
    let mut wrong = Vec::new();
    for word in starts {
        let found = source.words(word).into_iter();
        // clap has a Command, too.
        let found = found.filter(|&at| !source.code[..at].ends_with("clap::"));
        wrong.extend(
            found.map(|at| format!("{}: {word} outside exec; use exec::Cmd", source.at(at))),
        );
    }
    wrong
}

fn uses_raw_files(source: &Source) -> Vec<usize> {
    let direct = [
        "std::fs",
        "rustix::fs",
        "tokio::fs",
        "unix::fs::symlink",
        "unix::fs::chown",
        "unix::fs::lchown",
        "nix::fcntl::open",
        "nix::sys::stat",
    ];
    let mut found: Vec<usize> = direct.iter().flat_map(|word| source.words(word)).collect();
    // Methods of a path, not of an open file or of a handle of ours, which takes a name.
    let of_a_path = [
        ".canonicalize()",
        ".exists()",
        ".is_dir()",
        ".is_file()",
        ".is_symlink()",
        ".metadata()",
        ".read_dir()",
        ".symlink_metadata()",
        ".try_exists()",
    ];
    for method in of_a_path {
        found.extend(source.words(method));
    }
    for group in ["std::{", "rustix::{", "tokio::{"] {
        for at in source.words(group) {
            let inside = &source.code[at..];
            let end = inside.find(';').unwrap_or(inside.len());
            found.extend(whole_words(&inside[..end], "fs").first().map(|_| at));
        }
    }
    found.sort_unstable();
    found
}

fn goes_through_safefs(source: &Source) -> Vec<String> {
    let known = RAW_FILES.iter().any(|(path, _)| *path == source.path);
    if known || source.path.starts_with("src/safefs/") || source.path == "src/safefs.rs" {
        return Vec::new();
    }
    let found = uses_raw_files(source).into_iter().map(|at| {
        format!(
            "{}: files by name outside safefs; use safefs::Dir, or say in RAW_FILES why no student can be behind the path",
            source.at(at)
        )
    });
    found.collect()
}

/// Place and words of each call that panics.
fn panics(source: &Source) -> Vec<(usize, String)> {
    let calls = [
        ".unwrap()",
        ".unwrap_err()",
        ".expect(",
        ".expect_err(",
        "panic!(",
        "unreachable!(",
    ];
    let mut found = Vec::new();
    for call in calls {
        for at in source.words(call) {
            let rest = source.text[at + call.len()..].trim_start();
            match rest
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next())
            {
                Some(words) => found.push((at, words.to_owned())),
                // A method of that name that takes something else is none of the library's.
                None if call.starts_with(".expect") && !rest.starts_with("&format!") => {}
                None => found.push((at, String::new())),
            }
        }
    }
    found
}

fn does_not_panic(source: &Source) -> Vec<String> {
    let sure = |words: &str| {
        SURE.iter()
            .any(|(path, known, _)| *path == source.path && *known == words)
    };
    let found = panics(source).into_iter().filter(|(_, words)| !sure(words));
    found
        .map(|(at, words)| {
            format!(
                "{}: can panic ({words}); return an error, or say in SURE why it cannot happen",
                source.at(at)
            )
        })
        .collect()
}

/// The library's macros panic when nobody reads any more.
fn says_without_panic(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for word in ["println!", "print!", "eprintln!", "eprint!", "dbg!"] {
        let found = source.words(word).into_iter();
        wrong.extend(found.map(|at| {
            format!(
                "{}: {word} panics when nobody reads; use outln!, out! or errln! of cli/out",
                source.at(at)
            )
        }));
    }
    wrong
}

fn is_finished(source: &Source) -> Vec<String> {
    // Not as they are looked for, or this file would be found.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("#[ig", "nore"),
    ];
    let mut wrong = Vec::new();
    for word in words {
        let found = whole_words(&source.text, word).into_iter();
        wrong.extend(found.map(|at| {
            format!(
                "{}: {word}; do it, or leave it out and tell who plans",
                source.at(at)
            )
        }));
    }
    wrong
}

fn keeps_secrets(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for shown in [
        "Display",
        "Serialize",
        "Deref",
        "AsRef<str>",
        "Borrow<str>",
        "From<Secret>",
    ] {
        for place in source.words(&format!("{shown} for Secret")) {
            wrong.push(format!(
                "{}: {shown} shows a Secret; call expose() where it is handed over",
                source.at(place)
            ));
        }
    }
    for place in source.words("struct Secret") {
        let before = &source.code[..place];
        let derives = before.rfind("#[derive(").map_or("", |at| &before[at..]);
        for shown in ["Debug", "Serialize", "Display", "Deref"] {
            if !derives.contains("struct ")
                && derives.contains("derive")
                && !whole_words(derives, shown).is_empty()
            {
                wrong.push(format!(
                    "{}: a Secret that derives {shown} shows itself; leave it out",
                    source.at(place)
                ));
            }
        }
    }
    wrong
}

fn sources() -> Vec<Source> {
    read_all(&["src"], &["rs"])
}

/// Prints how much was looked at, and fails with all findings of a rule.
fn hold(files: &[Source], rule: fn(&Source) -> Vec<String>) {
    let wrong: Vec<String> = files.iter().flat_map(rule).collect();
    println!("{} files", files.len());
    assert!(files.len() > 50, "where are the files?");
    assert!(
        wrong.is_empty(),
        "{} findings:\n  {}",
        wrong.len(),
        wrong.join("\n  ")
    );
}

#[test]
fn modules_import_only_what_stands_below() {
    hold(&sources(), floors::check);
}

#[test]
fn every_module_says_what_lives_there() {
    hold(&read_all(&["src", "tests"], &["rs"]), has_header);
}

#[test]
fn no_file_is_too_long() {
    hold(&read_all(&["src", "tests"], &["rs", "sh", "py"]), is_short);
}

#[test]
fn processes_are_started_by_exec() {
    hold(&sources(), starts_no_process);
}

#[test]
fn files_are_reached_through_safefs() {
    let all = sources();
    hold(&all, goes_through_safefs);
    for (path, _) in RAW_FILES {
        let used = all
            .iter()
            .any(|s| s.path == *path && !uses_raw_files(s).is_empty());
        assert!(
            used,
            "{path} in RAW_FILES uses no raw files; take it out of the list"
        );
    }
}

#[test]
fn nothing_panics_outside_tests() {
    let all = sources();
    hold(&all, does_not_panic);
    for (path, words, _) in SURE {
        let used = all
            .iter()
            .any(|s| s.path == *path && panics(s).iter().any(|(_, w)| w == words));
        assert!(used, "{path} has no `{words}`; take it out of SURE");
    }
}

#[test]
fn what_is_said_does_not_panic() {
    hold(&sources(), says_without_panic);
}

#[test]
fn nothing_is_left_for_later() {
    hold(
        &read_all(&["src", "tests"], &["rs", "sh", "py"]),
        is_finished,
    );
}

/// Whether a type has a trait: the inherent constant is chosen where its bound holds.
struct Has<T>(PhantomData<T>);

trait Not {
    const IT: bool = false;
}

impl<T> Not for Has<(T, u8)> {}
impl<T> Not for Has<(T, u16)> {}

impl<T: Display> Has<(T, u8)> {
    const IT: bool = true;
}

impl<T: Serialize> Has<(T, u16)> {
    const IT: bool = true;
}

#[test]
fn a_secret_shows_itself_to_nobody() {
    hold(&sources(), keeps_secrets);
    const {
        assert!(!Has::<(Secret, u8)>::IT, "Secret has Display");
        assert!(!Has::<(Secret, u16)>::IT, "Secret has Serialize");
        assert!(Has::<(String, u8)>::IT && Has::<(String, u16)>::IT);
    }
    let secret = Secret::new("swordfish".to_owned());
    assert!(!format!("{secret:?} {:#?}", Some(&secret)).contains("swordfish"));
}

#[test]
fn every_rule_finds_its_bad_example() {
    let bad = |rule: fn(&Source) -> Vec<String>, path: &str, text: &str, told: &str| {
        let wrong = rule(&Source::new(path, text));
        assert!(
            wrong.len() == 1 && wrong[0].contains(told),
            "{text}: {wrong:?}"
        );
    };
    let good = |rule: fn(&Source) -> Vec<String>, path: &str, text: &str| {
        assert_eq!(rule(&Source::new(path, text)), [""; 0], "{text}");
    };
    bad(
        has_header,
        "src/a.rs",
        "use std::io;\n",
        "src/a.rs:1: no header",
    );
    good(has_header, "src/a.rs", "//! What lives here.\n");
    bad(is_short, "tests/a.sh", &"x\n".repeat(601), "601 lines");
    good(is_short, "tests/a.sh", &"x\n".repeat(600));
    bad(
        starts_no_process,
        "src/a.rs",
        "\nlet c = Command::new(p);",
        "src/a.rs:2: Command::new",
    );
    bad(
        starts_no_process,
        "src/a.rs",
        "use std::process::Command;",
        "use exec::Cmd",
    );
    bad(
        starts_no_process,
        "src/a.rs",
        "nix::unistd::execv(p, a)?;",
        "execv outside exec",
    );
    good(starts_no_process, "src/exec/a.rs", "Command::new(p)");
    good(
        starts_no_process,
        "src/a.rs",
        "// Command::new\nclap::Command::new(n)",
    );
    bad(
        goes_through_safefs,
        "src/content/a.rs",
        "use std::fs;",
        "src/content/a.rs:1: files by name",
    );
    bad(
        goes_through_safefs,
        "src/a.rs",
        "use std::{io, fs::File};",
        "RAW_FILES",
    );
    bad(
        goes_through_safefs,
        "src/content/a.rs",
        "if path\n    .exists() {}",
        "src/content/a.rs:2: files by name",
    );
    good(goes_through_safefs, "src/safefs/a.rs", "use rustix::fs;");
    good(
        goes_through_safefs,
        "src/a.rs",
        "use std::{io, env}; let fs = 1;",
    );
    bad(
        does_not_panic,
        "src/a.rs",
        "a\n    .unwrap();",
        "src/a.rs:2: can panic",
    );
    bad(does_not_panic, "src/a.rs", "a.expect(\n\"sure\")", "(sure)");
    good(
        does_not_panic,
        "src/a.rs",
        "a.unwrap_or(1); b.expect(c); \"x.unwrap()\";",
    );
    good(
        does_not_panic,
        "src/a.rs",
        "#[cfg(test)]\nmod tests { fn b() { a.unwrap() } }",
    );
    bad(
        says_without_panic,
        "src/cli/a.rs",
        "\nif a { eprintln!(\"x\"); }",
        "src/cli/a.rs:2: eprintln!",
    );
    good(
        says_without_panic,
        "src/cli/a.rs",
        "outln!(\"println!\"); // println!",
    );
    bad(
        is_finished,
        "tests/a.py",
        concat!("\n# TO", "DO: more\n"),
        "tests/a.py:2",
    );
    bad(
        is_finished,
        "tests/a.rs",
        concat!("#[ig", "nore]"),
        "do it, or leave it out",
    );
    good(
        is_finished,
        "src/a.rs",
        "let mut todo = Vec::new(); // pseudo TODOS",
    );
    bad(
        keeps_secrets,
        "src/a.rs",
        "impl fmt::Display for Secret {}",
        "Display shows a Secret",
    );
    bad(
        keeps_secrets,
        "src/a.rs",
        "#[derive(Clone, Serialize)]\npub struct Secret(String);",
        "src/a.rs:2",
    );
    good(
        keeps_secrets,
        "src/a.rs",
        "impl fmt::Debug for Secret {}\n#[derive(Clone)]\npub struct Secret(String);",
    );
}
