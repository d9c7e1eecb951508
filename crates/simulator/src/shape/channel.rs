//! Channels, direct message channels and threads.

use serde_json::{Value, json};

use crate::shape::user;
use crate::world::World;
use crate::world::entity::{Channel, OverwriteKind, Thread, channel_type};
use crate::world::id::{Id, timestamp};

/// A channel of any kind, as the bot sees it.
pub fn channel(world: &World, channel: &Channel) -> Value {
    match &channel.thread {
        Some(thread) => thread_channel(world, channel, thread),
        None if channel.guild_id.is_none() => direct_channel(world, channel),
        None => guild_channel(channel),
    }
}

fn direct_channel(world: &World, channel: &Channel) -> Value {
    let recipients: Vec<Value> = channel
        .recipients
        .iter()
        .filter(|id| **id != world.bot_id)
        .filter_map(|id| world.users.get(id))
        .map(user)
        .collect();
    json!({
        "id": channel.id,
        "type": channel.kind,
        "last_message_id": channel.last_message_id,
        "flags": 0,
        "recipients": recipients,
    })
}

fn guild_channel(channel: &Channel) -> Value {
    let overwrites: Vec<Value> = channel
        .overwrites
        .iter()
        .map(|one| {
            json!({
                "id": one.id,
                "type": u8::from(one.kind == OverwriteKind::Member),
                "allow": one.allow.to_string(),
                "deny": one.deny.to_string(),
            })
        })
        .collect();
    let mut data = json!({
        "id": channel.id,
        "type": channel.kind,
        "flags": 0,
        "guild_id": channel.guild_id,
        "name": channel.name,
        "parent_id": channel.parent_id,
        "position": channel.position,
        "permission_overwrites": overwrites,
        "nsfw": channel.nsfw,
        "rate_limit_per_user": channel.slowmode_seconds,
    });
    if channel.kind != channel_type::CATEGORY {
        data["topic"] = json!(channel.topic);
        data["last_message_id"] = json!(channel.last_message_id);
        if let Some(pin_ms) = channel.last_pin_ms {
            data["last_pin_timestamp"] = json!(timestamp(pin_ms));
        }
    }
    if matches!(channel.kind, channel_type::VOICE | channel_type::STAGE) {
        data["bitrate"] = json!(64_000);
        data["user_limit"] = json!(0);
        data["rtc_region"] = Value::Null;
    }
    data
}

fn thread_channel(world: &World, channel: &Channel, thread: &Thread) -> Value {
    let members = thread.members.len().min(50);
    let messages = channel.messages.len().saturating_sub(starters(channel));
    let mut data = json!({
        "id": channel.id,
        "type": channel.kind,
        "last_message_id": channel.last_message_id,
        "flags": 0,
        "guild_id": channel.guild_id,
        "name": channel.name,
        "parent_id": channel.parent_id,
        "rate_limit_per_user": channel.slowmode_seconds,
        "bitrate": 64_000,
        "user_limit": 0,
        "rtc_region": null,
        "owner_id": thread.owner_id,
        "thread_metadata": {
            "archived": thread.archived,
            "archive_timestamp": timestamp(thread.archive_ms),
            "auto_archive_duration": thread.auto_archive_minutes,
            "locked": thread.locked,
            "create_timestamp": timestamp(thread.created_ms),
        },
        "message_count": messages,
        "member_count": members,
        "total_message_sent": thread.total_sent,
    });
    if channel.kind == channel_type::PRIVATE_THREAD {
        data["thread_metadata"]["invitable"] = json!(thread.invitable);
    }
    if let Some(pin_ms) = channel.last_pin_ms {
        data["last_pin_timestamp"] = json!(timestamp(pin_ms));
    }
    if thread.members.contains_key(&world.bot_id) {
        data["member"] = thread_member(world, channel, world.bot_id);
    }
    data
}

fn starters(channel: &Channel) -> usize {
    use crate::world::entity::message_type::THREAD_STARTER;
    let first = channel.messages.values().next();
    usize::from(first.is_some_and(|message| message.kind == THREAD_STARTER))
}

/// A user's membership of a thread.
pub fn thread_member(_world: &World, channel: &Channel, user_id: Id) -> Value {
    let joined_ms = channel.thread.as_ref().and_then(|one| one.members.get(&user_id).copied());
    json!({
        "id": channel.id,
        "user_id": user_id,
        "join_timestamp": timestamp(joined_ms.unwrap_or_default()),
        "flags": 0,
    })
}
