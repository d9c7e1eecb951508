//! Sending a message: whether it may be sent, what it answers, and whether it was sent already.

use serde_json::Value;

use crate::rest::call::{Answer, Call, Outcome, known};
use crate::rest::channels::{require, send_permission, visible};
use crate::rest::error::{self, ApiError, FieldErrors, invalid};
use crate::rest::message_body::{
    MessageBody, new_attachments, require_something, unknown_reference, unreadable_reference,
};
use crate::rest::messages::is_system;
use crate::shape;
use crate::state::Core;
use crate::world::World;
use crate::world::entity::{Channel, Reference};
use crate::world::id::Id;
use crate::world::messages::NewMessage;
use crate::world::permissions::{ATTACH_FILES, EMBED_LINKS, MANAGE_THREADS, READ_MESSAGE_HISTORY};

pub(crate) fn create(core: &mut Core, call: &Call) -> Outcome {
    let channel_id = call.id(0)?;
    let channel = visible(&core.world, channel_id)?;
    if !channel.is_text() {
        return Err(error::NON_TEXT_CHANNEL);
    }
    check_thread(&core.world, channel)?;
    require(&core.world, channel, send_permission(channel))?;
    check_direct(&core.world, channel)?;
    let body = MessageBody::read(call)?;
    let embeds = body.embeds.clone().unwrap_or_default();
    let content = body.content.clone().unwrap_or_default();
    require_something(!content.is_empty() || !embeds.is_empty() || !call.files.is_empty())?;
    if !call.files.is_empty() {
        require(&core.world, channel, ATTACH_FILES)?;
    }
    let may_embed = core.world.bot_permissions(channel) & EMBED_LINKS != 0;
    if let Some(answer) = repeated(core, channel_id, &body)? {
        return Ok(answer);
    }
    let channel = visible(&core.world, channel_id)?;
    let reference = reference(&core.world, channel, &call.body)?;
    let bot_id = core.world.bot_id;
    let allowed = body.allowed_mentions.clone().unwrap_or_default();
    let mentions = core.world.mentions(channel, (bot_id, &content), &allowed, reference.as_ref());
    let attachments = new_attachments(&mut core.world, call);
    let new = NewMessage {
        content,
        embeds: if may_embed { embeds } else { Vec::new() },
        attachments,
        reference,
        mentions,
        flags: body.flags.unwrap_or(0),
        tts: body.tts,
        nonce: body.nonce.clone(),
    };
    let sent = known(core.world.send(channel_id, bot_id, new), error::UNKNOWN_CHANNEL)?;
    if let Some(nonce) = body.nonce_text() {
        core.nonces.remember((bot_id, channel_id), &nonce, sent, core.world.now_ms);
    }
    created(core, channel_id, sent, body.nonce)
}

/// The answer to a create, which alone carries the nonce.
fn created(core: &Core, channel_id: Id, id: Id, nonce: Option<Value>) -> Outcome {
    let message = known(core.world.message(channel_id, id), error::UNKNOWN_MESSAGE)?;
    let mut data = shape::message(&core.world, message);
    if let Some(nonce) = nonce {
        data["nonce"] = nonce;
    }
    Ok(Answer::ok(data))
}

/// With `enforce_nonce`, a nonce used within the window answers with its message. If that
/// message was deleted since, Discord answers that it is unknown.
fn repeated(
    core: &mut Core,
    channel_id: Id,
    body: &MessageBody,
) -> Result<Option<Answer>, ApiError> {
    let Some(nonce) = body.nonce_text().filter(|_| body.enforce_nonce) else { return Ok(None) };
    let (bot_id, now_ms) = (core.world.bot_id, core.world.now_ms);
    match core.nonces.find(bot_id, channel_id, &nonce, now_ms) {
        Some(id) => created(core, channel_id, id, body.nonce.clone()).map(Some),
        None => Ok(None),
    }
}

/// A locked thread takes messages of moderators alone; an archived one opens again.
fn check_thread(world: &World, channel: &Channel) -> Result<(), ApiError> {
    let moderates = world.bot_permissions(channel) & MANAGE_THREADS != 0;
    match &channel.thread {
        Some(thread) if thread.locked && !moderates => Err(error::THREAD_LOCKED),
        _ => Ok(()),
    }
}

/// A bot writes only to people it shares a guild with.
fn check_direct(world: &World, channel: &Channel) -> Result<(), ApiError> {
    let shares = |user: &Id| {
        let both = [*user, world.bot_id];
        world.guilds.values().any(|guild| both.iter().all(|id| guild.members.contains_key(id)))
    };
    let reachable = channel.guild_id.is_some() || channel.recipients.first().is_some_and(shares);
    if reachable { Ok(()) } else { Err(error::CANNOT_DM_USER) }
}

/// The message a new one answers, checked; ids come as strings or as numbers.
fn reference(
    world: &World,
    channel: &Channel,
    body: &Value,
) -> Result<Option<Reference>, ApiError> {
    let given = &body["message_reference"];
    if given.is_null() {
        return Ok(None);
    }
    if given["type"] == 1 {
        let words = "This simulator has no forwarded messages yet.";
        return Err(invalid(&["message_reference", "type"], "NOT_SIMULATED", words));
    }
    let Some(message_id) = Id::from_value(&given["message_id"]) else {
        let mut errors = FieldErrors::default();
        errors.required(&["message_reference", "message_id"]);
        return errors.finish().map(|()| None);
    };
    let channel_id = Id::from_value(&given["channel_id"]).unwrap_or(channel.id);
    if channel_id != channel.id {
        let words = "Cannot reply to a message in a different channel";
        return Err(invalid(
            &["message_reference"],
            "REPLIES_CANNOT_REPLY_TO_OTHER_CHANNEL",
            words,
        ));
    }
    if world.bot_permissions(channel) & READ_MESSAGE_HISTORY == 0 {
        return Err(unreadable_reference());
    }
    let guild_id = channel.guild_id;
    match channel.messages.get(&message_id) {
        Some(message) if is_system(message) => {
            let words = "Cannot reply to a system message";
            Err(invalid(&["message_reference"], "REPLIES_CANNOT_REPLY_TO_SYSTEM_MESSAGE", words))
        }
        Some(_) => Ok(Some(Reference { channel_id, message_id: Some(message_id), guild_id })),
        None if given["fail_if_not_exists"] == false => Ok(None),
        None => Err(unknown_reference()),
    }
}
