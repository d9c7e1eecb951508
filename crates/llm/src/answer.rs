//! One answer on its way: the state of a call, its clocks, and its single end.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use http::HeaderMap;
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::client::chain;
use crate::decoder::{Decoder, Failure};
use crate::error::{Error, ErrorKind, Phase};
use crate::event::{Event, Stop, Usage};
use crate::head::{Head, framing};
use crate::openai::{self, Refusal};
use crate::provider::{Provider, Wire};
use crate::redact;

/// An error's body is read up to here; the rest can only be a web page.
const ERROR_BODY_BYTES_MAX: usize = 64 << 10;
/// A refusal is known by its status; its words are not worth a longer wait.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(5);
/// What may follow the end mark before the connection is given up instead of reused.
const DRAIN_BYTES_MAX: usize = 64 << 10;
const DRAIN_WAIT: Duration = Duration::from_secs(1);

type Opening = Pin<Box<dyn Future<Output = reqwest::Result<reqwest::Response>> + Send>>;
type Body = BoxStream<'static, reqwest::Result<Bytes>>;

/// A stream of [`Event`]s that ends in exactly one [`Event::Done`] or one [`Error`].
///
/// Dropping it at any time ends the call and the connection it used.
pub struct Answer {
    provider: Arc<Provider>,
    state: State,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    total: Pin<Box<Sleep>>,
    /// For the headers first, then for the next piece, at last for the trailer.
    quiet: Pin<Box<Sleep>>,
    in_trailer: bool,
    ready: VecDeque<Event>,
    /// The end, held back until everything before it was taken.
    end: Option<Result<Event, Failure>>,
    head: Option<Head>,
    started: Instant,
    first_text_after: Option<Duration>,
    visible_bytes: u64,
}

enum State {
    Opening(Opening),
    Refused { headers: HeaderMap, body: Body, bytes: Vec<u8> },
    Streaming { decoder: Box<Decoder>, body: Body },
    Ended { usage: Option<Usage>, model: Option<String>, advice: Advice },
}

#[derive(Clone, Copy, Default)]
struct Advice {
    retry_after: Option<Duration>,
    should_retry: Option<bool>,
}

/// A whole answer, for callers that do not stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The visible text.
    pub text: String,
    /// Why it ended.
    pub stop: Stop,
    /// What it used, where the provider says so.
    pub usage: Option<Usage>,
}

impl Answer {
    pub(crate) fn new(
        provider: Arc<Provider>,
        call: impl Future<Output = reqwest::Result<reqwest::Response>> + Send + 'static,
        deadline: Option<Duration>,
        cancel: CancellationToken,
    ) -> Self {
        let started = Instant::now();
        let total = deadline.unwrap_or(provider.timeouts.total).min(provider.timeouts.total);
        Self {
            state: State::Opening(Box::pin(call)),
            cancelled: Box::pin(cancel.cancelled_owned()),
            total: Box::pin(sleep_until(started + total)),
            quiet: Box::pin(sleep_until(started + provider.timeouts.headers)),
            provider,
            in_trailer: false,
            ready: VecDeque::new(),
            end: None,
            head: None,
            started,
            first_text_after: None,
            visible_bytes: 0,
        }
    }

    /// The next event; `None` once the end was given. Safe to drop and call again.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        futures_util::StreamExt::next(self).await
    }

    /// Waits for the end and gives the whole text.
    pub async fn whole(mut self) -> Result<Whole, Error> {
        let mut text = String::new();
        while let Some(event) = self.next().await {
            match event? {
                Event::Text(piece) => text.push_str(&piece),
                Event::Done { stop, usage } => return Ok(Whole { text, stop, usage }),
                Event::Reasoning(_) | Event::Ping => {}
            }
        }
        unreachable!("an answer ends in Done or an error")
    }

    /// What the HTTP head said; `None` before it came.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The model that answers, as the provider names it; `None` before it said so.
    pub fn model(&self) -> Option<&str> {
        match &self.state {
            State::Streaming { decoder, .. } => decoder.model(),
            State::Ended { model, .. } => model.as_deref(),
            State::Opening(_) | State::Refused { .. } => None,
        }
    }

    /// Tokens counted so far, for a call that is about to be given up.
    pub fn usage(&self) -> Option<Usage> {
        match &self.state {
            State::Streaming { decoder, .. } => decoder.usage(),
            State::Ended { usage, .. } => *usage,
            State::Opening(_) | State::Refused { .. } => None,
        }
    }

    /// How long the first visible text took; `None` before it came.
    pub fn first_text_after(&self) -> Option<Duration> {
        self.first_text_after
    }

    /// How long ago the call was made.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Stream for Answer {
    type Item = Result<Event, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.end.is_none() && this.is_running() {
                this.check_deadline(cx);
            }
            if let Some(event) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(this.note(event))));
            }
            if let Some(end) = this.end.take() {
                return Poll::Ready(Some(end.map_err(|failure| this.explain(failure))));
            }
            if !this.is_running() {
                return Poll::Ready(None);
            }
            if this.poll_step(cx).is_pending() {
                // Only asked when there is nothing to read: a caller that was busy elsewhere
                // must not take what waited for it for silence.
                ready!(this.quiet.as_mut().poll(cx));
                this.fall_silent();
            }
        }
    }
}

impl Answer {
    fn is_running(&self) -> bool {
        !matches!(self.state, State::Ended { .. })
    }

    fn note(&mut self, event: Event) -> Event {
        if let Event::Text(text) = &event {
            self.visible_bytes = self.visible_bytes.saturating_add(text.len() as u64);
            self.first_text_after.get_or_insert_with(|| self.started.elapsed());
        }
        event
    }

    /// Ends the call when it was cancelled or its whole time is over.
    fn check_deadline(&mut self, cx: &mut Context<'_>) {
        if self.cancelled.as_mut().poll(cx).is_ready() {
            // Whoever cancels wants nothing more, not even what is already here.
            self.ready.clear();
            self.stop(Err(Failure::new(ErrorKind::Cancelled, "cancelled by the caller")));
        } else if self.total.as_mut().poll(cx).is_ready() {
            self.run_out(Phase::Total, "the whole answer took too long");
        }
    }

    /// Ends the call when nothing came for too long.
    fn fall_silent(&mut self) {
        match self.state {
            State::Opening(_) => self.run_out(Phase::Headers, "no answer came in time"),
            _ => self.run_out(Phase::Idle, "the answer fell silent"),
        }
    }

    fn run_out(&mut self, phase: Phase, message: &str) {
        match &mut self.state {
            // Whole already: only the trailer is missing.
            State::Streaming { decoder, .. } if decoder.is_whole() => {
                let end = decoder.conclude();
                self.stop(end);
            }
            State::Refused { .. } => self.refuse(),
            _ => self.stop(Err(Failure::new(ErrorKind::Timeout { phase }, message))),
        }
    }

    /// One step forward: something was put into `ready` or `end`, or the state changed.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Opening(call) => match ready!(call.as_mut().poll(cx)) {
                Ok(response) => self.open(response),
                Err(error) => self.stop(Err(not_connected(error))),
            },
            State::Refused { body, bytes, .. } => match ready!(body.poll_next_unpin(cx)) {
                Some(Ok(piece)) if bytes.len() < ERROR_BODY_BYTES_MAX => {
                    let room = ERROR_BODY_BYTES_MAX - bytes.len();
                    bytes.extend_from_slice(&piece[..piece.len().min(room)]);
                }
                _ => self.refuse(),
            },
            State::Streaming { decoder, body } => {
                let piece = ready!(body.poll_next_unpin(cx));
                let outcome = match &piece {
                    Some(Ok(bytes)) => decoder.feed(bytes, &mut self.ready),
                    Some(Err(_)) => Ok(()),
                    None => decoder.end_of_input(&mut self.ready),
                };
                let (over, whole) = (decoder.is_over(), decoder.is_whole());
                match (outcome, piece) {
                    // A cap can still be broken after the last word; the answer is whole anyway.
                    (Err(failure), _) if !whole => self.stop(Err(failure)),
                    (Ok(()), Some(Ok(_))) if !over => self.rest(whole),
                    (_, Some(Err(error))) if !whole => self.stop(Err(broken(error))),
                    (_, piece) => {
                        let end = decoder.conclude();
                        self.stop_reusing(end, matches!(piece, Some(Ok(_))));
                    }
                }
            }
            State::Ended { .. } => {}
        }
        Poll::Ready(())
    }

    /// Something came: the next piece has its full time again. The trailer has its time once.
    fn rest(&mut self, whole: bool) {
        let timeouts = &self.provider.timeouts;
        let wait = match (whole, self.in_trailer) {
            (false, _) => timeouts.idle,
            (true, false) => timeouts.trailer,
            (true, true) => return,
        };
        self.in_trailer = whole;
        self.quiet.as_mut().reset(Instant::now() + wait);
    }

    fn open(&mut self, response: reqwest::Response) {
        let headers = response.headers();
        let status = response.status().as_u16();
        let after = self.started.elapsed();
        self.head = Some(Head::read(status, headers, &self.provider.wire, after));
        if status == 200 {
            let Some(framing) = framing(headers) else {
                let message = "a web page instead of an answer; the base URL is not an API's";
                return self.stop(Err(Failure::new(ErrorKind::BadRequest, message)));
            };
            let decoder = Box::new(Decoder::new(&self.provider.wire, framing, self.provider.caps));
            self.state = State::Streaming { decoder, body: response.bytes_stream().boxed() };
            self.rest(false);
        } else {
            let headers = headers.clone();
            let body = response.bytes_stream().boxed();
            self.state = State::Refused { headers, body, bytes: Vec::new() };
            let wait = ERROR_BODY_WAIT.min(self.provider.timeouts.idle);
            self.quiet.as_mut().reset(Instant::now() + wait);
        }
    }

    /// Ends a call that was answered with something else than 200.
    fn refuse(&mut self) {
        let State::Refused { headers, bytes, .. } = &self.state else { return };
        let status = self.head.as_ref().map_or(0, |head| head.status);
        let Refusal { failure, retry_after, should_retry } = match &self.provider.wire {
            Wire::OpenAi(_) => openai::refusal(status, headers, bytes),
        };
        self.stop(Err(failure));
        if let State::Ended { advice, .. } = &mut self.state {
            *advice = Advice { retry_after, should_retry };
        }
    }

    /// Holds the end back for the events before it, and lets the connection go.
    fn stop(&mut self, end: Result<Event, Failure>) {
        self.end = Some(end);
        let (usage, model) = (self.usage(), self.model().map(str::to_owned));
        self.state = State::Ended { usage, model, advice: Advice::default() };
    }

    /// As [`stop`](Self::stop), but reads what little may follow the end mark, because a
    /// connection is reused only when its answer was read to the end.
    fn stop_reusing(&mut self, end: Result<Event, Failure>, more: bool) {
        let (usage, model) = (self.usage(), self.model().map(str::to_owned));
        let ended = State::Ended { usage, model, advice: Advice::default() };
        self.end = Some(end);
        if let State::Streaming { body, .. } = std::mem::replace(&mut self.state, ended)
            && more
        {
            tokio::spawn(tokio::time::timeout(DRAIN_WAIT, drain(body)));
        }
    }

    fn explain(&self, failure: Failure) -> Error {
        let key = self.provider.api_key.as_ref().map(|key| key.expose_secret().trim());
        let message = redact::shorten(&failure.message, key);
        let (usage, advice) = match &self.state {
            State::Ended { usage, advice, .. } => (*usage, *advice),
            _ => (None, Advice::default()),
        };
        let error = Error::new(failure.kind, &self.provider.name, message)
            .with_retry_after(advice.retry_after)
            .with_should_retry(advice.should_retry)
            .with_partial(usage, self.visible_bytes);
        match &self.head {
            Some(head) => error.with_head(head),
            None => error,
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("provider", &self.provider.name)
            .field("head", &self.head)
            .field("visible_bytes", &self.visible_bytes)
            .finish_non_exhaustive()
    }
}

async fn drain(mut body: Body) {
    let mut bytes = 0_usize;
    while let Some(Ok(piece)) = body.next().await {
        bytes += piece.len();
        if bytes > DRAIN_BYTES_MAX {
            return;
        }
    }
}

fn not_connected(error: reqwest::Error) -> Failure {
    let kind = if error.is_connect() && error.is_timeout() {
        ErrorKind::Timeout { phase: Phase::Connect }
    } else {
        ErrorKind::Transport
    };
    Failure::new(kind, chain(&error.without_url()))
}

fn broken(error: reqwest::Error) -> Failure {
    Failure::new(ErrorKind::Transport, chain(&error.without_url()))
}
