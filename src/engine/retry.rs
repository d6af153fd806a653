//! When to try again, and when to stop trying. Pure.

use std::time::Duration;

use crate::ports::Disposition;

/// Doubling delays, up to a number of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Before the second attempt (WODRETRYSECONDS).
    pub first: Duration,
    pub longest: Duration,
    /// In all (WODATTEMPTS).
    pub attempts: u32,
}

impl Policy {
    /// After a failure that came after so many others of the same step.
    pub fn delay(&self, failures: u32) -> Duration {
        let delay = self.first.saturating_mul(1 << failures.min(20));
        delay.min(self.longest)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    After(Duration),
    Hold,
}

/// `failures` counts those before this one, in a row, of the same step.
pub fn decide(policy: &Policy, disposition: Disposition, failures: u32) -> Decision {
    if disposition != Disposition::Retry || failures + 1 >= policy.attempts {
        return Decision::Hold;
    }
    Decision::After(policy.delay(failures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_limit_and_then_it_is_held() {
        let policy = Policy {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(5),
            attempts: 6,
        };
        let seconds: Vec<_> = (0..6)
            .map(
                |failures| match decide(&policy, Disposition::Retry, failures) {
                    Decision::After(delay) => Some(delay.as_secs()),
                    Decision::Hold => None,
                },
            )
            .collect();
        assert_eq!(seconds, [Some(1), Some(2), Some(4), Some(5), Some(5), None]);
        for disposition in [Disposition::Permanent, Disposition::Violation] {
            assert_eq!(decide(&policy, disposition, 0), Decision::Hold);
        }
    }
}
