//! Pins.

use serde_json::{Value, json};

use crate::rest::call::{Answer, Call, Outcome, known};
use crate::rest::channels::{require, visible};
use crate::rest::error;
use crate::rest::messages::{readable, shown};
use crate::state::Core;
use crate::world::entity::{Channel, Message};
use crate::world::id::timestamp;
use crate::world::permissions::PIN_MESSAGES;

/// Pins a channel.
const PINS_MAX: usize = 250;

pub(crate) fn pin(core: &mut Core, call: &Call) -> Outcome {
    set(core, call, true)
}

pub(crate) fn unpin(core: &mut Core, call: &Call) -> Outcome {
    set(core, call, false)
}

fn set(core: &mut Core, call: &Call, pinned: bool) -> Outcome {
    let (channel_id, id) = (call.id(0)?, call.id(1)?);
    let channel = visible(&core.world, channel_id)?;
    require(&core.world, channel, PIN_MESSAGES)?;
    known(channel.messages.get(&id), error::UNKNOWN_MESSAGE)?;
    if pinned && pins(channel).len() >= PINS_MAX {
        return Err(error::TOO_MANY_PINS);
    }
    let bot_id = core.world.bot_id;
    core.world.pin(channel_id, id, bot_id, pinned);
    Ok(Answer::empty())
}

/// Pinned messages, the latest pin first.
fn pins(channel: &Channel) -> Vec<(u64, &Message)> {
    let mut found: Vec<(u64, &Message)> =
        channel.messages.values().filter_map(|one| Some((one.pinned_ms?, one))).collect();
    found.sort_by_key(|(pinned_ms, one)| std::cmp::Reverse((*pinned_ms, one.id)));
    found
}

pub(crate) fn list(core: &mut Core, call: &Call) -> Outcome {
    let channel = readable(core, call.id(0)?)?;
    let limit = call.limit(50, 1, 50)?;
    let before = call.query.get("before");
    let found: Vec<_> = pins(channel)
        .into_iter()
        .filter(|(at_ms, _)| before.is_none_or(|before| *timestamp(*at_ms) < **before))
        .collect();
    let has_more = found.len() > limit;
    let items: Vec<Value> = found
        .into_iter()
        .take(limit)
        .map(|(at_ms, one)| {
            json!({"pinned_at": timestamp(at_ms), "message": shown(core, channel, one)})
        })
        .collect();
    Ok(Answer::ok(json!({"items": items, "has_more": has_more})))
}

pub(crate) fn list_old(core: &mut Core, call: &Call) -> Outcome {
    let channel = readable(core, call.id(0)?)?;
    let found = pins(channel).into_iter().take(50);
    Ok(Answer::ok(found.map(|(_, one)| shown(core, channel, one)).collect()))
}
