//! How much of a provider's rate limits is used, as its answer's headers say.

use std::time::Duration;

use http::HeaderMap;

use crate::clock;

/// No provider names more than a handful; more is noise.
const WINDOWS_MAX: usize = 8;
const NAME_LENGTH_MAX: usize = 40;

/// The rate-limit windows of one answer. Empty where the provider sends no such headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Each window the provider named, in the order of its name.
    pub windows: Vec<Window>,
}

/// One rate-limit window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// What is counted, e.g. `requests`, `tokens`, `project-tokens`.
    pub name: String,
    /// How many fit into the window.
    pub limit: u64,
    /// How many are left.
    pub remaining: u64,
    /// How long after this answer the window is full again. What is said here is stale by then.
    pub reset: Option<Duration>,
}

impl Window {
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
    /// The fullest window's used share, 0.0 to 1.0; `None` when nothing is known.
    pub fn worst_used(&self) -> Option<f64> {
        self.windows.iter().map(Window::used).max_by(f64::total_cmp)
    }

    /// The window of that name.
    pub fn window(&self, name: &str) -> Option<&Window> {
        self.windows.iter().find(|window| window.name == name)
    }

    /// Reads `x-ratelimit-{limit,remaining,reset}-<name>`, the OpenAI family.
    ///
    /// Values that are no plain number (Azure sends -1 for "unknown") leave the window out.
    pub(crate) fn from_openai_headers(headers: &HeaderMap) -> Self {
        const PREFIX: &str = "x-ratelimit-limit-";
        let mut windows: Vec<Window> = headers
            .keys()
            .filter_map(|key| key.as_str().strip_prefix(PREFIX))
            .filter(|name| !name.is_empty() && name.len() <= NAME_LENGTH_MAX)
            .filter_map(|name| {
                let number = |what: &str| -> Option<u64> {
                    text(headers, &format!("x-ratelimit-{what}-{name}"))?.parse().ok()
                };
                let reset = text(headers, &format!("x-ratelimit-reset-{name}"));
                Some(Window {
                    name: name.to_owned(),
                    limit: number("limit")?,
                    remaining: number("remaining")?,
                    reset: reset.and_then(clock::parse_go_duration),
                })
            })
            .collect();
        windows.sort_by(|a, b| a.name.cmp(&b.name));
        windows.truncate(WINDOWS_MAX);
        Self { windows }
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
    fn the_worst_window_is_the_one_that_counts() {
        let limits = Limits::from_openai_headers(&headers(&[
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-requests", "60"),
            ("x-ratelimit-reset-requests", "6m0s"),
            ("x-ratelimit-limit-tokens", "40000"),
            ("x-ratelimit-remaining-tokens", "3000"),
            ("x-ratelimit-reset-tokens", "120ms"),
        ]));
        assert_eq!(limits.windows.len(), 2);
        assert!((limits.worst_used().unwrap() - 0.925).abs() < 1e-9);
        let requests = limits.window("requests").unwrap();
        assert_eq!(requests.reset, Some(Duration::from_secs(360)));
        assert_eq!(limits.window("tokens").unwrap().reset, Some(Duration::from_millis(120)));
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
    fn a_window_of_nothing_is_full_and_an_overfull_one_is_empty() {
        let window = |limit, remaining| Window { name: "n".into(), limit, remaining, reset: None };
        assert!((window(0, 0).used() - 1.0).abs() < f64::EPSILON);
        assert!(window(10, 20).used().abs() < f64::EPSILON);
    }
}
