//! Whether the machine's clock is right, judged by the time that servers tell in their answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Verdict;
use crate::health::{Health, Outcome};

/// From here on a person should know: certificates and daily caps are counted by this clock.
const WARN: SignedDuration = SignedDuration::from_secs(60);
/// From here on Discord's interactions, which live 15 minutes, are over before they begin.
const FAR: SignedDuration = SignedDuration::from_mins(15);
/// No release of this project is older than this: a clock before it was never set.
const EPOCH_OF_THE_PROJECT: i64 = 1_735_689_600; // 2025-01-01
/// An answer that took longer says too little about the moment it was given in.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(10);

/// What to think of a clock that is `ahead` of the right time (negative: behind).
pub fn judge(ahead: SignedDuration) -> Verdict {
    if ahead.abs() <= WARN {
        return Verdict::Fit;
    }
    let far = ahead.abs() > FAR;
    let seconds = ahead.abs().as_secs();
    let (way, way_ja) =
        if ahead.is_positive() { ("ahead of", "進んで") } else { ("behind", "遅れて") };
    let problem = (
        format!("is {seconds} s {way} the servers' time"),
        format!("がサーバーの時刻より {seconds} 秒{way_ja}います"),
    )
        .into();
    let remedy = remedy();
    if far { Verdict::Unfit { problem, remedy } } else { Verdict::Doubtful { problem, remedy } }
}

/// What to think of a clock by itself, before any server was asked.
pub fn judge_alone(now: Timestamp) -> Verdict {
    if now.as_second() >= EPOCH_OF_THE_PROJECT {
        return Verdict::Fit;
    }
    Verdict::Unfit {
        problem: (
            format!("says {now:.0}, which cannot be: it was never set"),
            format!("が {now:.0} を示しています。設定されていません"),
        )
            .into(),
        remedy: remedy(),
    }
}

fn remedy() -> crate::Words {
    (
        "let the machine set its clock by NTP (Synology: Control Panel, Regional Options, Time, \
         \"Synchronize with NTP server\"); containers take the machine's clock",
        "機器の時計を NTP で合わせてください(Synology: コントロールパネル → 地域オプション → 時間 → \
         「NTP サーバーと同期」)。コンテナは機器の時計を使います",
    )
        .into()
}

/// The moment a `Date` header tells, as RFC 9110 (5.6.7) writes it.
pub fn parse_date(header: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(header).ok().map(|moment| moment.timestamp())
}

/// Compares the clock with every answer it is shown, and says on `/health` what comes of it.
#[derive(Debug, Clone, Default)]
pub struct ClockWatch {
    ahead: Arc<Mutex<Option<SignedDuration>>>,
}

impl ClockWatch {
    /// A watch whose verdict is the check `clock` of `health`; fine until something else is seen.
    pub fn over(health: &Health) -> Self {
        let watch = Self::default();
        let shown = watch.clone();
        health.computed("clock", move || shown.outcome());
        watch
    }

    /// Takes the `Date` header of an answer that has just come and took `round_trip`.
    pub fn observe(&self, date: &str, round_trip: Duration) {
        self.observe_at(date, round_trip, Timestamp::now());
    }

    fn observe_at(&self, date: &str, round_trip: Duration, received: Timestamp) {
        if round_trip > ROUND_TRIP_MAX {
            return;
        }
        let Some(told) = parse_date(date) else { return };
        let middle = received - SignedDuration::try_from(round_trip / 2).unwrap_or_default();
        // The header has whole seconds: on average it is half a second behind.
        let ahead = middle.duration_since(told) - SignedDuration::from_millis(500);
        let mut known = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.replace(ahead);
        drop(known);
        #[expect(clippy::cast_precision_loss, reason = "seconds of a clock's error are few")]
        metrics::gauge!("clock_ahead_seconds").set(ahead.as_millis() as f64 / 1000.0);
        let word = |ahead: SignedDuration| std::mem::discriminant(&judge(ahead));
        if before.map_or(word(SignedDuration::ZERO), word) != word(ahead) {
            match judge(ahead) {
                Verdict::Fit => tracing::info!("the clock is right again"),
                Verdict::Doubtful { problem, remedy } | Verdict::Unfit { problem, remedy } => {
                    tracing::warn!(%problem, %remedy, "the clock is wrong");
                }
            }
        }
    }

    fn outcome(&self) -> Outcome {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let said = |words: crate::Words| {
            let japanese = words.japanese().unwrap_or_default();
            (format!("the clock {}", words.english()), format!("時計{japanese}"))
        };
        match ahead.map_or(Verdict::Fit, judge) {
            Verdict::Fit => Outcome::Ok,
            Verdict::Doubtful { problem, remedy } => Outcome::degraded(said(problem), remedy),
            Verdict::Unfit { problem, remedy } => Outcome::failing(said(problem), remedy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_clock_is_doubted_after_a_minute_and_refused_after_a_quarter_of_an_hour() {
        let seconds = SignedDuration::from_secs;
        for right in [0, 1, -1, 60, -60] {
            assert_eq!(judge(seconds(right)), Verdict::Fit, "{right}");
        }
        for odd in [61, -61, 900, -900] {
            let Verdict::Doubtful { problem, .. } = judge(seconds(odd)) else { panic!("{odd}") };
            let way = if odd > 0 { "ahead" } else { "behind" };
            assert!(problem.contains(way) && problem.contains("秒"), "{problem}");
        }
        for far in [901, -901, 31_536_000, i64::MAX] {
            assert!(matches!(judge(seconds(far)), Verdict::Unfit { .. }), "{far}");
        }
    }

    #[test]
    fn a_clock_that_was_never_set_is_refused_before_any_server_is_asked() {
        assert!(matches!(judge_alone(at("1970-01-01T00:00:07Z")), Verdict::Unfit { .. }));
        assert_eq!(judge_alone(at("2026-11-22T00:00:00Z")), Verdict::Fit);
    }

    #[test]
    fn the_watch_says_on_health_what_the_last_answer_told() {
        let health = Health::new(crate::service!());
        let watch = ClockWatch::over(&health);
        assert!(health.is_healthy());
        let date = "Sun, 22 Nov 2026 12:00:00 GMT";
        let outcome = |received: &str, round_trip: Duration| {
            watch.observe_at(date, round_trip, at(received));
            health.outcomes().pop().unwrap().1
        };
        let quick = Duration::from_millis(100);
        assert_eq!(outcome("2026-11-22T12:00:01Z", quick), Outcome::Ok);
        assert!(matches!(outcome("2026-11-22T12:02:00Z", quick), Outcome::Degraded { .. }));
        assert!(outcome("2026-11-22T11:00:00Z", quick).is_failing());
        let slow = outcome("2026-11-22T12:00:00Z", Duration::from_secs(11));
        assert!(slow.is_failing(), "an answer that took too long says nothing new");
        assert_eq!(outcome("2026-11-22T12:00:00.6Z", quick), Outcome::Ok);
        watch.observe_at("yesterday", quick, at("2026-11-22T15:00:00Z"));
        assert!(health.is_healthy(), "what is no date says nothing");
    }
}
