//! Writes a reply: its first message as soon as there is text, all of it at the end.

use std::time::Duration;

use contracts::command::{Command, FailureClass, Outcome};
use contracts::id::{ChannelId, MessageId};
use contracts::nonce::{Nonce, NoncePurpose};

use crate::outbound::execute::{Executor, failed, reply_to};
use crate::outbound::place::Decided;
use crate::outbound::record::{Phase, TurnRecord};
use crate::outbound::turns::Turn;
use crate::render;
use crate::rest::{Call, Rejection, SentMessage};

/// How often a message is read back that must have become what was written.
const READ_BACKS_MAX: u32 = 5;
const READ_BACK_EVERY: Duration = Duration::from_millis(300);

/// What became of a message that was to be created.
pub(super) enum Created {
    /// It exists.
    Message(MessageId),
    /// Discord will not have it.
    Refused(Rejection),
}

impl Executor {
    /// Creates the reply's first message, or finds it.
    pub(super) async fn open_reply(
        &self,
        command: &Command,
        text: &str,
        turn: &mut Turn,
    ) -> Option<Outcome> {
        let generation = command.id.generation;
        let record = turn.load(command.id.turn, &self.records).await?;
        let is_older = generation < record.generation;
        if record.phase != Phase::New && (is_older || generation == record.generation) {
            return Some(as_it_stands(record, command.place.channel_id));
        }
        let channel = match self.decide_place(&command.place, record).await {
            Decided::Channel(channel) => channel,
            Decided::Failed(outcome) => return Some(outcome),
            Decided::Stopped => return None,
        };
        let first = render::first_part(text);
        if let Some(message) = record.messages.first().copied() {
            // A new generation begins in the message of the old one.
            if let Some(rejection) = self.edit(channel, message, &first).await? {
                return Some(failed(&rejection));
            }
        } else {
            match self.create_part(command, 0, &first, record).await? {
                Created::Message(id) => record.messages.push(id),
                Created::Refused(rejection) => return Some(failed(&rejection)),
            }
        }
        record.generation = generation;
        record.phase = Phase::Open;
        record.revision = 0;
        let outcome = as_it_stands(record, channel);
        turn.shown = Some(first);
        turn.undraftable = false;
        Some(outcome)
    }

    /// Brings the reply to its final text, in as many messages as it takes.
    pub(super) async fn finish_reply(
        &self,
        command: &Command,
        text: &str,
        known: &[MessageId],
        turn: &mut Turn,
    ) -> Option<Outcome> {
        let unsure = turn.unsure;
        let shown = turn.shown.take();
        let record = turn.load(command.id.turn, &self.records).await?;
        if record.phase == Phase::Finished && command.id.generation < record.generation {
            return Some(as_it_stands(record, command.place.channel_id));
        }
        if record.messages.len() < known.len() {
            record.messages = known.to_vec();
        }
        if let Decided::Failed(outcome) = self.decide_place(&command.place, record).await {
            return Some(outcome);
        }
        let parts = render::parts(text);
        for (index, part) in (0u16..).zip(&parts) {
            let is_last = usize::from(index) + 1 == parts.len();
            let refused = match record.messages.get(usize::from(index)).copied() {
                Some(_) if index == 0 && !unsure && shown.as_ref() == Some(part) => None,
                Some(message) => {
                    let channel = record.channel?;
                    self.overwrite(channel, message, part, index == 0 && unsure).await?
                }
                None => self.append(command, index, part, (record, is_last)).await?,
            };
            if let Some(rejection) = refused {
                return Some(failed(&rejection));
            }
        }
        self.delete_surplus(record, parts.len()).await?;
        record.generation = command.id.generation;
        record.phase = Phase::Finished;
        let outcome = as_it_stands(record, command.place.channel_id);
        turn.unsure = false;
        Some(outcome)
    }

    /// Creates a further part, and keeps its id before the next one.
    async fn append(
        &self,
        command: &Command,
        index: u16,
        part: &str,
        (record, is_last): (&mut TurnRecord, bool),
    ) -> Option<Option<Rejection>> {
        match self.create_part(command, index, part, record).await? {
            Created::Refused(rejection) => Some(Some(rejection)),
            Created::Message(id) => {
                record.messages.push(id);
                if !is_last {
                    self.records.put(command.id.turn, record).await?;
                }
                Some(None)
            }
        }
    }

    /// Creates a part of the reply. Where its thread does not let us speak, the question's channel
    /// takes the reply instead.
    async fn create_part(
        &self,
        command: &Command,
        index: u16,
        part: &str,
        record: &mut TurnRecord,
    ) -> Option<Created> {
        let nonce = Nonce::derive(command.id.turn, index, NoncePurpose::Answer);
        let place = &command.place;
        let channel = record.channel.unwrap_or(place.channel_id);
        let call = Call::create_message(channel, part, &nonce, reply_to(place, channel));
        let created = self.create(&call, channel, part).await?;
        let Created::Refused(rejection) = &created else { return Some(created) };
        let may_fall_back = index == 0 && channel != place.channel_id;
        if !may_fall_back || rejection.class() != FailureClass::Forbidden {
            return Some(created);
        }
        record.channel = Some(place.channel_id);
        let channel = place.channel_id;
        let call = Call::create_message(channel, part, &nonce, reply_to(place, channel));
        self.create(&call, channel, part).await
    }

    /// Posts a message; where its nonce brings back an earlier one with other text, edits that.
    pub(super) async fn create(
        &self,
        call: &Call,
        channel: ChannelId,
        content: &str,
    ) -> Option<Created> {
        let body = match self.rest.settle(call, &self.stop).await? {
            Ok(body) => body,
            Err(rejection) => return Some(Created::Refused(rejection)),
        };
        let sent: SentMessage = match serde_json::from_slice(&body) {
            Ok(sent) => sent,
            Err(error) => {
                let message = format!("the created message cannot be read: {error}");
                return Some(Created::Refused(Rejection { status: 200, code: None, message }));
            }
        };
        if !is_same(&sent.content, content)
            && let Some(rejection) = self.edit(channel, sent.id, content).await?
        {
            return Some(Created::Refused(rejection));
        }
        Some(Created::Message(sent.id))
    }

    /// Edits a message. Some: Discord will not.
    async fn edit(
        &self,
        channel: ChannelId,
        message: MessageId,
        content: &str,
    ) -> Option<Option<Rejection>> {
        let call = Call::edit_message(channel, message, content);
        Some(self.rest.settle(&call, &self.stop).await?.err())
    }

    /// Edits a message and, where an earlier write may still take effect, reads it back until it
    /// says what it should.
    async fn overwrite(
        &self,
        channel: ChannelId,
        message: MessageId,
        content: &str,
        unsure: bool,
    ) -> Option<Option<Rejection>> {
        if let Some(rejection) = self.edit(channel, message, content).await? {
            return Some(Some(rejection));
        }
        if !unsure {
            return Some(None);
        }
        for _ in 0..READ_BACKS_MAX {
            let call = Call::get_message(channel, message);
            let body = match self.rest.settle(&call, &self.stop).await? {
                Ok(body) => body,
                // Without leave to read the history there is no looking back.
                Err(rejection) if rejection.class() == FailureClass::Forbidden => {
                    return Some(None);
                }
                Err(rejection) => return Some(Some(rejection)),
            };
            let read = serde_json::from_slice::<SentMessage>(&body);
            if read.is_ok_and(|read| is_same(&read.content, content)) {
                return Some(None);
            }
            self.stop.run_until_cancelled(tokio::time::sleep(READ_BACK_EVERY)).await?;
            if let Some(rejection) = self.edit(channel, message, content).await? {
                return Some(Some(rejection));
            }
        }
        Some(None)
    }

    async fn delete_surplus(&self, record: &mut TurnRecord, wanted: usize) -> Option<()> {
        while record.messages.len() > wanted {
            let (Some(message), Some(channel)) = (record.messages.last(), record.channel) else {
                break;
            };
            let call = Call::delete_message(channel, *message);
            if let Err(rejection) = self.rest.settle(&call, &self.stop).await? {
                tracing::info!(
                    message.id = message.0,
                    status = rejection.status,
                    "a message that is no longer needed was not deleted"
                );
            }
            record.messages.pop();
        }
        Some(())
    }
}

/// The reply as it stands.
fn as_it_stands(record: &TurnRecord, otherwise: ChannelId) -> Outcome {
    Outcome::Done {
        channel_id: record.channel.unwrap_or(otherwise),
        messages: record.messages.clone(),
    }
}

/// Discord drops white space round a message.
fn is_same(shown: &str, sent: &str) -> bool {
    shown.trim() == sent.trim()
}
