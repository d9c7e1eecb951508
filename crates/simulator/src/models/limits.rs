//! Rate limits of the model wire: two leaking buckets and the headers that tell of them.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::models::fail::ApiError;
use crate::models::script::Settings;

/// How much of one limit is used; it leaks away evenly over a minute.
#[derive(Debug)]
struct Bucket {
    used: f64,
    settled_at: Instant,
}

impl Bucket {
    fn settle(&mut self, per_minute: u32, now: Instant) {
        let leaked =
            now.duration_since(self.settled_at).as_secs_f64() * f64::from(per_minute) / 60.0;
        self.used = (self.used - leaked).max(0.0);
        self.settled_at = now;
    }

    fn wait_for(&self, amount: f64, per_minute: u32) -> Duration {
        let over = self.used + amount - f64::from(per_minute);
        Duration::try_from_secs_f64(over / f64::from(per_minute.max(1)) * 60.0).unwrap_or_default()
    }
}

/// Both limits.
#[derive(Debug)]
pub(super) struct Limits {
    requests: Bucket,
    tokens: Bucket,
}

impl Default for Limits {
    fn default() -> Self {
        let settled_at = Instant::now();
        let bucket = || Bucket { used: 0.0, settled_at };
        Self { requests: bucket(), tokens: bucket() }
    }
}

impl Limits {
    /// Books a request of `tokens` and tells how the limits stand, or refuses it with the time
    /// to wait. A refusal costs nothing.
    pub(super) fn book(
        &mut self,
        settings: &Settings,
        model: &str,
        tokens: u64,
    ) -> (HeaderMap, Option<ApiError>) {
        let now = Instant::now();
        self.requests.settle(settings.requests_per_minute, now);
        self.tokens.settle(settings.tokens_per_minute, now);
        let tokens = f64::from(u32::try_from(tokens).unwrap_or(u32::MAX));
        let books = [
            ("requests", "RPM", &mut self.requests, settings.requests_per_minute, 1.0),
            ("tokens", "TPM", &mut self.tokens, settings.tokens_per_minute, tokens),
        ];
        let refused = books.iter().find_map(|(name, short, bucket, limit, amount)| {
            let wait = bucket.wait_for(*amount, *limit);
            (!wait.is_zero()).then(|| (refusal(name, short, model, *limit, wait), wait))
        });
        if refused.is_none() {
            self.requests.used += 1.0;
            self.tokens.used += tokens;
        }
        let mut headers = self.headers(settings);
        let refused = refused.map(|(error, wait)| {
            retry_after(&mut headers, wait);
            error
        });
        (headers, refused)
    }

    fn headers(&self, settings: &Settings) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, bucket, limit) in [
            ("requests", &self.requests, settings.requests_per_minute),
            ("tokens", &self.tokens, settings.tokens_per_minute),
        ] {
            let left = (f64::from(limit) - bucket.used).max(0.0).floor();
            let reset = Duration::try_from_secs_f64(bucket.used / f64::from(limit.max(1)) * 60.0);
            put(&mut headers, format!("x-ratelimit-limit-{name}"), limit.to_string());
            put(&mut headers, format!("x-ratelimit-remaining-{name}"), format!("{left:.0}"));
            let reset = go_duration(reset.unwrap_or_default());
            put(&mut headers, format!("x-ratelimit-reset-{name}"), reset);
        }
        headers
    }
}

/// Both ways of telling how long to wait.
pub(super) fn retry_after(headers: &mut HeaderMap, wait: Duration) {
    put(headers, "retry-after".into(), wait.as_secs_f64().ceil().to_string());
    put(headers, "retry-after-ms".into(), wait.as_millis().max(1).to_string());
}

/// A 429 as the real API words it.
fn refusal(name: &str, short: &str, model: &str, limit: u32, wait: Duration) -> ApiError {
    let wait = go_duration(wait);
    let message = format!(
        "Rate limit reached for {model} in organization org-simulator on {name} per min ({short}): \
         Limit {limit}. Please try again in {wait}."
    );
    let kind = if name == "tokens" { "tokens" } else { "requests" };
    ApiError { message, kind, ..ApiError::usual(429) }
}

fn put(headers: &mut HeaderMap, name: String, value: String) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

/// A duration as Go prints it: `120ms`, `1s`, `1.5s`, `6m0s`.
fn go_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let seconds = (duration.as_secs_f64() * 1_000.0).round() / 1_000.0;
    if seconds < 60.0 {
        return format!("{seconds}s");
    }
    let minutes = (seconds / 60.0).floor();
    format!("{minutes}m{}s", ((seconds - minutes * 60.0) * 1_000.0).round() / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        let printed = |ms| go_duration(Duration::from_millis(ms));
        assert_eq!(printed(0), "0ms");
        assert_eq!(printed(120), "120ms");
        assert_eq!(printed(1_000), "1s");
        assert_eq!(printed(1_500), "1.5s");
        assert_eq!(printed(360_000), "6m0s");
    }

    #[test]
    fn the_request_above_the_limit_is_refused_and_told_when_to_come_back() {
        let mut limits = Limits::default();
        let settings = Settings { requests_per_minute: 2, ..Settings::default() };
        for _ in 0..2 {
            assert!(limits.book(&settings, "m", 10).1.is_none());
        }
        let (headers, error) = limits.book(&settings, "m", 10);
        let error = error.unwrap();
        assert_eq!((error.status, error.code), (429, Some("rate_limit_exceeded")));
        assert_eq!(headers["x-ratelimit-remaining-requests"], "0");
        assert_eq!(headers["retry-after"], "30");
    }
}
