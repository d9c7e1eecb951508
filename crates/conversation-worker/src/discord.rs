//! Whether Discord is connected, as the gateway's shards say of themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::Bus;
use chassis::Outcome;
use contracts::status::{GatewayStatus, STATUS_STALE_SECONDS, ShardState};
use contracts::{envelope, subject};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const STALE: Duration = Duration::from_secs(STATUS_STALE_SECONDS);
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The newest word of each shard.
#[derive(Debug, Clone, Default)]
pub struct Shards {
    newest: Arc<Mutex<HashMap<u32, (GatewayStatus, Instant)>>>,
}

impl Shards {
    /// Listens to the shards until told to stop.
    pub async fn listen(self, bus: Bus, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.follow(&bus) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RETRY_DELAY) => {}
            }
        }
    }

    async fn follow(&self, bus: &Bus) {
        let mut statuses = match bus.subscribe(subject::GATEWAY_STATUS).await {
            Ok(statuses) => statuses,
            Err(error) => {
                tracing::debug!(%error, "not listening to the shards yet");
                return;
            }
        };
        // They speak every few seconds; who has just come does not wait for that.
        if let Err(error) = bus.publish_core(subject::GATEWAY_ASK.to_owned(), Vec::new()).await {
            tracing::debug!(%error, "the shards were not asked");
        }
        while let Some(message) = statuses.next().await {
            match envelope::decode::<GatewayStatus>(&message.payload) {
                Ok(status) => self.heard(status),
                Err(error) => tracing::warn!(%error, "a shard's word cannot be read"),
            }
        }
    }

    /// Takes a shard's word.
    pub fn heard(&self, status: GatewayStatus) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.insert(status.shard, (status, Instant::now()));
    }

    /// How the connection to Discord is doing as a whole: every shard must have said, not long
    /// ago, that it is connected.
    pub fn outcome(&self) -> Outcome {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh: Vec<&GatewayStatus> = newest
            .values()
            .filter(|(_, heard)| heard.elapsed() <= STALE)
            .map(|(status, _)| status)
            .collect();
        let expected = fresh.iter().map(|status| status.shards).max().unwrap_or_default();
        if fresh.is_empty() {
            return Outcome::failing(
                (
                    format!("no word from the gateway for {STATUS_STALE_SECONDS} s"),
                    format!("ゲートウェイから {STATUS_STALE_SECONDS} 秒以上、知らせがありません"),
                ),
                (
                    "start the gateway service, or read its log",
                    "gateway を起動するか、そのログをご覧ください",
                ),
            );
        }
        if let Some(refused) = fresh.iter().find(|status| status.state == ShardState::Refused) {
            return Outcome::failing(
                (
                    format!("Discord refuses the login of shard {}", refused.shard),
                    format!("Discord がシャード {} のログインを拒否しています", refused.shard),
                ),
                (
                    "read the gateway's /health or log: it names what the owner must change",
                    "gateway の /health かログをご覧ください。直すところが書いてあります",
                ),
            );
        }
        let connected = (0..expected)
            .filter(|shard| {
                fresh
                    .iter()
                    .any(|status| status.shard == *shard && status.state == ShardState::Connected)
            })
            .count();
        if u32::try_from(connected).is_ok_and(|connected| connected == expected) {
            Outcome::Ok
        } else {
            Outcome::failing(
                (
                    format!("{connected} of {expected} shards are connected"),
                    format!("{expected} のうち {connected} シャードが接続しています"),
                ),
                (
                    "wait; if it lasts, read the gateway's log",
                    "お待ちください。長く続くときは、gateway のログをご覧ください",
                ),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(shard: u32, shards: u32, state: ShardState) -> GatewayStatus {
        GatewayStatus {
            shard,
            shards,
            state,
            latency_ms: None,
            identifies_left: None,
            bot: None,
            sender: true,
            at_unix_ms: 1,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn discord_is_connected_while_every_shard_says_so_and_not_for_long_after() {
        let shards = Shards::default();
        assert!(shards.outcome().is_failing());
        shards.heard(status(0, 2, ShardState::Connected));
        assert!(shards.outcome().is_failing());
        shards.heard(status(1, 2, ShardState::Connected));
        assert_eq!(shards.outcome(), Outcome::Ok);
        tokio::time::advance(STALE + Duration::from_millis(1)).await;
        assert!(shards.outcome().is_failing());
        shards.heard(status(0, 1, ShardState::Connected));
        assert_eq!(shards.outcome(), Outcome::Ok);
        shards.heard(status(0, 1, ShardState::Disconnected));
        assert!(shards.outcome().is_failing());
    }
}
