//! Reactions.

use serde_json::Value;

use crate::rest::call::{Answer, Call, Outcome, known};
use crate::rest::channels::{require, visible};
use crate::rest::error::{self, ApiError};
use crate::shape;
use crate::state::Core;
use crate::world::entity::{Emoji, Message};
use crate::world::id::Id;
use crate::world::permissions::{ADD_REACTIONS, MANAGE_MESSAGES, READ_MESSAGE_HISTORY};
use crate::world::reactions::Target;

/// Different emoji a message.
const REACTIONS_MAX: usize = 20;

/// Reads an emoji of a path: a character, or `name:id`.
pub(crate) fn emoji(text: &str) -> Result<Emoji, ApiError> {
    if let Some((name, id)) = text.rsplit_once(':') {
        let id = id.parse().map_err(|_not_an_id| error::UNKNOWN_EMOJI)?;
        return Ok(Emoji { id: Some(id), name: name.trim_start_matches(['a', ':']).to_owned() });
    }
    // Letters and digits alone are no emoji; a keycap is a digit with a mark behind it.
    let plain = text.chars().all(|sign| sign.is_ascii() || sign.is_alphanumeric());
    if plain || text.chars().count() > 16 {
        return Err(error::UNKNOWN_EMOJI);
    }
    Ok(Emoji { id: None, name: text.to_owned() })
}

fn message(core: &Core, call: &Call) -> Result<Message, ApiError> {
    let channel = visible(&core.world, call.id(0)?)?;
    require(&core.world, channel, READ_MESSAGE_HISTORY)?;
    known(channel.messages.get(&call.id(1)?), error::UNKNOWN_MESSAGE).cloned()
}

fn target(call: &Call) -> Result<Target, ApiError> {
    let (channel_id, message_id) = (call.id(0)?, call.id(1)?);
    Ok(Target { channel_id, message_id, emoji: emoji(call.text(2))? })
}

pub(crate) fn add(core: &mut Core, call: &Call) -> Outcome {
    let message = message(core, call)?;
    let target = target(call)?;
    let channel = visible(&core.world, target.channel_id)?;
    if channel.thread.as_ref().is_some_and(|thread| thread.archived) {
        return Err(error::ARCHIVED_THREAD);
    }
    let new = message.reactions.iter().all(|one| one.emoji != target.emoji);
    if new {
        require(&core.world, channel, ADD_REACTIONS)?;
        if message.reactions.len() >= REACTIONS_MAX {
            return Err(error::TOO_MANY_REACTIONS);
        }
    }
    let bot_id = core.world.bot_id;
    core.world.react(&target, bot_id);
    Ok(Answer::empty())
}

pub(crate) fn remove_own(core: &mut Core, call: &Call) -> Outcome {
    let bot_id = core.world.bot_id;
    take_away(core, call, bot_id)
}

pub(crate) fn remove(core: &mut Core, call: &Call) -> Outcome {
    let user_id = call.id(3)?;
    if user_id != core.world.bot_id {
        require(&core.world, visible(&core.world, call.id(0)?)?, MANAGE_MESSAGES)?;
    }
    take_away(core, call, user_id)
}

fn take_away(core: &mut Core, call: &Call, user_id: Id) -> Outcome {
    message(core, call)?;
    let target = target(call)?;
    // Discord answers 204 whether or not there was such a reaction.
    core.world.unreact(&target, user_id);
    Ok(Answer::empty())
}

pub(crate) fn clear(core: &mut Core, call: &Call) -> Outcome {
    message(core, call)?;
    let (channel_id, id) = (call.id(0)?, call.id(1)?);
    require(&core.world, visible(&core.world, channel_id)?, MANAGE_MESSAGES)?;
    core.world.clear_reactions(channel_id, id, None);
    Ok(Answer::empty())
}

pub(crate) fn clear_emoji(core: &mut Core, call: &Call) -> Outcome {
    message(core, call)?;
    let target = target(call)?;
    require(&core.world, visible(&core.world, target.channel_id)?, MANAGE_MESSAGES)?;
    core.world.clear_reactions(target.channel_id, target.message_id, Some(&target.emoji));
    Ok(Answer::empty())
}

pub(crate) fn list(core: &mut Core, call: &Call) -> Outcome {
    let message = message(core, call)?;
    let target = target(call)?;
    let limit = call.limit(25, 1, 100)?;
    let after = call.query_id("after")?.unwrap_or(Id(0));
    let reaction = message.reactions.iter().find(|one| one.emoji == target.emoji);
    let mut users: Vec<Id> = reaction.map_or_else(Vec::new, |one| one.users.clone());
    users.sort_unstable();
    let found: Value = users
        .into_iter()
        .filter(|id| *id > after)
        .filter_map(|id| core.world.users.get(&id))
        .take(limit)
        .map(shape::user)
        .collect();
    Ok(Answer::ok(found))
}
