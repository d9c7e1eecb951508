//! A message as the gateway publishes it, built field by field.

use std::sync::atomic::{AtomicU64, Ordering};

use contracts::event::{EventMeta, PlaceKind, Reason};
use contracts::id::{ChannelId, GuildId, UserId};
use contracts::subject::{EventSubject, Scope};
use serde_json::{Value, json};

pub(crate) const BOT: u64 = 99;
pub(crate) const GUILD: u64 = 1000;
pub(crate) const CHANNEL: u64 = 2000;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A fresh snowflake of this moment; they grow.
pub(crate) fn snowflake() -> u64 {
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
    let sequence = NEXT.fetch_add(1, Ordering::Relaxed);
    ((now - contracts::id::DISCORD_EPOCH_MS) << 22) + (sequence & 0x3f_ffff)
}

#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) id: u64,
    pub(crate) guild: Option<u64>,
    pub(crate) channel: u64,
    pub(crate) user: u64,
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) reason: Reason,
    pub(crate) place: PlaceKind,
    pub(crate) locale: Option<&'static str>,
    pub(crate) reply_to: Option<(u64, Option<(u64, String)>)>,
    pub(crate) extra: Value,
}

impl Question {
    /// A mention in a channel, which opens a thread.
    pub(crate) fn mention(text: &str) -> Self {
        Self {
            id: snowflake(),
            guild: Some(GUILD),
            channel: CHANNEL,
            user: 7,
            name: "Aki".to_owned(),
            text: format!("<@{BOT}> {text}"),
            reason: Reason::Mention,
            place: PlaceKind::Channel,
            locale: Some("ja"),
            reply_to: None,
            extra: json!({}),
        }
    }

    /// A message in the thread that `question` has opened.
    pub(crate) fn in_thread_of(question: &Self, text: &str) -> Self {
        Self {
            id: snowflake(),
            channel: question.id,
            text: text.to_owned(),
            reason: Reason::OwnThread,
            place: PlaceKind::InPlace,
            ..question.clone()
        }
    }

    /// A direct message.
    pub(crate) fn direct(text: &str) -> Self {
        Self {
            guild: None,
            channel: 3000,
            text: text.to_owned(),
            reason: Reason::Direct,
            place: PlaceKind::Direct,
            locale: None,
            ..Self::mention("")
        }
    }

    pub(crate) fn by(mut self, user: u64, name: &str) -> Self {
        self.user = user;
        name.clone_into(&mut self.name);
        self
    }

    pub(crate) fn at(mut self, guild: u64, channel: u64) -> Self {
        self.guild = Some(guild);
        self.channel = channel;
        self
    }

    pub(crate) fn subject(&self, kind: &str) -> String {
        let scope = self.guild.map_or(Scope::Direct, |guild| Scope::Guild(GuildId(guild)));
        EventSubject { kind: kind.to_owned(), scope, channel: Some(ChannelId(self.channel)) }
            .to_string()
    }

    pub(crate) fn meta(&self) -> EventMeta {
        EventMeta {
            shard: 0,
            sequence: Some(1),
            received_unix_ms: u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap(),
            reason: Some(self.reason),
            place: Some(self.place),
            bot: Some(UserId(BOT)),
            locale: self.locale.map(str::to_owned),
        }
    }

    pub(crate) fn frame(&self, kind: &str) -> Value {
        let mut data = json!({
            "id": self.id.to_string(),
            "channel_id": self.channel.to_string(),
            "author": {
                "id": self.user.to_string(), "username": "account", "global_name": self.name,
            },
            "content": self.text,
            "type": if self.reply_to.is_some() { 19 } else { 0 },
            "mentions": [], "attachments": [], "embeds": [], "flags": 0,
        });
        if let Some(guild) = self.guild {
            data["guild_id"] = json!(guild.to_string());
        }
        if let Some((message, quoted)) = &self.reply_to {
            data["message_reference"] = json!({"message_id": message.to_string()});
            if let Some((author, text)) = quoted {
                data["referenced_message"] = json!({
                    "id": message.to_string(), "content": text,
                    "author": {"id": author.to_string(), "username": "quoted"},
                });
            }
        }
        for (key, value) in self.extra.as_object().unwrap() {
            data[key] = value.clone();
        }
        json!({"t": kind, "s": 1, "op": 0, "d": data})
    }
}
