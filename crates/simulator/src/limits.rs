//! Rate limits: a bucket a route and channel, the global limit, and the ban above them.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::{Deserialize, Serialize};

/// How many invalid requests Discord bears in [`INVALID_PER_MS`] before it bans an address.
const INVALID_MAX: usize = 10_000;
const INVALID_PER_MS: u64 = 600_000;
/// Open threads a guild.
const ACTIVE_THREADS_MAX: usize = 1000;
/// Buckets that nobody used for this long are forgotten.
const IDLE_MS: u64 = 60_000;

/// So many requests in so many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Requests.
    pub count: u64,
    /// Milliseconds.
    pub per_ms: u64,
}

/// The limits in force.
#[derive(Clone, Debug, Serialize)]
pub struct LimitConfig {
    /// Messages sent to one channel.
    pub channel_creates: Pace,
    /// Messages edited in one channel.
    pub channel_edits: Pace,
    /// Every other route, for each channel or guild.
    pub other: Pace,
    /// All requests of the bot in a second.
    pub global_per_second: u64,
    /// Invalid requests (401, 403, 429) in ten minutes before the address is banned.
    pub invalid_max: usize,
    /// Threads of a guild that may be open at once.
    pub active_threads_max: usize,
    /// Whether anything is limited at all.
    pub enabled: bool,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            channel_creates: Pace { count: 5, per_ms: 5000 },
            channel_edits: Pace { count: 5, per_ms: 5000 },
            other: Pace { count: 50, per_ms: 1000 },
            global_per_second: 50,
            invalid_max: INVALID_MAX,
            active_threads_max: ACTIVE_THREADS_MAX,
            enabled: true,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Window {
    started_ms: u64,
    used: u64,
}

/// What the limits say of one request.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It may pass; the headers of its answer.
    Pass(Option<Bucket>),
    /// Too many in its bucket.
    Route(Bucket),
    /// Too many of everything; milliseconds to wait.
    Global(u64),
    /// The address is banned; milliseconds to wait.
    Banned(u64),
}

/// The state of a bucket as headers tell it.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Its name, the same for a route wherever it is used.
    pub name: String,
    /// Requests a window.
    pub limit: u64,
    /// Requests left in this window.
    pub remaining: u64,
    /// Milliseconds until the window ends.
    pub reset_after_ms: u64,
    /// When the window ends, Unix milliseconds.
    pub reset_ms: u64,
}

/// The counts behind the limits.
#[derive(Debug, Default)]
pub struct Limits {
    /// The limits in force.
    pub config: LimitConfig,
    windows: HashMap<(String, String), Window>,
    global: VecDeque<u64>,
    invalid: VecDeque<u64>,
    swept_ms: u64,
}

impl Limits {
    /// Counts a request of `route` (method and template) about `major` (its channel, guild or
    /// webhook).
    pub fn take(&mut self, route: &str, major: &str, now_ms: u64) -> Verdict {
        if !self.config.enabled {
            return Verdict::Pass(None);
        }
        self.sweep(now_ms);
        if self.invalid.len() >= self.config.invalid_max {
            let first_ms = self.invalid.front().copied().unwrap_or(now_ms);
            return Verdict::Banned((first_ms + INVALID_PER_MS).saturating_sub(now_ms));
        }
        if let Some(wait_ms) = self.global_wait(now_ms) {
            return Verdict::Global(wait_ms);
        }
        let (name, pace) = self.bucket(route);
        let window = self
            .windows
            .entry((name.clone(), major.to_owned()))
            .or_insert(Window { started_ms: now_ms, used: 0 });
        if now_ms >= window.started_ms + pace.per_ms {
            *window = Window { started_ms: now_ms, used: 0 };
        }
        let allowed = window.used < pace.count;
        window.used += u64::from(allowed);
        let reset_ms = window.started_ms + pace.per_ms;
        let bucket = Bucket {
            name,
            limit: pace.count,
            remaining: pace.count - window.used,
            reset_after_ms: reset_ms.saturating_sub(now_ms),
            reset_ms,
        };
        if allowed {
            self.global.push_back(now_ms);
            Verdict::Pass(Some(bucket))
        } else {
            Verdict::Route(bucket)
        }
    }

    /// Counts an answer of 401, 403 or 429 (shared ones excepted).
    pub fn count_invalid(&mut self, now_ms: u64) {
        self.invalid.push_back(now_ms);
    }

    /// Invalid requests of the last ten minutes.
    pub fn invalid(&self) -> usize {
        self.invalid.len()
    }

    /// Forgets all counts; the limits stay.
    pub fn reset(&mut self) {
        *self = Self { config: self.config.clone(), ..Self::default() };
    }

    /// The bucket a route is in, as its headers would show it when nothing is left.
    pub fn spent(&self, route: &str, wait_ms: u64, now_ms: u64) -> Bucket {
        let (name, pace) = self.bucket(route);
        let reset_ms = now_ms + wait_ms;
        Bucket { name, limit: pace.count, remaining: 0, reset_after_ms: wait_ms, reset_ms }
    }

    fn global_wait(&mut self, now_ms: u64) -> Option<u64> {
        let max = usize::try_from(self.config.global_per_second).unwrap_or(usize::MAX);
        while self.global.front().is_some_and(|at| now_ms >= at + 1000) {
            self.global.pop_front();
        }
        let first_ms = self.global.front().copied().filter(|_| self.global.len() >= max)?;
        Some((first_ms + 1000).saturating_sub(now_ms).max(1))
    }

    /// Name and pace of a route's bucket. The paces are those people see; Discord documents none.
    fn bucket(&self, route: &str) -> (String, Pace) {
        let pace = match route {
            "POST /channels/{channel_id}/messages" => self.config.channel_creates,
            "PATCH /channels/{channel_id}/messages/{message_id}" => self.config.channel_edits,
            "DELETE /channels/{channel_id}/messages/{message_id}" => {
                Pace { count: 5, per_ms: 1000 }
            }
            "POST /channels/{channel_id}/typing" => Pace { count: 5, per_ms: 5000 },
            _ if route.contains("/reactions/") => Pace { count: 1, per_ms: 250 },
            _ => self.config.other,
        };
        let key = if route.contains("/reactions/") { "reactions" } else { route };
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        (format!("{:016x}{:016x}", hasher.finish(), hasher.finish().rotate_left(17)), pace)
    }

    fn sweep(&mut self, now_ms: u64) {
        while self.invalid.front().is_some_and(|at| now_ms >= at + INVALID_PER_MS) {
            self.invalid.pop_front();
        }
        if now_ms >= self.swept_ms + IDLE_MS {
            self.swept_ms = now_ms;
            self.windows.retain(|_, window| now_ms < window.started_ms + IDLE_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: &str = "POST /channels/{channel_id}/messages";

    #[test]
    fn the_sixth_message_of_a_channel_waits_and_another_channel_does_not() {
        let mut limits = Limits::default();
        for left in (0..5).rev() {
            let Verdict::Pass(Some(bucket)) = limits.take(CREATE, "1", 1000) else { panic!() };
            assert_eq!(bucket.remaining, left);
        }
        let Verdict::Route(bucket) = limits.take(CREATE, "1", 3000) else { panic!() };
        assert_eq!(bucket.reset_after_ms, 3000);
        assert!(matches!(limits.take(CREATE, "2", 3000), Verdict::Pass(_)));
        assert!(matches!(limits.take(CREATE, "1", 6000), Verdict::Pass(_)));
    }

    #[test]
    fn the_fifty_first_request_of_a_second_meets_the_global_limit() {
        let mut limits = Limits::default();
        for channel in 0..50 {
            let verdict = limits.take(CREATE, &channel.to_string(), 1000);
            assert!(matches!(verdict, Verdict::Pass(_)));
        }
        assert!(matches!(limits.take(CREATE, "x", 1400), Verdict::Global(600)));
        assert!(matches!(limits.take(CREATE, "x", 2000), Verdict::Pass(_)));
    }

    #[test]
    fn too_many_invalid_requests_ban_the_address() {
        let mut limits = Limits::default();
        limits.config.invalid_max = 2;
        limits.count_invalid(1000);
        limits.count_invalid(2000);
        assert!(matches!(limits.take(CREATE, "1", 2000), Verdict::Banned(599_000)));
        assert!(matches!(limits.take(CREATE, "1", 601_000), Verdict::Pass(_)));
    }
}
