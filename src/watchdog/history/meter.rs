//! Time on processors by the second, by ten seconds, by the minute and by ten minutes: coarser the
//! longer ago, so that a day of it is small.

use std::collections::VecDeque;
use std::ops::AddAssign;

/// Milliseconds on processors.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// Of programs that do not belong to root.
    pub own: u64,
    pub all: u64,
}

impl AddAssign for Used {
    fn add_assign(&mut self, other: Used) {
        self.own += other.own;
        self.all += other.all;
    }
}

/// Width in milliseconds, and how many are kept.
const LEVELS: [(u64, u64); 4] = [(1_000, 120), (10_000, 120), (60_000, 120), (600_000, 145)];

#[derive(Debug, Default)]
pub struct Meter {
    /// Of each level: number of the slot since the host's start, and what was used in it. Slots in
    /// which nothing was used are left out.
    slots: [VecDeque<(u32, u32, u32)>; 4],
}

impl Meter {
    pub fn add(&mut self, at: u64, used: Used) {
        if used == Used::default() {
            return;
        }
        let small = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX);
        for (slots, (width, kept)) in self.slots.iter_mut().zip(LEVELS) {
            let slot = small(at / width);
            match slots.back_mut().filter(|(last, ..)| *last == slot) {
                Some((_, own, all)) => {
                    *own = own.saturating_add(small(used.own));
                    *all = all.saturating_add(small(used.all));
                }
                None => slots.push_back((slot, small(used.own), small(used.all))),
            }
            while let Some((first, ..)) = slots.front()
                && u64::from(slot - first) >= kept
            {
                slots.pop_front();
            }
        }
    }

    /// What was used within the last `span` milliseconds. A slot that began before is left out:
    /// rather too little than too much.
    pub fn within(&self, at: u64, span: u64) -> Used {
        let fitting = LEVELS
            .iter()
            .position(|(width, kept)| span <= width * (kept - 1))
            .unwrap_or(LEVELS.len() - 1);
        let (width, begin) = (LEVELS[fitting].0, at.saturating_sub(span));
        let mut sum = Used::default();
        for (slot, own, all) in self.slots[fitting].iter().rev() {
            // What a slot holds was used before its end, in the time since the snapshot before.
            if u64::from(*slot) * width < begin {
                break;
            }
            sum += Used {
                own: u64::from(*own),
                all: u64::from(*all),
            };
        }
        sum
    }

    pub fn len(&self) -> usize {
        self.slots.iter().map(VecDeque::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides() {
        let mut meter = Meter::default();
        let second = Used {
            own: 500,
            all: 1000,
        };
        for at in (0..3_600_000).step_by(1000) {
            meter.add(at, second);
        }
        let now = 3_599_000;
        for (span, seconds) in [(10_000, 10), (600_000, 600), (3_000_000, 3000)] {
            let used = meter.within(now, span);
            let close = |ms: u64, expected: u64| ms <= expected + 1000 && ms + 60_000 > expected;
            assert!(close(used.all, seconds * 1000), "{span}: {used:?}");
            assert!(close(used.own, seconds * 500), "{span}: {used:?}");
        }
        let later = meter.within(now + 700_000, 600_000);
        assert_eq!(later, Used::default(), "it is all longer ago");
    }

    #[test]
    fn a_day_of_seconds_is_small() {
        let mut meter = Meter::default();
        for at in (0..2 * 86_400_000_u64).step_by(1000) {
            meter.add(at, Used { own: 1, all: 1 });
        }
        assert!(meter.len() <= 120 + 120 + 120 + 145, "{}", meter.len());
        let day = meter.within(2 * 86_400_000 - 1000, 86_400_000).all;
        assert!((85_700..=86_400).contains(&day), "{day}");
    }
}
