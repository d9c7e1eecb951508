//! The door to one provider: a connection pool and the way to ask.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect;
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;

use crate::answer::Answer;
use crate::provider::{Provider, Wire};
use crate::request::Request;
use crate::{openai, tls};

/// Shorter than the idle limit of the usual load balancers, so that a kept connection is rarely
/// one the other side has just given up.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// A connection that died without a word is found out by a ping, long before an idle timeout.
const HTTP2_PING_EVERY: Duration = Duration::from_secs(20);
const HTTP2_PING_WAIT: Duration = Duration::from_secs(10);

/// Asks one provider. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    provider: Arc<Provider>,
    endpoint: reqwest::Url,
}

/// A provider that cannot be asked as it is configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The base URL is no address of a provider.
    #[error(
        "the model provider's base URL {0}; write it like https://api.openai.com/v1 or \
         http://127.0.0.1:11434"
    )]
    BaseUrl(&'static str),
    /// The key cannot be sent in a header.
    #[error("the model provider's API key holds characters a key never has; copy it again")]
    ApiKey,
    /// The extra certificates cannot be read.
    #[error("the extra CA certificates cannot be used ({0}); give PEM text with certificates")]
    ExtraCa(String),
    /// The HTTP client could not be made.
    #[error("the model provider's HTTP client could not be made: {0}")]
    Http(String),
}

impl Client {
    /// A client for `provider`. Nothing is connected yet.
    ///
    /// No proxy is taken from the environment and no redirect is followed: a key goes to the
    /// configured host and nowhere else.
    pub fn new(provider: Provider) -> Result<Self, SetupError> {
        let base = parse_base(&provider.base_url)?;
        let endpoint = match &provider.wire {
            Wire::OpenAi(_) => openai::endpoint(base),
        };
        let tls = tls::config(provider.extra_ca_pem.as_deref())?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .default_headers(default_headers(&provider)?)
            .user_agent(concat!("kotonoha/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(provider.timeouts.connect)
            .http2_keep_alive_interval(HTTP2_PING_EVERY)
            .http2_keep_alive_timeout(HTTP2_PING_WAIT)
            .pool_idle_timeout(POOL_IDLE)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .build()
            .map_err(|error| SetupError::Http(chain(&error.without_url())))?;
        Ok(Self { http, provider: Arc::new(provider), endpoint })
    }

    /// Whom this client asks.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Asks, and streams the answer. Needs a running tokio runtime; nothing is sent before the
    /// answer is polled.
    ///
    /// The call ends early when `cancel` fires (with [`ErrorKind::Cancelled`]) or when the answer
    /// is dropped; either way the provider sees the disconnect and stops generating.
    ///
    /// [`ErrorKind::Cancelled`]: crate::ErrorKind::Cancelled
    pub fn stream(&self, request: &Request, cancel: &CancellationToken) -> Answer {
        let body = match &self.provider.wire {
            Wire::OpenAi(options) => openai::body(request, options),
        };
        let call = self.http.post(self.endpoint.clone()).body(body).send();
        Answer::new(Arc::clone(&self.provider), call, request.deadline, cancel.clone())
    }
}

fn parse_base(text: &str) -> Result<reqwest::Url, SetupError> {
    let Ok(url) = reqwest::Url::parse(text.trim()) else {
        return Err(SetupError::BaseUrl("cannot be read as a URL"));
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(SetupError::BaseUrl("starts with neither http:// nor https://"));
    }
    if url.host().is_none() {
        return Err(SetupError::BaseUrl("names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SetupError::BaseUrl("holds a user or password, which would be logged"));
    }
    Ok(url)
}

fn default_headers(provider: &Provider) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(key) = &provider.api_key {
        let key = key.expose_secret().trim();
        let (name, value) = match &provider.wire {
            Wire::OpenAi(_) => (AUTHORIZATION, format!("Bearer {key}")),
        };
        let Ok(mut value) = HeaderValue::from_str(&value) else {
            return Err(SetupError::ApiKey);
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// An error and its causes in one line, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
