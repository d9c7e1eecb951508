//! Threads: opened, joined, archived.

use std::collections::BTreeMap;

use serde_json::json;

use crate::shape;
use crate::world::World;
use crate::world::entity::{Channel, Reference, Thread, channel_type, message_type};
use crate::world::id::Id;
use crate::world::messages::NewMessage;

/// A thread about to be opened.
#[derive(Clone, Debug)]
pub struct NewThread {
    /// Its name.
    pub name: String,
    /// One of the thread types of [`channel_type`].
    pub kind: u8,
    /// Minutes of silence before it is archived.
    pub auto_archive_minutes: u64,
    /// Seconds a person must wait between messages.
    pub slowmode_seconds: u64,
    /// Whether others than moderators may add people (private threads).
    pub invitable: bool,
}

impl NewThread {
    /// A public thread with the usual settings.
    pub fn public(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: channel_type::PUBLIC_THREAD,
            auto_archive_minutes: 4320,
            slowmode_seconds: 0,
            invitable: true,
        }
    }
}

/// What an update changes of a thread; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct ThreadEdit {
    /// Its name.
    pub name: Option<String>,
    /// Archived or open.
    pub archived: Option<bool>,
    /// Locked or not.
    pub locked: Option<bool>,
    /// Minutes of silence before it is archived.
    pub auto_archive_minutes: Option<u64>,
    /// Seconds a person must wait between messages.
    pub slowmode_seconds: Option<u64>,
    /// Whether others than moderators may add people.
    pub invitable: Option<bool>,
}

impl World {
    /// Opens a thread in `parent_id`. From a message it takes that message's id.
    pub fn open_thread(
        &mut self,
        parent_id: Id,
        owner_id: Id,
        new: NewThread,
        from: Option<Id>,
    ) -> Option<Id> {
        let parent = self.channels.get(&parent_id)?;
        let (guild_id, nsfw) = (parent.guild_id, parent.nsfw);
        let id = from.unwrap_or_else(|| self.next_id());
        let channel = self.thread_channel(id, owner_id, new);
        let channel = Channel { guild_id, nsfw, parent_id: Some(parent_id), ..channel };
        self.channels.insert(id, channel);
        if let Some(message_id) = from {
            self.mark_thread(parent_id, message_id);
        }
        let mut data = shape::channel(self, self.channels.get(&id)?);
        data["newly_created"] = json!(true);
        self.note_in_channel("THREAD_CREATE", id, data);
        self.note_members(id, &[owner_id], &[]);
        self.announce_thread(id, from);
        Some(id)
    }

    fn thread_channel(&self, id: Id, owner_id: Id, new: NewThread) -> Channel {
        let thread = Thread {
            owner_id,
            archived: false,
            locked: false,
            auto_archive_minutes: new.auto_archive_minutes,
            archive_ms: self.now_ms,
            created_ms: self.now_ms,
            invitable: new.invitable,
            total_sent: 0,
            members: BTreeMap::from([(owner_id, self.now_ms)]),
        };
        Channel {
            id,
            kind: new.kind,
            guild_id: None,
            name: new.name,
            topic: None,
            parent_id: None,
            position: 0,
            nsfw: false,
            slowmode_seconds: new.slowmode_seconds,
            overwrites: Vec::new(),
            last_message_id: None,
            last_pin_ms: None,
            recipients: Vec::new(),
            thread: Some(thread),
            messages: BTreeMap::new(),
        }
    }

    /// A thread begins with a pointer at its message; without one, its channel announces it.
    fn announce_thread(&mut self, id: Id, from: Option<Id>) -> Option<()> {
        let channel = self.channels.get(&id)?;
        let (parent_id, owner_id) = (channel.parent_id?, channel.thread.as_ref()?.owner_id);
        let guild_id = channel.guild_id;
        if let Some(message_id) = from {
            let reference =
                Reference { channel_id: parent_id, message_id: Some(message_id), guild_id };
            let starter = NewMessage { reference: Some(reference), ..NewMessage::default() };
            self.send_as(id, owner_id, message_type::THREAD_STARTER, starter)?;
        } else if channel.kind == channel_type::PUBLIC_THREAD {
            let reference = Some(Reference { channel_id: id, message_id: None, guild_id });
            let content = channel.name.clone();
            let notice = NewMessage { content, reference, ..NewMessage::default() };
            self.send_as(parent_id, owner_id, message_type::THREAD_CREATED, notice)?;
        }
        Some(())
    }

    /// Changes a thread.
    pub fn edit_thread(&mut self, id: Id, edit: ThreadEdit) -> Option<()> {
        let now_ms = self.now_ms;
        let channel = self.channels.get_mut(&id)?;
        let thread = channel.thread.as_mut()?;
        if let Some(name) = edit.name {
            channel.name = name;
        }
        if let Some(seconds) = edit.slowmode_seconds {
            channel.slowmode_seconds = seconds;
        }
        if let Some(archived) = edit.archived {
            thread.archived = archived;
            thread.archive_ms = now_ms;
        }
        thread.locked = edit.locked.unwrap_or(thread.locked);
        thread.auto_archive_minutes =
            edit.auto_archive_minutes.unwrap_or(thread.auto_archive_minutes);
        thread.invitable = edit.invitable.unwrap_or(thread.invitable);
        let data = shape::channel(self, self.channels.get(&id)?);
        self.note_in_channel("THREAD_UPDATE", id, data);
        Some(())
    }

    /// A message opens an archived thread again.
    pub(crate) fn wake_thread(&mut self, id: Id) {
        let thread = self.channels.get(&id).and_then(|channel| channel.thread.as_ref());
        if thread.is_some_and(|thread| thread.archived) {
            self.edit_thread(id, ThreadEdit { archived: Some(false), ..ThreadEdit::default() });
        }
    }

    /// Adds a member to a thread and says so.
    pub fn join_thread(&mut self, id: Id, user_id: Id) -> Option<()> {
        if self.insert_thread_member(id, user_id)? {
            self.note_members(id, &[user_id], &[]);
        }
        Some(())
    }

    /// Whoever speaks in a thread becomes its member.
    pub(crate) fn join_silently(&mut self, id: Id, user_id: Id) {
        if self.insert_thread_member(id, user_id) == Some(true) {
            self.note_members(id, &[user_id], &[]);
        }
    }

    fn insert_thread_member(&mut self, id: Id, user_id: Id) -> Option<bool> {
        let now_ms = self.now_ms;
        let thread = self.channels.get_mut(&id)?.thread.as_mut()?;
        Some(thread.members.insert(user_id, now_ms).is_none())
    }

    /// Takes a member out of a thread and says so.
    pub fn leave_thread(&mut self, id: Id, user_id: Id) -> Option<()> {
        let thread = self.channels.get_mut(&id)?.thread.as_mut()?;
        if thread.members.remove(&user_id).is_some() {
            self.note_members(id, &[], &[user_id]);
        }
        Some(())
    }

    fn note_members(&mut self, id: Id, added: &[Id], removed: &[Id]) {
        let Some(channel) = self.channels.get(&id) else { return };
        let Some(thread) = &channel.thread else { return };
        let added: Vec<_> =
            added.iter().map(|user| shape::thread_member(self, channel, *user)).collect();
        let mut data = json!({
            "id": id,
            "guild_id": channel.guild_id,
            "member_count": thread.members.len(),
        });
        if !added.is_empty() {
            data["added_members"] = json!(added);
        }
        if !removed.is_empty() {
            data["removed_member_ids"] = json!(removed);
        }
        self.note_in_channel("THREAD_MEMBERS_UPDATE", id, data);
    }
}
