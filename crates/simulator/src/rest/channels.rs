//! Channels: reading, changing, typing, and the doors every channel route passes.

use serde_json::{Value, json};

use crate::rest::call::{Answer, Call, Outcome, known};
use crate::rest::error::{self, ApiError, FieldErrors};
use crate::shape;
use crate::state::Core;
use crate::world::World;
use crate::world::entity::{Channel, Overwrite, OverwriteKind};
use crate::world::id::Id;
use crate::world::permissions::{
    MANAGE_CHANNELS, MANAGE_ROLES, MANAGE_THREADS, SEND_MESSAGES, SEND_MESSAGES_IN_THREADS,
    VIEW_CHANNEL,
};
use crate::world::threads::ThreadEdit;

/// A channel the bot can see.
pub(crate) fn visible(world: &World, id: Id) -> Result<&Channel, ApiError> {
    let channel = known(world.channels.get(&id), error::UNKNOWN_CHANNEL)?;
    let bits = world.bot_permissions(channel);
    if bits & VIEW_CHANNEL == 0 { Err(error::MISSING_ACCESS) } else { Ok(channel) }
}

/// Refuses unless the bot has every one of `bits` in `channel`.
pub(crate) fn require(world: &World, channel: &Channel, bits: u64) -> Result<(), ApiError> {
    let held = world.bot_permissions(channel);
    if held & bits == bits { Ok(()) } else { Err(error::MISSING_PERMISSIONS) }
}

/// The permission that sending in this channel takes.
pub(crate) fn send_permission(channel: &Channel) -> u64 {
    if channel.is_thread() { SEND_MESSAGES_IN_THREADS } else { SEND_MESSAGES }
}

pub(crate) fn get(core: &mut Core, call: &Call) -> Outcome {
    let channel = visible(&core.world, call.id(0)?)?;
    Ok(Answer::ok(shape::channel(&core.world, channel)))
}

pub(crate) fn typing(core: &mut Core, call: &Call) -> Outcome {
    let id = call.id(0)?;
    let channel = visible(&core.world, id)?;
    if !channel.is_text() {
        return Err(error::NON_TEXT_CHANNEL);
    }
    require(&core.world, channel, send_permission(channel))?;
    let bot_id = core.world.bot_id;
    core.world.type_in(id, bot_id);
    Ok(Answer::empty())
}

pub(crate) fn edit(core: &mut Core, call: &Call) -> Outcome {
    let id = call.id(0)?;
    let channel = visible(&core.world, id)?;
    let mut errors = FieldErrors::default();
    check_name(&call.body, &mut errors);
    if channel.is_thread() {
        check_auto_archive(&call.body, "auto_archive_duration", &mut errors);
        errors.finish()?;
        return edit_thread(core, id, &call.body);
    }
    if channel.guild_id.is_none() {
        return Err(error::DM_ACTION);
    }
    require(&core.world, channel, MANAGE_CHANNELS)?;
    if text_length(&call.body["topic"]) > 1024 {
        errors.bad_length(&["topic"], 0, 1024);
    }
    errors.finish()?;
    let body = &call.body;
    let channel = known(core.world.channels.get_mut(&id), error::UNKNOWN_CHANNEL)?;
    if let Some(name) = body["name"].as_str() {
        name.clone_into(&mut channel.name);
    }
    if body.get("topic").is_some() {
        channel.topic = body["topic"].as_str().map(str::to_owned);
    }
    if let Some(nsfw) = body["nsfw"].as_bool() {
        channel.nsfw = nsfw;
    }
    if let Some(seconds) = body["rate_limit_per_user"].as_u64() {
        channel.slowmode_seconds = seconds;
    }
    if let Some(position) = body["position"].as_u64() {
        channel.position = u32::try_from(position).unwrap_or(u32::MAX);
    }
    if body.get("parent_id").is_some() {
        channel.parent_id = Id::from_value(&body["parent_id"]);
    }
    core.world.note_channel_update(id);
    let channel = known(core.world.channels.get(&id), error::UNKNOWN_CHANNEL)?;
    Ok(Answer::ok(shape::channel(&core.world, channel)))
}

/// Anyone who opened a thread may rename or archive it; the rest takes `MANAGE_THREADS`.
fn edit_thread(core: &mut Core, id: Id, body: &Value) -> Outcome {
    let channel = visible(&core.world, id)?;
    let Some(thread) = &channel.thread else { return Err(error::WRONG_CHANNEL_TYPE) };
    let moderates = core.world.bot_permissions(channel) & MANAGE_THREADS != 0;
    let own = thread.owner_id == core.world.bot_id;
    let locks = body["locked"].as_bool().is_some_and(|locked| locked != thread.locked);
    let slows = body.get("rate_limit_per_user").is_some();
    if !moderates && (!own || locks || slows || thread.locked) {
        return Err(error::MISSING_PERMISSIONS);
    }
    let unarchives = body["archived"] == false;
    if thread.archived && !unarchives {
        return Err(error::ARCHIVED_THREAD);
    }
    let edit = ThreadEdit {
        name: body["name"].as_str().map(str::to_owned),
        archived: body["archived"].as_bool(),
        locked: body["locked"].as_bool(),
        auto_archive_minutes: body["auto_archive_duration"].as_u64(),
        slowmode_seconds: body["rate_limit_per_user"].as_u64(),
        invitable: body["invitable"].as_bool(),
    };
    core.world.edit_thread(id, edit);
    let channel = known(core.world.channels.get(&id), error::UNKNOWN_CHANNEL)?;
    Ok(Answer::ok(shape::channel(&core.world, channel)))
}

pub(crate) fn delete(core: &mut Core, call: &Call) -> Outcome {
    let id = call.id(0)?;
    let channel = visible(&core.world, id)?;
    let answer = shape::channel(&core.world, channel);
    if channel.guild_id.is_none() {
        // Closing a direct message channel hides it from the list and loses nothing.
        return Ok(Answer::ok(answer));
    }
    let needed = if channel.is_thread() { MANAGE_THREADS } else { MANAGE_CHANNELS };
    require(&core.world, channel, needed)?;
    core.world.delete_channel(id);
    Ok(Answer::ok(answer))
}

pub(crate) fn set_overwrite(core: &mut Core, call: &Call) -> Outcome {
    let (channel_id, id) = (call.id(0)?, call.id(1)?);
    require(&core.world, visible(&core.world, channel_id)?, MANAGE_ROLES)?;
    let bits = |key: &str| bits(&call.body[key]);
    let mut errors = FieldErrors::default();
    let kind = match call.body["type"].as_u64() {
        Some(0) => OverwriteKind::Role,
        Some(1) => OverwriteKind::Member,
        _ => {
            errors.not_a_choice(&["type"], "0, 1");
            OverwriteKind::Role
        }
    };
    errors.finish()?;
    let overwrite = Overwrite { id, kind, allow: bits("allow"), deny: bits("deny") };
    core.world.set_overwrite(channel_id, overwrite);
    Ok(Answer::empty())
}

pub(crate) fn delete_overwrite(core: &mut Core, call: &Call) -> Outcome {
    let (channel_id, id) = (call.id(0)?, call.id(1)?);
    let channel = visible(&core.world, channel_id)?;
    require(&core.world, channel, MANAGE_ROLES)?;
    known(channel.overwrites.iter().find(|one| one.id == id), error::UNKNOWN_OVERWRITE)?;
    let nothing = Overwrite { id, kind: OverwriteKind::Role, allow: 0, deny: 0 };
    core.world.set_overwrite(channel_id, nothing);
    Ok(Answer::empty())
}

/// Permission bits, as text or number.
pub(crate) fn bits(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.parse().unwrap_or(0),
        other => other.as_u64().unwrap_or(0),
    }
}

/// The length Discord counts: code points.
pub(crate) fn text_length(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

/// A name, when there is one, has 1 to 100 characters.
pub(crate) fn check_name(body: &Value, errors: &mut FieldErrors) {
    match &body["name"] {
        Value::Null => {}
        Value::String(name) if (1..=100).contains(&name.chars().count()) => {}
        Value::String(_) => errors.bad_length(&["name"], 1, 100),
        _ => errors.add(&["name"], "STRING_TYPE_CONVERT", "Could not interpret value as string."),
    }
}

/// Threads are archived after an hour, a day, three days or a week, and nothing else.
pub(crate) fn check_auto_archive(body: &Value, key: &str, errors: &mut FieldErrors) {
    let value = &body[key];
    if !value.is_null() && ![60, 1440, 4320, 10_080].iter().any(|minutes| *value == json!(minutes))
    {
        errors.not_a_choice(&[key], "60, 1440, 4320, 10080");
    }
}
