//! What to do when a connection ends: pure rules over close codes and counts.

use std::time::Duration;

use rand::RngExt as _;

/// A login that Discord refuses until the owner mends something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The close code, or the HTTP status 401.
    pub code: u16,
}

impl Refusal {
    /// Whether a close code is a refusal. Source: Discord's reference, "Gateway Close Event Codes".
    pub(crate) const fn from_close_code(code: u16) -> Option<Self> {
        match code {
            4004 | 4010..=4014 => Some(Self { code }),
            _ => None,
        }
    }

    /// The setting at fault.
    pub(crate) const fn setting(self) -> &'static str {
        match self.code {
            4013 | 4014 => "Message Content Intent",
            4010 | 4011 => "shards",
            _ => "DISCORD_TOKEN",
        }
    }

    /// What is wrong.
    pub(crate) const fn problem(self) -> &'static str {
        match self.code {
            4010 | 4011 => "were refused by Discord (wrong number of shards)",
            4012 => "was refused by Discord (gateway version)",
            4013 | 4014 => "is not switched on for this bot",
            _ => "was refused by Discord",
        }
    }

    /// The same in Japanese.
    pub(crate) const fn problem_ja(self) -> &'static str {
        match self.code {
            4010 | 4011 => "が Discord に拒否されました(シャード数の誤り)",
            4012 => "が Discord に拒否されました(ゲートウェイの版)",
            4013 | 4014 => "が、この Bot で有効になっていません",
            _ => "が Discord に拒否されました",
        }
    }

    /// What to do about it, in English and Japanese.
    pub(crate) const fn remedy(self) -> (&'static str, &'static str) {
        match self.code {
            4010 | 4011 => (
                "restart the gateway so that it asks Discord for the number of shards again",
                "ゲートウェイを再起動して、シャード数を取得し直してください",
            ),
            4012 => (
                "update the gateway: Discord no longer takes this version of its protocol",
                "ゲートウェイを更新してください(Discord がこの版のプロトコルを受け付けません)",
            ),
            4013 | 4014 => (
                "switch on Message Content Intent at https://discord.com/developers/applications (Bot)",
                "https://discord.com/developers/applications の Bot で Message Content Intent を有効にしてください",
            ),
            _ => (
                "set the bot token from https://discord.com/developers/applications (Bot, Reset Token)",
                "https://discord.com/developers/applications の Bot で Reset Token を押し、新しいトークンを設定してください",
            ),
        }
    }
}

/// Whether the session is over with this close code, so that resuming is pointless.
pub(crate) const fn ends_session(code: u16) -> bool {
    // 4003 not authenticated, 4007 invalid sequence, 4009 session timed out.
    matches!(code, 4003 | 4007 | 4009)
}

/// The wait before the next connection: none after a session that stood, then growing to a cap.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    max: Duration,
    failures: u32,
}

const STEP: Duration = Duration::from_millis(250);

impl Backoff {
    /// Grows up to `max`.
    pub(crate) fn new(max: Duration) -> Self {
        Self { max, failures: 0 }
    }

    /// The wait after a connection; `stood` says whether a session stood in it for a while.
    pub(crate) fn after(&mut self, stood: bool) -> Duration {
        if stood {
            self.failures = 0;
        }
        let base = STEP.saturating_mul(2u32.saturating_pow(self.failures)).min(self.max);
        self.failures = self.failures.saturating_add(1).min(16);
        // Half of it is chance, so that many bots do not come back in one moment.
        base.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

/// The wait after an invalid session. Source: Discord's reference, "Resume": 1 to 5 seconds.
pub(crate) fn after_invalid_session() -> Duration {
    Duration::from_millis(rand::rng().random_range(1_000..=5_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_owner_must_mend_is_a_refusal() {
        for code in [4004, 4010, 4011, 4012, 4013, 4014] {
            let refusal = Refusal::from_close_code(code).unwrap();
            assert!(!refusal.remedy().0.is_empty() && !refusal.remedy().1.is_empty());
        }
        for code in [1000, 1006, 4000, 4001, 4007, 4008, 4009] {
            assert_eq!(Refusal::from_close_code(code), None);
        }
    }

    #[test]
    fn the_wait_grows_to_its_cap_and_starts_anew_after_a_session_that_stood() {
        let max = Duration::from_secs(2);
        let mut backoff = Backoff::new(max);
        assert!(backoff.after(false) <= STEP);
        for _ in 0..20 {
            assert!(backoff.after(false) <= max);
        }
        assert!(backoff.after(false) >= max / 2);
        assert!(backoff.after(true) <= STEP);
    }
}
