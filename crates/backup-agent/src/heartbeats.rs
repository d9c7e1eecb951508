//! Heartbeats tell the house when each job begins and how it ends, as soon as the bus is there.

use bus::{Bus, Outgoing};
use contracts::envelope;
use contracts::heartbeat::{Heartbeat, Phase};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::job::Job;

/// Beats that may wait while the bus is away: days of them.
const WAITING_MAX: usize = 256;
/// The service that all of them are of.
const SERVICE: &str = "backup-agent";

/// Where heartbeats are handed in; clones share it. Handing one in never waits: no backup depends
/// on the bus.
#[derive(Debug, Clone)]
pub struct Heartbeats(mpsc::Sender<Heartbeat>);

/// Carries heartbeats to the bus, in order.
#[derive(Debug)]
pub struct Carrier(mpsc::Receiver<Heartbeat>);

impl Heartbeats {
    /// A way in, and what carries them away.
    pub fn new() -> (Self, Carrier) {
        let (way_in, way_out) = mpsc::channel(WAITING_MAX);
        (Self(way_in), Carrier(way_out))
    }

    /// A job began.
    pub fn begun(&self, job: Job, begun: Timestamp, next: Option<Timestamp>) {
        self.say(beat(job, begun, begun, next, Phase::Started));
    }

    /// A job ended, with an error or without.
    pub fn ended(&self, job: Job, begun: Timestamp, next: Option<Timestamp>, error: Option<&str>) {
        let phase =
            error.map_or(Phase::Succeeded, |error| Phase::Failed { error: error.to_owned() });
        self.say(beat(job, begun, Timestamp::now(), next, phase));
    }

    fn say(&self, beat: Heartbeat) {
        if let Err(error) = self.0.try_send(beat) {
            tracing::warn!(%error, "a heartbeat is not told: too many wait for the bus");
        }
    }
}

impl Carrier {
    /// Carries until `stop`, then what is left as far as the bus takes it at once.
    pub async fn run(mut self, bus: Bus, stop: CancellationToken) {
        while let Some(Some(beat)) = stop.run_until_cancelled(self.0.recv()).await {
            let message = message(&beat);
            if let Err(error) = bus.publish_until_stored(&message, &stop).await {
                tracing::warn!(%error, job = beat.job, "a heartbeat is not told");
            }
        }
        // Nobody waits for a bus that is away when it is time to end.
        while bus.trouble().is_none()
            && let Ok(beat) = self.0.try_recv()
        {
            if let Err(error) = bus.publish(&message(&beat)).await {
                tracing::info!(%error, "the last heartbeats are not told");
                return;
            }
        }
    }
}

fn message(beat: &Heartbeat) -> Outgoing {
    Outgoing {
        subject: beat.subject(),
        id: Some(beat.id()),
        headers: Vec::new(),
        payload: envelope::encode(beat).into(),
    }
}

fn beat(
    job: Job,
    begun: Timestamp,
    at: Timestamp,
    next: Option<Timestamp>,
    phase: Phase,
) -> Heartbeat {
    Heartbeat {
        service: SERVICE.to_owned(),
        job: job.heartbeat(),
        started_at_unix_ms: milliseconds(begun),
        at_unix_ms: milliseconds(at),
        next_at_unix_ms: next.map(milliseconds),
        phase,
    }
}

/// A moment before 1970 is a clock that is wrong, and shown as its beginning.
fn milliseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or_default()
}
