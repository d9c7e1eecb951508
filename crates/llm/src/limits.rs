//! How much of a provider's rate limits is used, as its answer's headers say.

use std::time::Duration;

use http::HeaderMap;

use crate::clock;

/// No provider names more than a handful; more is noise.
const LIMITS_MAX: usize = 8;
const NAME_LENGTH_MAX: usize = 40;

/// The rate limits one answer told of. Empty where the provider sends no such headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Each limit the provider named, in the order of its name.
    pub each: Vec<Limit>,
}

/// One rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is counted, e.g. `requests`, `tokens`, `project-tokens`.
    pub name: String,
    /// How many are allowed.
    pub limit: u64,
    /// How many are left.
    pub remaining: u64,
    /// How long after this answer all are allowed again. What is said here is stale by then.
    pub reset: Option<Duration>,
}

impl Limit {
    /// The used share, 0.0 to 1.0. A limit of zero counts as used up.
    pub fn used(&self) -> f64 {
        if self.limit == 0 {
            return 1.0;
        }
        let remaining = self.remaining.min(self.limit);
        #[expect(clippy::cast_precision_loss, reason = "a gauge needs no more than 52 bits")]
        let share = (self.limit - remaining) as f64 / self.limit as f64;
        share
    }
}

impl Limits {
    /// The used share of the limit that is nearest, 0.0 to 1.0; `None` when nothing is known.
    pub fn worst_used(&self) -> Option<f64> {
        self.each.iter().map(Limit::used).max_by(f64::total_cmp)
    }

    /// The limit of that name.
    pub fn get(&self, name: &str) -> Option<&Limit> {
        self.each.iter().find(|limit| limit.name == name)
    }

    /// Reads `x-ratelimit-{limit,remaining,reset}-<name>`, the OpenAI family.
    ///
    /// Values that are no plain number (Azure sends -1 for "unknown") leave the limit out.
    pub(crate) fn from_openai_headers(headers: &HeaderMap) -> Self {
        const PREFIX: &str = "x-ratelimit-limit-";
        let mut each: Vec<Limit> = headers
            .keys()
            .filter_map(|key| key.as_str().strip_prefix(PREFIX))
            .filter(|name| !name.is_empty() && name.len() <= NAME_LENGTH_MAX)
            .filter_map(|name| {
                let number = |what: &str| -> Option<u64> {
                    text(headers, &format!("x-ratelimit-{what}-{name}"))?.parse().ok()
                };
                let reset = text(headers, &format!("x-ratelimit-reset-{name}"));
                Some(Limit {
                    name: name.to_owned(),
                    limit: number("limit")?,
                    remaining: number("remaining")?,
                    reset: reset.and_then(clock::parse_go_duration),
                })
            })
            .collect();
        each.sort_by(|a, b| a.name.cmp(&b.name));
        each.truncate(LIMITS_MAX);
        Self { each }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn the_nearest_limit_is_the_one_that_counts() {
        let limits = Limits::from_openai_headers(&headers(&[
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-requests", "60"),
            ("x-ratelimit-reset-requests", "6m0s"),
            ("x-ratelimit-limit-tokens", "40000"),
            ("x-ratelimit-remaining-tokens", "3000"),
            ("x-ratelimit-reset-tokens", "120ms"),
        ]));
        assert_eq!(limits.each.len(), 2);
        assert!((limits.worst_used().unwrap() - 0.925).abs() < 1e-9);
        let requests = limits.get("requests").unwrap();
        assert_eq!(requests.reset, Some(Duration::from_mins(6)));
        assert_eq!(limits.get("tokens").unwrap().reset, Some(Duration::from_millis(120)));
    }

    #[test]
    fn an_unknown_value_is_left_out_instead_of_guessed() {
        let limits = Limits::from_openai_headers(&headers(&[
            ("x-ratelimit-limit-requests", "-1"),
            ("x-ratelimit-remaining-requests", "-1"),
            ("x-ratelimit-limit-tokens", "10"),
        ]));
        assert_eq!(limits, Limits::default());
        assert_eq!(limits.worst_used(), None);
    }

    #[test]
    fn a_limit_of_nothing_is_used_up_and_an_overfull_one_is_untouched() {
        let used = |limit, remaining| Limit { name: "n".into(), limit, remaining, reset: None };
        assert!((used(0, 0).used() - 1.0).abs() < f64::EPSILON);
        assert!(used(10, 20).used().abs() < f64::EPSILON);
    }
}
