//! Sends calls: waits for limits, honours every 429, and repeats what may yet succeed.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use chassis::ExposeSecret as _;
use chassis::check::clock::ClockWatch;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::rest::breaker::Breaker;
use crate::rest::buckets::{Buckets, Gate, Urgency};
use crate::rest::call::Call;
use crate::rest::failure::{Failure, Rejection};
use crate::rest::retry_after::{self, Scope};

const USER_AGENT: &str =
    concat!("DiscordBot (https://github.com/kotonoha/kotonoha, ", env!("CARGO_PKG_VERSION"), ")");
/// How long nothing is sent after a 401: five tries an hour.
const UNAUTHORIZED_FOR: Duration = Duration::from_mins(12);
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections kept: enough for one busy moment, little memory.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// The client. Cheap to clone; all clones share one view of the limits.
#[derive(Clone)]
pub(crate) struct Rest {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    base: String,
    authorization: HeaderValue,
    state: Mutex<State>,
    ended: Notify,
    /// Learns from every answer what time it is at Discord's.
    clock: OnceLock<ClockWatch>,
}

struct State {
    buckets: Buckets,
    breaker: Breaker,
    unauthorized_until: Option<Instant>,
    /// Until when sending was said to pause, so that it is said once.
    pause_told: Option<Instant>,
}

impl fmt::Debug for Rest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Rest").field("base", &self.inner.base).finish_non_exhaustive()
    }
}

impl Rest {
    /// A client for Discord's API, for the owner's bot.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls =
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(USER_AGENT)
            .http1_only()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(config.limits.request_timeout)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("make the HTTP client")?;
        let token = config.token.expose_secret();
        let bearer =
            if token.starts_with("Bot ") { token.to_owned() } else { format!("Bot {token}") };
        let mut authorization = HeaderValue::from_str(&bearer)
            .context("read DISCORD_TOKEN as one line of plain characters")?;
        authorization.set_sensitive(true);
        let inner = Inner {
            http,
            base: format!("{}/api/v10/", config.api_url),
            authorization,
            state: Mutex::new(State {
                buckets: Buckets::new(config.requests_per_second),
                breaker: Breaker::new(config.limits.invalid_requests_max),
                unauthorized_until: None,
                pause_told: None,
            }),
            ended: Notify::new(),
            clock: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// From now on `watch` is told the time that Discord's answers carry.
    pub(crate) fn watch_clock(&self, watch: ClockWatch) {
        self.inner.clock.get_or_init(|| watch);
    }

    /// One attempt, after waiting for its turn under the limits.
    pub(crate) async fn send(&self, call: &Call) -> Result<Bytes, Failure> {
        self.turn(call).await?;
        self.attempt(call).await
    }

    /// Waits until the call may go; it counts as under way from then on.
    async fn turn(&self, call: &Call) -> Result<(), Failure> {
        loop {
            // A request that ends may free the route before the time named. It is listened for
            // before asking, so that none is missed.
            let freed = self.inner.ended.notified();
            match self.inner.ask(call, Urgency::Must)? {
                Gate::Go => return Ok(()),
                Gate::Wait(until) => {
                    if tokio::time::timeout_at(until.into(), freed).await.is_err() {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
    }

    /// One attempt if the limits have room for it now, else [`Failure::Limited`].
    pub(crate) async fn send_if_free(&self, call: &Call) -> Result<Bytes, Failure> {
        match self.inner.ask(call, Urgency::Cosmetic)? {
            Gate::Go => self.attempt(call).await,
            Gate::Wait(until) => Err(Failure::Limited(until)),
        }
    }

    /// Repeats a call until Discord did it or will not do it. None: `stop` was cancelled before.
    ///
    /// An attempt whose answer was lost is repeated too, so the call must be one that may be done
    /// twice: a create has its nonce for that.
    pub(crate) async fn settle(
        &self,
        call: &Call,
        stop: &CancellationToken,
    ) -> Option<Result<Bytes, Rejection>> {
        let mut delay = RETRY_FIRST;
        loop {
            // Only waiting is cut short: an attempt that has begun is brought to its end, so that
            // what became of it is known.
            let sent = match stop.run_until_cancelled(self.turn(call)).await? {
                Ok(()) => self.attempt(call).await,
                Err(failure) => Err(failure),
            };
            let until = match sent {
                Ok(body) => return Some(Ok(body)),
                Err(Failure::Rejected(rejection)) if !rejection.is_temporary() => {
                    return Some(Err(rejection));
                }
                Err(Failure::Limited(until) | Failure::Unauthorized(until)) => until,
                Err(failure) => {
                    tracing::warn!(rest.limit = call.limit, error = %failure, "call will be repeated");
                    let until = Instant::now() + delay;
                    delay = (delay * 2).min(RETRY_MAX);
                    until
                }
            };
            stop.run_until_cancelled(tokio::time::sleep_until(until.into())).await?;
        }
    }

    /// One attempt whose answer is read as JSON.
    pub(crate) async fn read<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Failure> {
        let body = self.send(call).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Failure::Unsure(format!("Discord's answer cannot be read: {error}")))
    }

    /// How far apart calls against this limit should be, where Discord told us.
    pub(crate) fn pace(&self, limit: &str) -> Option<Duration> {
        self.inner.lock().buckets.pace(limit, Instant::now())
    }

    /// Whether Discord refused the token a short while ago.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.inner.lock().unauthorized_until.is_some_and(|until| until > Instant::now())
    }

    /// Until when nothing is sent because Discord refused too many requests.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        self.inner.lock().breaker.open_until(Instant::now())
    }

    async fn attempt(&self, call: &Call) -> Result<Bytes, Failure> {
        let under_way = UnderWay { inner: &self.inner, limit: &call.limit, over: false };
        let begun = Instant::now();
        let answer = self.exchange(call).await;
        let kind = call.limit.split(' ').next().unwrap_or_default().to_owned();
        let seconds = begun.elapsed().as_secs_f64();
        metrics::histogram!("gateway_rest_seconds", "call" => kind).record(seconds);
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                under_way.end(None);
                return Err(failure);
            }
        };
        under_way.end(Some(&answer.headers));
        self.inner.tell_time(&answer.headers, begun.elapsed());
        self.inner.judge(call, answer)
    }

    async fn exchange(&self, call: &Call) -> Result<Answer, Failure> {
        let url = format!("{}{}", self.inner.base, call.path);
        let mut request = self
            .inner
            .http
            .request(call.method.clone(), url)
            .header(AUTHORIZATION, self.inner.authorization.clone());
        request = match &call.body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body.clone()),
            // Discord's edge asks a length of every POST and PUT, also of an empty one.
            None => request.header("content-length", "0"),
        };
        let response = request.send().await.map_err(classify)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.map_err(classify)?;
        Ok(Answer { status, headers, body })
    }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

/// A request under way: it is counted out even where its future is dropped half-way.
struct UnderWay<'a> {
    inner: &'a Inner,
    limit: &'a str,
    over: bool,
}

impl UnderWay<'_> {
    fn end(mut self, headers: Option<&HeaderMap>) {
        self.over = true;
        self.inner.lock().buckets.ended(self.limit, headers, Instant::now());
        self.inner.ended.notify_waiters();
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.inner.lock().buckets.ended(self.limit, None, Instant::now());
            self.inner.ended.notify_waiters();
        }
    }
}

fn classify(error: reqwest::Error) -> Failure {
    let unreached = error.is_connect() || error.is_builder();
    // The address holds ids only, but a reader has no use for it.
    let text = format!("{:#}", anyhow::Error::new(error.without_url()));
    if unreached { Failure::Unreached(text) } else { Failure::Unsure(text) }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_time(&self, headers: &HeaderMap, round_trip: Duration) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        if let (Some(watch), Some(date)) = (self.clock.get(), date) {
            watch.observe(date, round_trip);
        }
    }

    fn ask(&self, call: &Call, urgency: Urgency) -> Result<Gate, Failure> {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(until) = state.unauthorized_until.filter(|until| *until > now) {
            return Err(Failure::Unauthorized(until));
        }
        if let Some(until) = state.breaker.open_until(now) {
            if state.pause_told != Some(until) {
                state.pause_told = Some(until);
                tracing::error!(
                    wait_seconds = until.saturating_duration_since(now).as_secs(),
                    "too many requests were refused by Discord; sending pauses to avoid a ban"
                );
            }
            return Err(Failure::Limited(until));
        }
        Ok(state.buckets.ask(&call.limit, urgency, now))
    }

    fn judge(&self, call: &Call, answer: Answer) -> Result<Bytes, Failure> {
        let Answer { status, headers, body } = answer;
        let now = Instant::now();
        let mut state = self.lock();
        if status != 429 {
            state.buckets.answered();
        }
        match status {
            200..300 => {
                state.unauthorized_until = None;
                Ok(body)
            }
            429 => {
                let limited = retry_after::read(&headers, &body);
                metrics::counter!("gateway_rest_429_total", "scope" => limited.scope.word())
                    .increment(1);
                if limited.scope != Scope::Shared {
                    state.breaker.count(now);
                }
                let until = state.buckets.limited(&call.limit, limited, now);
                let wait_ms = until.saturating_duration_since(now).as_millis();
                tracing::warn!(
                    rest.limit = call.limit,
                    scope = limited.scope.word(),
                    wait_ms,
                    "rate limited"
                );
                Err(Failure::Limited(until))
            }
            401 => {
                state.breaker.count(now);
                let until = now + UNAUTHORIZED_FOR;
                state.unauthorized_until = Some(until);
                Err(Failure::Unauthorized(until))
            }
            400..500 => {
                if status == 403 {
                    state.breaker.count(now);
                }
                Err(Failure::Rejected(Rejection::read(status, &body)))
            }
            _ => Err(Failure::Unsure(format!("Discord answered {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::id::ChannelId;

    use super::*;

    fn rest() -> Rest {
        chassis::lifecycle::install_crypto_provider();
        let source = chassis::Source::new(|key| match key {
            "DISCORD_TOKEN" => Some("x".to_owned()),
            "DISCORD_API_URL" => Some("http://127.0.0.1:1".to_owned()),
            _ => None,
        });
        let mut reader = chassis::Reader::new(source);
        let config = Config::read(&mut reader);
        Rest::new(&reader.finish(config).unwrap()).unwrap()
    }

    fn answer(status: u16) -> Answer {
        Answer { status, headers: HeaderMap::new(), body: Bytes::from_static(b"{}") }
    }

    #[test]
    fn a_clock_that_is_years_off_discords_is_seen_in_the_first_answer() {
        let rest = rest();
        let health = chassis::Health::new(chassis::service!());
        rest.watch_clock(ClockWatch::over(&health));
        let mut headers = HeaderMap::new();
        rest.inner.tell_time(&headers, Duration::from_millis(5));
        assert!(health.is_healthy(), "an answer without a date says nothing");
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        rest.inner.tell_time(&headers, Duration::from_millis(5));
        assert!(!health.is_healthy());
    }

    #[test]
    fn a_thousand_refusals_stop_everything_before_discord_bans_us() {
        let rest = rest();
        let call = Call::get_channel(ChannelId(1));
        for _ in 0..1_000 {
            assert!(rest.inner.ask(&call, Urgency::Must).is_ok());
            assert!(matches!(rest.inner.judge(&call, answer(403)), Err(Failure::Rejected(_))));
        }
        assert!(matches!(rest.inner.ask(&call, Urgency::Must), Err(Failure::Limited(_))));
    }

    #[test]
    fn after_a_401_nothing_is_sent_for_a_while() {
        let rest = rest();
        let call = Call::get_channel(ChannelId(1));
        assert!(matches!(rest.inner.judge(&call, answer(401)), Err(Failure::Unauthorized(_))));
        let other = Call::get_channel(ChannelId(2));
        assert!(matches!(rest.inner.ask(&other, Urgency::Must), Err(Failure::Unauthorized(_))));
        assert!(rest.is_unauthorized());
    }

    #[test]
    fn the_token_is_in_no_debug_output() {
        let shown = format!("{:?} {:?}", rest(), rest().inner.authorization);
        assert!(!shown.contains("Bot x"), "{shown}");
    }
}
