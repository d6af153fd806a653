//! When the next look is. Events are let gather where they come in quick succession: to be woken for
//! each costs as much as to look at it.

use std::time::{Duration, Instant};

/// So many events are one measurement.
const MEASURED: u32 = 16;
/// A measurement that took less is a crowd, and holds for no longer than this.
const CROWD: Duration = Duration::from_millis(16);

/// What is let gather comes so much later at most: a listed program is stopped after some milliseconds.
pub const NAP: Duration = Duration::from_millis(2);

#[derive(Debug, Clone, Copy)]
pub struct Pace {
    since: Instant,
    heard: u32,
    is_crowd: bool,
}

impl Pace {
    pub fn new(now: Instant) -> Pace {
        Pace {
            since: now,
            heard: 0,
            is_crowd: false,
        }
    }

    pub fn note(&mut self, now: Instant) {
        self.heard += 1;
        if self.heard >= MEASURED {
            let took = now.saturating_duration_since(self.since);
            *self = Pace {
                is_crowd: took < CROWD,
                ..Pace::new(now)
            };
        }
    }

    /// Whether more than one event a millisecond comes just now.
    pub fn is_crowd(&self, now: Instant) -> bool {
        self.is_crowd && now.saturating_duration_since(self.since) < CROWD
    }
}

/// When everything is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    interval: Duration,
    next: Instant,
    /// After missed events, but no sooner: whoever makes them can make them all the time.
    soonest: Instant,
    has_missed: bool,
}

impl Looks {
    /// The first one is due at once.
    pub fn new(interval: Duration, now: Instant) -> Looks {
        Looks {
            interval,
            next: now,
            soonest: now,
            has_missed: false,
        }
    }

    pub fn due(&self) -> Instant {
        match self.has_missed {
            true => self.soonest.min(self.next),
            false => self.next,
        }
    }

    /// Holds until everything has been looked at.
    pub fn missed(&mut self) {
        self.has_missed = true;
    }

    pub fn looked(&mut self, now: Instant) {
        self.next = now + unforeseen(self.interval);
        self.soonest = now + self.interval / 4;
        self.has_missed = false;
    }
}

/// A time until the next look at everything, from half to one and a half of the interval: a program
/// that knew the moment could be gone by then, and come again.
fn unforeseen(interval: Duration) -> Duration {
    let share = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
    interval.mul_f64(0.5 + share)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is a crowd after so many events, each so long after the one before.
    fn is_crowd(events: u32, apart: Duration) -> (Pace, Instant, bool) {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..events {
            now += apart;
            pace.note(now);
        }
        (pace, now, pace.is_crowd(now))
    }

    #[test]
    fn a_crowd_is_more_than_one_event_a_millisecond() {
        let cases = [
            (1, 100, false),
            (15, 100, false),
            (16, 100, true),
            (1000, 100, true),
            (1000, 900, true),
            (1000, 1100, false),
            (1000, 1_000_000, false),
        ];
        for (events, micros, expected) in cases {
            let (_, _, seen) = is_crowd(events, Duration::from_micros(micros));
            assert_eq!(seen, expected, "{events} events, {micros} µs apart");
        }
    }

    #[test]
    fn looks_are_an_interval_apart_in_the_mean_and_never_twice_the_same() {
        let interval = Duration::from_secs(1);
        let times: Vec<Duration> = (0..4000).map(|_| unforeseen(interval)).collect();
        let mean = times.iter().sum::<Duration>() / 4000;
        assert!(mean.abs_diff(interval) < interval / 20, "{mean:?}");
        assert!(
            times
                .iter()
                .all(|time| *time >= interval / 2 && *time <= interval * 3 / 2)
        );
        assert!(times.iter().any(|time| *time < interval * 3 / 5));
        assert!(times.iter().any(|time| *time > interval * 7 / 5));
    }

    #[test]
    fn what_was_missed_is_looked_for_soon_and_not_all_the_time() {
        let interval = Duration::from_secs(8);
        let mut now = Instant::now();
        let mut looks = Looks::new(interval, now);
        assert_eq!(looks.due(), now);
        looks.looked(now);
        let regular = looks.due();
        assert!(regular >= now + interval / 2);
        // Right after a look: it is not forgotten until the next one may be.
        looks.missed();
        assert_eq!(looks.due(), now + interval / 4);
        assert_eq!(looks.due(), now + interval / 4);
        now = looks.due();
        looks.looked(now);
        assert!(looks.due() >= now + interval / 2);
        // Long after a look it is due at once.
        looks.missed();
        assert!(looks.due() <= now + interval / 4);
    }

    #[test]
    fn nobody_waits_for_a_crowd_that_is_gone() {
        let (pace, now, _) = is_crowd(1000, Duration::from_micros(100));
        assert!(pace.is_crowd(now + Duration::from_millis(10)));
        assert!(!pace.is_crowd(now + CROWD));
        assert!(!pace.is_crowd(now + Duration::from_secs(3600)));
    }
}
