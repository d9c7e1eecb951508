//! Removes from the bus what was deleted in Discord, until nothing of it is left; and, where that
//! is done, once a minute what else has time.

use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::now_unix_ms;
use crate::store::{Beat, Erased, Store, StoreError, Tidy};

const BATCH_MAX: u32 = 100;
/// Also without a sign: an earlier run may have left something.
const LOOK_EVERY: Duration = Duration::from_mins(1);
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Erases until told to stop.
pub async fn run(store: Store, bus: Bus, asked: Arc<Notify>, stop: CancellationToken) {
    let mut tidied: Option<Instant> = None;
    // What the sign of life was told last.
    let mut told = 0;
    loop {
        let wait = match erase_all(&store, &bus).await {
            Ok(true) => LOOK_EVERY,
            Ok(false) => RETRY_DELAY,
            Err(error) => {
                tracing::warn!(%error, "erasing is put off");
                RETRY_DELAY
            }
        };
        // Erasing is asked for with every result; tidying has time.
        if wait == LOOK_EVERY && tidied.is_none_or(|last| last.elapsed() >= LOOK_EVERY) {
            tidied = Some(Instant::now());
            if let Err(error) = store.write(Tidy { now_unix_ms: now_unix_ms() }).await {
                tracing::debug!(%error, "tidying is put off");
            }
            told = beat(&store, told).await;
            store.forget_copies();
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = asked.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Writes the sign of life that backups are asked for, where there is news of one.
async fn beat(store: &Store, since: i64) -> i64 {
    let beat = Beat { now_unix_ms: now_unix_ms(), kept: store.history_rows(), since };
    store.write(beat).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "the sign of life is put off");
        since
    })
}

/// Whether everything is gone now.
async fn erase_all(store: &Store, bus: &Bus) -> Result<bool, StoreError> {
    loop {
        let erasures = store.erasures(BATCH_MAX).await?;
        if erasures.is_empty() {
            return Ok(true);
        }
        let mut gone = Vec::new();
        for erasure in erasures {
            match bus.erase(&erasure.stream, erasure.sequence).await {
                // What is not there any more is as gone as can be.
                Ok(_was_there) => gone.push(erasure),
                Err(error) => {
                    tracing::warn!(
                        stream = erasure.stream,
                        stream.sequence = erasure.sequence,
                        %error,
                        "not erased yet"
                    );
                    // A single refusal must not keep the others from going.
                    if error.is_transient() {
                        break;
                    }
                }
            }
        }
        if gone.is_empty() {
            return Ok(false);
        }
        metrics::counter!("conversation_erased_total").increment(gone.len() as u64);
        store.write(Erased(gone)).await?;
    }
}
