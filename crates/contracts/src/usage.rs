//! What one model call used.

use serde::{Deserialize, Serialize};

use crate::id::{GuildId, TurnId, UserId};

/// How a model call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageOutcome {
    /// The answer came whole.
    Completed,
    /// The provider or the wire failed.
    Failed,
    /// We stopped it.
    Cancelled,
    /// We died while it ran; the figures are an estimate.
    Interrupted,
}

/// One model call: exactly one record for each request, no message text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageRecorded {
    /// The call's name, `turn.generation.attempt`.
    pub attempt: String,
    /// The turn it served.
    pub turn: TurnId,
    /// Who asked.
    pub user_id: UserId,
    /// Where, if in a guild.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
    /// The provider's name in our settings.
    pub provider: String,
    /// The model that was asked.
    pub model: String,
    /// Tokens of the prompt, cached ones included.
    pub input_tokens: u64,
    /// Tokens of the answer, thinking included.
    pub output_tokens: u64,
    /// Whether the tokens are our estimate, not the provider's count.
    pub estimated: bool,
    /// From request to first text, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_text_ms: Option<u64>,
    /// From request to the end, in milliseconds.
    pub duration_ms: u64,
    /// How it ended.
    pub outcome: UsageOutcome,
    /// The kind of error, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it cost in billionths of a US dollar, where prices are configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<u64>,
    /// When it ended, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
}
