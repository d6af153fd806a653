//! A line of five fields that says when, as crontab(5) has it: minute, hour, day, month, week day.

use std::fmt;
use std::str::FromStr;

use croner::parser::{CronParser, Seconds, Year};
use jiff::{Timestamp, Zoned, tz::TimeZone};
use sha2::{Digest, Sha256};

use super::Time;

/// When something is to be done, again and again.
#[derive(Clone)]
pub struct Cron {
    text: String,
    line: croner::Cron,
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEK_DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    /// Of a line in which `H`, as the whole field of minutes or hours, is this host's own: the same at
    /// every start, another one on most other hosts.
    pub fn of_host(text: &str, host: &str) -> Result<Cron, String> {
        let own = |places: u32, field: &str| match field {
            "H" => place(host, places).to_string(),
            other => other.to_owned(),
        };
        let fields = text.split_ascii_whitespace().enumerate();
        let fields = fields.map(|(at, field)| match at {
            0 => own(60, field),
            1 => own(24, field),
            _ => field.to_owned(),
        });
        fields.collect::<Vec<_>>().join(" ").parse()
    }

    /// The first time after `after` that it means in that zone. None when none comes any more.
    pub fn next(&self, after: Time, zone: &TimeZone) -> Option<Time> {
        let after = Timestamp::from_millisecond(after.0).ok()?;
        let next: Zoned = self
            .line
            .find_next_occurrence(&after.to_zoned(zone.clone()), false)
            .ok()?;
        Some(Time(next.timestamp().as_millisecond()))
    }
}

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Cron, String> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, week_day] = fields[..] else {
            let found = fields.len();
            return Err(format!(
                "`{text}` has {found} fields; expected 5: minute hour day month week-day"
            ));
        };
        // The crate knows more than cron(8) does, and what it knows cron(8) would refuse.
        for (field, names) in [
            (minute, &[][..]),
            (hour, &[]),
            (day, &[]),
            (month, &MONTHS),
            (week_day, &WEEK_DAYS),
        ] {
            if !is_plain(field, names) {
                return Err(format!("`{field}` in `{text}` is nothing that cron knows"));
            }
        }
        // With a star at the beginning of one of them, both days have to fit; else one is enough.
        let both = day.starts_with('*') || week_day.starts_with('*');
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .dom_and_dow(both)
            .build();
        let line = parser
            .parse(text)
            .map_err(|e| format!("`{text}` cannot be understood: {e}"))?;
        let cron = Cron {
            text: fields.join(" "),
            line,
        };
        match cron.next(Time(0), &TimeZone::UTC) {
            Some(_) => Ok(cron),
            None => Err(format!("`{text}` never comes")),
        }
    }
}

/// Where a host stands among so many places.
fn place(host: &str, places: u32) -> u32 {
    let digest = Sha256::digest(format!("{places} {host}"));
    let [a, b, c, d, ..] = digest[..] else {
        return 0;
    };
    u32::from_be_bytes([a, b, c, d]) % places
}

/// Numbers, stars, ranges, steps and lists, and for some fields names.
fn is_plain(field: &str, names: &[&str]) -> bool {
    let is_part = |part: &str| {
        part == "*"
            || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
            || names.contains(&part.to_ascii_lowercase().as_str())
    };
    field.split([',', '-', '/']).all(is_part)
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({})", self.text)
    }
}
