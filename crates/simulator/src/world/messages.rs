//! Messages: sent, edited, deleted, pinned and listed.

use serde_json::{Value, json};

use crate::shape;
use crate::world::World;
use crate::world::entity::{
    Attachment, Channel, Mentions, Message, Reference, message_flag, message_type,
};
use crate::world::id::{Id, timestamp};

/// A message about to be sent; everything in it is validated already.
#[derive(Clone, Debug, Default)]
pub struct NewMessage {
    /// The text.
    pub content: String,
    /// Embeds as they are shown.
    pub embeds: Vec<Value>,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// The message it answers.
    pub reference: Option<Reference>,
    /// Who it pings.
    pub mentions: Mentions,
    /// Bits of [`message_flag`].
    pub flags: u64,
    /// Read aloud.
    pub tts: bool,
    /// What its sender names it by.
    pub nonce: Option<Value>,
}

/// What an edit changes; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct MessageEdit {
    /// The text.
    pub content: Option<String>,
    /// Embeds as they are shown.
    pub embeds: Option<Vec<Value>>,
    /// The files that stay and those that are new.
    pub attachments: Option<Vec<Attachment>>,
    /// Who it pings now.
    pub mentions: Option<Mentions>,
    /// Bits of [`message_flag`].
    pub flags: Option<u64>,
}

/// Which part of a channel is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The newest.
    Latest,
    /// Before an id, the nearest first.
    Before(Id),
    /// After an id, the nearest to it.
    After(Id),
    /// Around an id.
    Around(Id),
}

impl World {
    /// Sends a message and returns its id. An archived thread opens again.
    pub fn send(&mut self, channel_id: Id, author_id: Id, new: NewMessage) -> Option<Id> {
        let kind =
            if new.reference.is_some() { message_type::REPLY } else { message_type::DEFAULT };
        self.wake_thread(channel_id);
        self.send_as(channel_id, author_id, kind, new)
    }

    /// Sends a message of a given [`message_type`].
    pub(crate) fn send_as(
        &mut self,
        channel_id: Id,
        author_id: Id,
        kind: u8,
        new: NewMessage,
    ) -> Option<Id> {
        let id = self.next_id();
        let nonce = new.nonce.clone();
        let message = Message {
            id,
            channel_id,
            author_id,
            kind,
            content: new.content,
            flags: new.flags,
            embeds: new.embeds,
            attachments: new.attachments,
            mentions: new.mentions,
            reference: new.reference,
            reactions: Vec::new(),
            pinned_ms: None,
            tts: new.tts,
            nonce: new.nonce,
            edited_ms: None,
            edits: 0,
        };
        self.join_silently(channel_id, author_id);
        let channel = self.channels.get_mut(&channel_id)?;
        channel.last_message_id = Some(id);
        if let Some(thread) = &mut channel.thread {
            thread.total_sent += u64::from(kind != message_type::THREAD_STARTER);
        }
        channel.messages.insert(id, message);
        let mut data = self.message_dispatch(channel_id, id)?;
        if let Some(nonce) = nonce {
            data["nonce"] = nonce;
        }
        self.note_in_channel("MESSAGE_CREATE", channel_id, data);
        Some(id)
    }

    /// Changes a message.
    pub fn edit(&mut self, channel_id: Id, message_id: Id, edit: MessageEdit) -> Option<()> {
        let now_ms = self.now_ms;
        let message = self.message_mut(channel_id, message_id)?;
        let only_flags =
            edit.content.is_none() && edit.embeds.is_none() && edit.attachments.is_none();
        if let Some(content) = edit.content {
            message.content = content;
        }
        if let Some(embeds) = edit.embeds {
            message.embeds = embeds;
        }
        if let Some(attachments) = edit.attachments {
            message.attachments = attachments;
        }
        if let Some(mentions) = edit.mentions {
            message.mentions = mentions;
        }
        if let Some(flags) = edit.flags {
            message.flags = flags;
        }
        if !only_flags {
            message.edited_ms = Some(now_ms);
            message.edits += 1;
        }
        self.note_update(channel_id, message_id);
        Some(())
    }

    /// Deletes messages; more than one are dispatched as one bulk deletion.
    pub fn delete(&mut self, channel_id: Id, message_ids: &[Id], bulk: bool) {
        let Some(channel) = self.channels.get_mut(&channel_id) else { return };
        let guild_id = channel.guild_id;
        let gone: Vec<Id> = message_ids
            .iter()
            .copied()
            .filter(|id| channel.messages.remove(id).is_some())
            .collect();
        let mut data = json!({"channel_id": channel_id});
        if let Some(guild_id) = guild_id {
            data["guild_id"] = json!(guild_id);
        }
        if bulk {
            data["ids"] = json!(gone);
            self.note_in_channel("MESSAGE_DELETE_BULK", channel_id, data);
            return;
        }
        for id in gone {
            let mut data = data.clone();
            data["id"] = json!(id);
            self.note_in_channel("MESSAGE_DELETE", channel_id, data);
        }
    }

    /// Pins or unpins a message; pinning says so in the channel.
    pub fn pin(&mut self, channel_id: Id, message_id: Id, by: Id, pinned: bool) -> Option<()> {
        let now_ms = self.now_ms;
        let message = self.message_mut(channel_id, message_id)?;
        if message.pinned_ms.is_some() == pinned {
            return Some(());
        }
        message.pinned_ms = pinned.then_some(now_ms);
        self.note_update(channel_id, message_id);
        let channel = self.channels.get_mut(&channel_id)?;
        if pinned {
            channel.last_pin_ms = Some(now_ms);
        }
        let guild_id = channel.guild_id;
        let mut data = json!({
            "channel_id": channel_id,
            "last_pin_timestamp": channel.last_pin_ms.map(timestamp),
        });
        if let Some(guild_id) = guild_id {
            data["guild_id"] = json!(guild_id);
        }
        self.note_in_channel("CHANNEL_PINS_UPDATE", channel_id, data);
        if pinned {
            let reference = Reference { channel_id, message_id: Some(message_id), guild_id };
            let new = NewMessage { reference: Some(reference), ..NewMessage::default() };
            self.send_as(channel_id, by, message_type::PINNED, new);
        }
        Some(())
    }

    /// Marks a message as the start of a thread.
    pub(crate) fn mark_thread(&mut self, channel_id: Id, message_id: Id) {
        if let Some(message) = self.message_mut(channel_id, message_id) {
            message.flags |= message_flag::HAS_THREAD;
            self.note_update(channel_id, message_id);
        }
    }

    /// Notes that a message is other than it was.
    pub(crate) fn note_update(&mut self, channel_id: Id, message_id: Id) {
        if let Some(data) = self.message_dispatch(channel_id, message_id) {
            self.note_in_channel("MESSAGE_UPDATE", channel_id, data);
        }
    }

    /// A message as dispatches carry it: with guild, channel type and member.
    fn message_dispatch(&self, channel_id: Id, message_id: Id) -> Option<Value> {
        let channel = self.channels.get(&channel_id)?;
        let message = channel.messages.get(&message_id)?;
        let mut data = shape::message(self, message);
        data["channel_type"] = json!(channel.kind);
        let Some(guild) = channel.guild_id.and_then(|id| self.guilds.get(&id)) else {
            return Some(data);
        };
        data["guild_id"] = json!(guild.id);
        if let Some(member) = guild.members.get(&message.author_id) {
            data["member"] = shape::partial_member(member);
        }
        if let Some(mentions) = data["mentions"].as_array_mut() {
            for (user, id) in mentions.iter_mut().zip(&message.mentions.users) {
                if let Some(member) = guild.members.get(id) {
                    user["member"] = shape::partial_member(member);
                }
            }
        }
        Some(data)
    }
}

impl Channel {
    /// Messages of a page, newest first, as Discord lists them.
    pub fn list(&self, page: Page, limit: usize) -> Vec<&Message> {
        match page {
            Page::Latest => self.messages.values().rev().take(limit).collect(),
            Page::Before(id) => {
                self.messages.range(..id).rev().take(limit).map(|(_, one)| one).collect()
            }
            Page::After(id) => {
                let mut found: Vec<&Message> =
                    self.messages.range(Id(id.0 + 1)..).take(limit).map(|(_, one)| one).collect();
                found.reverse();
                found
            }
            Page::Around(id) => {
                let older = self.messages.range(..id).rev().take(limit / 2);
                let newer = self.messages.range(id..).take(limit - limit / 2);
                let mut found: Vec<&Message> = older.chain(newer).map(|(_, one)| one).collect();
                found.sort_by_key(|message| std::cmp::Reverse(message.id));
                found
            }
        }
    }
}
