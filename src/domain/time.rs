//! Points in time. Deciding code gets `now` as an argument; only `Time::now` asks the clock.

use std::fmt;
use std::ops::Add;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    pub fn now() -> Time {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Of `2026-01-31T12:00:05.123456Z`, as programs write it; None of anything else.
    pub fn from_iso(text: &str) -> Option<Time> {
        let time: jiff::Timestamp = text.parse().ok()?;
        Some(Time(time.as_millisecond()))
    }

    /// Zero when `earlier` is in fact later (a clock set back).
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, by: Duration) -> Time {
        Time(
            self.0
                .saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

/// `2026-01-31 12:00:05Z`
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1000);
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

/// Days since 1970-01-01 as year, month, day (proleptic Gregorian; years counted from March).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_utc() {
        assert_eq!(Time(0).to_string(), "1970-01-01 00:00:00Z");
        assert_eq!(Time(951_782_400_000).to_string(), "2000-02-29 00:00:00Z");
        assert_eq!(Time(1_798_761_599_999).to_string(), "2026-12-31 23:59:59Z");
    }

    #[test]
    fn read_as_programs_write_it() {
        for text in ["2026-12-31T23:59:59.999000Z", "2026-12-31T23:59:59.999999Z"] {
            assert_eq!(Time::from_iso(text), Some(Time(1_798_761_599_999)));
        }
        assert_eq!(
            Time::from_iso("2000-02-29T00:00:00Z"),
            Some(Time(951_782_400_000))
        );
        // Without a zone it is nobody's time.
        for text in [
            "",
            "2026-12-31",
            "2026-12-31T23:59:59",
            "2026-13-01T00:00:00Z",
            "never",
        ] {
            assert_eq!(Time::from_iso(text), None, "{text}");
        }
    }

    #[test]
    fn a_clock_set_back_gives_no_negative_span() {
        assert_eq!(Time(5).since(Time(9)), Duration::ZERO);
    }
}
