//! Speaking as a user: messages sent, edited and deleted.

use axum::Json;
use axum::extract::{Path, State as Shared};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::world::{known_user, note};
use crate::control::{Input, Outcome, Refusal};
use crate::shape;
use crate::state::{Core, State};
use crate::world::entity::{Attachment, Channel, Message, Reference};
use crate::world::id::Id;
use crate::world::mentions::AllowedMentions;
use crate::world::messages::{MessageEdit, NewMessage};

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
pub(crate) fn place(core: &Core, channel_id: Id, author_id: Id) -> Result<&Channel, Refusal> {
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

pub(crate) fn unknown_channel() -> Refusal {
    Refusal::not_found("the channel is unknown; see GET /control/world")
}

pub(crate) fn unknown_message() -> Refusal {
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

pub(crate) fn shown(core: &Core, message: &Message) -> Value {
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
