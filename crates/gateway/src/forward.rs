//! Forwards dispatches to the bus: in order within a channel, channels in parallel, bounded memory.

mod carrier;
mod checkpoint;
mod figures;
mod held;

use std::sync::Arc;
use std::time::Instant;

use bus::{Bus, Outgoing};
use bytes::Bytes;
use contracts::{dead_letter, subject};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use carrier::Carrier;
pub(crate) use checkpoint::{Checkpoint, Reached, Ticket};
pub(crate) use figures::Figures;

use crate::config::Limits;
use crate::directory::Directory;
use crate::forward::carrier::Means;
use crate::forward::held::Held;
use crate::lookup::Lookup;
use crate::sort::{self, Received, Sorted};

/// What a held event weighs beside its payload.
const PARCEL_BYTES: usize = 512;

/// The way of dispatches to the bus. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Forwarder {
    directory: Arc<Directory>,
    held: Arc<Held>,
    figures: Arc<Figures>,
    parcels: mpsc::UnboundedSender<Parcel>,
}

/// An event on its way.
#[derive(Debug)]
struct Parcel {
    slip: Slip,
    work: Work,
}

/// What is known of a parcel wherever it is.
#[derive(Debug)]
struct Slip {
    /// Whose order it keeps: its channel's.
    lane: u64,
    /// None: it has no place in the order of a session.
    ticket: Option<Ticket>,
    received: Instant,
    /// What it weighs.
    bytes: usize,
    /// Whether only what remains of it is on its way, as a dead letter.
    is_dead: bool,
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
    /// Makes the way over `bus`, and the carrier that must be run for anything to move. It goes
    /// on until `stop` is cancelled; what is not done by then stays undone.
    pub(crate) fn new(
        bus: Bus,
        directory: Arc<Directory>,
        lookup: Lookup,
        limits: &Limits,
        stop: CancellationToken,
    ) -> (Self, Carrier) {
        let (sender, parcels) = mpsc::unbounded_channel();
        let held = Arc::new(Held::new(limits.held_bytes_max));
        let figures = Arc::new(Figures::find());
        let means = Means {
            bus,
            directory: Arc::clone(&directory),
            lookup,
            publishes_in_flight_max: limits.publishes_in_flight_max,
            held: Arc::clone(&held),
            figures: Arc::clone(&figures),
            stop,
        };
        let forwarder = Self { directory, held, figures, parcels: sender };
        (forwarder, Carrier::new(means, parcels))
    }

    /// Takes a dispatch over. Never waits.
    pub(crate) fn accept(&self, received: Received, ticket: Ticket) {
        let (lane, work, payload_bytes) = match sort::sort(&received, &self.directory) {
            Sorted::Leave(why) => {
                self.figures.filtered(why);
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
        self.hold(lane, Some(ticket), work, payload_bytes);
    }

    /// Keeps a frame that has no place in the order of a session as a dead letter.
    pub(crate) fn bury(&self, received: Received, error: String) {
        let payload_bytes = received.text.len();
        self.hold(0, None, Work::Bury { received, error }, payload_bytes);
    }

    fn hold(&self, lane: u64, ticket: Option<Ticket>, work: Work, payload_bytes: usize) {
        let bytes = payload_bytes + PARCEL_BYTES;
        let slip = Slip { lane, ticket, received: Instant::now(), bytes, is_dead: false };
        self.held.hold(bytes);
        // The carrier goes only when it is told to stop: what comes later stays undone, and is
        // replayed by Discord.
        if self.parcels.send(Parcel { slip, work }).is_err() {
            self.held.release(bytes);
        }
    }

    /// The figures of events that never come here.
    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// True while more is held than memory allows: stop receiving until it is false again.
    pub(crate) fn pressure(&self) -> watch::Receiver<bool> {
        self.held.pressure()
    }

    /// How many bytes are held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.bytes()
    }

    /// Waits until nothing is held.
    pub(crate) async fn drained(&self) {
        self.held.emptied().await;
    }
}

fn with_payload(mut outgoing: Outgoing, payload: Option<Vec<u8>>, text: String) -> Outgoing {
    outgoing.payload = payload.map_or_else(|| Bytes::from(text), Bytes::from);
    outgoing
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
