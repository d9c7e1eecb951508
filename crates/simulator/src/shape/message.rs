//! Messages and what hangs on them.

use serde_json::{Value, json};

use crate::shape::{channel, user};
use crate::world::World;
use crate::world::entity::{Attachment, Emoji, Message, Reaction, message_flag, message_type};
use crate::world::id::{Id, timestamp};

/// A message as the bot reads it, with the message it answers. Nonces are never in it: only
/// the answer to the request that sent it and its first dispatch carry one.
pub fn message(world: &World, message: &Message) -> Value {
    let mut data = basic(world, message);
    let shows_referenced =
        matches!(message.kind, message_type::REPLY | message_type::THREAD_STARTER);
    if let Some(reference) = &message.reference
        && shows_referenced
    {
        let referenced =
            reference.message_id.and_then(|id| world.message(reference.channel_id, id));
        data["referenced_message"] = referenced.map_or(Value::Null, |one| basic(world, one));
    }
    data
}

fn basic(world: &World, message: &Message) -> Value {
    let author = world.users.get(&message.author_id);
    let mentions: Vec<Value> =
        message.mentions.users.iter().filter_map(|id| world.users.get(id)).map(user).collect();
    let attachments: Vec<Value> =
        message.attachments.iter().map(|one| attachment(world, message.channel_id, one)).collect();
    let suppressed = message.flags & message_flag::SUPPRESS_EMBEDS != 0;
    let embeds: &[Value] = if suppressed { &[] } else { &message.embeds };
    let mut data = json!({
        "type": message.kind,
        "content": message.content,
        "mentions": mentions,
        "mention_roles": message.mentions.roles,
        "attachments": attachments,
        "embeds": embeds,
        "timestamp": timestamp(message.id.time_ms()),
        "edited_timestamp": message.edited_ms.map(timestamp),
        "flags": message.flags,
        "components": [],
        "id": message.id,
        "channel_id": message.channel_id,
        "author": author.map_or(Value::Null, user),
        "pinned": message.pinned_ms.is_some(),
        "mention_everyone": message.mentions.everyone,
        "tts": message.tts,
    });
    if let Some(reference) = &message.reference {
        let mut shown = json!({"type": 0, "channel_id": reference.channel_id});
        if let Some(id) = reference.message_id {
            shown["message_id"] = json!(id);
        }
        if let Some(id) = reference.guild_id {
            shown["guild_id"] = json!(id);
        }
        data["message_reference"] = shown;
    }
    if !message.reactions.is_empty() {
        let shown: Vec<Value> =
            message.reactions.iter().map(|one| reaction(one, world.bot_id)).collect();
        data["reactions"] = json!(shown);
    }
    if message.flags & message_flag::HAS_THREAD != 0
        && let Some(thread) = world.channels.get(&message.id)
    {
        data["thread"] = channel(world, thread);
    }
    data
}

fn reaction(reaction: &Reaction, bot_id: Id) -> Value {
    json!({
        "emoji": emoji(&reaction.emoji),
        "count": reaction.users.len(),
        "count_details": {"burst": 0, "normal": reaction.users.len()},
        "burst_colors": [],
        "me_burst": false,
        "burst_me": false,
        "me": reaction.users.contains(&bot_id),
        "burst_count": 0,
    })
}

/// An emoji.
pub fn emoji(emoji: &Emoji) -> Value {
    json!({"id": emoji.id, "name": emoji.name})
}

fn attachment(world: &World, channel_id: Id, attachment: &Attachment) -> Value {
    let url = attachment_url(world, channel_id, attachment);
    let mut data = json!({
        "id": attachment.id,
        "filename": attachment.filename,
        "size": attachment.bytes.len(),
        "url": url,
        "proxy_url": url,
        "content_type": attachment.content_type,
        "content_scan_version": 0,
    });
    if let Some(description) = &attachment.description {
        data["description"] = json!(description);
    }
    data
}

/// Where a file is served, signed with an expiry as Discord's are.
pub fn attachment_url(world: &World, channel_id: Id, attachment: &Attachment) -> String {
    const VALID_MS: u64 = 24 * 60 * 60 * 1000;
    let issued = attachment.id.time_ms() / 1000;
    let expires = (attachment.id.time_ms() + VALID_MS) / 1000;
    let (base, id, name) = (&world.base_url, attachment.id, encode(&attachment.filename));
    format!(
        "{base}/attachments/{channel_id}/{id}/{name}?ex={expires:x}&is={issued:x}&hm={:x}",
        id.0
    )
}

/// Percent-encodes a file name for a path.
fn encode(name: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    encoded
}
