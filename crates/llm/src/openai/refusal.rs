//! The many ways in which servers of the OpenAI dialect say no, and what they mean.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde_json::Value;

use crate::clock;
use crate::decoder::Failure;
use crate::error::ErrorKind;

/// Below this a number in a message is no token count but a part of a name or a list.
const TOKEN_COUNT_MIN: u64 = 64;
const REASON_LENGTH_MAX: usize = 64;

/// A refusal with what its headers say about trying again.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) failure: Failure,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) should_retry: Option<bool>,
}

/// What an answer other than 200 means.
pub(crate) fn refusal(status: u16, headers: &HeaderMap, body: &[u8]) -> Refusal {
    let text = String::from_utf8_lossy(body);
    let complaint = match serde_json::from_str::<Value>(&text) {
        Ok(value) => Complaint::read(&value),
        Err(_) => Complaint::plain(&text),
    };
    let kind = complaint.kind(Some(status));
    let message = if complaint.message.is_empty() {
        default_message(status).to_owned()
    } else {
        complaint.message
    };
    Refusal {
        failure: Failure::new(kind, message),
        retry_after: clock::retry_after(headers, SystemTime::now()),
        should_retry: clock::should_retry(headers),
    }
}

/// What an error in the middle of a stream, after a 200, means.
pub(crate) fn in_stream(value: &Value) -> Failure {
    let complaint = Complaint::read(value);
    let status = complaint.status();
    Failure::new(complaint.kind(status), complaint.message)
}

/// `{"error": {message, type, code, …}}` and its relatives: the error object itself, a bare
/// string, `{"detail": …}`, `{"object": "error", "message": …}`.
struct Complaint {
    message: String,
    class: String,
    code: String,
    have: Option<u64>,
    max: Option<u64>,
}

impl Complaint {
    fn plain(text: &str) -> Self {
        let text = text.trim();
        let message = if text.starts_with('<') {
            "a web page instead of JSON".to_owned()
        } else {
            text.to_owned()
        };
        Self { message, class: String::new(), code: String::new(), have: None, max: None }
    }

    fn read(value: &Value) -> Self {
        let inner = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
        if let Some(text) = inner.as_str() {
            return Self::plain(text);
        }
        let word = |name: &str| match inner.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let message = ["message", "detail", "error", "msg"]
            .into_iter()
            .map(word)
            .find(|text| !text.is_empty())
            .unwrap_or_default();
        let number = |name: &str| inner.get(name).and_then(Value::as_u64);
        Self {
            message,
            class: word("type"),
            code: word("code"),
            have: number("n_prompt_tokens"),
            max: number("n_ctx"),
        }
    }

    /// Some servers put the HTTP status they would have sent into `code`.
    fn status(&self) -> Option<u16> {
        self.code.parse().ok().filter(|status| (400..600).contains(status))
    }

    /// Either of the two words, whichever a server chose to put its meaning into.
    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| {
            self.code.eq_ignore_ascii_case(word) || self.class.eq_ignore_ascii_case(word)
        })
    }

    fn kind(&self, status: Option<u16>) -> ErrorKind {
        if self.says(&["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"])
            || status == Some(402)
        {
            return ErrorKind::QuotaExhausted;
        }
        // A server in trouble may well mention its context; only a refusal of ours is about it.
        let ours = status.is_none_or(|status| (400..500).contains(&status) && status != 429);
        if ours && self.is_about_length(status) {
            let (have, max) = self.lengths();
            return ErrorKind::ContextTooLong { have, max };
        }
        if self.says(&[
            "content_filter",
            "content_policy_violation",
            "ResponsibleAIPolicyViolation",
        ]) {
            let reason = if self.code.is_empty() { &self.class } else { &self.code };
            return ErrorKind::Blocked { reason: reason.chars().take(REASON_LENGTH_MAX).collect() };
        }
        if self.says(&[
            "invalid_api_key",
            "authentication_error",
            "permission_denied",
            "API_KEY_INVALID",
        ]) {
            return ErrorKind::Auth;
        }
        match status {
            Some(status) => by_status(status),
            None => self.by_class(),
        }
    }

    fn is_about_length(&self, status: Option<u16>) -> bool {
        let message = self.message.to_ascii_lowercase();
        status == Some(413)
            || self.says(&["context_length_exceeded", "exceed_context_size_error"])
            || [
                "maximum context length",
                "exceeds the available context size",
                "exceeds the context length",
                "prompt is too long",
                "input token count",
            ]
            .iter()
            .any(|sign| message.contains(sign))
    }

    /// From the fields where there are some, else from the two largest-standing numbers of the
    /// message: what was asked for is always the larger one.
    fn lengths(&self) -> (Option<u64>, Option<u64>) {
        if self.have.is_some() || self.max.is_some() {
            return (self.have, self.max);
        }
        let mut counts = token_counts(&self.message);
        counts.truncate(2);
        match counts[..] {
            [a, b] => (Some(a.max(b)), Some(a.min(b))),
            [only] if self.message.contains("maximum context length") => (None, Some(only)),
            [only] => (Some(only), None),
            _ => (None, None),
        }
    }

    fn by_class(&self) -> ErrorKind {
        let word = if self.class.is_empty() { &self.code } else { &self.class };
        let word = word.to_ascii_lowercase();
        if word.contains("rate_limit") || self.says(&["requests", "tokens", "too_many_requests"]) {
            ErrorKind::RateLimited
        } else if word.contains("overloaded") || word.contains("unavailable") {
            ErrorKind::Overloaded
        } else if word.contains("invalid_request") || word.contains("not_found") {
            ErrorKind::BadRequest
        } else {
            ErrorKind::Server
        }
    }
}

fn by_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Auth,
        429 => ErrorKind::RateLimited,
        // 498 is Groq's "flex tier at capacity", 529 Anthropic's "overloaded".
        498 | 503 | 529 => ErrorKind::Overloaded,
        // The official clients repeat 408 and 409 as they do 5xx.
        408 | 409 | 425 | 499 | 500.. => ErrorKind::Server,
        _ => ErrorKind::BadRequest,
    }
}

fn default_message(status: u16) -> &'static str {
    match status {
        300..400 => "the provider wants to redirect, which is not followed; use the final address",
        404 => "nothing answers at this address",
        _ => "the provider gave no reason",
    }
}

/// The whole numbers of `text` that stand alone, thousands separators allowed.
fn token_counts(text: &str) -> Vec<u64> {
    text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ',')))
        .map(|word| word.trim_end_matches(['.', ',']).replace(',', ""))
        .filter_map(|word| word.parse().ok())
        .filter(|count| *count >= TOKEN_COUNT_MIN)
        .collect()
}
