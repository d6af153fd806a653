//! Lines of cron, and when they mean: a file per case in tests/cases/cron.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use wod::domain::{Cron, Time};

/// A case: each of its lines means the same.
#[derive(Default)]
struct Case {
    lines: Vec<String>,
    zone: Option<TimeZone>,
    after: Option<DateTime>,
    next: Vec<DateTime>,
    wrong: Option<String>,
}

impl Case {
    fn read(text: &str) -> Case {
        let mut case = Case::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (word, rest) = line.split_once(' ').unwrap();
            match word {
                "line" => case.lines.push(rest.to_owned()),
                "zone" => case.zone = Some(TimeZone::get(rest).unwrap()),
                "after" => case.after = Some(rest.parse().unwrap()),
                "next" => case.next.push(rest.parse().unwrap()),
                "wrong" => case.wrong = Some(rest.to_owned()),
                _ => panic!("what is {word}?"),
            }
        }
        case
    }

    fn hold(&self, name: &str) {
        for line in &self.lines {
            let parsed = line.parse::<Cron>();
            if let Some(wrong) = &self.wrong {
                let told = parsed.expect_err(name);
                assert!(told.contains(wrong), "{name}: {told}");
                continue;
            }
            let cron = parsed.unwrap_or_else(|e| panic!("{name}: {e}"));
            let zone = self.zone.clone().unwrap();
            let after = self.after.unwrap().to_zoned(zone.clone()).unwrap();
            let mut now = Time(after.timestamp().as_millisecond());
            for wanted in &self.next {
                now = cron.next(now, &zone).unwrap();
                let found = jiff::Timestamp::from_millisecond(now.0).unwrap();
                let found = found.to_zoned(zone.clone()).datetime();
                assert_eq!(found, *wanted, "{name}: {line}");
            }
        }
    }
}

#[test]
fn a_line_means_what_cron_says() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/cron");
    let mut tried = 0;
    for entry in fs::read_dir(cases).unwrap() {
        let path = entry.unwrap().path();
        let case = Case::read(&fs::read_to_string(&path).unwrap());
        assert!(!case.lines.is_empty() && (case.wrong.is_some() || !case.next.is_empty()));
        case.hold(&path.display().to_string());
        tried += 1;
    }
    assert!(tried > 20, "{tried} cases");
}

/// Which may not change with the next version: an operator knows it by then.
#[test]
fn h_is_a_time_of_this_host_s_own() {
    let line = |host: &str, text: &str| Cron::of_host(text, host).unwrap().to_string();
    assert_eq!(line("host7", "H 2 * * *"), "21 2 * * *");
    assert_eq!(line("host7", "17 H * * 0"), "17 16 * * 0");
    assert_eq!(line("host7", "*/5 4 * * *"), "*/5 4 * * *");
    let minutes: BTreeSet<String> = (0..600)
        .map(|n| line(&format!("host{n}"), "H 2 * * *"))
        .collect();
    assert_eq!(minutes.len(), 60, "{minutes:?}");
    for wrong in ["2 2 H * *", "H/5 2 * * *", "h 2 * * *"] {
        assert!(Cron::of_host(wrong, "host7").is_err(), "{wrong}");
    }
}
