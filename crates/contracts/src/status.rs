//! What a gateway shard says of itself every few seconds.

use serde::{Deserialize, Serialize};

use crate::id::UserId;

/// How often a shard says how it is, in seconds.
pub const STATUS_EVERY_SECONDS: u64 = 5;

/// How old a shard's last word may be before it counts as disconnected, in seconds.
pub const STATUS_STALE_SECONDS: u64 = 12;

/// Where a shard's connection to Discord stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardState {
    /// On the way to a session.
    Connecting,
    /// In a session: events flow.
    Connected,
    /// Out of a session; a new attempt follows.
    Disconnected,
    /// Discord refused the login for a reason that only the owner can mend.
    Refused,
}

/// A shard's word on itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// The shard's number.
    pub shard: u32,
    /// How many shards there are.
    pub shards: u32,
    /// Where its connection stands.
    pub state: ShardState,
    /// Heartbeat round trip in milliseconds, once measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Logins left today, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifies_left: Option<u32>,
    /// The bot's own user, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<UserId>,
    /// Whether this process holds the lease for sending.
    #[serde(default)]
    pub sender: bool,
    /// When this was said, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
}
