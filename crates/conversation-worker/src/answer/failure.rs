//! Why an attempt came to nothing, and what that means for the turn.

use std::time::Duration;

use llm::retry::Policy;
use llm::{Error, ErrorKind, Stop};

use crate::texts::Trouble;

/// Why an attempt came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The provider or the way to it failed.
    #[error(transparent)]
    Provider(#[from] Error),
    /// The model ended properly without a word.
    #[error("the model said nothing (stop: {0:?})")]
    Silent(Stop),
}

impl Failure {
    /// How long to wait before the next attempt; none where there should be no other.
    pub(super) fn wait(
        &self,
        policy: &Policy,
        failed: u32,
        left: Duration,
        seed: u64,
    ) -> Option<Duration> {
        match self {
            Self::Provider(error) => policy.delay(failed, error, left, seed),
            Self::Silent(Stop::Refusal) => None,
            Self::Silent(_) => {
                (failed <= policy.retries_max && policy.base < left).then_some(policy.base)
            }
        }
    }

    /// The window of a prompt that may fit, where this one did not.
    pub(super) fn smaller_window(&self, context_tokens: u64) -> Option<u64> {
        let Self::Provider(error) = self else { return None };
        if !error.may_retry_trimmed() {
            return None;
        }
        let told = match error.kind() {
            ErrorKind::ContextTooLong { max: Some(max), .. } => *max,
            _ => context_tokens,
        };
        Some(told.min(context_tokens).saturating_mul(6) / 10)
    }

    /// What the person is told.
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            Self::Provider(error) => Trouble::of(error.kind()),
            Self::Silent(Stop::Refusal) => Trouble::Blocked,
            Self::Silent(_) => Trouble::Down,
        }
    }

    /// The word for it in the books.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Provider(error) => error.kind().as_str(),
            Self::Silent(_) => "empty",
        }
    }
}
