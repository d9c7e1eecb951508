//! Why a call did not succeed, as far as what to do next depends on it.

use std::time::Instant;

use contracts::command::FailureClass;
use serde::Deserialize;

/// Discord's answer to a call that it will not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// The HTTP status.
    pub status: u16,
    /// Discord's own error code.
    pub code: Option<u32>,
    /// Discord's own words; they never hold what was sent.
    pub message: String,
}

/// Why one attempt at a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Discord will not do it; asking again gives the same answer.
    #[error("Discord answered {} ({}): {}", .0.status, .0.code.unwrap_or_default(), .0.message)]
    Rejected(Rejection),
    /// A limit: ask again at the time named.
    #[error("a rate limit of Discord's")]
    Limited(Instant),
    /// Discord does not know the token. Nothing is sent until the time named.
    #[error("Discord does not accept the bot token")]
    Unauthorized(Instant),
    /// It is not known whether it was done.
    #[error("{0}")]
    Unsure(String),
    /// It was not done, because Discord was not reached.
    #[error("{0}")]
    Unreached(String),
}

impl Rejection {
    /// Reads an answer that is no success.
    pub(super) fn read(status: u16, body: &[u8]) -> Self {
        const MESSAGE_MAX: usize = 200;
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            code: Option<u32>,
            #[serde(default)]
            message: Option<String>,
        }
        let body = serde_json::from_slice::<Body>(body).ok();
        let code = body.as_ref().and_then(|body| body.code).filter(|code| *code != 0);
        let message = body.and_then(|body| body.message).unwrap_or_default();
        Self { status, code, message: message.chars().take(MESSAGE_MAX).collect() }
    }

    /// Whether Discord means "not now" although the status says "no".
    ///
    /// 20016 slow mode, 20028 and 20029 write limits, 30046 edits of old messages, 40062 busy.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self.code, Some(20016 | 20028 | 20029 | 30046 | 40062))
    }

    /// What kind of no it is.
    pub(crate) fn class(&self) -> FailureClass {
        match (self.status, self.code) {
            // 160005 the thread is locked, 50083 it is archived, 90001 the reaction is blocked.
            (403, _) | (_, Some(160_005 | 50083 | 90001)) => FailureClass::Forbidden,
            (404, code) if code != Some(10014) => FailureClass::Gone,
            _ => FailureClass::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(status: u16, body: &str) -> FailureClass {
        Rejection::read(status, body.as_bytes()).class()
    }

    #[test]
    fn each_no_has_its_class() {
        assert_eq!(
            class(403, r#"{"code":50013,"message":"Missing Permissions"}"#),
            FailureClass::Forbidden
        );
        assert_eq!(class(404, r#"{"code":10003}"#), FailureClass::Gone);
        assert_eq!(class(404, r#"{"code":10008}"#), FailureClass::Gone);
        assert_eq!(class(404, "not json"), FailureClass::Gone);
        assert_eq!(class(400, r#"{"code":50035}"#), FailureClass::Invalid);
        assert_eq!(class(400, r#"{"code":10014}"#), FailureClass::Invalid);
        assert_eq!(class(400, r#"{"code":160005}"#), FailureClass::Forbidden);
    }
}
