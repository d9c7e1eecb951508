//! Answers as they go out: status, headers of the rate limit, body.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use crate::limits::Bucket;
use crate::rest::call::Answer;
use crate::rest::error::ApiError;

/// An answer and what the limits say about it.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) bucket: Option<Bucket>,
    pub(crate) scope: Option<&'static str>,
    retry_after_ms: Option<u64>,
    html: bool,
}

impl Reply {
    pub(crate) fn plain(answer: Answer) -> Self {
        Self { answer, bucket: None, scope: None, retry_after_ms: None, html: false }
    }

    /// Tells how much of a bucket is left.
    pub(crate) fn with_bucket(self, bucket: Option<Bucket>) -> Self {
        Self { bucket, ..self }
    }

    pub(crate) fn refused(error: ApiError) -> Self {
        Self::plain(error.into_answer())
    }

    /// A bare status, as a server in trouble answers.
    pub(crate) fn status(status: u16) -> Self {
        let reason = StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
        let message = format!("{status}: {}", reason.unwrap_or("Unknown"));
        Self::plain(Answer { status, body: Some(json!({"message": message, "code": 0})) })
    }

    /// 429 of a bucket.
    pub(crate) fn limited(bucket: Bucket, scope: &'static str) -> Self {
        let wait_ms = bucket.reset_after_ms;
        let words = match scope {
            "shared" => "The resource is being rate limited.",
            _ => "You are being rate limited.",
        };
        let answer = Answer { status: 429, body: Some(limit_body(words, wait_ms, false)) };
        let retry_after_ms = Some(wait_ms);
        Self { bucket: Some(bucket), scope: Some(scope), retry_after_ms, ..Self::plain(answer) }
    }

    /// 429 of the global limit.
    pub(crate) fn limited_globally(wait_ms: u64) -> Self {
        let body = limit_body("You are being rate limited.", wait_ms, true);
        let answer = Answer { status: 429, body: Some(body) };
        Self { scope: Some("global"), retry_after_ms: Some(wait_ms), ..Self::plain(answer) }
    }

    /// 429 from in front of the API.
    pub(crate) fn limited_without_headers(wait_ms: Option<u64>) -> Self {
        let answer = Answer { status: 429, body: Some(json!("error code: 1015")) };
        Self { retry_after_ms: wait_ms, html: true, ..Self::plain(answer) }
    }

    pub(crate) fn into_response(self) -> Response {
        let text = match (&self.answer.body, self.html) {
            (Some(Value::String(text)), true) => text.clone(),
            (Some(body), _) => body.to_string(),
            (None, _) => String::new(),
        };
        let mut response = Response::new(Body::from(text));
        // A broken connection has no status; whatever stands here never arrives.
        *response.status_mut() =
            StatusCode::from_u16(self.answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if self.answer.body.is_some() {
            let kind = if self.html { "text/html" } else { "application/json" };
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        for (name, value) in self.limit_headers() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }

    fn limit_headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(bucket) = &self.bucket {
            headers.push(("x-ratelimit-limit", bucket.limit.to_string()));
            headers.push(("x-ratelimit-remaining", bucket.remaining.to_string()));
            headers.push(("x-ratelimit-reset", seconds(bucket.reset_ms)));
            headers.push(("x-ratelimit-reset-after", seconds(bucket.reset_after_ms)));
            headers.push(("x-ratelimit-bucket", bucket.name.clone()));
        }
        if let Some(wait_ms) = self.retry_after_ms {
            headers.push(("retry-after", wait_ms.div_ceil(1000).to_string()));
        }
        if let Some(scope) = self.scope {
            headers.push(("x-ratelimit-scope", scope.to_owned()));
            if scope == "global" {
                headers.push(("x-ratelimit-global", "true".to_owned()));
            }
        }
        headers.push(("via", "1.1 google".to_owned()));
        if self.html {
            headers.retain(|(name, _)| *name == "retry-after");
        }
        headers
    }
}

/// Milliseconds as decimal seconds.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn limit_body(message: &str, wait_ms: u64, global: bool) -> Value {
    let seconds: Value = serde_json::from_str(&seconds(wait_ms)).unwrap_or(json!(1.0));
    json!({"message": message, "retry_after": seconds, "global": global, "code": 0})
}
