//! Publishing into a stream: a message counts as sent when JetStream has it on disk.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::connection::Bus;
use crate::error::chain;
use crate::trace;

pub(crate) const RETRY_DELAY_FIRST: Duration = Duration::from_millis(20);
pub(crate) const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);

/// A message for a stream.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// The subject, which decides the stream.
    pub subject: String,
    /// The message's id: within the stream's duplicate window a second one is not stored.
    pub id: Option<String>,
    /// Headers, name and value.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub payload: Bytes,
}

/// Where a message was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// Whether the stream had it already.
    pub duplicate: bool,
}

/// Why a message was not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The message is larger than the server or the stream takes. Asking again will not help.
    #[error("a message of {size} bytes is larger than the bus takes ({detail})")]
    TooLarge {
        /// The message's size in bytes, without headers.
        size: usize,
        /// What the server or client said.
        detail: String,
    },
    /// The stream is full, or its disk is; it refuses new messages rather than dropping old ones.
    #[error("the stream is full: {0}; free disk space or raise the stream's limit")]
    Full(String),
    /// The server is away, slow, or not set up yet.
    #[error("the bus did not take the message: {0}")]
    Unavailable(String),
    /// We were told to stop before the message was stored.
    #[error("stopped before the message was stored")]
    Cancelled,
}

impl PublishError {
    /// Whether the same message may be taken later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Unavailable(_))
    }
}

impl Bus {
    /// Publishes once and waits up to 5 s for JetStream's acknowledgement.
    ///
    /// After [`PublishError::Unavailable`] the message may still have been stored, or may be
    /// stored later from the client's buffer: publish again with the same id.
    pub async fn publish(&self, message: &Outgoing) -> Result<Stored, PublishError> {
        let outcome = self.try_publish(message).await;
        match &outcome {
            Ok(_) => self.stall.end(),
            Err(error) if error.is_transient() => self.stall.begin(),
            // A message that is itself at fault says nothing about the stream.
            Err(_) => {}
        }
        outcome
    }

    async fn try_publish(&self, message: &Outgoing) -> Result<Stored, PublishError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &message.headers {
            headers.insert(*name, value.as_str());
        }
        // A trace that is derived from its cause outlives the span we happen to be in.
        if headers.get(contracts::trace::HEADER).is_none() {
            trace::inject(&mut headers);
        }
        // `headers` replaces the whole map, so the message id must come after it.
        let mut outgoing = PublishMessage::build().headers(headers);
        if let Some(id) = &message.id {
            outgoing = outgoing.message_id(id);
        }
        let outgoing = outgoing.payload(message.payload.clone());
        let size = message.payload.len();
        let acknowledgement = self
            .jetstream
            .send_publish(message.subject.clone(), outgoing)
            .await
            .map_err(|error| not_acknowledged(&error, size))?
            .await
            .map_err(|error| not_acknowledged(&error, size))?;
        Ok(Stored { sequence: acknowledgement.sequence, duplicate: acknowledgement.duplicate })
    }

    /// Publishes again and again, with the same id, until the message is stored.
    ///
    /// Fails only with [`PublishError::TooLarge`], or [`PublishError::Cancelled`] once `stop` is.
    pub async fn publish_until_stored(
        &self,
        message: &Outgoing,
        stop: &CancellationToken,
    ) -> Result<Stored, PublishError> {
        let mut delay = RETRY_DELAY_FIRST;
        loop {
            let attempt = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(PublishError::Cancelled),
                attempt = self.publish(message) => attempt,
            };
            match attempt {
                // One loss says it for all: an outage holds up hundreds of messages at once.
                Err(error) if error.is_transient() => {
                    if self.stall.told() {
                        tracing::debug!(subject = message.subject, %error, "not stored yet");
                    } else {
                        tracing::warn!(subject = message.subject, %error, "not stored yet");
                    }
                }
                settled => return settled,
            }
            tokio::select! {
                () = stop.cancelled() => return Err(PublishError::Cancelled),
                () = tokio::time::sleep(delay) => {}
            }
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }
}

/// The client did not take a message.
pub(crate) fn classify(error: &async_nats::PublishError, size: usize) -> PublishError {
    let detail = chain(error);
    match error.kind() {
        async_nats::client::PublishErrorKind::MaxPayloadExceeded => {
            PublishError::TooLarge { size, detail }
        }
        _ => PublishError::Unavailable(detail),
    }
}

/// JetStream refused a message, and says why in words only.
pub(crate) fn refused(detail: String, size: usize) -> PublishError {
    // nats-server says this of a stream's own `max_msg_size` ("message size exceeds maximum
    // allowed", 10054) and of a full stream ("maximum bytes exceeded", 10077).
    if detail.contains("message size exceeds") {
        PublishError::TooLarge { size, detail }
    } else if detail.contains("maximum") || detail.contains("insufficient") {
        PublishError::Full(detail)
    } else {
        PublishError::Unavailable(detail)
    }
}

fn not_acknowledged(error: &jetstream::context::PublishError, size: usize) -> PublishError {
    let detail = chain(error);
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge { size, detail },
        PublishErrorKind::Other => refused(detail, size),
        _ => PublishError::Unavailable(detail),
    }
}
