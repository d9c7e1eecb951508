//! The subjects of the bus, made and read in one place.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::id::{ChannelId, CommandId, GuildId, ParseIdError, Purpose, TurnId};

/// All Discord events, for a stream or a consumer that takes everything.
pub const EVENTS: &str = "discord.event.>";
/// All commands to Discord.
pub const COMMANDS: &str = "discord.command.>";
/// All results of commands.
pub const RESULTS: &str = "discord.result.>";
/// All drafts (core NATS, newest wins).
pub const DRAFTS: &str = "discord.draft.*";
/// All usage records.
pub const USAGE: &str = "conversation.usage.>";
/// The state of every shard (core NATS).
pub const GATEWAY_STATUS: &str = "gateway.status.*";
/// Asks every shard to say its state now (core NATS, no body): for one who has just come.
pub const GATEWAY_ASK: &str = "gateway.ask";
/// Heartbeats and audit records.
pub const OPS: &str = "ops.>";
/// Heartbeats of jobs: `ops.heartbeat.<job>`.
pub const HEARTBEATS: &str = "ops.heartbeat.>";
/// Who did what: `ops.audit.<area>`.
pub const AUDIT: &str = "ops.audit.>";
/// All dead letters.
pub const DEAD: &str = "dead.>";

/// Where an event happened: in a guild, or between two people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In this guild.
    Guild(GuildId),
    /// In direct messages.
    Direct,
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guild(guild) => guild.fmt(formatter),
            Self::Direct => formatter.write_str("dm"),
        }
    }
}

/// The subject of an event: `discord.event.<TYPE>.<guild|dm>.<channel|_>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventSubject {
    /// Discord's own name of the event, such as `MESSAGE_CREATE`.
    pub kind: String,
    /// Where it happened.
    pub scope: Scope,
    /// The channel it belongs to, if it belongs to one.
    pub channel: Option<ChannelId>,
}

impl fmt::Display for EventSubject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("discord.event.")?;
        // An event type is a token of the subject: anything else would change its shape.
        if self.kind.chars().all(is_token_char) {
            formatter.write_str(&self.kind)?;
        } else {
            for letter in self.kind.chars() {
                formatter.write_char(if is_token_char(letter) { letter } else { '_' })?;
            }
        }
        write!(formatter, ".{}.", self.scope)?;
        match self.channel {
            Some(channel) => channel.fmt(formatter),
            None => formatter.write_str("_"),
        }
    }
}

impl FromStr for EventSubject {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('.').collect();
        let ["discord", "event", kind, scope, channel] = parts[..] else {
            return Err(ParseIdError::expected(text, "an event subject"));
        };
        let scope = if scope == "dm" { Scope::Direct } else { Scope::Guild(scope.parse()?) };
        let channel = if channel == "_" { None } else { Some(channel.parse()?) };
        Ok(Self { kind: kind.to_owned(), scope, channel })
    }
}

/// The subject of a command: `discord.command.<purpose>.<channel>`.
pub fn command(purpose: Purpose, channel: ChannelId) -> String {
    format!("discord.command.{}.{channel}", purpose.word())
}

/// The subject of a turn's drafts.
pub fn draft(turn: TurnId) -> String {
    format!("discord.draft.{turn}")
}

/// The subject of a command's result. The id's own dots make `discord.result.<turn>.…`.
pub fn result(command: CommandId) -> String {
    format!("discord.result.{command}")
}

/// The subject of a provider's usage records.
pub fn usage(provider: &str) -> String {
    let provider: String =
        provider.chars().map(|c| if is_token_char(c) { c } else { '-' }).collect();
    format!("conversation.usage.{}", if provider.is_empty() { "unnamed" } else { &provider })
}

/// The subject of a shard's status.
pub fn gateway_status(shard: u32) -> String {
    format!("gateway.status.{shard}")
}

/// The subject of a job's heartbeats.
pub fn heartbeat(job: &str) -> String {
    let job: String = job.chars().map(|c| if is_token_char(c) { c } else { '-' }).collect();
    format!("ops.heartbeat.{}", if job.is_empty() { "unnamed" } else { &job })
}

/// The subject of a dead letter: who could not process it, and why in one word.
pub fn dead(consumer: &str, reason: &str) -> String {
    format!("dead.{consumer}.{reason}")
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}
