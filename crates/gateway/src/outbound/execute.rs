//! Carries out one command: once, whatever was interrupted, and tells what became of it.

use std::sync::Arc;

use bus::Bucket;
use contracts::command::{Action, Command, FailureClass, Outcome, Place};
use contracts::id::ChannelId;
use contracts::nonce::{Nonce, NoncePurpose};
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;
use crate::outbound::place::Decided;
use crate::outbound::record::Records;
use crate::outbound::reply::Created;
use crate::outbound::turns::{Turn, Turns};
use crate::render;
use crate::rest::{Call, Rejection, Rest};

/// How many messages one notice may take; each has a nonce of its own.
const NOTICE_PARTS_MAX: u16 = 16;

/// Carries out commands.
#[derive(Debug, Clone)]
pub(super) struct Executor {
    pub(super) rest: Rest,
    pub(super) settings: Bucket,
    pub(super) records: Records,
    pub(super) turns: Arc<Turns>,
    pub(super) directory: Arc<Directory>,
    /// Nothing is sent any more, and nothing is waited for.
    pub(super) stop: CancellationToken,
    /// What was sent is not recorded any more.
    pub(super) hurry: CancellationToken,
}

impl Executor {
    /// Carries out a command, or finds that it was done before. None: we were told to stop.
    ///
    /// When this returns, the turn's record holds the outcome.
    pub(super) async fn execute(&self, command: &Command) -> Option<Outcome> {
        let turn_id = command.id.turn;
        let cell = self.turns.cell(turn_id);
        let urgent = cell.urgent();
        let mut turn = cell.turn.lock().await;
        if let Some(outcome) = turn.load(turn_id, &self.records).await?.outcome(command.id) {
            return Some(outcome.clone());
        }
        let outcome = self.act(command, &mut turn).await;
        let record = turn.load(turn_id, &self.records).await?;
        if let Some(outcome) = &outcome {
            record.outcomes.insert(command.id.to_string(), outcome.clone());
            self.records.put(turn_id, record).await?;
        }
        drop(turn);
        drop(urgent);
        outcome
    }

    async fn act(&self, command: &Command, turn: &mut Turn) -> Option<Outcome> {
        let place = &command.place;
        match &command.action {
            Action::OpenThread => {
                let record = turn.load(command.id.turn, &self.records).await?;
                match self.decide_place(place, record).await {
                    Decided::Channel(channel) => Some(done(channel)),
                    Decided::Failed(outcome) => Some(outcome),
                    Decided::Stopped => None,
                }
            }
            Action::OpenReply { text } => self.open_reply(command, text, turn).await,
            Action::FinishReply { text, messages } => {
                self.finish_reply(command, text, messages, turn).await
            }
            Action::Notice { text } => self.notice(command, text, turn).await,
            Action::React { emoji } => self.react(place, emoji).await,
        }
    }

    async fn notice(&self, command: &Command, text: &str, turn: &mut Turn) -> Option<Outcome> {
        let place = &command.place;
        let record = turn.load(command.id.turn, &self.records).await?;
        // A notice opens no thread of its own: it goes where the reply went, if it went anywhere.
        let channel = record.channel.unwrap_or(place.channel_id);
        let mut messages = Vec::new();
        let parts = (0..NOTICE_PARTS_MAX).zip(render::parts(text));
        for (index, part) in parts {
            let number = command.id.part.wrapping_mul(NOTICE_PARTS_MAX).wrapping_add(index);
            let nonce = Nonce::derive(command.id.turn, number, NoncePurpose::Notice);
            let call = Call::create_message(channel, &part, &nonce, reply_to(place, channel));
            match self.create(&call, channel, &part).await? {
                Created::Message(id) => messages.push(id),
                Created::Refused(rejection) => return Some(failed(&rejection)),
            }
        }
        Some(Outcome::Done { channel_id: channel, messages })
    }

    async fn react(&self, place: &Place, emoji: &str) -> Option<Outcome> {
        let Some(call) = Call::react(place.channel_id, place.question, emoji) else {
            return Some(Outcome::Failed {
                class: FailureClass::Invalid,
                code: None,
                reason: "the emoji is neither a Unicode one nor name:id".to_owned(),
            });
        };
        match self.rest.settle(&call, &self.stop).await? {
            Ok(_) => Some(done(place.channel_id)),
            Err(rejection) => Some(failed(&rejection)),
        }
    }
}

/// The question, where it can be replied to: a thread opened from it stands in another channel.
pub(super) fn reply_to(place: &Place, channel: ChannelId) -> Option<contracts::id::MessageId> {
    (channel == place.channel_id).then_some(place.question)
}

fn done(channel_id: ChannelId) -> Outcome {
    Outcome::Done { channel_id, messages: Vec::new() }
}

/// The outcome of a command that Discord will not do.
pub(super) fn failed(rejection: &Rejection) -> Outcome {
    let reason = format!("Discord answered {}: {}", rejection.status, rejection.message);
    Outcome::Failed { class: rejection.class(), code: rejection.code, reason }
}
