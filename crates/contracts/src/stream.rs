//! The streams and key-value buckets of the bus, declared in one place.

use crate::subject;

/// Where a stream or bucket keeps its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// On disk, synced before each acknowledgement.
    File,
    /// In the server's memory: gone with it.
    Memory,
}

/// A stream as it must exist before a service starts its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSpec {
    /// The stream's name.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub description: &'static str,
    /// The subjects it keeps.
    pub subjects: &'static [&'static str],
    /// Where it keeps them.
    pub storage: Storage,
    /// How long it keeps a message, in seconds.
    pub age_seconds_max: u64,
    /// How much it keeps, in bytes. A full stream refuses new messages rather than dropping old
    /// ones in silence.
    pub bytes_max: u64,
    /// The largest message, in bytes.
    pub message_bytes_max: u32,
    /// How long a repeated message id is recognised, in seconds.
    pub duplicate_window_seconds: u64,
}

/// A key-value bucket as it must exist before a service starts its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketSpec {
    /// The bucket's name.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub description: &'static str,
    /// Where it keeps its values.
    pub storage: Storage,
    /// How long a value lives, in seconds; 0 = until it is deleted.
    pub age_seconds_max: u64,
    /// How much it keeps, in bytes.
    pub bytes_max: u64,
    /// Whether single keys may carry a time to live of their own.
    pub key_ttl: bool,
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const MIB: u64 = 1024 * 1024;
/// The largest message on the bus, in bytes; nats-server must be configured to take it.
pub const MESSAGE_BYTES_MAX: u32 = 8 * 1024 * 1024;

/// Discord's dispatches, kept for at most 72 hours.
pub const DISCORD_EVENTS: StreamSpec = StreamSpec {
    name: "DISCORD_EVENTS",
    description: "What Discord sent, as it sent it",
    subjects: &[subject::EVENTS],
    storage: Storage::File,
    age_seconds_max: 72 * HOUR,
    bytes_max: 1024 * MIB,
    message_bytes_max: MESSAGE_BYTES_MAX,
    duplicate_window_seconds: 15 * 60,
};

/// Commands to Discord.
pub const DISCORD_COMMANDS: StreamSpec = StreamSpec {
    name: "DISCORD_COMMANDS",
    description: "What the services want done in Discord",
    subjects: &[subject::COMMANDS],
    bytes_max: 512 * MIB,
    ..DISCORD_EVENTS
};

/// Discord's answers to commands.
pub const DISCORD_RESULTS: StreamSpec = StreamSpec {
    name: "DISCORD_RESULTS",
    description: "What Discord answered to each command",
    subjects: &[subject::RESULTS],
    bytes_max: 256 * MIB,
    ..DISCORD_EVENTS
};

/// What could not be processed.
pub const DEAD_LETTERS: StreamSpec = StreamSpec {
    name: "DEAD_LETTERS",
    description: "What could not be processed, with the reason",
    subjects: &[subject::DEAD],
    age_seconds_max: 7 * DAY,
    bytes_max: 256 * MIB,
    ..DISCORD_EVENTS
};

/// What each model call used. No message text.
pub const USAGE: StreamSpec = StreamSpec {
    name: "USAGE",
    description: "Tokens, cost and time of each model call",
    subjects: &[subject::USAGE],
    age_seconds_max: 35 * DAY,
    bytes_max: 128 * MIB,
    message_bytes_max: 64 * 1024,
    ..DISCORD_EVENTS
};

/// Heartbeats of jobs and the audit trail. No message text.
pub const OPS: StreamSpec = StreamSpec {
    name: "OPS",
    description: "Heartbeats of jobs and who did what",
    subjects: &[subject::OPS],
    ..USAGE
};

/// Every stream of the system.
pub const STREAMS: [StreamSpec; 6] =
    [DISCORD_EVENTS, DISCORD_COMMANDS, DISCORD_RESULTS, DEAD_LETTERS, USAGE, OPS];

/// Resume state of each shard.
pub const GATEWAY_SESSIONS: BucketSpec = BucketSpec {
    name: "gateway_sessions",
    description: "Session, checkpoint and identify budget of each shard",
    storage: Storage::File,
    age_seconds_max: 0,
    bytes_max: 16 * MIB,
    key_ttl: false,
};

/// Which Discord messages belong to which turn: the gateway's inbox of commands.
pub const TURNS: BucketSpec = BucketSpec {
    name: "turns",
    description: "The Discord messages of each turn's reply",
    storage: Storage::File,
    age_seconds_max: 7 * DAY,
    bytes_max: 128 * MIB,
    key_ttl: false,
};

/// Live switches: own threads, switched-on channels, guild locales.
pub const SETTINGS: BucketSpec = BucketSpec {
    name: "settings",
    description: "Own threads, switched-on channels and other live switches",
    storage: Storage::File,
    age_seconds_max: 0,
    bytes_max: 64 * MIB,
    key_ttl: false,
};

/// Leases of single holders.
pub const LEASES: BucketSpec = BucketSpec {
    name: "leases",
    description: "Who holds what only one may hold",
    storage: Storage::Memory,
    age_seconds_max: 0,
    bytes_max: MIB,
    key_ttl: true,
};

/// Every bucket of the system.
pub const BUCKETS: [BucketSpec; 4] = [GATEWAY_SESSIONS, TURNS, SETTINGS, LEASES];
