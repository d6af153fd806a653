//! `templates/watchdog/RULES.md` says how soon an evasion is found; the cases say whether that is so.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// When a level was first told of, and by which rules.
fn first<'a>(told: &'a str, level: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let of_level = told
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let of_level: Vec<_> = of_level.filter(|words| words[2] == level).collect();
    let when = of_level.first()?[0];
    let rules = of_level.iter().take_while(|words| words[0] == when);
    Some((when, rules.map(|words| words[3]).collect()))
}

#[test]
fn every_row_of_the_table_is_what_its_case_says() {
    let text = read("templates/watchdog/RULES.md");
    let (_, table) = text.split_once("| evasion |").unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 20, "{rows:?}");
    for row in rows {
        let [what, suspicious, certain, case] = row[..] else {
            panic!("{row:?}");
        };
        let case = read(&format!("tests/cases/watchdog/{case}.case"));
        let told = case.split_once("----\n").unwrap().1;
        for (level, stated) in [("suspicious", suspicious), ("certain", certain)] {
            match (first(told, level), stated.split_once(' ')) {
                (None, None) => {}
                (Some((when, rules)), Some((seconds, rule))) => {
                    assert!(
                        when == seconds && rules.contains(&rule),
                        "{what}: {level} {when} {rules:?}"
                    );
                }
                (found, _) => {
                    panic!("{what}: {level} is stated as `{stated}`, the case says {found:?}")
                }
            }
        }
    }
}
