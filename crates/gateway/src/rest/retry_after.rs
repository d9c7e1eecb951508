//! Reads what a 429 asks for, in each of the shapes in which it comes.

use std::time::Duration;

use http::HeaderMap;
use serde::Deserialize;

/// The longest wait that is believed. A longer one would be a mistake, or a ban to be seen by a
/// person long before it ends.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// What a 429 speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// Our own use of one route.
    Route,
    /// Everybody's use of one resource: it does not count as an invalid request.
    Shared,
    /// Our use of the whole API.
    Global,
    /// The network before the API: it answers without the API's headers, and for all routes.
    Edge,
}

impl Scope {
    /// The word for it in metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Shared => "shared",
            Self::Global => "global",
            Self::Edge => "edge",
        }
    }
}

/// A 429, read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limited {
    /// What it speaks of.
    pub scope: Scope,
    /// How long to wait; none where it does not say.
    pub wait: Option<Duration>,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    retry_after: Option<f64>,
    #[serde(default)]
    global: Option<bool>,
}

/// Reads a 429. Where headers and body differ, the longer wait counts.
pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Limited {
    let body = serde_json::from_slice::<Body>(body).ok();
    let seconds = |name: &str| -> Option<f64> { headers.get(name)?.to_str().ok()?.parse().ok() };
    let candidates = [
        seconds("retry-after"),
        seconds("x-ratelimit-reset-after"),
        body.as_ref().and_then(|body| body.retry_after),
    ];
    let wait = candidates
        .into_iter()
        .flatten()
        .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
        .max_by(f64::total_cmp)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(|wait| wait.min(WAIT_MAX));
    let said = headers.get("x-ratelimit-scope").and_then(|value| value.to_str().ok());
    let global = headers.contains_key("x-ratelimit-global")
        || body.as_ref().is_some_and(|body| body.global == Some(true));
    let scope = match said {
        Some("global") => Scope::Global,
        _ if global => Scope::Global,
        Some("shared") => Scope::Shared,
        Some(_) => Scope::Route,
        // The API always sends its JSON; an answer without it comes from the network before it.
        None if body.is_some_and(|body| body.retry_after.is_some()) => Scope::Route,
        None => Scope::Edge,
    };
    Limited { scope, wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()))
            .collect::<Vec<(http::HeaderName, http::HeaderValue)>>()
            .into_iter()
            .collect()
    }

    #[test]
    fn each_shape_is_told_apart() {
        let route = read(
            &headers(&[("retry-after", "1"), ("x-ratelimit-scope", "user")]),
            br#"{"message":"You are being rate limited.","retry_after":0.65,"global":false}"#,
        );
        assert_eq!(route, Limited { scope: Scope::Route, wait: Some(Duration::from_secs(1)) });
        let shared = read(
            &headers(&[("x-ratelimit-scope", "shared")]),
            br#"{"retry_after":2.5,"global":false}"#,
        );
        assert_eq!(
            shared,
            Limited { scope: Scope::Shared, wait: Some(Duration::from_millis(2500)) }
        );
        let global = read(
            &headers(&[("retry-after", "3"), ("x-ratelimit-global", "true")]),
            br#"{"retry_after":3,"global":true}"#,
        );
        assert_eq!(global, Limited { scope: Scope::Global, wait: Some(Duration::from_secs(3)) });
        let edge = read(&HeaderMap::new(), b"<html>error code: 1015</html>");
        assert_eq!(edge, Limited { scope: Scope::Edge, wait: None });
        let edge_with_wait = read(&headers(&[("retry-after", "60")]), b"<html></html>");
        assert_eq!(
            edge_with_wait,
            Limited { scope: Scope::Edge, wait: Some(Duration::from_mins(1)) }
        );
    }

    #[test]
    fn nonsense_is_not_believed() {
        let nonsense = headers(&[("retry-after", "-5"), ("x-ratelimit-scope", "user")]);
        assert_eq!(read(&nonsense, b"{}").wait, None);
        let endless = headers(&[("retry-after", "1e18"), ("x-ratelimit-scope", "user")]);
        assert_eq!(read(&endless, b"{}").wait, Some(WAIT_MAX));
    }
}
