//! How often we may log in: counted over restarts, since Discord resets the token of a bot that
//! identifies more than a thousand times a day.

use serde::{Deserialize, Serialize};

const SECOND_MS: u64 = 1_000;
const HOUR_MS: u64 = 3_600 * SECOND_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Logins a day that we allow ourselves. Discord's own limit is 1,000; the rest is the owner's.
const IDENTIFIES_PER_DAY_MAX: usize = 800;
/// The wait after a login that did not become a session; it doubles with each further one.
const FRUITLESS_FIRST_MS: u64 = 5 * SECOND_MS;
const FRUITLESS_MAX_MS: u64 = 300 * SECOND_MS;
/// The wait after a login that Discord refused; it doubles within the hour's allowance.
const REFUSED_FIRST_MS: u64 = 30 * SECOND_MS;

/// The logins of one bot token, as kept in the bucket. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Budget {
    /// When we identified, over the last 24 hours.
    #[serde(default)]
    identifies: Vec<u64>,
    /// How many of the latest did not become a session.
    #[serde(default)]
    fruitless: u32,
    /// Set while Discord refuses the login.
    #[serde(default)]
    refused: Option<Refused>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    /// The close code, or the HTTP status.
    code: u16,
    /// When we tried, over the last hour.
    attempts: Vec<u64>,
}

impl Budget {
    /// When the next IDENTIFY may be sent.
    pub(crate) fn identify_at(&self, now: u64) -> u64 {
        let recent: Vec<u64> =
            self.identifies.iter().copied().filter(|at| at + DAY_MS > now).collect();
        let by_count = if recent.len() < IDENTIFIES_PER_DAY_MAX {
            now
        } else {
            recent[recent.len() - IDENTIFIES_PER_DAY_MAX] + DAY_MS
        };
        let by_patience = match (self.fruitless, recent.last()) {
            (0, _) | (_, None) => now,
            (fruitless, Some(last)) => {
                last + doubled(FRUITLESS_FIRST_MS, fruitless, FRUITLESS_MAX_MS)
            }
        };
        by_count.max(by_patience).max(now)
    }

    /// Counts an IDENTIFY, before it is sent.
    pub(crate) fn spend(&mut self, now: u64) {
        self.identifies.retain(|at| at + DAY_MS > now);
        self.identifies.push(now);
        self.fruitless = self.fruitless.saturating_add(1);
    }

    /// How many logins are left today by our own count.
    pub(crate) fn left(&self, now: u64) -> u32 {
        let used = self.identifies.iter().filter(|at| *at + DAY_MS > now).count();
        u32::try_from(IDENTIFIES_PER_DAY_MAX.saturating_sub(used)).unwrap_or(u32::MAX)
    }

    /// Notes that a session stands. True: that is news worth keeping.
    pub(crate) fn succeeded(&mut self) -> bool {
        let news = self.fruitless > 0 || self.refused.is_some();
        self.fruitless = 0;
        self.refused = None;
        news
    }

    /// Notes that Discord refused a login for a reason that only the owner can mend.
    pub(crate) fn refused(&mut self, code: u16, now: u64) {
        match &mut self.refused {
            Some(refused) => refused.code = code,
            None => self.refused = Some(Refused { code, attempts: vec![now] }),
        }
    }

    /// The close code or HTTP status with which logins are refused, while they are.
    pub(crate) fn refused_code(&self) -> Option<u16> {
        self.refused.as_ref().map(|refused| refused.code)
    }

    /// While logins are refused: when the next may be tried. None = they are not refused.
    pub(crate) fn refused_login_at(&self, now: u64, per_hour_max: usize) -> Option<u64> {
        let refused = self.refused.as_ref()?;
        let recent: Vec<u64> =
            refused.attempts.iter().copied().filter(|at| at + HOUR_MS > now).collect();
        let by_patience = recent.last().map_or(now, |last| {
            let tries = u32::try_from(recent.len()).unwrap_or(u32::MAX);
            last + doubled(REFUSED_FIRST_MS, tries, HOUR_MS)
        });
        let by_count = match recent.len().checked_sub(per_hour_max) {
            Some(oldest) => recent.get(oldest).map_or(now, |at| at + HOUR_MS),
            None => now,
        };
        Some(by_patience.max(by_count).max(now))
    }

    /// Counts a login that is tried although the last one was refused, before it is tried.
    pub(crate) fn retry_refused(&mut self, now: u64) {
        if let Some(refused) = &mut self.refused {
            refused.attempts.retain(|at| at + HOUR_MS > now);
            refused.attempts.push(now);
        }
    }
}

fn doubled(first: u64, times: u32, max: u64) -> u64 {
    first.saturating_mul(1u64.checked_shl(times.saturating_sub(1)).unwrap_or(u64::MAX)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    #[test]
    fn logins_that_lead_nowhere_are_spaced_wider_and_wider() {
        let mut budget = Budget::default();
        assert_eq!(budget.identify_at(NOW), NOW);
        budget.spend(NOW);
        assert_eq!(budget.identify_at(NOW), NOW + 5_000);
        budget.spend(NOW + 5_000);
        assert_eq!(budget.identify_at(NOW + 5_000), NOW + 15_000);
        assert!(budget.succeeded());
        assert_eq!(budget.identify_at(NOW + 6_000), NOW + 6_000);
        assert!(!budget.succeeded());
    }

    #[test]
    fn a_day_never_sees_more_logins_than_the_budget() {
        let mut budget = Budget::default();
        let mut now = NOW;
        for _ in 0..IDENTIFIES_PER_DAY_MAX {
            now = budget.identify_at(now);
            budget.spend(now);
            budget.succeeded();
            now += 1_000;
        }
        assert_eq!(budget.left(now), 0);
        assert_eq!(budget.identify_at(now), NOW + DAY_MS);
        assert_eq!(budget.left(NOW + DAY_MS), 1);
    }

    #[test]
    fn endless_fruitless_logins_stay_within_the_day() {
        let mut budget = Budget::default();
        let (mut now, mut count) = (NOW, 0);
        while now < NOW + DAY_MS {
            budget.spend(now);
            count += 1;
            now = budget.identify_at(now);
        }
        assert!(count < 300, "{count} logins");
    }

    #[test]
    fn refused_logins_are_tried_at_most_five_times_an_hour() {
        let mut budget = Budget::default();
        assert_eq!(budget.refused_login_at(NOW, 5), None);
        budget.refused(4004, NOW);
        let mut attempts = vec![NOW];
        let mut now = NOW;
        while now < NOW + 4 * HOUR_MS {
            now = budget.refused_login_at(now, 5).unwrap();
            budget.retry_refused(now);
            budget.refused(4004, now);
            attempts.push(now);
        }
        for (index, at) in attempts.iter().enumerate() {
            let within = attempts[index..].iter().filter(|other| **other < at + HOUR_MS).count();
            assert!(within <= 5, "{within} in an hour");
        }
        assert!(attempts.len() >= 16, "an hour's allowance is used");
        assert!(budget.succeeded());
        assert_eq!(budget.refused_login_at(now, 5), None);
    }

    #[test]
    fn it_survives_being_kept() {
        let mut budget = Budget::default();
        budget.spend(NOW);
        budget.refused(4014, NOW);
        let text = serde_json::to_string(&budget).unwrap();
        assert_eq!(serde_json::from_str::<Budget>(&text).unwrap(), budget);
        assert_eq!(serde_json::from_str::<Budget>("{}").unwrap(), Budget::default());
    }
}
