//! What users do besides speaking: reactions, typing, threads.

use axum::Json;
use axum::extract::{Path, State as Shared};
use serde::Deserialize;
use serde_json::json;

use crate::control::speak::{place, shown, unknown_channel, unknown_message};
use crate::control::world::note;
use crate::control::{Input, Outcome, Refusal};
use crate::rest::reactions::emoji;
use crate::shape;
use crate::state::State;
use crate::world::id::Id;
use crate::world::reactions::Target;
use crate::world::threads::{NewThread, ThreadEdit};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReactionBy {
    author_id: Id,
    emoji: String,
}

fn target(channel_id: Id, message_id: Id, text: &str) -> Result<Target, Refusal> {
    let emoji = emoji(text).map_err(|_unknown| Refusal::bad("send one emoji, such as 👍"))?;
    Ok(Target { channel_id, message_id, emoji })
}

pub(crate) async fn react(
    Shared(state): Shared<State>,
    Path((channel_id, id)): Path<(Id, Id)>,
    Input(by): Input<ReactionBy>,
) -> Outcome {
    let target = target(channel_id, id, &by.emoji)?;
    state.with(|core| {
        place(core, channel_id, by.author_id)?;
        core.world.react(&target, by.author_id).ok_or_else(unknown_message)
    })?;
    message_answer(&state, "react", channel_id, id)
}

pub(crate) async fn unreact(
    Shared(state): Shared<State>,
    Path((channel_id, id)): Path<(Id, Id)>,
    Input(by): Input<ReactionBy>,
) -> Outcome {
    let target = target(channel_id, id, &by.emoji)?;
    state.with(|core| {
        place(core, channel_id, by.author_id)?;
        let gone = core.world.unreact(&target, by.author_id);
        gone.ok_or_else(|| Refusal::not_found("there is no such reaction of this user"))
    })?;
    message_answer(&state, "unreact", channel_id, id)
}

fn message_answer(state: &State, action: &str, channel_id: Id, id: Id) -> Outcome {
    let message = state.with(|core| {
        let message = core.world.message(channel_id, id).ok_or_else(unknown_message)?;
        Ok(shown(core, message))
    })?;
    note(state, action, Some(&json!({"channel_id": channel_id, "id": id})));
    Ok(Json(message))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct By {
    author_id: Id,
}

pub(crate) async fn typing(
    Shared(state): Shared<State>,
    Path(channel_id): Path<Id>,
    Input(by): Input<By>,
) -> Outcome {
    state.with(|core| {
        place(core, channel_id, by.author_id)?;
        core.world.type_in(channel_id, by.author_id);
        Ok(())
    })?;
    Ok(Json(json!({"channel_id": channel_id})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThreadBy {
    author_id: Id,
    name: String,
    message_id: Option<Id>,
}

pub(crate) async fn open_thread(
    Shared(state): Shared<State>,
    Path(channel_id): Path<Id>,
    Input(by): Input<ThreadBy>,
) -> Outcome {
    let thread = state.with(|core| {
        let channel = place(core, channel_id, by.author_id)?;
        if channel.is_thread() || channel.guild_id.is_none() {
            return Err(Refusal::bad("open threads in text channels of guilds"));
        }
        if let Some(id) = by.message_id {
            if !channel.messages.contains_key(&id) {
                return Err(unknown_message());
            }
            if core.world.channels.contains_key(&id) {
                return Err(Refusal::bad("this message has a thread already"));
            }
        }
        let new = NewThread::public(by.name);
        let id = core.world.open_thread(channel_id, by.author_id, new, by.message_id);
        let id = id.ok_or_else(unknown_channel)?;
        let channel = core.world.channels.get(&id).ok_or_else(unknown_channel)?;
        Ok(shape::channel(&core.world, channel))
    })?;
    note(&state, "open_thread", Some(&json!({"id": thread["id"]})));
    Ok(Json(thread))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThreadChange {
    name: Option<String>,
    archived: Option<bool>,
    locked: Option<bool>,
}

pub(crate) async fn edit_thread(
    Shared(state): Shared<State>,
    Path(channel_id): Path<Id>,
    Input(change): Input<ThreadChange>,
) -> Outcome {
    let thread = state.with(|core| {
        let ThreadChange { name, archived, locked } = change;
        let edit = ThreadEdit { name, archived, locked, ..ThreadEdit::default() };
        core.world.edit_thread(channel_id, edit).ok_or_else(unknown_channel)?;
        let channel = core.world.channels.get(&channel_id).ok_or_else(unknown_channel)?;
        Ok(shape::channel(&core.world, channel))
    })?;
    note(&state, "edit_thread", Some(&json!({"id": channel_id})));
    Ok(Json(thread))
}
