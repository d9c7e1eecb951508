//! Where a reply goes: the question's channel, or the thread opened from the question.

use std::time::Duration;

use contracts::command::{FailureClass, Outcome, Place};
use contracts::id::{ChannelId, UserId};
use contracts::setting::{ON, Setting};
use serde::Deserialize;

use crate::outbound::execute::{Executor, failed};
use crate::outbound::record::TurnRecord;
use crate::rest::{Call, Rejection};

/// Discord: a thread has been opened from this message already.
const THREAD_EXISTS: u32 = 160_004;
const RETRY: Duration = Duration::from_millis(250);

/// Whether a place could be decided.
pub(super) enum Decided {
    /// The reply goes here.
    Channel(ChannelId),
    /// It will not be done.
    Failed(Outcome),
    /// We were told to stop before.
    Stopped,
}

impl Executor {
    /// Decides where the turn's reply goes, and opens its thread where one is planned.
    pub(super) async fn decide_place(&self, place: &Place, record: &mut TurnRecord) -> Decided {
        if let Some(channel) = record.channel {
            return Decided::Channel(channel);
        }
        let decided = match &place.thread {
            None => Decided::Channel(place.channel_id),
            Some(plan) => self.open_thread(place, &plan.name).await,
        };
        if let Decided::Channel(channel) = decided {
            record.channel = Some(channel);
        }
        decided
    }

    async fn open_thread(&self, place: &Place, name: &str) -> Decided {
        let call = Call::create_thread(place.channel_id, place.question, &thread_name(name));
        let thread = ChannelId::from(place.question);
        match self.rest.settle(&call, &self.stop).await {
            None => Decided::Stopped,
            Some(Ok(_)) => self.adopt(thread).await,
            Some(Err(rejection)) if rejection.code == Some(THREAD_EXISTS) => {
                self.existing_thread(place, thread).await
            }
            Some(Err(rejection)) if rejection.class() == FailureClass::Gone => {
                Decided::Failed(failed(&rejection))
            }
            Some(Err(rejection)) => fall_back(place, &rejection),
        }
    }

    /// The thread was opened before: by us in an earlier attempt, or by somebody else.
    async fn existing_thread(&self, place: &Place, thread: ChannelId) -> Decided {
        #[derive(Deserialize)]
        struct Owned {
            #[serde(default)]
            owner_id: Option<UserId>,
        }
        match self.rest.settle(&Call::get_channel(thread), &self.stop).await {
            None => Decided::Stopped,
            Some(Err(rejection)) => fall_back(place, &rejection),
            Some(Ok(body)) => {
                let owner = serde_json::from_slice::<Owned>(&body).ok().and_then(|it| it.owner_id);
                if owner.is_some() && owner == self.directory.bot() {
                    self.adopt(thread).await
                } else {
                    // Answer there, but do not listen to everything said in somebody's thread.
                    Decided::Channel(thread)
                }
            }
        }
    }

    /// Remembers an own thread before anything is said in it, so that no word there is missed.
    async fn adopt(&self, thread: ChannelId) -> Decided {
        self.directory.note_own_thread(thread);
        let key = Setting::OwnThread(thread).key();
        loop {
            let put = self.settings.put(&key, ON.as_bytes().to_vec());
            match self.hurry.run_until_cancelled(put).await {
                None => return Decided::Stopped,
                Some(Ok(_)) => return Decided::Channel(thread),
                Some(Err(error)) => tracing::warn!(%error, "waiting to remember an own thread"),
            }
            if self.hurry.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                return Decided::Stopped;
            }
        }
    }
}

fn fall_back(place: &Place, rejection: &Rejection) -> Decided {
    tracing::warn!(
        channel.id = place.channel_id.0,
        status = rejection.status,
        code = rejection.code,
        "no thread could be opened; answering where the question stands"
    );
    Decided::Channel(place.channel_id)
}

/// A name of 1 to 100 characters, whatever was asked for.
fn thread_name(name: &str) -> String {
    const CHARACTERS_MAX: usize = 100;
    let name: String = name.trim().chars().take(CHARACTERS_MAX).collect();
    if name.is_empty() { "…".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_always_has_a_name_that_discord_takes() {
        assert_eq!(thread_name("  hello "), "hello");
        assert_eq!(thread_name(" "), "…");
        assert_eq!(thread_name(&"あ".repeat(200)).chars().count(), 100);
    }
}
