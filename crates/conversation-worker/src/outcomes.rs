//! Takes in what Discord answered to our commands; the acknowledgement comes after the commit.

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, BusError, ConsumerSpec, Deliveries, Start};
use contracts::command::CommandResult;
use contracts::{envelope, stream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::now_unix_ms;
use crate::engine::{Engine, Interrupt};
use crate::intake::{CONSUMER, bury};
use crate::store::{RecordResults, Store};

const BATCH_MAX: usize = 256;
const IN_FLIGHT_MAX: usize = 1024;
/// After a crash, what the dead process had taken comes again only when this is over, and its
/// conversations wait for it. Recording takes milliseconds, and doing it twice changes nothing.
const ACK_WAIT: Duration = Duration::from_secs(5);
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The loop that takes results in.
pub struct Outcomes {
    /// Where they are kept.
    pub store: Store,
    /// Where they come from.
    pub bus: Bus,
    /// Whose lanes go on.
    pub engine: Engine,
    /// Rung when something may have to be removed from the bus.
    pub erasing: Arc<Notify>,
    /// Ends the loop.
    pub stop: CancellationToken,
}

impl Outcomes {
    /// Takes results in until told to stop.
    pub async fn run(self) {
        loop {
            let outcome = tokio::select! {
                () = self.stop.cancelled() => return,
                outcome = self.consume() => outcome,
            };
            if let Err(error) = outcome {
                tracing::warn!(error = format!("{error:#}"), "results are waited for anew");
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(RETRY_DELAY) => {}
            }
        }
    }

    async fn consume(&self) -> anyhow::Result<()> {
        let mut deliveries = self.open().await?;
        loop {
            match deliveries.batch(BATCH_MAX).await {
                Ok(batch) => {
                    let mut results = Vec::with_capacity(batch.len());
                    for delivery in &batch {
                        match envelope::decode::<CommandResult>(&delivery.payload) {
                            Ok(result) => results.push(result),
                            Err(error) => {
                                let why = ("undecodable", error.to_string());
                                let name = stream::DISCORD_RESULTS.name;
                                let why = (why.0, why.1.as_str());
                                bury(&self.bus, name, delivery, why, &self.stop).await?;
                            }
                        }
                    }
                    self.record(results).await?;
                    for delivery in &batch {
                        delivery.ack().await?;
                    }
                }
                Err(BusError::ConsumerLost { .. }) => deliveries = self.open().await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn open(&self) -> Result<Deliveries, BusError> {
        let spec = ConsumerSpec {
            stream: stream::DISCORD_RESULTS.name,
            durable: CONSUMER,
            filters: Vec::new(),
            start: Start::All,
            fresh: false,
            ack_wait: ACK_WAIT,
            in_flight_max: IN_FLIGHT_MAX,
            deliver_max: None,
        };
        self.bus.consume(&spec).await
    }

    async fn record(&self, results: Vec<CommandResult>) -> anyhow::Result<()> {
        if results.is_empty() {
            return Ok(());
        }
        let step = RecordResults { results: results.into(), now_unix_ms: now_unix_ms() };
        let recorded = self.store.persist(step, &self.stop).await?;
        for (conversation, turn, class) in recorded.unwanted {
            self.engine.interrupt(conversation, turn, Interrupt::Refused(class));
        }
        for ended in recorded.ended {
            tracing::info!(turn.id = %ended.turn, state = ended.state, "turn has ended");
            metrics::counter!("conversation_turns_total", "state" => ended.state).increment(1);
            self.engine.wake(ended.conversation);
        }
        self.erasing.notify_one();
        Ok(())
    }
}
