//! Why an answer failed, and what a caller may do about it.

use std::fmt;
use std::time::Duration;

use crate::event::Usage;
use crate::head::Head;
use crate::limits::Limits;

/// An answer that did not become whole.
///
/// It carries no text of the conversation: what was streamed before is the caller's already.
/// What the provider said is shortened and stripped of anything that looks like a key.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.describe())]
pub struct Error {
    detail: Box<Detail>,
}

#[derive(Clone, Debug)]
struct Detail {
    kind: ErrorKind,
    provider: String,
    message: String,
    status: Option<u16>,
    retry_after: Option<Duration>,
    should_retry: Option<bool>,
    request_id: Option<String>,
    limits: Limits,
    partial_usage: Option<Usage>,
    visible_bytes: u64,
}

/// The class of a failure; everything a caller decides hangs on it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Too many requests or tokens a minute; comes back by itself.
    RateLimited,
    /// The account is out of credit or its daily allowance; waiting seconds does not help.
    QuotaExhausted,
    /// The provider has no room right now.
    Overloaded,
    /// The provider failed, or answered what its protocol does not allow.
    Server,
    /// Nothing came in time.
    Timeout {
        /// What was waited for.
        phase: Phase,
    },
    /// The connection could not be made or broke.
    Transport,
    /// The stream ended cleanly before the answer did.
    Truncated,
    /// The request does not fit the model's window.
    ContextTooLong {
        /// Tokens asked for, where the provider says so.
        have: Option<u64>,
        /// Tokens allowed, where the provider says so.
        max: Option<u64>,
    },
    /// The provider's filter refused the question or cut the answer. Tokens are still billed.
    Blocked {
        /// The provider's short word for it, e.g. `content_filter`.
        reason: String,
    },
    /// The key is missing, wrong or not allowed to do this.
    Auth,
    /// The request or the setup is wrong; the same request will fail again.
    BadRequest,
    /// The caller cancelled.
    Cancelled,
}

/// What a timeout was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A connection.
    Connect,
    /// The answer's status line and headers.
    Headers,
    /// The next byte of the answer.
    Idle,
    /// The whole answer.
    Total,
}

/// Whether another target of a fallback chain may be asked after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// Yes, the next one.
    Next,
    /// Only one whose window is larger.
    LargerWindow,
    /// Only where the operator has chosen so: another provider's filter is being asked.
    IfConfigured,
    /// No.
    Never,
}

impl ErrorKind {
    /// A stable word for metrics and usage records.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Overloaded => "overloaded",
            Self::Server => "server",
            Self::Timeout { phase: Phase::Connect } => "timeout_connect",
            Self::Timeout { phase: Phase::Headers } => "timeout_headers",
            Self::Timeout { phase: Phase::Idle } => "timeout_idle",
            Self::Timeout { phase: Phase::Total } => "timeout_total",
            Self::Transport => "transport",
            Self::Truncated => "truncated",
            Self::ContextTooLong { .. } => "context_too_long",
            Self::Blocked { .. } => "blocked",
            Self::Auth => "auth",
            Self::BadRequest => "bad_request",
            Self::Cancelled => "cancelled",
        }
    }

    /// What an operator can do now; empty where only waiting helps.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::QuotaExhausted => "check the account's credit and limits at the provider",
            Self::Timeout { phase: Phase::Connect } | Self::Transport => {
                "check the provider's base URL and that it can be reached from here"
            }
            Self::Timeout { phase: Phase::Headers } => {
                "a local model may still be loading; raise the header timeout if it needs longer"
            }
            Self::ContextTooLong { .. } => {
                "lower the configured context window to what the model is served with"
            }
            Self::Auth => "check the provider's API key and that it may use this model",
            Self::BadRequest => "check the model's name, the base URL and the wire's options",
            _ => "",
        }
    }
}

impl Error {
    /// The class of the failure.
    pub fn kind(&self) -> &ErrorKind {
        &self.detail.kind
    }

    /// The provider's configured name.
    pub fn provider(&self) -> &str {
        &self.detail.provider
    }

    /// What went wrong in a short sentence, without keys.
    pub fn message(&self) -> &str {
        &self.detail.message
    }

    /// The HTTP status, once there was one. 200 for a failure in the middle of a stream.
    pub fn status(&self) -> Option<u16> {
        self.detail.status
    }

    /// How long the provider asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.detail.retry_after
    }

    /// The provider's name for this request, for its support.
    pub fn request_id(&self) -> Option<&str> {
        self.detail.request_id.as_deref()
    }

    /// Rate limits as the failing answer's headers gave them.
    pub fn limits(&self) -> &Limits {
        &self.detail.limits
    }

    /// What the provider had counted when it failed. These tokens are billed.
    pub fn partial_usage(&self) -> Option<Usage> {
        self.detail.partial_usage
    }

    /// Bytes of visible text that were streamed before the failure; 0 means that nobody saw
    /// anything and a retry cannot double words.
    pub fn visible_bytes(&self) -> u64 {
        self.detail.visible_bytes
    }

    /// Whether the same request may go to the same target again (after
    /// [`retry_after`](Self::retry_after), with backoff and jitter).
    ///
    /// A provider that sends `x-should-retry` decides this itself. A [`ErrorKind::ContextTooLong`]
    /// says no here: trim first, then it is another request.
    pub fn may_retry_same(&self) -> bool {
        if let Some(verdict) = self.detail.should_retry {
            return verdict;
        }
        match self.detail.kind {
            ErrorKind::RateLimited
            | ErrorKind::Overloaded
            | ErrorKind::Server
            | ErrorKind::Timeout { phase: Phase::Connect | Phase::Headers | Phase::Idle }
            | ErrorKind::Transport
            | ErrorKind::Truncated => true,
            // The total deadline is the caller's own patience: it is used up.
            ErrorKind::Timeout { phase: Phase::Total }
            | ErrorKind::QuotaExhausted
            | ErrorKind::ContextTooLong { .. }
            | ErrorKind::Blocked { .. }
            | ErrorKind::Auth
            | ErrorKind::BadRequest
            | ErrorKind::Cancelled => false,
        }
    }

    /// Whether a shorter prompt is worth one more try.
    pub fn may_retry_trimmed(&self) -> bool {
        matches!(self.detail.kind, ErrorKind::ContextTooLong { .. })
    }

    /// Whether another target may be asked instead.
    pub fn fallback(&self) -> Fallback {
        match self.detail.kind {
            ErrorKind::RateLimited
            | ErrorKind::QuotaExhausted
            | ErrorKind::Overloaded
            | ErrorKind::Server
            | ErrorKind::Timeout { .. }
            | ErrorKind::Transport
            | ErrorKind::Truncated
            | ErrorKind::Auth => Fallback::Next,
            ErrorKind::ContextTooLong { .. } => Fallback::LargerWindow,
            ErrorKind::Blocked { .. } => Fallback::IfConfigured,
            ErrorKind::BadRequest | ErrorKind::Cancelled => Fallback::Never,
        }
    }

    /// Whether a circuit breaker counts this as a failure of the target.
    ///
    /// A rate limit is no failure: cool down for [`retry_after`](Self::retry_after) instead.
    pub fn counts_for_breaker(&self) -> bool {
        matches!(
            self.detail.kind,
            ErrorKind::Overloaded
                | ErrorKind::Server
                | ErrorKind::Timeout { .. }
                | ErrorKind::Transport
                | ErrorKind::Truncated
        )
    }

    /// Whether a person has to act before this target works again.
    pub fn needs_operator(&self) -> bool {
        matches!(
            self.detail.kind,
            ErrorKind::Auth | ErrorKind::QuotaExhausted | ErrorKind::BadRequest
        )
    }

    fn describe(&self) -> impl fmt::Display + '_ {
        Description(&self.detail)
    }
}

struct Description<'a>(&'a Detail);

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.0;
        write!(f, "model provider {}: {}", detail.provider, detail.kind.as_str())?;
        if let Some(status) = detail.status {
            write!(f, " (status {status})")?;
        }
        // A filter's message may quote the words it took offence at.
        if !detail.message.is_empty() && !matches!(detail.kind, ErrorKind::Blocked { .. }) {
            write!(f, ": {}", detail.message)?;
        }
        if let Some(id) = &detail.request_id {
            write!(f, " [request {id}]")?;
        }
        if !detail.kind.hint().is_empty() {
            write!(f, "; {}", detail.kind.hint())?;
        }
        Ok(())
    }
}

/// Builders, used where a failure is found.
impl Error {
    pub(crate) fn new(kind: ErrorKind, provider: &str, message: impl Into<String>) -> Self {
        Self {
            detail: Box::new(Detail {
                kind,
                provider: provider.to_owned(),
                message: message.into(),
                status: None,
                retry_after: None,
                should_retry: None,
                request_id: None,
                limits: Limits::default(),
                partial_usage: None,
                visible_bytes: 0,
            }),
        }
    }

    pub(crate) fn with_head(mut self, head: &Head) -> Self {
        self.detail.status = Some(head.status);
        self.detail.request_id.clone_from(&head.request_id);
        self.detail.limits = head.limits.clone();
        self
    }

    pub(crate) fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.detail.retry_after = after;
        self
    }

    pub(crate) fn with_should_retry(mut self, verdict: Option<bool>) -> Self {
        self.detail.should_retry = verdict;
        self
    }

    pub(crate) fn with_partial(mut self, usage: Option<Usage>, visible_bytes: u64) -> Self {
        self.detail.partial_usage = usage;
        self.detail.visible_bytes = visible_bytes;
        self
    }
}
