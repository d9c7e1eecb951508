//! Follows the live switches in the `settings` bucket.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bus::{Bucket, BusError, Watch};
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;

const RETRY: Duration = Duration::from_millis(500);

/// The switches, as the directory holds them from now on.
#[derive(Debug)]
pub(crate) struct Settings {
    bucket: Bucket,
    directory: Arc<Directory>,
}

impl Settings {
    /// Follows `bucket`.
    pub(crate) fn new(bucket: Bucket, directory: Arc<Directory>) -> Self {
        Self { bucket, directory }
    }

    /// Reads what is set now, and hands back the watch for what follows. None: told to stop.
    pub(crate) async fn load(&self, stop: &CancellationToken) -> Option<Watch> {
        loop {
            match stop.run_until_cancelled(self.try_load()).await? {
                Ok(watch) => return Some(watch),
                Err(error) => tracing::warn!(%error, "waiting for the settings bucket"),
            }
            stop.run_until_cancelled(tokio::time::sleep(RETRY)).await?;
        }
    }

    /// Follows changes until told to stop.
    pub(crate) async fn follow(self, mut watch: Watch, stop: CancellationToken) {
        loop {
            match stop.run_until_cancelled(watch.next()).await {
                None => return,
                Some(Ok(change)) => {
                    self.directory.apply_setting(&change.key, change.value.as_deref());
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "settings are not followed; beginning anew");
                    let Some(anew) = self.load(&stop).await else { return };
                    watch = anew;
                }
            }
        }
    }

    async fn try_load(&self) -> Result<Watch, BusError> {
        // A watch begins with every present value but does not say where they end; the keys do.
        let mut watch = self.bucket.watch(">").await?;
        let mut awaited: HashSet<String> = self.bucket.keys("").await?.into_iter().collect();
        while !awaited.is_empty() {
            let change = watch.next().await?;
            awaited.remove(&change.key);
            self.directory.apply_setting(&change.key, change.value.as_deref());
        }
        Ok(watch)
    }
}
