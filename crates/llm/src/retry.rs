//! When to ask again, as plain arithmetic: no clock, no sleep, no randomness of its own.

use std::time::Duration;

use crate::error::Error;

/// How often and how patiently to ask the same target again.
///
/// Asking again is safe only while nobody saw anything of the answer. Whether that holds is the
/// caller's business ([`Error::visible_bytes`] tells for one attempt): text that stands in a
/// chat already must not be followed by a second beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Retries after the first attempt.
    pub retries_max: u32,
    /// The wait before the first retry; it doubles with each further one.
    pub base: Duration,
    /// The longest wait of our own choosing. A provider's `retry-after` may be longer.
    pub cap: Duration,
}

impl Default for Policy {
    /// What the official clients do.
    fn default() -> Self {
        Self { retries_max: 2, base: Duration::from_millis(500), cap: Duration::from_secs(8) }
    }
}

impl Policy {
    /// How long to wait before the next attempt, or `None` to give up.
    ///
    /// `attempt` counts the attempts that have failed, from 1. `budget_left` is what remains of
    /// the turn's deadline: a wait that does not fit into it is not begun. Equal `seed`s give
    /// equal jitter; use one that differs between calls.
    pub fn delay(
        &self,
        attempt: u32,
        error: &Error,
        budget_left: Duration,
        seed: u64,
    ) -> Option<Duration> {
        if attempt == 0 || attempt > self.retries_max || !error.may_retry_same() {
            return None;
        }
        let delay = if let Some(asked) = error.retry_after() {
            // Waiting less than asked for is answered by the same refusal.
            asked.saturating_add(jitter(self.base, seed, attempt))
        } else {
            let doubled = self.base.saturating_mul(2_u32.saturating_pow(attempt - 1));
            let full = doubled.min(self.cap);
            full.saturating_sub(jitter(full, seed, attempt))
        };
        (delay < budget_left).then_some(delay)
    }
}

/// Up to a quarter of `span`, so that clients that failed together do not return together.
fn jitter(span: Duration, seed: u64, attempt: u32) -> Duration {
    let share = mix(seed ^ u64::from(attempt).rotate_left(32)) >> 48;
    let quarter = span / 4;
    let nanos = quarter.as_nanos() * u128::from(share) / (1 << 16);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// One round of splitmix64, after Steele, Lea and Flood (2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use proptest::prelude::*;

    const LONG: Duration = Duration::from_mins(10);

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "p", "m")
    }

    #[test]
    fn waits_double_up_to_the_cap_and_then_end() {
        let policy = Policy { retries_max: 9, ..Policy::default() };
        let delay = |attempt| policy.delay(attempt, &error(ErrorKind::Server), LONG, 7).unwrap();
        for (attempt, full_ms) in [(1, 500), (2, 1000), (3, 2000), (5, 8000), (9, 8000)] {
            let full = Duration::from_millis(full_ms);
            assert!(delay(attempt) <= full && delay(attempt) >= full * 3 / 4, "{attempt}");
        }
        assert_eq!(policy.delay(10, &error(ErrorKind::Server), LONG, 7), None);
    }

    #[test]
    fn what_the_provider_asks_for_is_kept_or_not_waited_for_at_all() {
        let policy = Policy::default();
        let asked = Duration::from_secs(20);
        let limited = error(ErrorKind::RateLimited).with_retry_after(Some(asked));
        let delay = policy.delay(1, &limited, LONG, 1).unwrap();
        assert!(delay >= asked && delay < asked + Duration::from_millis(126), "{delay:?}");
        assert_eq!(policy.delay(1, &limited, Duration::from_secs(20), 1), None);
    }

    #[test]
    fn hopeless_failures_are_not_repeated_unless_the_provider_says_so() {
        let policy = Policy::default();
        for kind in [
            ErrorKind::QuotaExhausted,
            ErrorKind::Auth,
            ErrorKind::BadRequest,
            ErrorKind::Cancelled,
            ErrorKind::Blocked { reason: "r".into() },
            ErrorKind::ContextTooLong { have: None, max: None },
        ] {
            assert_eq!(policy.delay(1, &error(kind.clone()), LONG, 1), None, "{kind:?}");
        }
        let insisted = error(ErrorKind::BadRequest).with_should_retry(Some(true));
        assert!(policy.delay(1, &insisted, LONG, 1).is_some());
        let forbidden = error(ErrorKind::Server).with_should_retry(Some(false));
        assert_eq!(policy.delay(1, &forbidden, LONG, 1), None);
    }

    proptest! {
        #[test]
        fn a_wait_always_fits_the_budget(
            attempt in any::<u32>(), after in proptest::option::of(0_u64..u64::MAX),
            budget in 0_u64..1_000_000, seed in any::<u64>(), retries_max in any::<u32>()
        ) {
            let policy = Policy { retries_max, ..Policy::default() };
            let limited = error(ErrorKind::RateLimited)
                .with_retry_after(after.map(Duration::from_millis));
            let budget = Duration::from_millis(budget);
            if let Some(delay) = policy.delay(attempt, &limited, budget, seed) {
                prop_assert!(delay < budget);
            }
        }

        #[test]
        fn seeds_spread_the_herd(seed in any::<u64>()) {
            let policy = Policy::default();
            let delay = |seed| policy.delay(1, &error(ErrorKind::Server), LONG, seed);
            prop_assert_ne!(delay(seed), delay(seed.wrapping_add(1)));
        }
    }
}
