//! The gate before every login: spacing, Discord's daily limit, and our own persisted budget.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::CancellationToken;
use twilight_gateway::queue::Queue;

use crate::clock;
use crate::rest::{Call, Failure, Rest};
use crate::session::budget::Budget;
use crate::session::policy::Refusal;
use crate::session::report::Report;
use crate::session::store::Store;

/// Between two IDENTIFYs of one bucket. Source: Discord's reference, "Rate Limiting" of gateways.
const SPACING: Duration = Duration::from_secs(5);
/// How old Discord's word on the daily limit may be before it is asked again.
const LIMIT_AGE_MAX: Duration = Duration::from_mins(10);
/// How long a wait sleeps at most before it looks again.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// What Discord says of its gateway.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GatewayInfo {
    /// Where it is.
    pub url: String,
    /// How many shards the bot should have.
    pub shards: u32,
    /// How many logins are left.
    pub session_start_limit: StartLimit,
}

/// How many logins are left.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct StartLimit {
    /// Until the limit is reset.
    pub remaining: u32,
    /// Milliseconds until then.
    pub reset_after: u64,
    /// How many shards may log in at once.
    pub max_concurrency: u32,
}

#[derive(Debug)]
struct Limit {
    start: StartLimit,
    asked: Instant,
}

/// The gate. Cheap to clone; all shards share it.
#[derive(Clone)]
pub(crate) struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    rest: Rest,
    store: Store,
    refused_per_hour_max: usize,
    stop: CancellationToken,
    state: Mutex<State>,
    left: AtomicU32,
}

struct State {
    budget: Budget,
    limit: Option<Limit>,
    last: HashMap<u32, Instant>,
    /// Whether a login against a refusal was counted that has not been tried yet.
    has_leave: bool,
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// Reads the budget, waiting until the bus answers.
    pub(crate) async fn open(
        rest: Rest,
        store: Store,
        refused_per_hour_max: usize,
        stop: CancellationToken,
    ) -> Self {
        let budget = store.budget(&stop).await;
        let state = State { budget, limit: None, last: HashMap::new(), has_leave: false };
        let left = AtomicU32::new(state.left());
        let state = Mutex::new(state);
        Self { inner: Arc::new(Inner { rest, store, refused_per_hour_max, stop, state, left }) }
    }

    /// Asks Discord where its gateway is.
    pub(crate) async fn ask(&self) -> Result<GatewayInfo, Failure> {
        let info: GatewayInfo = self.inner.rest.read(&Call::gateway()).await?;
        let limit = Limit { start: info.session_start_limit, asked: Instant::now() };
        self.inner.state.lock().await.limit = Some(limit);
        Ok(info)
    }

    /// Why Discord refuses our logins, if it does, and when the next may be tried, in
    /// milliseconds since the Unix epoch.
    pub(crate) async fn refusal(&self) -> Option<(Refusal, u64)> {
        let state = self.inner.state.lock().await;
        let refusal = Refusal { code: state.budget.refused_code()? };
        let hourly = self.inner.refused_per_hour_max;
        state.budget.refused_login_at(clock::unix_ms(), hourly).map(|at| (refusal, at))
    }

    /// While logins are refused: waits until the next may be tried, and counts it. What is asked
    /// of Discord before a login, and the login itself, are one try: with a report it is used up.
    pub(crate) async fn wait_after_refusal(&self, report: Option<&Report>) {
        loop {
            let now = clock::unix_ms();
            let mut state = self.inner.state.lock().await;
            let at = state.budget.refused_login_at(now, self.inner.refused_per_hour_max);
            match at {
                None => return,
                Some(_) if state.has_leave => {
                    state.has_leave = report.is_none();
                    return;
                }
                Some(at) if at <= now => {
                    state.budget.retry_refused(now);
                    if self.inner.store.save_budget(&state.budget, &self.inner.stop).await {
                        state.has_leave = report.is_none();
                    }
                    return;
                }
                Some(at) => {
                    drop(state);
                    if !self.sleep_until(at, report).await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits until an IDENTIFY may be sent, without counting one.
    pub(crate) async fn wait_before_identify(&self, shard: u32, report: &Report) {
        loop {
            let now = clock::unix_ms();
            let mut state = self.inner.state.lock().await;
            self.refresh(&mut state).await;
            let at = state.identify_at(shard, now);
            drop(state);
            if at <= now || !self.sleep_until(at, Some(report)).await {
                return;
            }
        }
    }

    /// Notes that Discord refused a login.
    pub(crate) async fn refused(&self, refusal: Refusal) {
        let mut state = self.inner.state.lock().await;
        state.budget.refused(refusal.code, clock::unix_ms());
        state.has_leave = false;
        self.inner.store.save_budget(&state.budget, &self.inner.stop).await;
    }

    /// Notes that a session stands.
    pub(crate) async fn succeeded(&self) {
        let mut state = self.inner.state.lock().await;
        if state.budget.succeeded() {
            self.inner.store.save_budget(&state.budget, &self.inner.stop).await;
        }
    }

    /// How many logins are left today. Never waits: while the budget is being worked on, it is
    /// what was known before.
    pub(crate) fn identifies_left(&self) -> u32 {
        if let Ok(state) = self.inner.state.try_lock() {
            self.inner.left.store(state.left(), Ordering::Relaxed);
        }
        self.inner.left.load(Ordering::Relaxed)
    }

    /// Waits for its turn, counts an IDENTIFY where it lasts, and lets it go.
    async fn let_identify(&self, shard: u32, go: oneshot::Sender<()>) {
        loop {
            let now = clock::unix_ms();
            let mut state = self.inner.state.lock().await;
            if go.is_closed() || self.inner.stop.is_cancelled() {
                return;
            }
            self.refresh(&mut state).await;
            let at = state.identify_at(shard, now);
            if at <= now {
                state.budget.spend(now);
                // Counted first: a login that nobody counted could be one too many.
                if !self.inner.store.save_budget(&state.budget, &self.inner.stop).await {
                    return;
                }
                let bucket = state.bucket(shard);
                state.last.insert(bucket, Instant::now());
                if let Some(limit) = &mut state.limit {
                    limit.start.remaining = limit.start.remaining.saturating_sub(1);
                }
                drop(state);
                metrics::counter!("gateway_identifies_total").increment(1);
                tracing::info!(shard.id = shard, "identifying");
                if go.send(()).is_err() {
                    tracing::debug!(shard.id = shard, "the connection was gone before its login");
                }
                return;
            }
            drop(state);
            if !self.sleep_until(at, None).await {
                return;
            }
        }
    }

    /// Asks Discord for the daily limit again where its last word is old or says that none is left.
    async fn refresh(&self, state: &mut State) {
        let is_fresh = state.limit.as_ref().is_some_and(|limit| {
            let over = Duration::from_millis(limit.start.reset_after);
            let age = limit.asked.elapsed();
            age < LIMIT_AGE_MAX && (limit.start.remaining > 0 || age < over)
        });
        if is_fresh {
            return;
        }
        match self.inner.rest.read::<GatewayInfo>(&Call::gateway()).await {
            Ok(info) => {
                state.limit =
                    Some(Limit { start: info.session_start_limit, asked: Instant::now() });
            }
            Err(error) => {
                tracing::warn!(%error, "Discord did not say how many logins are left; our own count holds");
            }
        }
    }

    /// Sleeps towards a time, at most a minute. False: we were told to stop.
    async fn sleep_until(&self, unix_ms: u64, report: Option<&Report>) -> bool {
        let wait = Duration::from_millis(unix_ms.saturating_sub(clock::unix_ms()));
        if let Some(report) = report {
            report.waits_for_login(Some(unix_ms));
        }
        let sleep = tokio::time::sleep(wait.min(LOOK_AGAIN));
        let slept = self.inner.stop.run_until_cancelled(sleep).await.is_some();
        if let Some(report) = report {
            report.waits_for_login(None);
        }
        slept
    }
}

impl State {
    /// How many logins are left today, by our own count and by Discord's last word.
    fn left(&self) -> u32 {
        let own = self.budget.left(clock::unix_ms());
        self.limit.as_ref().map_or(own, |limit| own.min(limit.start.remaining))
    }

    fn bucket(&self, shard: u32) -> u32 {
        let concurrency = self.limit.as_ref().map_or(1, |limit| limit.start.max_concurrency);
        shard % concurrency.max(1)
    }

    /// When this shard may identify, in milliseconds since the Unix epoch.
    fn identify_at(&self, shard: u32, now: u64) -> u64 {
        let spaced = self.last.get(&self.bucket(shard)).map_or(now, |last| {
            let wait = SPACING.saturating_sub(last.elapsed());
            now + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
        });
        let by_discord = match &self.limit {
            Some(limit) if limit.start.remaining == 0 => {
                let over = Duration::from_millis(limit.start.reset_after);
                let wait = over.saturating_sub(limit.asked.elapsed());
                now + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
            }
            _ => now,
        };
        self.budget.identify_at(now).max(spaced).max(by_discord)
    }
}

impl Queue for Gate {
    fn enqueue(&self, shard: u32) -> oneshot::Receiver<()> {
        let (go, ready) = oneshot::channel();
        let gate = self.clone();
        tokio::spawn(async move { gate.let_identify(shard, go).await });
        ready
    }
}
