//! Speaking as a user: messages, reactions, typing, threads.

use axum::Json;
use axum::extract::{Path, State as Shared};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::world::{known_user, note};
use crate::control::{Input, Outcome, Refusal};
use crate::rest::reactions::emoji;
use crate::shape;
use crate::state::{Core, State};
use crate::world::entity::{Attachment, Channel, Message, Reference};
use crate::world::id::Id;
use crate::world::mentions::AllowedMentions;
use crate::world::messages::{MessageEdit, NewMessage};
use crate::world::reactions::Target;
use crate::world::threads::{NewThread, ThreadEdit};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    filename: String,
    content_type: Option<String>,
    data_base64: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Speech {
    author_id: Id,
    #[serde(default)]
    content: String,
    reply_to: Option<Id>,
    #[serde(default)]
    attachments: Vec<File>,
}

/// A channel where `author_id` can speak.
fn place(core: &Core, channel_id: Id, author_id: Id) -> Result<&Channel, Refusal> {
    known_user(&core.world, author_id)?;
    let channel = core.world.channels.get(&channel_id).ok_or_else(unknown_channel)?;
    let guild = channel.guild_id.and_then(|id| core.world.guilds.get(&id));
    let belongs = match guild {
        Some(guild) => guild.members.contains_key(&author_id),
        None => channel.recipients.contains(&author_id),
    };
    if belongs {
        Ok(channel)
    } else {
        let hint =
            format!("user {author_id} is not there; use POST /control/guilds/{{guild}}/members");
        Err(Refusal::bad(hint))
    }
}

fn unknown_channel() -> Refusal {
    Refusal::not_found("the channel is unknown; see GET /control/world")
}

fn unknown_message() -> Refusal {
    Refusal::not_found("the message is unknown; see GET /control/channels/{channel}/messages")
}

fn attachments(core: &mut Core, files: Vec<File>) -> Result<Vec<Attachment>, Refusal> {
    files
        .into_iter()
        .map(|file| {
            let bytes = STANDARD
                .decode(&file.data_base64)
                .map_err(|error| Refusal::bad(format!("send data_base64 as base64: {error}")))?;
            let fallback = || "application/octet-stream".to_owned();
            Ok(Attachment {
                id: core.world.next_id(),
                filename: crate::rest::safe_name(&file.filename),
                description: None,
                content_type: file.content_type.unwrap_or_else(fallback),
                bytes: bytes.into(),
            })
        })
        .collect()
}

pub(crate) async fn send(
    Shared(state): Shared<State>,
    Path(channel_id): Path<Id>,
    Input(speech): Input<Speech>,
) -> Outcome {
    if speech.content.trim().is_empty() && speech.attachments.is_empty() {
        return Err(Refusal::bad("send content or attachments"));
    }
    if speech.content.chars().count() > 4000 {
        return Err(Refusal::bad("send at most 4000 characters, as Discord's own clients do"));
    }
    let message = state.with(|core| {
        let channel = place(core, channel_id, speech.author_id)?;
        let reference = match speech.reply_to {
            None => None,
            Some(id) if channel.messages.contains_key(&id) => {
                Some(Reference { channel_id, message_id: Some(id), guild_id: channel.guild_id })
            }
            Some(_) => return Err(unknown_message()),
        };
        let allowed = AllowedMentions::default();
        let content = speech.content.trim().to_owned();
        let mentions = core.world.mentions(
            channel,
            (speech.author_id, &content),
            &allowed,
            reference.as_ref(),
        );
        let attachments = attachments(core, speech.attachments)?;
        let new = NewMessage { content, attachments, reference, mentions, ..NewMessage::default() };
        let id = core.world.send(channel_id, speech.author_id, new).ok_or_else(unknown_channel)?;
        let message = core.world.message(channel_id, id).ok_or_else(unknown_message)?;
        Ok(shown(core, message))
    })?;
    note(&state, "send_message", Some(&json!({"channel_id": channel_id, "id": message["id"]})));
    Ok(Json(message))
}

fn shown(core: &Core, message: &Message) -> Value {
    let mut data = shape::message(&core.world, message);
    data["edits"] = json!(message.edits);
    data
}

pub(crate) async fn list(Shared(state): Shared<State>, Path(channel_id): Path<Id>) -> Outcome {
    state.with(|core| {
        let channel = core.world.channels.get(&channel_id).ok_or_else(unknown_channel)?;
        Ok(Json(channel.messages.values().map(|message| shown(core, message)).collect()))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    author_id: Id,
    #[serde(default)]
    content: String,
}

/// A message that `author_id` wrote.
fn own(core: &Core, channel_id: Id, id: Id, author_id: Id) -> Result<&Message, Refusal> {
    place(core, channel_id, author_id)?;
    let message = core.world.message(channel_id, id).ok_or_else(unknown_message)?;
    if message.author_id == author_id {
        Ok(message)
    } else {
        Err(Refusal::bad("name the author of the message as author_id"))
    }
}

pub(crate) async fn edit(
    Shared(state): Shared<State>,
    Path((channel_id, id)): Path<(Id, Id)>,
    Input(change): Input<Change>,
) -> Outcome {
    let message = state.with(|core| {
        let old = own(core, channel_id, id, change.author_id)?;
        let reference = old.reference;
        let channel = place(core, channel_id, change.author_id)?;
        let allowed = AllowedMentions::default();
        let content = change.content.trim().to_owned();
        let mentions = core.world.mentions(
            channel,
            (change.author_id, &content),
            &allowed,
            reference.as_ref(),
        );
        let edit = MessageEdit {
            content: Some(content),
            mentions: Some(mentions),
            ..MessageEdit::default()
        };
        core.world.edit(channel_id, id, edit);
        let message = core.world.message(channel_id, id).ok_or_else(unknown_message)?;
        Ok(shown(core, message))
    })?;
    note(&state, "edit_message", Some(&json!({"channel_id": channel_id, "id": id})));
    Ok(Json(message))
}

pub(crate) async fn delete(
    Shared(state): Shared<State>,
    Path((channel_id, id)): Path<(Id, Id)>,
) -> Outcome {
    state.with(|core| {
        core.world.message(channel_id, id).ok_or_else(unknown_message)?;
        core.world.delete(channel_id, &[id], false);
        Ok(())
    })?;
    let answer = json!({"channel_id": channel_id, "id": id});
    note(&state, "delete_message", Some(&answer));
    Ok(Json(answer))
}

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
