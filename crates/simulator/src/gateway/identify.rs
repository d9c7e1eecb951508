//! How many sessions may be started, and how fast.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Discord's limits on IDENTIFY.
#[derive(Clone, Debug)]
pub struct IdentifyLimits {
    /// Sessions a day.
    pub total: u64,
    /// Sessions left until the reset.
    pub remaining: u64,
    /// Milliseconds from a reset to the next.
    pub reset_after_ms: u64,
    /// How many shards may identify at the same time.
    pub max_concurrency: u64,
    /// Milliseconds between identifies of one concurrency bucket.
    pub interval_ms: u64,
    /// Whether the token is reset when the limit is reached, as Discord does; otherwise the
    /// session is only refused.
    pub resets_token: bool,
    reset_at_ms: u64,
    latest_ms: BTreeMap<u64, u64>,
}

impl Default for IdentifyLimits {
    fn default() -> Self {
        Self {
            total: 1000,
            remaining: 1000,
            reset_after_ms: 24 * 60 * 60 * 1000,
            max_concurrency: 1,
            interval_ms: 5000,
            resets_token: false,
            reset_at_ms: 0,
            latest_ms: BTreeMap::new(),
        }
    }
}

/// What becomes of an IDENTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may start a session.
    Allowed,
    /// Another one of its bucket came less than the interval ago.
    TooSoon,
    /// None is left for today.
    Exhausted,
}

impl IdentifyLimits {
    /// Counts an IDENTIFY of `shard` at `now_ms`.
    pub fn take(&mut self, shard: u64, now_ms: u64) -> Verdict {
        self.renew(now_ms);
        let bucket = shard % self.max_concurrency.max(1);
        let latest_ms = self.latest_ms.get(&bucket).copied();
        if latest_ms.is_some_and(|latest| now_ms < latest + self.interval_ms) {
            return Verdict::TooSoon;
        }
        if self.remaining == 0 {
            return Verdict::Exhausted;
        }
        self.remaining -= 1;
        self.latest_ms.insert(bucket, now_ms);
        Verdict::Allowed
    }

    /// The `session_start_limit` of `/gateway/bot`.
    pub fn session_start_limit(&mut self, now_ms: u64) -> Value {
        self.renew(now_ms);
        json!({
            "total": self.total,
            "remaining": self.remaining,
            "reset_after": self.reset_at_ms.saturating_sub(now_ms),
            "max_concurrency": self.max_concurrency,
        })
    }

    /// Sets when the count starts anew.
    pub fn reset_in(&mut self, reset_after_ms: u64, now_ms: u64) {
        self.reset_after_ms = reset_after_ms;
        self.reset_at_ms = now_ms + reset_after_ms;
    }

    fn renew(&mut self, now_ms: u64) {
        if self.reset_at_ms == 0 {
            self.reset_at_ms = now_ms + self.reset_after_ms;
        } else if now_ms >= self.reset_at_ms {
            self.remaining = self.total;
            self.reset_at_ms = now_ms + self.reset_after_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_identify_per_bucket_and_interval() {
        let mut limits = IdentifyLimits { max_concurrency: 2, ..IdentifyLimits::default() };
        assert_eq!(limits.take(0, 1000), Verdict::Allowed);
        assert_eq!(limits.take(1, 1000), Verdict::Allowed);
        assert_eq!(limits.take(2, 5999), Verdict::TooSoon);
        assert_eq!(limits.take(2, 6000), Verdict::Allowed);
    }

    #[test]
    fn the_budget_runs_out_and_comes_back() {
        let mut limits = IdentifyLimits { remaining: 1, ..IdentifyLimits::default() };
        assert_eq!(limits.take(0, 1), Verdict::Allowed);
        assert_eq!(limits.take(0, 10_000), Verdict::Exhausted);
        assert_eq!(limits.take(0, 90_000_000), Verdict::Allowed);
        assert_eq!(limits.session_start_limit(90_000_000)["remaining"], 999);
    }
}
