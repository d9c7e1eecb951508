//! `prepare streams`: makes the streams and buckets, with the admin's rights.

use std::time::Duration;

use bus::{Bus, BusConfig, BusError};

const RETRY: Duration = Duration::from_millis(500);

/// Why the streams are not there.
#[derive(Debug, thiserror::Error)]
pub enum StreamsError {
    /// The settings cannot work, or the server refused.
    #[error(transparent)]
    Refused(BusError),
    /// The server could not be reached, or did not answer, for as long as we were to wait.
    #[error("nats-server was not ready within {} s: {why}", waited.as_secs())]
    NotReady {
        /// How long we waited.
        waited: Duration,
        /// What was last heard.
        why: String,
    },
}

/// Makes every stream and bucket that is missing and brings the others to their declaration,
/// waiting for the server for at most `patience`. Running it again changes nothing.
pub async fn prepare(config: BusConfig, patience: Duration) -> Result<(), StreamsError> {
    let bus = Bus::connect(config).await.map_err(StreamsError::Refused)?;
    let mut why = None;
    let outcome = tokio::time::timeout(patience, declare(&bus, &mut why)).await;
    bus.drain().await;
    match outcome {
        Ok(declared) => declared.map_err(StreamsError::Refused),
        Err(_elapsed) => {
            let why = bus.trouble().or(why).unwrap_or_else(|| "it does not answer".to_owned());
            Err(StreamsError::NotReady { waited: patience, why })
        }
    }
}

async fn declare(bus: &Bus, why: &mut Option<String>) -> Result<(), BusError> {
    loop {
        bus.wait_connected().await;
        match bus.declare().await {
            // A server that has just started may not have its JetStream up yet.
            Err(error) if error.is_transient() => *why = Some(error.to_string()),
            settled => return settled,
        }
        tokio::time::sleep(RETRY).await;
    }
}
