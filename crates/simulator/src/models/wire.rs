//! Which provider a request took us for, and what arrived.

use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use tokio::time::Instant;

use crate::connection::Cut;

/// A provider that speaks the OpenAI-style wire, with its own small differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// Wants a key, refuses unknown parameters, tells its rate limits.
    OpenAi,
    /// Wants no key and ignores what it does not know.
    Ollama,
}

impl Wire {
    /// The name in records.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Ollama => "ollama",
        }
    }
}

/// One request as it arrived.
pub(super) struct Arrival {
    pub(super) wire: Wire,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) at: Instant,
    pub(super) cut: Cut,
}

impl Arrival {
    /// Waits until so long after the arrival.
    pub(super) async fn wait_until(&self, offset: Duration) {
        tokio::time::sleep_until(self.at + offset).await;
    }
}
