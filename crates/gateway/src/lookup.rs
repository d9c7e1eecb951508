//! Finds out by REST what the directory does not know, and keeps at it until it does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::id::{ChannelId, UserId};
use serde::de::IgnoredAny;
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;
use crate::filter::Question;
use crate::frame::ChannelHead;
use crate::rest::{Call, Failure, Rest};

const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Answers questions about channels and members by asking Discord.
#[derive(Debug, Clone)]
pub(crate) struct Lookup {
    rest: Rest,
    directory: Arc<Directory>,
}

impl Lookup {
    /// Asks through `rest`, and notes the answers in `directory`.
    pub(crate) fn new(rest: Rest, directory: Arc<Directory>) -> Self {
        Self { rest, directory }
    }

    /// Repeats the question until Discord answered it. False: we were told to stop before.
    pub(crate) async fn find_out(
        &self,
        question: Question,
        channel: ChannelId,
        author: Option<UserId>,
        stop: &CancellationToken,
    ) -> bool {
        let mut delay = RETRY_FIRST;
        loop {
            let asked = async {
                match (question, author) {
                    (Question::Channel, _) => self.channel(channel).await,
                    (Question::Member, Some(author)) => self.member(author).await,
                    (Question::Member, None) => Ok(()),
                }
            };
            let failure = match stop.run_until_cancelled(asked).await {
                None => return false,
                Some(Ok(())) => return true,
                Some(Err(failure)) => failure,
            };
            let until = match failure {
                Failure::Limited(until) | Failure::Unauthorized(until) => until,
                failure => {
                    tracing::warn!(channel.id = channel.0, error = %failure, "look-up will be repeated");
                    delay = (delay * 2).min(RETRY_MAX);
                    Instant::now() + delay
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep_until(until.into())).await.is_none() {
                return false;
            }
        }
    }

    async fn channel(&self, channel: ChannelId) -> Result<(), Failure> {
        match self.rest.read::<ChannelHead>(&Call::get_channel(channel)).await {
            Ok(head) => self.directory.note_channel(&head),
            Err(Failure::Rejected(rejection)) => {
                tracing::info!(
                    channel.id = channel.0,
                    status = rejection.status,
                    "Discord does not tell us about a channel"
                );
                self.directory.note_untold(channel);
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    async fn member(&self, user: UserId) -> Result<(), Failure> {
        for guild in self.directory.allowed() {
            match self.rest.read::<IgnoredAny>(&Call::get_member(*guild, user)).await {
                Ok(_) => {
                    self.directory.note_member(user, true, Instant::now());
                    return Ok(());
                }
                // Not a member there, or the bot is not in that guild.
                Err(Failure::Rejected(_)) => {}
                Err(failure) => return Err(failure),
            }
        }
        self.directory.note_member(user, false, Instant::now());
        Ok(())
    }
}
