//! Messages: sending, reading, editing, deleting.

use serde_json::{Value, json};

use crate::gateway::intents;
use crate::rest::call::{Answer, Call, Outcome, known};
use crate::rest::channels::{require, visible};
use crate::rest::error::{self, ApiError};
use crate::rest::message_body::{MessageBody, edited_attachments, require_something};
use crate::shape;
use crate::state::Core;
use crate::world::World;
use crate::world::entity::{Channel, Message, message_flag, message_type};
use crate::world::id::Id;
use crate::world::messages::{MessageEdit, Page};
use crate::world::permissions::{MANAGE_MESSAGES, READ_MESSAGE_HISTORY};

/// Edits of messages older than this are limited by code 30046.
const OLD_AFTER_MS: u64 = 60 * 60 * 1000;
/// How many such edits Discord bears an hour is not documented; so many are allowed here.
const OLD_EDITS_MAX: u32 = 30;
/// Bulk deletion takes no message older than this.
const BULK_AGE_MAX_MS: u64 = 14 * 24 * 60 * 60 * 1000;

pub(crate) fn get(core: &mut Core, call: &Call) -> Outcome {
    let channel = readable(core, call.id(0)?)?;
    let message = known(channel.messages.get(&call.id(1)?), error::UNKNOWN_MESSAGE)?;
    Ok(Answer::ok(shown(core, channel, message)))
}

pub(crate) fn list(core: &mut Core, call: &Call) -> Outcome {
    let channel_id = call.id(0)?;
    let limit = call.limit(50, 1, 100)?;
    let page = match (call.query_id("around")?, call.query_id("before")?, call.query_id("after")?) {
        (Some(id), _, _) => Page::Around(id),
        (_, Some(id), _) => Page::Before(id),
        (_, _, Some(id)) => Page::After(id),
        _ => Page::Latest,
    };
    let channel = visible(&core.world, channel_id)?;
    if core.world.bot_permissions(channel) & READ_MESSAGE_HISTORY == 0 {
        return Ok(Answer::ok(json!([])));
    }
    let found = channel.list(page, limit);
    Ok(Answer::ok(found.into_iter().map(|one| shown(core, channel, one)).collect()))
}

/// A channel whose history the bot may read.
pub(crate) fn readable(core: &Core, channel_id: Id) -> Result<&Channel, ApiError> {
    let channel = visible(&core.world, channel_id)?;
    require(&core.world, channel, READ_MESSAGE_HISTORY)?;
    Ok(channel)
}

/// A message as REST shows it: without the message content intent, others' words are withheld.
pub(crate) fn shown(core: &Core, channel: &Channel, message: &Message) -> Value {
    let mut data = shape::message(&core.world, message);
    if !core.gateway.config.content_intent_allowed && channel.guild_id.is_some() {
        intents::withhold(&mut data, core.world.bot_id);
    }
    data
}

pub(crate) fn edit(core: &mut Core, call: &Call) -> Outcome {
    let (channel_id, id) = (call.id(0)?, call.id(1)?);
    let channel = visible(&core.world, channel_id)?;
    let message = known(channel.messages.get(&id), error::UNKNOWN_MESSAGE)?.clone();
    let own = message.author_id == core.world.bot_id;
    if !own {
        // Moderators may hide others' embeds, and nothing else.
        let only_flags =
            call.body.as_object().is_some_and(|body| body.keys().all(|key| key == "flags"));
        if !only_flags {
            return Err(error::NOT_AUTHOR);
        }
        require(&core.world, channel, MANAGE_MESSAGES)?;
    }
    if is_system(&message) {
        return Err(error::SYSTEM_MESSAGE);
    }
    if channel.thread.as_ref().is_some_and(|thread| thread.archived) {
        return Err(error::ARCHIVED_THREAD);
    }
    let old = core.world.now_ms > id.time_ms() + OLD_AFTER_MS;
    if old && message.edits >= OLD_EDITS_MAX {
        return Err(error::OLD_MESSAGE_EDITS);
    }
    let body = MessageBody::read(call)?;
    let attachments = edited_attachments(&mut core.world, call, &message);
    let content = body.content.clone().unwrap_or_else(|| message.content.clone());
    let embeds = body.embeds.as_ref().unwrap_or(&message.embeds);
    let files = attachments.as_ref().unwrap_or(&message.attachments);
    require_something(!content.is_empty() || !embeds.is_empty() || !files.is_empty())?;
    let mentions = edited_mentions(&core.world, &message, &body);
    let kept = message.flags & !message_flag::SUPPRESS_EMBEDS;
    let edit = MessageEdit {
        content: body.content,
        embeds: body.embeds,
        attachments,
        mentions,
        flags: body.flags.map(|flags| kept | flags),
    };
    known(core.world.edit(channel_id, id, edit), error::UNKNOWN_MESSAGE)?;
    let channel = visible(&core.world, channel_id)?;
    let message = known(channel.messages.get(&id), error::UNKNOWN_MESSAGE)?;
    Ok(Answer::ok(shown(core, channel, message)))
}

/// An edit of the text parses mentions anew, with the defaults when it says nothing.
fn edited_mentions(
    world: &World,
    message: &Message,
    body: &MessageBody,
) -> Option<crate::world::entity::Mentions> {
    if body.content.is_none() && body.allowed_mentions.is_none() {
        return None;
    }
    let channel = world.channels.get(&message.channel_id)?;
    let allowed = body.allowed_mentions.clone().unwrap_or_default();
    let content = body.content.as_ref().unwrap_or(&message.content);
    let reference = message.reference.as_ref();
    Some(world.mentions(channel, (message.author_id, content), &allowed, reference))
}

pub(crate) fn delete(core: &mut Core, call: &Call) -> Outcome {
    let (channel_id, id) = (call.id(0)?, call.id(1)?);
    let channel = visible(&core.world, channel_id)?;
    let message = known(channel.messages.get(&id), error::UNKNOWN_MESSAGE)?;
    if message.kind == message_type::THREAD_STARTER {
        return Err(error::SYSTEM_MESSAGE);
    }
    if channel.thread.as_ref().is_some_and(|thread| thread.archived) {
        return Err(error::ARCHIVED_THREAD);
    }
    if message.author_id != core.world.bot_id {
        if channel.guild_id.is_none() {
            return Err(error::DM_ACTION);
        }
        require(&core.world, channel, MANAGE_MESSAGES)?;
    }
    core.world.delete(channel_id, &[id], false);
    Ok(Answer::empty())
}

pub(crate) fn bulk_delete(core: &mut Core, call: &Call) -> Outcome {
    let channel_id = call.id(0)?;
    let channel = visible(&core.world, channel_id)?;
    if channel.guild_id.is_none() {
        return Err(error::DM_ACTION);
    }
    require(&core.world, channel, MANAGE_MESSAGES)?;
    let list = call.body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let mut ids: Vec<Id> = list.iter().filter_map(Id::from_value).collect();
    ids.sort_unstable();
    ids.dedup();
    if !(2..=100).contains(&ids.len()) {
        return Err(error::BULK_DELETE_COUNT);
    }
    let oldest_ms = core.world.now_ms.saturating_sub(BULK_AGE_MAX_MS);
    if ids.iter().any(|id| id.time_ms() < oldest_ms) {
        return Err(error::BULK_DELETE_OLD);
    }
    core.world.delete(channel_id, &ids, true);
    Ok(Answer::empty())
}

pub(crate) fn crosspost(core: &mut Core, call: &Call) -> Outcome {
    let channel = visible(&core.world, call.id(0)?)?;
    if channel.kind != crate::world::entity::channel_type::ANNOUNCEMENT {
        return Err(error::WRONG_CHANNEL_TYPE);
    }
    let message = known(channel.messages.get(&call.id(1)?), error::UNKNOWN_MESSAGE)?;
    Ok(Answer::ok(shown(core, channel, message)))
}

/// Whether Discord wrote it.
pub(crate) fn is_system(message: &Message) -> bool {
    !matches!(message.kind, message_type::DEFAULT | message_type::REPLY)
}
