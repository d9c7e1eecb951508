//! Consuming from a stream: pulled, explicitly acknowledged, alive across reconnects.

use std::fmt;
use std::future::IntoFuture;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};

use crate::connection::Bus;
use crate::error::{BusError, chain};
use crate::trace;

const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// A pull that shows no sign of life for twice this long is made anew.
const PULL_HEARTBEAT: Duration = Duration::from_secs(5);
const RECOVER_DELAY_FIRST: Duration = Duration::from_millis(50);
const RECOVER_DELAY_MAX: Duration = Duration::from_secs(2);

/// Where a new consumer starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message.
    All,
    /// At this sequence.
    Sequence(u64),
    /// At what is published from now on.
    New,
}

/// A durable consumer as it must exist before we pull from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSpec {
    /// The stream's name.
    pub stream: &'static str,
    /// The consumer's own name.
    pub durable: &'static str,
    /// The subjects it takes; none = all of the stream.
    pub filters: Vec<String>,
    /// Where it starts, if it is new.
    pub start: Start,
    /// Whether an existing one is deleted first, so that `start` holds.
    pub fresh: bool,
    /// How long a delivery may stay unanswered before it is delivered again.
    pub ack_wait: Duration,
    /// How many deliveries may be unanswered at once; also how many are fetched ahead.
    pub in_flight_max: usize,
    /// How often a message is delivered at most; none = until it is acknowledged.
    pub deliver_max: Option<i64>,
}

impl ConsumerSpec {
    fn config(&self) -> pull::Config {
        let in_flight_max = i64::try_from(self.in_flight_max).unwrap_or(i64::MAX);
        pull::Config {
            durable_name: Some(self.durable.to_owned()),
            deliver_policy: match self.start {
                Start::All => DeliverPolicy::All,
                Start::Sequence(start_sequence) => {
                    DeliverPolicy::ByStartSequence { start_sequence: start_sequence.max(1) }
                }
                Start::New => DeliverPolicy::New,
            },
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.ack_wait,
            max_ack_pending: in_flight_max,
            max_deliver: self.deliver_max.unwrap_or(-1),
            filter_subjects: self.filters.clone(),
            ..pull::Config::default()
        }
    }
}

impl Bus {
    /// Makes the consumer where it is missing (or anew where `fresh`), and starts pulling.
    pub async fn consume(&self, spec: &ConsumerSpec) -> Result<Deliveries, BusError> {
        const DOING: &str = "make a consumer";
        if spec.fresh {
            self.delete_consumer(spec).await?;
        }
        let consumer: jetstream::consumer::Consumer<pull::Config> =
            match self.find_consumer(spec).await? {
                Some(consumer) if !spec.fresh => consumer,
                _ => self
                    .jetstream
                    .create_consumer_on_stream(spec.config(), spec.stream)
                    .await
                    .map_err(|error| BusError::unavailable(DOING)(error.into()))?,
            };
        let messages = pull_from(&consumer, spec).await?;
        Ok(Deliveries { bus: self.clone(), spec: spec.clone(), messages })
    }

    async fn delete_consumer(&self, spec: &ConsumerSpec) -> Result<(), BusError> {
        if self.find_consumer(spec).await?.is_none() {
            return Ok(());
        }
        self.jetstream
            .delete_consumer_from_stream(spec.durable, spec.stream)
            .await
            .map(drop)
            .map_err(|error| BusError::unavailable("delete a consumer")(error.into()))
    }

    async fn find_consumer(
        &self,
        spec: &ConsumerSpec,
    ) -> Result<Option<jetstream::consumer::Consumer<pull::Config>>, BusError> {
        const DOING: &str = "look for a consumer";
        let stream = self
            .jetstream
            .get_stream_no_info(spec.stream)
            .await
            .map_err(|error| BusError::unavailable(DOING)(error.into()))?;
        match stream.consumer_info(spec.durable).await {
            Ok(_info) => stream
                .get_consumer(spec.durable)
                .await
                .map(Some)
                .map_err(BusError::unavailable(DOING)),
            Err(error) => match error.kind() {
                ConsumerInfoErrorKind::NotFound => Ok(None),
                ConsumerInfoErrorKind::StreamNotFound => {
                    Err(BusError::ConsumerLost { stream: spec.stream, durable: spec.durable })
                }
                _ => Err(BusError::Unavailable { doing: DOING, reason: chain(&error) }),
            },
        }
    }
}

async fn pull_from(
    consumer: &jetstream::consumer::Consumer<pull::Config>,
    spec: &ConsumerSpec,
) -> Result<pull::Stream, BusError> {
    consumer
        .stream()
        .max_messages_per_batch(spec.in_flight_max)
        .expires(PULL_EXPIRES)
        .heartbeat(PULL_HEARTBEAT)
        .messages()
        .await
        .map_err(|error| BusError::unavailable("pull from a consumer")(error.into()))
}

/// The messages of a consumer, across reconnects.
pub struct Deliveries {
    bus: Bus,
    spec: ConsumerSpec,
    messages: pull::Stream,
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Deliveries").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Deliveries {
    /// The next delivery, waiting as long as it takes.
    ///
    /// Fails with [`BusError::ConsumerLost`] where the consumer or its stream is gone: only the
    /// caller knows where a new one must start.
    pub async fn next(&mut self) -> Result<Delivery, BusError> {
        loop {
            match self.messages.next().await {
                Some(Ok(message)) => {
                    if let Some(delivery) = Delivery::new(message) {
                        return Ok(delivery);
                    }
                    tracing::warn!("delivery without JetStream's reply subject dropped");
                }
                Some(Err(error)) => {
                    tracing::debug!(consumer = self.spec.durable, %error, "pull ended");
                    self.recover().await?;
                }
                None => self.recover().await?,
            }
        }
    }

    /// Waits for one delivery, then takes along what is there already, `max` in all.
    pub async fn batch(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        let mut batch = vec![self.next().await?];
        while batch.len() < max {
            match self.messages.next().now_or_never() {
                Some(Some(Ok(message))) => batch.extend(Delivery::new(message)),
                // An error is met again, and handled, by the next call.
                _ => break,
            }
        }
        Ok(batch)
    }

    async fn recover(&mut self) -> Result<(), BusError> {
        let mut delay = RECOVER_DELAY_FIRST;
        loop {
            self.bus.wait_connected().await;
            match self.reopen().await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_transient() => {
                    tracing::debug!(consumer = self.spec.durable, %error, "consumer not back yet");
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RECOVER_DELAY_MAX);
        }
    }

    async fn reopen(&mut self) -> Result<(), BusError> {
        let lost = BusError::ConsumerLost { stream: self.spec.stream, durable: self.spec.durable };
        let consumer = self.bus.find_consumer(&self.spec).await?.ok_or(lost)?;
        self.messages = pull_from(&consumer, &self.spec).await?;
        Ok(())
    }
}

/// One delivery of a message. Until it is answered it will be delivered again.
pub struct Delivery {
    /// The subject it was published on.
    pub subject: String,
    /// Its body.
    pub payload: Bytes,
    /// Its sequence in the stream.
    pub stream_sequence: u64,
    /// How often it was delivered, this time included.
    pub delivered: u64,
    /// When it was stored, in milliseconds since the Unix epoch.
    pub published_unix_ms: u64,
    message: jetstream::Message,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Delivery")
            .field("subject", &self.subject)
            .field("stream_sequence", &self.stream_sequence)
            .field("delivered", &self.delivered)
            .finish_non_exhaustive()
    }
}

impl Delivery {
    fn new(message: jetstream::Message) -> Option<Self> {
        let info = message.info().ok()?;
        let published_ms = info.published.unix_timestamp_nanos() / 1_000_000;
        Some(Self {
            subject: message.subject.to_string(),
            payload: message.payload.clone(),
            stream_sequence: info.stream_sequence,
            delivered: u64::try_from(info.delivered).unwrap_or_default(),
            published_unix_ms: u64::try_from(published_ms).unwrap_or_default(),
            message,
        })
    }

    /// A header's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
    }

    /// All headers, name and value.
    pub fn headers(&self) -> Vec<(String, String)> {
        let headers = self.message.headers.iter().flat_map(async_nats::HeaderMap::iter);
        headers
            .flat_map(|(name, values)| {
                values.iter().map(move |value| (name.to_string(), value.as_str().to_owned()))
            })
            .collect()
    }

    /// Makes `span` a child of the span that published the message. Call it before entering it.
    pub fn continue_trace(&self, span: &tracing::Span) {
        if let Some(headers) = &self.message.headers {
            trace::continue_in(span, headers);
        }
    }

    /// Done: never deliver it again. Not durable at once, even when confirmed: a broker that is
    /// killed right after delivers it again.
    pub async fn ack(&self) -> Result<(), BusError> {
        self.message.ack().await.map_err(BusError::unavailable("acknowledge"))
    }

    /// Like [`Delivery::ack`], and waits until the server has heard it.
    pub async fn ack_confirmed(&self) -> Result<(), BusError> {
        self.message.double_ack().into_future().await.map_err(BusError::unavailable("acknowledge"))
    }

    /// Still at it: start counting the wait anew.
    pub async fn in_progress(&self) -> Result<(), BusError> {
        self.answer(AckKind::Progress, "report progress").await
    }

    /// Not now: deliver it again, after `delay` where one is given.
    pub async fn nak(&self, delay: Option<Duration>) -> Result<(), BusError> {
        self.answer(AckKind::Nak(delay), "hand back").await
    }

    /// Never: this message cannot be processed. The reason goes to the server's advisory.
    pub async fn term(&self, reason: &str) -> Result<(), BusError> {
        tracing::warn!(subject = self.subject, reason, "message given up");
        self.answer(AckKind::Term, "give up").await
    }

    async fn answer(&self, kind: AckKind, doing: &'static str) -> Result<(), BusError> {
        self.message.ack_with(kind).await.map_err(BusError::unavailable(doing))
    }
}
