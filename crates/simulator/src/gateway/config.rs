//! What the control API changes about the gateway.

/// The settings of the gateway, changed by the control API.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own for tests")]
pub struct GatewayConfig {
    /// What HELLO asks for.
    pub heartbeat_interval_ms: u64,
    /// What `/gateway/bot` recommends.
    pub shards: u64,
    /// How long a session without a connection can be resumed.
    pub resume_window_ms: u64,
    /// Closes every new connection with this code at once.
    pub accept_then_close: Option<u16>,
    /// Whether the application may use the message content intent.
    pub content_intent_allowed: bool,
    /// Whether the application may use the members and presences intents.
    pub member_intents_allowed: bool,
    /// Whether heartbeats stay unanswered, as on a dead connection.
    pub withhold_heartbeat_acks: bool,
    /// Whether sessions without shards are refused.
    pub sharding_required: bool,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: 41_250,
            shards: 1,
            resume_window_ms: 90_000,
            accept_then_close: None,
            content_intent_allowed: true,
            member_intents_allowed: true,
            withhold_heartbeat_acks: false,
            sharding_required: false,
        }
    }
}

/// How `POST /control/gateway/drop` ends connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropKind {
    /// Breaks TCP.
    Abort,
    /// Closes the websocket with a code.
    Close(u16),
    /// Asks the client to reconnect.
    Reconnect,
    /// Says that the session is invalid.
    InvalidSession,
}
