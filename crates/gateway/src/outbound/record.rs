//! The record of a turn: which Discord messages are its reply, and what became of its commands.

use std::collections::BTreeMap;
use std::time::Duration;

use bus::Bucket;
use contracts::command::Outcome;
use contracts::envelope;
use contracts::id::{ChannelId, CommandId, MessageId, TurnId};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// How far a reply is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// It has no message yet.
    #[default]
    New,
    /// It has a first message, which drafts may edit.
    Open,
    /// It is complete.
    Finished,
}

/// What the gateway knows of a turn: its inbox of commands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TurnRecord {
    /// Which answer to the turn the reply shows.
    #[serde(default)]
    pub(super) generation: u32,
    /// How far the reply is.
    #[serde(default)]
    pub(super) phase: Phase,
    /// Where the reply goes, once that is decided.
    #[serde(default)]
    pub(super) channel: Option<ChannelId>,
    /// The reply's messages, in order of their parts.
    #[serde(default)]
    pub(super) messages: Vec<MessageId>,
    /// The newest draft that was shown when this was written.
    #[serde(default)]
    pub(super) revision: u64,
    /// What became of each command.
    #[serde(default)]
    pub(super) outcomes: BTreeMap<String, Outcome>,
}

impl TurnRecord {
    /// What became of a command, where it was done before.
    pub(super) fn outcome(&self, command: CommandId) -> Option<&Outcome> {
        self.outcomes.get(&command.to_string())
    }

    /// Whether a draft may be shown.
    pub(super) fn takes_draft(&self, generation: u32, revision: u64) -> bool {
        self.phase == Phase::Open && self.generation == generation && revision > self.revision
    }
}

/// The bucket of records.
#[derive(Debug, Clone)]
pub(super) struct Records {
    bucket: Bucket,
    stop: CancellationToken,
}

impl Records {
    pub(super) fn new(bucket: Bucket, stop: CancellationToken) -> Self {
        Self { bucket, stop }
    }

    /// A turn's record, waiting until the bucket answers. The outer none: we were told to stop.
    pub(super) async fn get(&self, turn: TurnId) -> Option<Option<TurnRecord>> {
        let key = turn.to_string();
        let mut delay = RETRY_FIRST;
        loop {
            match self.stop.run_until_cancelled(self.bucket.get(&key)).await? {
                Ok(None) => return Some(None),
                Ok(Some(entry)) => match envelope::decode(&entry.value) {
                    Ok(record) => return Some(Some(record)),
                    Err(error) => {
                        // The nonce still keeps an answer from being doubled.
                        tracing::error!(turn.id = turn.0, %error, "a turn's record cannot be read");
                        return Some(None);
                    }
                },
                Err(error) => {
                    tracing::warn!(turn.id = turn.0, %error, "waiting for a turn's record");
                }
            }
            self.pause(&mut delay).await?;
        }
    }

    /// Writes a turn's record, waiting until the bucket took it. None: we were told to stop.
    pub(super) async fn put(&self, turn: TurnId, record: &TurnRecord) -> Option<()> {
        let key = turn.to_string();
        let mut delay = RETRY_FIRST;
        loop {
            let put = self.bucket.put(&key, envelope::encode(record));
            match self.stop.run_until_cancelled(put).await? {
                Ok(_) => return Some(()),
                Err(error) => {
                    tracing::warn!(turn.id = turn.0, %error, "waiting to write a turn's record");
                }
            }
            self.pause(&mut delay).await?;
        }
    }

    async fn pause(&self, delay: &mut Duration) -> Option<()> {
        self.stop.run_until_cancelled(tokio::time::sleep(*delay)).await?;
        *delay = (*delay * 2).min(RETRY_MAX);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use contracts::id::Purpose;

    use super::*;

    #[test]
    fn a_draft_is_shown_only_on_an_open_reply_of_its_generation_and_newer() {
        let mut record = TurnRecord { revision: 4, ..TurnRecord::default() };
        assert!(!record.takes_draft(0, 5));
        record.phase = Phase::Open;
        assert!(record.takes_draft(0, 5));
        assert!(!record.takes_draft(0, 4));
        assert!(!record.takes_draft(1, 5));
        record.phase = Phase::Finished;
        assert!(!record.takes_draft(0, 5));
    }

    #[test]
    fn a_record_survives_being_kept() {
        let command =
            CommandId { turn: TurnId(5), generation: 0, part: 0, purpose: Purpose::Finish };
        let done = Outcome::Done { channel_id: ChannelId(1), messages: vec![MessageId(2)] };
        let mut record = TurnRecord { phase: Phase::Open, ..TurnRecord::default() };
        record.outcomes.insert(command.to_string(), done.clone());
        let kept = envelope::encode(&record);
        let read: TurnRecord = envelope::decode(&kept).unwrap();
        assert_eq!(read, record);
        assert_eq!(read.outcome(command), Some(&done));
    }
}
