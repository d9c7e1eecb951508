//! Forwards dispatches to the bus: in order within a channel, channels in parallel, bounded memory.

mod checkpoint;

use std::sync::Arc;
use std::time::Instant;

use bus::{Bus, Outgoing, PublishError};
use bytes::Bytes;
use contracts::{dead_letter, subject};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub(crate) use checkpoint::{Checkpoint, Reached, Ticket};

use crate::config::Limits;
use crate::directory::Directory;
use crate::frame;
use crate::lanes::Lanes;
use crate::lookup::Lookup;
use crate::sort::{self, Received, Sorted};

/// What a held event weighs beside its payload.
const PARCEL_BYTES: usize = 512;

/// The way of dispatches to the bus. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Forwarder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bus: Bus,
    directory: Arc<Directory>,
    lookup: Lookup,
    lanes: Lanes<Parcel>,
    permits: Semaphore,
    held_bytes_max: usize,
    pressure: watch::Sender<bool>,
    stop: CancellationToken,
}

/// An event on its way.
#[derive(Debug)]
struct Parcel {
    work: Work,
    /// None: it has no place in the order of a session.
    ticket: Option<Ticket>,
    received: Instant,
}

#[derive(Debug)]
enum Work {
    /// Publish it.
    Publish(Outgoing),
    /// Find something out, then sort it again.
    Sort(Received),
    /// Keep what remains of it as a dead letter.
    Bury { received: Received, error: String },
}

impl Forwarder {
    /// Forwards over `bus` until `stop` is cancelled; what is not done by then stays undone.
    pub(crate) fn new(
        bus: Bus,
        directory: Arc<Directory>,
        lookup: Lookup,
        limits: &Limits,
        stop: CancellationToken,
    ) -> Self {
        let inner = Inner {
            bus,
            directory,
            lookup,
            lanes: Lanes::default(),
            permits: Semaphore::new(limits.publishes_in_flight_max),
            held_bytes_max: limits.held_bytes_max,
            pressure: watch::Sender::new(false),
            stop,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes a dispatch over. Never waits.
    pub(crate) fn accept(&self, received: Received, ticket: Ticket) {
        let (lane, work, payload_bytes) = match sort::sort(&received, &self.inner.directory) {
            Sorted::Leave(why) => {
                metrics::counter!("gateway_events_filtered_total", "reason" => why).increment(1);
                ticket.done();
                return;
            }
            Sorted::Publish { outgoing, payload, channel } => {
                let outgoing = with_payload(outgoing, payload, received.text);
                let bytes = outgoing.payload.len();
                (channel.0, Work::Publish(outgoing), bytes)
            }
            Sorted::Ask { channel, .. } => {
                let bytes = received.text.len();
                (channel.0, Work::Sort(received), bytes)
            }
            Sorted::Undecodable(error) => {
                let bytes = received.text.len();
                (0, Work::Bury { received, error }, bytes)
            }
        };
        self.hold(
            lane,
            Parcel { work, ticket: Some(ticket), received: Instant::now() },
            payload_bytes,
        );
    }

    fn hold(&self, lane: u64, parcel: Parcel, payload_bytes: usize) {
        let (is_new, held) = self.inner.lanes.push(lane, parcel, payload_bytes + PARCEL_BYTES);
        if held > self.inner.held_bytes_max {
            self.inner.set_pressure(true);
        }
        if is_new {
            tokio::spawn(Arc::clone(&self.inner).run_lane(lane));
        }
    }

    /// Keeps a frame that has no place in the order of a session as a dead letter.
    pub(crate) fn bury(&self, received: Received, error: String) {
        let payload_bytes = received.text.len();
        let work = Work::Bury { received, error };
        self.hold(0, Parcel { work, ticket: None, received: Instant::now() }, payload_bytes);
    }

    /// True while more is held than memory allows: stop receiving until it is false again.
    pub(crate) fn pressure(&self) -> watch::Receiver<bool> {
        self.inner.pressure.subscribe()
    }

    /// How many bytes are held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.inner.lanes.held_bytes()
    }

    /// Waits until nothing is held.
    pub(crate) async fn drained(&self) {
        self.inner.lanes.empty().await;
    }
}

fn with_payload(mut outgoing: Outgoing, payload: Option<Vec<u8>>, text: String) -> Outgoing {
    outgoing.payload = payload.map_or_else(|| Bytes::from(text), Bytes::from);
    outgoing
}

impl Inner {
    async fn run_lane(self: Arc<Self>, lane: u64) {
        while let Some((parcel, bytes)) = self.lanes.next(lane) {
            let Parcel { work, ticket, received } = parcel;
            if self.deal_with(work).await {
                if let Some(ticket) = ticket {
                    ticket.done();
                }
                metrics::histogram!("gateway_forward_seconds")
                    .record(received.elapsed().as_secs_f64());
            }
            let held = self.lanes.release(bytes);
            // Well below the limit again: the bus takes what it is given.
            if held <= self.held_bytes_max / 4 {
                self.set_pressure(false);
            }
        }
    }

    /// True: it is dealt with. False: we were told to stop before.
    async fn deal_with(&self, work: Work) -> bool {
        match work {
            Work::Publish(outgoing) => self.publish(outgoing).await,
            Work::Bury { received, error } => self.bury(&received, &error).await,
            Work::Sort(received) => loop {
                match sort::sort(&received, &self.directory) {
                    Sorted::Leave(why) => {
                        metrics::counter!("gateway_events_filtered_total", "reason" => why)
                            .increment(1);
                        return true;
                    }
                    Sorted::Publish { outgoing, payload, .. } => {
                        return self.publish(with_payload(outgoing, payload, received.text)).await;
                    }
                    Sorted::Undecodable(error) => return self.bury(&received, &error).await,
                    Sorted::Ask { question, channel, author } => {
                        let found =
                            self.lookup.find_out(question, channel, author, &self.stop).await;
                        if !found {
                            return false;
                        }
                    }
                }
            },
        }
    }

    async fn publish(&self, outgoing: Outgoing) -> bool {
        let span = tracing::info_span!("forward", subject = outgoing.subject);
        let begun = Instant::now();
        let stored = async {
            let permit = self.permits.acquire().await;
            let stored = self.bus.publish_until_stored(&outgoing, &self.stop).await;
            drop(permit);
            stored
        }
        .instrument(span)
        .await;
        match stored {
            Ok(stored) => {
                metrics::histogram!("gateway_publish_seconds")
                    .record(begun.elapsed().as_secs_f64());
                let kind = if stored.duplicate { "duplicate" } else { "new" };
                metrics::counter!("gateway_events_published_total", "kind" => kind).increment(1);
                true
            }
            Err(PublishError::TooLarge { .. }) => {
                let bytes = outgoing.payload.len();
                let error = format!("the event has {bytes} bytes, more than the bus takes");
                let text = String::from_utf8_lossy(&outgoing.payload);
                let dead = letter(
                    "oversized",
                    outgoing.id.as_deref().unwrap_or_default(),
                    &error,
                    frame::remains(&text),
                );
                self.store_dead(dead, &error).await
            }
            Err(_cancelled) => false,
        }
    }

    async fn bury(&self, received: &Received, error: &str) -> bool {
        // What has no sequence has no name either: each of them counts.
        let place = if received.sequence > 0 { received.sequence } else { received.at_unix_ms };
        let id = format!("{}:{place}:{}", received.session, received.text.len());
        let dead = letter("undecodable", &id, error, frame::remains(&received.text));
        self.store_dead(dead, error).await
    }

    async fn store_dead(&self, dead: Outgoing, error: &str) -> bool {
        metrics::counter!("gateway_events_dead_total").increment(1);
        tracing::error!(
            event.id = dead.id,
            reason = error,
            "an event could not be forwarded; what may be kept of it is in DEAD_LETTERS"
        );
        self.bus.publish_until_stored(&dead, &self.stop).await.is_ok()
    }

    fn set_pressure(&self, wanted: bool) {
        self.pressure.send_if_modified(|pressure| {
            let changed = *pressure != wanted;
            *pressure = wanted;
            changed
        });
    }
}

fn letter(reason: &str, event: &str, error: &str, payload: Vec<u8>) -> Outgoing {
    Outgoing {
        subject: subject::dead("gateway", reason),
        id: Some(format!("dead:{event}")),
        headers: vec![(dead_letter::ERROR, one_line(error))],
        payload: payload.into(),
    }
}

/// A header's value is one line of plain characters.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).take(300).collect()
}
