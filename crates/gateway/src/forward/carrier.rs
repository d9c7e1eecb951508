//! The carrier takes events to the bus: one on its way a channel, many channels at once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Outgoing, Pipeline, PublishError, Rejected, Settled};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;
use crate::forward::figures::Figures;
use crate::forward::held::Held;
use crate::forward::{Parcel, Slip, Work, letter, with_payload};
use crate::frame;
use crate::lookup::Lookup;
use crate::sort::{self, Received, Sorted};

/// How many parcels or answers are taken at once before others have their turn.
const BATCH: usize = 64;
const RETRY: Duration = Duration::from_millis(500);

/// What the carrier stands on.
#[derive(Debug)]
pub(super) struct Means {
    pub(super) bus: Bus,
    pub(super) directory: Arc<Directory>,
    pub(super) lookup: Lookup,
    pub(super) publishes_in_flight_max: usize,
    pub(super) held: Arc<Held>,
    pub(super) figures: Arc<Figures>,
    pub(super) stop: CancellationToken,
}

/// The task that carries.
#[derive(Debug)]
pub(crate) struct Carrier {
    means: Arc<Means>,
    parcels: mpsc::UnboundedReceiver<Parcel>,
    /// What waits behind the parcel that is on its way, by lane. A lane exists while one is.
    lanes: HashMap<u64, VecDeque<(Slip, Work)>>,
    asking: JoinSet<(Slip, Option<Work>)>,
}

impl Carrier {
    pub(super) fn new(means: Means, parcels: mpsc::UnboundedReceiver<Parcel>) -> Self {
        let means = Arc::new(means);
        Self { means, parcels, lanes: HashMap::new(), asking: JoinSet::new() }
    }

    /// Carries until told to stop, or until nobody has anything more to carry; what is under way
    /// then stays undone.
    pub(crate) async fn run(mut self) {
        let stop = self.means.stop.clone();
        let carried = async {
            let mut pipeline = self.open().await;
            self.carry(&mut pipeline).await;
        };
        stop.run_until_cancelled(carried).await;
    }

    async fn open(&self) -> Pipeline<Slip> {
        loop {
            match self.means.bus.pipeline().await {
                Ok(pipeline) => return pipeline,
                Err(error) => tracing::warn!(%error, "events cannot be published yet"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn carry(&mut self, pipeline: &mut Pipeline<Slip>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let room = self.means.publishes_in_flight_max.saturating_sub(pipeline.len());
            tokio::select! {
                settled = pipeline.settled() => {
                    self.settled(pipeline, settled).await;
                    for _ in 1..BATCH {
                        let Some(settled) = pipeline.settled_now() else { break };
                        self.settled(pipeline, settled).await;
                    }
                }
                taken = self.parcels.recv_many(&mut batch, room.min(BATCH)), if room > 0 => {
                    if taken == 0 {
                        return;
                    }
                    for Parcel { slip, work } in batch.drain(..) {
                        self.take(pipeline, slip, work).await;
                    }
                }
                Some(asked) = self.asking.join_next() => match asked {
                    Ok((slip, work)) => self.found(pipeline, slip, work).await,
                    Err(error) => tracing::error!(%error, "a look-up ended in a panic"),
                },
            }
        }
    }

    /// Takes a parcel on, or lets it wait behind the one of its lane that is under way.
    async fn take(&mut self, pipeline: &mut Pipeline<Slip>, slip: Slip, work: Work) {
        if let Some(waiting) = self.lanes.get_mut(&slip.lane) {
            waiting.push_back((slip, work));
            return;
        }
        self.lanes.insert(slip.lane, VecDeque::new());
        self.start(pipeline, slip, work).await;
    }

    async fn start(&mut self, pipeline: &mut Pipeline<Slip>, slip: Slip, work: Work) {
        match work {
            Work::Publish(outgoing) => pipeline.begin(slip, outgoing).await,
            Work::Bury { received, error } => {
                let dead = buried(&received, &error);
                self.bury(pipeline, slip, dead, &error).await;
            }
            Work::Sort(received) => {
                let means = Arc::clone(&self.means);
                self.asking.spawn(async move { (slip, find_out(&means, received).await) });
            }
        }
    }

    async fn bury(
        &self,
        pipeline: &mut Pipeline<Slip>,
        mut slip: Slip,
        dead: Outgoing,
        error: &str,
    ) {
        self.means.figures.dead.increment(1);
        tracing::error!(
            event.id = dead.id,
            reason = error,
            "an event could not be forwarded; what may be kept of it is in DEAD_LETTERS"
        );
        slip.is_dead = true;
        pipeline.begin(slip, dead).await;
    }

    /// What a look-up found: more work, or none, because the event is to be left alone. (On a stop
    /// a look-up never ends, so that its event stays undone.)
    async fn found(&mut self, pipeline: &mut Pipeline<Slip>, slip: Slip, work: Option<Work>) {
        match work {
            Some(work) => self.start(pipeline, slip, work).await,
            None => self.finish(pipeline, slip).await,
        }
    }

    async fn settled(&mut self, pipeline: &mut Pipeline<Slip>, settled: Settled<Slip>) {
        let Settled { tag: slip, elapsed, outcome } = settled;
        match outcome {
            Ok(stored) => {
                if !slip.is_dead {
                    self.means.figures.published(stored, elapsed);
                }
                self.finish(pipeline, slip).await;
            }
            Err(rejected) if !slip.is_dead => {
                let (dead, error) = oversized(&rejected);
                self.bury(pipeline, slip, dead, &error).await;
            }
            Err(Rejected { error, .. }) => {
                tracing::error!(%error, "what remains of an event finds no place either");
                self.finish(pipeline, slip).await;
            }
        }
    }

    /// A parcel is dealt with: the checkpoint may pass it, and the next of its lane may go.
    async fn finish(&mut self, pipeline: &mut Pipeline<Slip>, slip: Slip) {
        let Slip { lane, ticket, received, bytes, .. } = slip;
        if let Some(ticket) = ticket {
            ticket.done();
        }
        self.means.figures.forwarded(received.elapsed());
        self.means.held.release(bytes);
        match self.lanes.get_mut(&lane).and_then(VecDeque::pop_front) {
            Some((slip, work)) => self.start(pipeline, slip, work).await,
            None => drop(self.lanes.remove(&lane)),
        }
    }
}

/// Finds out what it takes to sort an event. None: it is to be left alone.
async fn find_out(means: &Means, received: Received) -> Option<Work> {
    loop {
        match sort::sort(&received, &means.directory) {
            Sorted::Leave(why) => {
                means.figures.filtered(why);
                return None;
            }
            Sorted::Publish { outgoing, payload, .. } => {
                return Some(Work::Publish(with_payload(outgoing, payload, received.text)));
            }
            Sorted::Undecodable(error) => return Some(Work::Bury { received, error }),
            Sorted::Ask { question, channel, author } => {
                if !means.lookup.find_out(question, channel, author, &means.stop).await {
                    // We were told to stop: it must stay undone, and so must this task.
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

fn oversized(Rejected { message, error }: &Rejected) -> (Outgoing, String) {
    let bytes = message.payload.len();
    let error = match error {
        PublishError::TooLarge { .. } => {
            format!("the event has {bytes} bytes, more than the bus takes")
        }
        other => other.to_string(),
    };
    let text = String::from_utf8_lossy(&message.payload);
    let id = message.id.as_deref().unwrap_or_default();
    (letter("oversized", id, &error, frame::remains(&text)), error)
}

fn buried(received: &Received, error: &str) -> Outgoing {
    // What has no sequence has no name either: each of them counts.
    let place = if received.sequence > 0 { received.sequence } else { received.at_unix_ms };
    let id = format!("{}:{place}:{}", received.session, received.text.len());
    letter("undecodable", &id, error, frame::remains(&received.text))
}
