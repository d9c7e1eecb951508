//! The calls that the gateway makes: each is a route, a limit it counts against, and a body.

use contracts::id::{ChannelId, GuildId, MessageId, UserId};
use contracts::nonce::Nonce;
use serde::{Deserialize, Serialize};
use twilight_http::request::Method;
use twilight_http::request::channel::reaction::RequestReactionType;
use twilight_http::routing::Route;
use twilight_model::id::Id;

/// One request to Discord's REST API.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The method.
    pub method: http::Method,
    /// The path below `/api/v10/`.
    pub path: String,
    /// The limit that it counts against.
    pub limit: String,
    /// The body, where it has one.
    pub body: Option<Vec<u8>>,
}

/// Embeds of links are left out: an answer's links are not the answer. Source: "Message Flags".
const SUPPRESS_EMBEDS: u64 = 1 << 2;

/// Nobody is pinged. It must stand in every create and every edit: an edit without it parses
/// mentions anew, with Discord's own defaults.
#[derive(Debug, Serialize)]
struct NoMentions {
    parse: [&'static str; 0],
    replied_user: bool,
}

const NO_MENTIONS: NoMentions = NoMentions { parse: [], replied_user: false };

#[derive(Serialize)]
struct NewMessage<'a> {
    content: &'a str,
    nonce: &'a str,
    enforce_nonce: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_reference: Option<Reference>,
    allowed_mentions: NoMentions,
    flags: u64,
}

#[derive(Serialize)]
struct Reference {
    message_id: MessageId,
    fail_if_not_exists: bool,
}

#[derive(Serialize)]
struct Edit<'a> {
    content: &'a str,
    allowed_mentions: NoMentions,
}

#[derive(Serialize)]
struct NewThread<'a> {
    name: &'a str,
    auto_archive_duration: u16,
}

/// Minutes without a word until a thread is put away; one of the four that Discord takes.
const AUTO_ARCHIVE_MINUTES: u16 = 1440;

/// A message as Discord answers it, as far as it is read.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SentMessage {
    /// Its id.
    pub id: MessageId,
    /// What it says.
    #[serde(default)]
    pub content: String,
}

fn json<T: Serialize>(body: &T) -> Vec<u8> {
    serde_json::to_vec(body).expect("bodies are strings, numbers and flags")
}

impl Call {
    fn new(route: &Route<'_>, limit: String, body: Option<Vec<u8>>) -> Self {
        let method = match route.method() {
            Method::Delete => http::Method::DELETE,
            Method::Get => http::Method::GET,
            Method::Patch => http::Method::PATCH,
            Method::Put => http::Method::PUT,
            // The library's list may grow; every other route of ours is a POST.
            _ => http::Method::POST,
        };
        Self { method, path: route.to_string(), limit, body }
    }

    /// Posts a message; Discord keeps only one of several with the same nonce.
    pub(crate) fn create_message(
        channel: ChannelId,
        content: &str,
        nonce: &Nonce,
        reply_to: Option<MessageId>,
    ) -> Self {
        let body = NewMessage {
            content,
            nonce: nonce.as_str(),
            enforce_nonce: true,
            message_reference: reply_to
                .map(|message_id| Reference { message_id, fail_if_not_exists: false }),
            allowed_mentions: NO_MENTIONS,
            flags: SUPPRESS_EMBEDS,
        };
        let route = Route::CreateMessage { channel_id: channel.0 };
        Self::new(&route, format!("create {channel}"), Some(json(&body)))
    }

    /// Edits a message.
    pub(crate) fn edit_message(channel: ChannelId, message: MessageId, content: &str) -> Self {
        let body = Edit { content, allowed_mentions: NO_MENTIONS };
        let route = Route::UpdateMessage { channel_id: channel.0, message_id: message.0 };
        Self::new(&route, Self::edit_limit(channel), Some(json(&body)))
    }

    /// The limit that edits in a channel count against.
    pub(crate) fn edit_limit(channel: ChannelId) -> String {
        format!("edit {channel}")
    }

    /// Deletes a message.
    pub(crate) fn delete_message(channel: ChannelId, message: MessageId) -> Self {
        let route = Route::DeleteMessage { channel_id: channel.0, message_id: message.0 };
        Self::new(&route, format!("delete {channel}"), None)
    }

    /// Reads a message.
    pub(crate) fn get_message(channel: ChannelId, message: MessageId) -> Self {
        let route = Route::GetMessage { channel_id: channel.0, message_id: message.0 };
        Self::new(&route, format!("read {channel}"), None)
    }

    /// Opens a thread from a message.
    pub(crate) fn create_thread(channel: ChannelId, message: MessageId, name: &str) -> Self {
        let body = NewThread { name, auto_archive_duration: AUTO_ARCHIVE_MINUTES };
        let route = Route::CreateThreadFromMessage { channel_id: channel.0, message_id: message.0 };
        Self::new(&route, format!("thread {channel}"), Some(json(&body)))
    }

    /// Reads a channel or thread.
    pub(crate) fn get_channel(channel: ChannelId) -> Self {
        let route = Route::GetChannel { channel_id: channel.0 };
        Self::new(&route, format!("channel {channel}"), None)
    }

    /// Reads a member of a guild.
    pub(crate) fn get_member(guild: GuildId, user: UserId) -> Self {
        let route = Route::GetMember { guild_id: guild.0, user_id: user.0 };
        Self::new(&route, format!("member {guild}"), None)
    }

    /// Shows that we are typing, for about ten seconds.
    pub(crate) fn typing(channel: ChannelId) -> Self {
        let route = Route::CreateTypingTrigger { channel_id: channel.0 };
        Self::new(&route, format!("typing {channel}"), None)
    }

    /// Reacts to a message. None where the emoji is neither a Unicode one nor `name:id`.
    pub(crate) fn react(channel: ChannelId, message: MessageId, emoji: &str) -> Option<Self> {
        let emoji = match emoji.split_once(':') {
            None if emoji.is_empty() => return None,
            None => RequestReactionType::Unicode { name: emoji },
            Some((name, id)) => RequestReactionType::Custom {
                id: Id::new_checked(id.parse().ok()?)?,
                name: Some(name),
            },
        };
        let route =
            Route::CreateReaction { channel_id: channel.0, message_id: message.0, emoji: &emoji };
        Some(Self::new(&route, format!("react {channel}"), None))
    }

    /// Asks where the gateway is, how many shards it wants and how many logins are left.
    pub(crate) fn gateway() -> Self {
        Self::new(&Route::GetGatewayBot, "gateway".to_owned(), None)
    }
}

#[cfg(test)]
mod tests {
    use contracts::id::TurnId;
    use contracts::nonce::NoncePurpose;
    use serde_json::{Value, json};

    use super::*;

    fn body(call: &Call) -> Value {
        serde_json::from_slice(call.body.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn creates_and_edits_ping_nobody() {
        let nonce = Nonce::derive(TurnId(5), 0, NoncePurpose::Answer);
        let create = Call::create_message(ChannelId(1), "@everyone hi", &nonce, Some(MessageId(5)));
        assert_eq!((create.method.as_str(), create.path.as_str()), ("POST", "channels/1/messages"));
        assert_eq!(
            body(&create),
            json!({
                "content": "@everyone hi",
                "nonce": nonce.as_str(),
                "enforce_nonce": true,
                "message_reference": {"message_id": "5", "fail_if_not_exists": false},
                "allowed_mentions": {"parse": [], "replied_user": false},
                "flags": 4,
            })
        );
        let edit = Call::edit_message(ChannelId(1), MessageId(2), "@here");
        assert_eq!((edit.method.as_str(), edit.path.as_str()), ("PATCH", "channels/1/messages/2"));
        assert_eq!(
            body(&edit),
            json!({"content": "@here", "allowed_mentions": {"parse": [], "replied_user": false}})
        );
    }

    #[test]
    fn emoji_go_into_the_path_encoded() {
        let unicode = Call::react(ChannelId(1), MessageId(2), "👀").unwrap();
        assert_eq!(unicode.path, "channels/1/messages/2/reactions/%F0%9F%91%80/@me");
        let own = Call::react(ChannelId(1), MessageId(2), "wave:77").unwrap();
        assert_eq!(own.path, "channels/1/messages/2/reactions/wave:77/@me");
        assert!(Call::react(ChannelId(1), MessageId(2), "wave:x").is_none());
        assert!(Call::react(ChannelId(1), MessageId(2), "").is_none());
    }
}
