//! Saves the checkpoint: after it moved, at most once in a while, and at the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::directory::Directory;
use crate::forward::{Checkpoint, Reached};
use crate::session::store::{Saved, Store};

/// How many sessions' addresses are remembered: the present one, and the one being dealt with.
const SESSIONS_KEPT: usize = 2;

type Urls = Vec<(Arc<str>, String)>;

/// Where each of the latest sessions is resumed.
#[derive(Debug, Clone, Default)]
pub(super) struct ResumeUrls {
    urls: Arc<Mutex<Urls>>,
}

impl ResumeUrls {
    pub(super) fn note(&self, session: &Arc<str>, url: &str) {
        let mut urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
        urls.retain(|(known, _)| known != session);
        urls.push((Arc::clone(session), url.to_owned()));
        if urls.len() > SESSIONS_KEPT {
            urls.remove(0);
        }
    }

    fn of(&self, session: &str) -> Option<String> {
        let urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
        urls.iter().find(|(known, _)| &**known == session).map(|(_, url)| url.clone())
    }
}

/// Saves one shard's checkpoint.
pub(super) struct Saver {
    pub(super) shard: u32,
    pub(super) shards: u32,
    pub(super) store: Store,
    pub(super) checkpoint: Checkpoint,
    pub(super) directory: Arc<Directory>,
    pub(super) urls: ResumeUrls,
    pub(super) every: Duration,
}

impl Saver {
    /// Saves until `stop` is cancelled, then once more.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut last = self.checkpoint.reached();
        while stop.run_until_cancelled(self.checkpoint.moved()).await.is_some() {
            self.save_if_moved(&mut last).await;
            let pause = tokio::time::sleep(self.every);
            if stop.run_until_cancelled(pause).await.is_none() {
                break;
            }
        }
        self.save_if_moved(&mut last).await;
    }

    async fn save_if_moved(&self, last: &mut Option<Reached>) {
        metrics::gauge!("gateway_checkpoint_lag_events").set(approximate(self.checkpoint.lag()));
        let reached = self.checkpoint.reached();
        if reached == *last {
            return;
        }
        let saved = reached.as_ref().and_then(|reached| self.saved(reached));
        if reached.is_some() && saved.is_none() {
            return;
        }
        match self.store.save_session(self.shard, saved.as_ref()).await {
            Ok(()) => *last = reached,
            // Older is safe: what is replayed twice is stored once.
            Err(error) => {
                tracing::warn!(shard.id = self.shard, %error, "the checkpoint is not saved yet");
            }
        }
    }

    fn saved(&self, reached: &Reached) -> Option<Saved> {
        Some(Saved {
            session: reached.session.to_string(),
            sequence: reached.sequence,
            resume_url: self.urls.of(&reached.session)?,
            bot: self.directory.bot()?,
            shards: self.shards,
            at_unix_ms: clock::unix_ms(),
        })
    }
}

fn approximate(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
