//! Discord's gateway, version 10: websocket sessions that hear what happens in the world.

mod codec;
mod config;
mod connection;
mod identify;
pub mod intents;
mod request;
pub mod session;

pub use crate::gateway::config::{DropKind, GatewayConfig};
pub(crate) use crate::gateway::connection::accept;
pub use crate::gateway::session::Sessions;

/// Operation codes of gateway frames.
pub mod op {
    /// Something happened.
    pub const DISPATCH: u64 = 0;
    /// Still there.
    pub const HEARTBEAT: u64 = 1;
    /// A new session.
    pub const IDENTIFY: u64 = 2;
    /// The bot's presence.
    pub const PRESENCE_UPDATE: u64 = 3;
    /// Join or leave voice.
    pub const VOICE_STATE_UPDATE: u64 = 4;
    /// An old session again.
    pub const RESUME: u64 = 6;
    /// Connect anew and resume.
    pub const RECONNECT: u64 = 7;
    /// List members of a guild.
    pub const REQUEST_GUILD_MEMBERS: u64 = 8;
    /// The session is not (or no longer) valid.
    pub const INVALID_SESSION: u64 = 9;
    /// The first frame of every connection.
    pub const HELLO: u64 = 10;
    /// A heartbeat arrived.
    pub const HEARTBEAT_ACK: u64 = 11;
    /// List the sounds of guilds.
    pub const REQUEST_SOUNDBOARD_SOUNDS: u64 = 31;
    /// Tell about channels.
    pub const REQUEST_CHANNEL_INFO: u64 = 43;
}

/// Close codes of the gateway.
pub mod close {
    /// Nobody knows what went wrong.
    pub const UNKNOWN_ERROR: u16 = 4000;
    /// An operation code that does not exist.
    pub const UNKNOWN_OPCODE: u16 = 4001;
    /// A frame that cannot be read.
    pub const DECODE_ERROR: u16 = 4002;
    /// A frame before identifying.
    pub const NOT_AUTHENTICATED: u16 = 4003;
    /// A wrong token.
    pub const AUTHENTICATION_FAILED: u16 = 4004;
    /// Identified twice.
    pub const ALREADY_AUTHENTICATED: u16 = 4005;
    /// Resumed with a sequence that never was.
    pub const INVALID_SEQ: u16 = 4007;
    /// Too many frames.
    pub const RATE_LIMITED: u16 = 4008;
    /// No heartbeat for too long.
    pub const SESSION_TIMED_OUT: u16 = 4009;
    /// A shard that cannot be.
    pub const INVALID_SHARD: u16 = 4010;
    /// Too many guilds for one shard.
    pub const SHARDING_REQUIRED: u16 = 4011;
    /// A version of the API that does not exist.
    pub const INVALID_API_VERSION: u16 = 4012;
    /// Intent bits that do not exist.
    pub const INVALID_INTENTS: u16 = 4013;
    /// Intents the application may not use.
    pub const DISALLOWED_INTENTS: u16 = 4014;
}
