//! Who may say, hear and keep what on the bus: each user's role, and the rights that follow.

mod rights;

pub use rights::{Rights, bucket_stream, covers, declared};

use crate::stream::{
    DISCORD_COMMANDS, DISCORD_EVENTS, DISCORD_RESULTS, GATEWAY_SESSIONS, OPS, SETTINGS, TURNS,
    USAGE,
};
use crate::subject;

/// The durable consumer of the gateway.
pub const GATEWAY_DURABLE: &str = "gateway";
/// The durable consumer of the conversation-worker, on each stream it reads.
pub const WORKER_DURABLE: &str = "conversation-worker";

/// A durable consumer that a user makes, pulls from and acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// The stream's name.
    pub stream: &'static str,
    /// The consumer's name.
    pub name: &'static str,
}

/// What a user does beyond publishing, hearing, reading and its buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Makes streams and buckets, and brings them to their declaration. Deletes and reads nothing.
    Declare,
    /// Erases single messages from this stream for good.
    Erase(&'static str),
    /// Copies every stream and bucket on file.
    Copy,
    /// Looks at how full streams are and how far their consumers have come; reads no message.
    Watch,
    /// Reads this stream message by message, without a consumer.
    Look(&'static str),
    /// Reads what every stream holds, by consumers of its own; touches no service's consumer.
    Inspect,
}

/// A user of the bus and what it is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// Its name: the service's own, so that it is its inbox's name too.
    pub user: &'static str,
    /// What it is for, in one sentence.
    pub description: &'static str,
    /// The subjects it publishes on.
    pub publishes: &'static [&'static str],
    /// The subjects it hears on core NATS.
    pub hears: &'static [&'static str],
    /// The consumers it reads streams with.
    pub reads: &'static [Durable],
    /// The buckets whose keys it reads, writes and watches.
    pub buckets: &'static [&'static str],
    /// What else it does.
    pub duties: &'static [Duty],
}

/// Makes the streams and buckets; used by `prepare streams` alone.
pub const ADMIN: Role = Role {
    user: "admin",
    description: "Makes the streams and buckets; used by `prepare streams` alone",
    publishes: &[],
    hears: &[],
    reads: &[],
    buckets: &[],
    duties: &[Duty::Declare],
};

/// Brings Discord's events in and carries commands out.
pub const GATEWAY: Role = Role {
    user: "gateway",
    description: "Brings Discord's events in and carries commands out",
    publishes: &[subject::EVENTS, subject::RESULTS, "dead.gateway.>", subject::GATEWAY_STATUS],
    hears: &[subject::DRAFTS, subject::GATEWAY_ASK],
    reads: &[Durable { stream: DISCORD_COMMANDS.name, name: GATEWAY_DURABLE }],
    buckets: &[GATEWAY_SESSIONS.name, TURNS.name, SETTINGS.name],
    duties: &[],
};

/// Turns events into answers.
pub const CONVERSATION_WORKER: Role = Role {
    user: "conversation-worker",
    description: "Turns events into answers, and erases what people delete",
    publishes: &[
        subject::COMMANDS,
        subject::DRAFTS,
        subject::USAGE,
        "dead.conversation-worker.>",
        subject::GATEWAY_ASK,
    ],
    hears: &[subject::GATEWAY_STATUS],
    reads: &[
        Durable { stream: DISCORD_EVENTS.name, name: WORKER_DURABLE },
        Durable { stream: DISCORD_RESULTS.name, name: WORKER_DURABLE },
    ],
    buckets: &[],
    duties: &[
        Duty::Erase(DISCORD_EVENTS.name),
        Duty::Erase(DISCORD_COMMANDS.name),
        // What was answered already is asked for after the database was brought back.
        Duty::Look(DISCORD_RESULTS.name),
    ],
};

/// Copies streams and buckets away, and says that it did.
pub const BACKUP_AGENT: Role = Role {
    user: "backup-agent",
    description: "Copies streams and buckets away, and says that it did",
    publishes: &[subject::HEARTBEATS, subject::AUDIT],
    hears: &[],
    reads: &[],
    buckets: &[],
    duties: &[Duty::Copy],
};

/// Watches the bus and hears how everybody is.
pub const HEALTH_AGGREGATOR: Role = Role {
    user: "health-aggregator",
    description: "Watches the bus and hears how everybody is; reads no message of people",
    publishes: &[subject::HEARTBEATS, subject::AUDIT, subject::GATEWAY_ASK],
    hears: &[
        subject::GATEWAY_STATUS,
        subject::OPS,
        subject::USAGE,
        "$JS.EVENT.ADVISORY.CONSUMER.>",
        "$JS.EVENT.ADVISORY.STREAM.>",
    ],
    // No consumer: whoever may make one may have a stream delivered to any subject, so one who
    // writes into a stream it could read would write everywhere.
    reads: &[],
    buckets: &[],
    duties: &[Duty::Watch, Duty::Look(OPS.name), Duty::Look(USAGE.name)],
};

/// A person at the NATS command line: looks, and replays events.
pub const OPERATOR: Role = Role {
    user: "operator",
    description: "A person at the NATS command line: looks, and replays events",
    publishes: &[subject::EVENTS, subject::AUDIT],
    hears: &["discord.>", "conversation.>", "gateway.>", subject::OPS, subject::DEAD, ADVISORIES],
    reads: &[],
    buckets: &[],
    duties: &[Duty::Inspect],
};

/// Every user of the bus.
pub const ROLES: [Role; 6] =
    [ADMIN, GATEWAY, CONVERSATION_WORKER, BACKUP_AGENT, HEALTH_AGGREGATOR, OPERATOR];

/// JetStream's own news: deliveries that ran out, consumers made and deleted.
const ADVISORIES: &str = "$JS.EVENT.ADVISORY.>";
