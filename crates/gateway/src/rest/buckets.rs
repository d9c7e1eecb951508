//! Discord's limits as learnt from its headers: per route, over all, and pauses it asked for.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use http::HeaderMap;

use crate::rest::retry_after::{Limited, Scope};

/// Of so many requests in a second, drafts and typing leave one for what must arrive.
const COSMETICS_LEAVE_ONE_OF: usize = 5;
const SECOND: Duration = Duration::from_secs(1);
/// Discord's second of the global limit, and a little more: requests do not arrive as evenly as
/// they leave, and one too many is refused and counts towards the ban of this address.
const GLOBAL_WINDOW: Duration = Duration::from_millis(1_050);
/// The pause after a 429 that does not say how long, which doubles with each further one.
const PAUSE_FIRST: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// The wait on one route after a 429 that does not say how long.
const ROUTE_PAUSE: Duration = Duration::from_secs(2);
/// How many routes are kept before idle ones are forgotten.
const ROUTES_MAX: usize = 2_048;

/// How much a request matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// It must arrive: it may use a route's last request.
    Must,
    /// It only makes things nicer: it leaves the last request of a route to others.
    Cosmetic,
}

/// Whether a request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// It may; it counts as under way from now on.
    Go,
    /// Not before then, or before another request on its route has ended.
    Wait(Instant),
}

#[derive(Debug, Default)]
struct Bucket {
    limit: Option<u32>,
    remaining: u32,
    reset_at: Option<Instant>,
    blocked_until: Option<Instant>,
    in_flight: u32,
}

/// What is known of Discord's limits.
#[derive(Debug)]
pub(crate) struct Buckets {
    per_second: usize,
    routes: HashMap<String, Bucket>,
    sent: VecDeque<Instant>,
    paused_until: Option<Instant>,
    unexplained: u32,
}

impl Buckets {
    /// Nothing is known yet but how many requests may be made in any one second over all routes.
    pub(crate) fn new(per_second: usize) -> Self {
        Self {
            per_second,
            routes: HashMap::new(),
            sent: VecDeque::new(),
            paused_until: None,
            unexplained: 0,
        }
    }

    /// Asks whether a request on `route` may go now.
    pub(crate) fn ask(&mut self, route: &str, urgency: Urgency, now: Instant) -> Gate {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Gate::Wait(until);
        }
        if let Some(until) = self.global_wait(urgency, now) {
            return Gate::Wait(until);
        }
        self.forget_idle(now);
        let bucket = self.routes.entry(route.to_owned()).or_default();
        if let Some(until) = bucket.wait(urgency, now) {
            return Gate::Wait(until);
        }
        bucket.remaining = bucket.remaining.saturating_sub(1);
        bucket.in_flight += 1;
        self.sent.push_back(now);
        Gate::Go
    }

    /// Notes that a request has ended, and what its answer said of the route's limit.
    pub(crate) fn ended(&mut self, route: &str, headers: Option<&HeaderMap>, now: Instant) {
        let Some(bucket) = self.routes.get_mut(route) else { return };
        bucket.in_flight = bucket.in_flight.saturating_sub(1);
        let Some(headers) = headers else { return };
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let limit = text("x-ratelimit-limit").and_then(|text| text.parse().ok());
        let remaining: Option<u32> =
            text("x-ratelimit-remaining").and_then(|text| text.parse().ok());
        let reset_after = text("x-ratelimit-reset-after")
            .and_then(|text| text.parse().ok())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let (Some(limit), Some(remaining), Some(reset_after)) = (limit, remaining, reset_after)
        else {
            // A route without limits: as many at once as the global limit allows.
            bucket.limit = None;
            bucket.remaining = u32::MAX;
            bucket.reset_at = None;
            return;
        };
        bucket.limit = Some(limit);
        bucket.remaining = remaining.saturating_sub(bucket.in_flight);
        bucket.reset_at = Some(now + reset_after);
    }

    /// Takes over a 429. Returns when to ask again.
    pub(crate) fn limited(&mut self, route: &str, limited: Limited, now: Instant) -> Instant {
        match limited.scope {
            Scope::Route | Scope::Shared => {
                let until = now + limited.wait.unwrap_or(ROUTE_PAUSE);
                let bucket = self.routes.entry(route.to_owned()).or_default();
                bucket.blocked_until = Some(until);
                until
            }
            Scope::Global | Scope::Edge => {
                let wait = limited.wait.unwrap_or_else(|| {
                    let factor = 2u32.saturating_pow(self.unexplained.min(16));
                    self.unexplained += 1;
                    PAUSE_FIRST.saturating_mul(factor).min(PAUSE_MAX)
                });
                let until = now + wait;
                self.paused_until = Some(self.paused_until.map_or(until, |old| old.max(until)));
                until
            }
        }
    }

    /// Notes that Discord answers again: a later 429 without a wait starts small.
    pub(crate) fn answered(&mut self) {
        self.unexplained = 0;
    }

    /// How far apart requests on this route should be so that its limit lasts, where known.
    pub(crate) fn pace(&self, route: &str, now: Instant) -> Option<Duration> {
        let bucket = self.routes.get(route)?;
        let reset_at = bucket.reset_at?;
        bucket.limit?;
        // One request is always left for what must arrive.
        let left = bucket.remaining.saturating_sub(1);
        let span = reset_at.saturating_duration_since(now);
        Some(span / left.max(1))
    }

    fn global_wait(&mut self, urgency: Urgency, now: Instant) -> Option<Instant> {
        while self.sent.front().is_some_and(|at| *at + GLOBAL_WINDOW <= now) {
            self.sent.pop_front();
        }
        let allowed = match urgency {
            Urgency::Must => self.per_second,
            Urgency::Cosmetic => self.per_second - self.per_second / COSMETICS_LEAVE_ONE_OF,
        };
        if self.sent.len() < allowed {
            return None;
        }
        self.sent.get(self.sent.len() - allowed).map(|at| *at + GLOBAL_WINDOW)
    }

    fn forget_idle(&mut self, now: Instant) {
        if self.routes.len() >= ROUTES_MAX {
            self.routes.retain(|_, bucket| !bucket.is_idle(now));
        }
    }
}

impl Bucket {
    fn wait(&mut self, urgency: Urgency, now: Instant) -> Option<Instant> {
        if let Some(until) = self.blocked_until.filter(|until| *until > now) {
            return Some(until);
        }
        if self.reset_at.is_some_and(|reset_at| reset_at <= now) {
            self.reset_at = None;
            self.remaining = self.limit.unwrap_or(u32::MAX).saturating_sub(self.in_flight);
        }
        let unknown = self.limit.is_none() && self.remaining == 0;
        if unknown {
            // The first answer tells the limit; until then one request at a time.
            return (self.in_flight > 0).then(|| now + SECOND);
        }
        let kept = match (urgency, self.limit) {
            (Urgency::Cosmetic, Some(limit)) if limit > 1 => 1,
            _ => 0,
        };
        (self.remaining <= kept).then(|| self.reset_at.unwrap_or(now + SECOND))
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.in_flight == 0
            && self.reset_at.is_none_or(|at| at <= now)
            && self.blocked_until.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_SECOND: usize = 50;
    const ROUTE: &str = "POST channels/1/messages";

    fn headers(limit: u32, remaining: u32, reset_after: f64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-ratelimit-limit", limit.into());
        headers.insert("x-ratelimit-remaining", remaining.into());
        headers.insert("x-ratelimit-reset-after", reset_after.to_string().parse().unwrap());
        headers
    }

    #[test]
    fn an_unknown_route_sends_one_request_and_learns_from_its_answer() {
        let now = Instant::now();
        let mut buckets = Buckets::new(PER_SECOND);
        assert_eq!(buckets.ask(ROUTE, Urgency::Must, now), Gate::Go);
        assert!(matches!(buckets.ask(ROUTE, Urgency::Must, now), Gate::Wait(_)));
        buckets.ended(ROUTE, Some(&headers(5, 4, 5.0)), now);
        for _ in 0..4 {
            assert_eq!(buckets.ask(ROUTE, Urgency::Must, now), Gate::Go);
        }
        let reset = now + Duration::from_secs(5);
        assert_eq!(buckets.ask(ROUTE, Urgency::Must, now), Gate::Wait(reset));
        assert!(matches!(buckets.ask("POST channels/2/messages", Urgency::Must, now), Gate::Go));
        for _ in 0..4 {
            buckets.ended(ROUTE, None, now);
        }
        assert_eq!(buckets.ask(ROUTE, Urgency::Must, reset), Gate::Go);
    }

    #[test]
    fn cosmetics_leave_the_last_request_to_what_must_arrive() {
        let now = Instant::now();
        let mut buckets = Buckets::new(PER_SECOND);
        assert_eq!(buckets.ask(ROUTE, Urgency::Cosmetic, now), Gate::Go);
        buckets.ended(ROUTE, Some(&headers(5, 1, 4.0)), now);
        assert!(matches!(buckets.ask(ROUTE, Urgency::Cosmetic, now), Gate::Wait(_)));
        assert_eq!(buckets.ask(ROUTE, Urgency::Must, now), Gate::Go);
    }

    #[test]
    fn no_second_ever_sees_more_than_fifty_requests() {
        let now = Instant::now();
        let mut buckets = Buckets::new(PER_SECOND);
        for number in 0..PER_SECOND {
            let gate = buckets.ask(&format!("GET channels/{number}"), Urgency::Must, now);
            assert_eq!(gate, Gate::Go);
        }
        let next = buckets.ask("GET channels/999", Urgency::Must, now);
        assert_eq!(next, Gate::Wait(now + GLOBAL_WINDOW));
        assert_eq!(buckets.ask("GET channels/999", Urgency::Must, now + GLOBAL_WINDOW), Gate::Go);
    }

    #[test]
    fn an_unexplained_429_pauses_everything_longer_each_time() {
        let now = Instant::now();
        let mut buckets = Buckets::new(PER_SECOND);
        let edge = Limited { scope: Scope::Edge, wait: None };
        assert_eq!(buckets.limited(ROUTE, edge, now), now + Duration::from_secs(5));
        assert!(matches!(buckets.ask("GET x", Urgency::Must, now), Gate::Wait(_)));
        assert_eq!(buckets.limited(ROUTE, edge, now), now + Duration::from_secs(10));
        buckets.answered();
        let later = now + Duration::from_secs(20);
        assert_eq!(buckets.limited(ROUTE, edge, later), later + Duration::from_secs(5));
    }

    #[test]
    fn a_429_of_one_route_blocks_that_route_only() {
        let now = Instant::now();
        let mut buckets = Buckets::new(PER_SECOND);
        let wait = Some(Duration::from_secs(7));
        let until = buckets.limited(ROUTE, Limited { scope: Scope::Shared, wait }, now);
        assert_eq!(buckets.ask(ROUTE, Urgency::Must, now), Gate::Wait(until));
        assert_eq!(buckets.ask("GET x", Urgency::Must, now), Gate::Go);
        assert_eq!(buckets.ask(ROUTE, Urgency::Must, until), Gate::Go);
    }

    #[test]
    fn the_pace_spreads_what_is_left_over_the_time_that_is_left() {
        let now = Instant::now();
        let mut buckets = Buckets::new(PER_SECOND);
        assert_eq!(buckets.pace(ROUTE, now), None);
        buckets.ask(ROUTE, Urgency::Must, now);
        buckets.ended(ROUTE, Some(&headers(5, 4, 3.0)), now);
        assert_eq!(buckets.pace(ROUTE, now), Some(Duration::from_secs(1)));
    }
}
