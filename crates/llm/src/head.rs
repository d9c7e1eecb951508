//! What the head of an HTTP answer says, before its first piece.

use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::decoder::Framing;
use crate::limits::Limits;
use crate::provider::Wire;

const REQUEST_ID_LENGTH_MAX: usize = 128;

/// What the head of the HTTP answer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The HTTP status.
    pub status: u16,
    /// The provider's name for this request.
    pub request_id: Option<String>,
    /// How much of the rate limits is used. Sent with good answers too.
    pub limits: Limits,
    /// How long the headers took.
    pub after: Duration,
}

impl Head {
    pub(crate) fn read(status: u16, headers: &HeaderMap, wire: &Wire, after: Duration) -> Self {
        let limits = match wire {
            Wire::OpenAi(_) => Limits::from_openai_headers(headers),
        };
        Self { status, request_id: request_id(headers), limits, after }
    }
}

/// `None` for a web page. Servers that name no type are taken at their word to stream.
pub(crate) fn framing(headers: &HeaderMap) -> Option<Framing> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "text/html" | "application/xhtml+xml" => None,
        "application/json" => Some(Framing::Document),
        _ => Some(Framing::Events),
    }
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-request-id").or_else(|| headers.get("request-id"))?;
    let value = value.to_str().ok()?.trim();
    (1..=REQUEST_ID_LENGTH_MAX).contains(&value.len()).then(|| value.to_owned())
}
