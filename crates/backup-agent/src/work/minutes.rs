//! What was shipped write by write is merged by the minute, while everything else goes on.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use replica::tree::Tree;
use tokio_util::sync::CancellationToken;

use super::Workshop;
use crate::copies;
use crate::follow::Handle;

/// How often what was shipped in single files is merged.
const MERGE_EVERY: Duration = Duration::from_mins(1);

impl Workshop {
    /// Merges what was shipped in each minute that is over, until told to stop: a restore then
    /// reads a file a minute, not one a write.
    pub async fn merge_minutes(self: Arc<Self>, stop: CancellationToken) {
        let mut interval = tokio::time::interval(MERGE_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            let workshop = Arc::clone(&self);
            let merged = tokio::task::spawn_blocking(move || {
                for handle in &workshop.followed {
                    if let Err(error) = workshop.merge_news(handle) {
                        let database = &handle.place.name;
                        tracing::warn!(database, %error, "merging what was copied is put off");
                    }
                }
            });
            if let Err(error) = merged.await {
                tracing::error!(%error, "merging ended in a panic");
            }
        }
    }

    /// Merges where something was shipped since the last time. A silent house is not looked at.
    fn merge_news(&self, handle: &Handle) -> anyhow::Result<()> {
        let (name, status) = (&handle.place.name, handle.status());
        let mut merged = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        if merged.get(name) == Some(&status.txid) {
            return Ok(());
        }
        let now = Timestamp::now();
        if let Some(timeline) =
            copies::timelines(&self.config.repository, &handle.place).current()?
        {
            timeline.tree.compact(now.as_millisecond())?;
        }
        // The newest minute may not have been over yet.
        let over = SignedDuration::try_from(2 * MERGE_EVERY)?;
        if status.last_shipped.is_none_or(|at| now.duration_since(at) > over) {
            merged.insert(name.clone(), status.txid);
        }
        Ok(())
    }

    /// Merges the minutes of one tree now.
    pub(super) fn merge(&self, tree: &Tree, now_ms: i64) -> anyhow::Result<()> {
        let _only = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        tree.compact(now_ms)?;
        Ok(())
    }
}
