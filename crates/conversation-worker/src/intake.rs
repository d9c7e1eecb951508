//! Takes events in: one loop, one transaction a batch, and only then the acknowledgement.

pub mod change;

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, BusError, ConsumerSpec, Deliveries, Delivery, Outgoing, Start, StreamState};
use chassis::Check;
use contracts::event::EventMeta;
use contracts::{dead_letter, stream, subject};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::now_unix_ms;
use crate::engine::Engine;
use crate::store::{Cursor, Effect, Ingest, IngestAndBegin, Ingested, Store, StoreError};
use change::Change;

/// The name of our consumers and dead letters.
pub const CONSUMER: &str = contracts::access::WORKER_DURABLE;
const BATCH_MAX: usize = 256;
const IN_FLIGHT_MAX: usize = 1024;
const ACK_WAIT: Duration = Duration::from_secs(30);
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The loop that takes events in.
pub struct Intake {
    /// Where they are kept.
    pub store: Store,
    /// Where they come from.
    pub bus: Bus,
    /// Who answers them.
    pub engine: Engine,
    /// Rung when something is to be removed from the bus.
    pub erasing: Arc<Notify>,
    /// Says whether events are coming in.
    pub check: Check,
    /// Ends the loop.
    pub stop: CancellationToken,
}

impl Intake {
    /// Takes events in until told to stop.
    pub async fn run(self) {
        loop {
            let outcome = tokio::select! {
                () = self.stop.cancelled() => return,
                outcome = self.consume() => outcome,
            };
            match outcome {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "intake starts over");
                    self.check.failing(
                        (
                            format!("events do not come in: {error:#}"),
                            format!("出来事を受け取れません: {error:#}"),
                        ),
                        (
                            "check that NATS runs and that this service may use DISCORD_EVENTS",
                            "NATS が動いているか、DISCORD_EVENTS を使えるかを確認してください",
                        ),
                    );
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(RETRY_DELAY) => {}
            }
        }
    }

    async fn consume(&self) -> anyhow::Result<()> {
        let (mut deliveries, created) = self.open().await?;
        self.check.ok();
        loop {
            match deliveries.batch(BATCH_MAX).await {
                Ok(batch) => self.take(batch, created).await?,
                Err(BusError::ConsumerLost { .. }) => {
                    tracing::warn!("the consumer of events is gone and is made anew");
                    (deliveries, _) = self.open().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A consumer that starts right behind what was taken in: its own position on the server is
    /// not durable at once, ours is.
    async fn open(&self) -> anyhow::Result<(Deliveries, u64)> {
        let state = self.bus.stream_state(stream::DISCORD_EVENTS.name).await?;
        let cursor = self.store.cursor().await?;
        let start = start(cursor, &state);
        let filters = change::KINDS.iter().map(|kind| format!("discord.event.{kind}.>")).collect();
        let spec = ConsumerSpec {
            stream: stream::DISCORD_EVENTS.name,
            durable: CONSUMER,
            filters,
            start,
            fresh: true,
            ack_wait: ACK_WAIT,
            in_flight_max: IN_FLIGHT_MAX,
            deliver_max: None,
        };
        let deliveries = self.bus.consume(&spec).await?;
        tracing::info!(?start, "taking events in");
        Ok((deliveries, state.created_unix_ms))
    }

    async fn take(&self, batch: Vec<Delivery>, created: u64) -> anyhow::Result<()> {
        let last_sequence =
            batch.iter().map(|delivery| delivery.stream_sequence).max().unwrap_or_default();
        let mut arrivals = Vec::with_capacity(batch.len());
        for delivery in &batch {
            let meta = EventMeta::from_headers(|name| delivery.header(name));
            match change::read(&delivery.subject, &meta, &delivery.payload) {
                Ok(Change::None) => {}
                Ok(change) => arrivals.push((delivery.stream_sequence, change)),
                Err(error) => self.bury(delivery, "undecodable", &error.to_string()).await?,
            }
        }
        let step = Ingest {
            arrivals: arrivals.into(),
            last_sequence,
            stream_created_unix_ms: created,
            now_unix_ms: now_unix_ms(),
        };
        let ingested = match self.keep(&batch, step.clone()).await {
            Err(StoreError::Refused(reason)) => {
                tracing::error!(%reason, "a batch is refused; its events are taken one by one");
                self.one_by_one(&batch, &step).await?
            }
            outcome => outcome?,
        };
        self.follow_up(&ingested, &step);
        for delivery in &batch {
            delivery.ack().await?;
        }
        Ok(())
    }

    /// Writes a batch; while the disk is full it waits, and tells the bus that it is still at it.
    async fn keep(&self, batch: &[Delivery], step: Ingest) -> Result<Ingested, StoreError> {
        let mut warned = false;
        loop {
            match self.store.write(self.beginning(step.clone())).await {
                Err(error) if error.is_transient() => {
                    if !warned {
                        tracing::error!(
                            %error,
                            remedy = error.remedies().0,
                            "events wait on the bus until the database can be written"
                        );
                        warned = true;
                    }
                    for delivery in batch {
                        if let Err(error) = delivery.in_progress().await {
                            tracing::debug!(%error, "the bus is away as well");
                            break;
                        }
                    }
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// The batch, and with it the beginning of the turns that it brings.
    fn beginning(&self, ingest: Ingest) -> IngestAndBegin {
        let engine = self.engine.clone();
        let begin = move |effects: &[Effect]| {
            let woken = effects.iter().filter_map(|effect| match *effect {
                Effect::Wake(conversation, is_first) => Some((conversation, is_first)),
                Effect::Unasked { .. } => None,
            });
            let begun =
                woken.filter(|(conversation, is_first)| engine.begin(*conversation, *is_first));
            begun.map(|(conversation, _)| conversation).collect()
        };
        IngestAndBegin { ingest, begin: Arc::new(begin) }
    }

    /// The way round a single event that the database refuses for good.
    async fn one_by_one(&self, batch: &[Delivery], whole: &Ingest) -> anyhow::Result<Ingested> {
        let mut all = Ingested::default();
        for delivery in batch {
            let sequence = delivery.stream_sequence;
            let arrivals: Vec<_> =
                whole.arrivals.iter().filter(|(at, _)| *at == sequence).cloned().collect();
            let step =
                Ingest { arrivals: arrivals.into(), last_sequence: sequence, ..whole.clone() };
            match self.keep(std::slice::from_ref(delivery), step).await {
                Ok(one) => {
                    all.effects.extend(one.effects);
                    all.rows += one.rows;
                    all.erasures |= one.erasures;
                    all.begun.extend(one.begun);
                }
                Err(StoreError::Refused(reason)) => self.bury(delivery, "refused", &reason).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(all)
    }

    fn follow_up(&self, ingested: &Ingested, step: &Ingest) {
        self.store.count_rows(ingested.rows);
        metrics::counter!("conversation_messages_taken_in_total").increment(ingested.rows);
        for (_, change) in step.arrivals.iter() {
            if let Change::Asked(asked) = change
                && asked.received_unix_ms > 0
            {
                let age_ms = now_unix_ms().saturating_sub(asked.received_unix_ms.cast_signed());
                let age = Duration::from_millis(age_ms.max(0).cast_unsigned());
                metrics::histogram!("conversation_ingest_seconds").record(age.as_secs_f64());
            }
        }
        if ingested.erasures {
            self.store.forget_past();
            self.erasing.notify_one();
        }
        for effect in &ingested.effects {
            match *effect {
                Effect::Wake(conversation, _) if ingested.begun.contains(&conversation) => {}
                Effect::Wake(conversation, _) => self.engine.wake(conversation),
                Effect::Unasked { conversation, turn } => {
                    self.engine.interrupt(conversation, turn, crate::engine::Interrupt::Unasked);
                }
            }
        }
    }

    async fn bury(&self, delivery: &Delivery, reason: &str, error: &str) -> anyhow::Result<()> {
        bury(&self.bus, stream::DISCORD_EVENTS.name, delivery, (reason, error), &self.stop).await
    }
}

/// Puts a message that cannot be processed aside, where people can look at it and replay it.
pub(crate) async fn bury(
    bus: &Bus,
    stream: &'static str,
    delivery: &Delivery,
    (reason, error): (&str, &str),
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    tracing::error!(
        subject = delivery.subject,
        stream.sequence = delivery.stream_sequence,
        error,
        "message becomes a dead letter"
    );
    metrics::counter!("conversation_dead_letters_total").increment(1);
    // A header ends at a line break.
    let error = crate::speakers::clean_line(error);
    let letter = Outgoing {
        subject: subject::dead(CONSUMER, reason),
        id: Some(format!("dead:{stream}:{}", delivery.stream_sequence)),
        headers: vec![
            (dead_letter::ERROR, error),
            (dead_letter::SUBJECT, delivery.subject.clone()),
            (dead_letter::STREAM, stream.to_owned()),
            (dead_letter::STREAM_SEQUENCE, delivery.stream_sequence.to_string()),
        ],
        payload: delivery.payload.clone(),
    };
    match bus.publish_until_stored(&letter, stop).await {
        Ok(_) => Ok(()),
        Err(bus::PublishError::TooLarge { .. }) => {
            tracing::error!(subject = delivery.subject, "dead letter is too large and is dropped");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Where to start, from how far we came and what the stream still holds.
fn start(cursor: Option<Cursor>, state: &StreamState) -> Start {
    let Some(cursor) = cursor else { return Start::All };
    let anew = cursor.stream_created_unix_ms != state.created_unix_ms
        || state.last_sequence < cursor.last_sequence;
    if anew {
        tracing::error!(
            cursor.sequence = cursor.last_sequence,
            stream.last_sequence = state.last_sequence,
            remedy = "what was published between the loss of the old stream and now may be missing",
            "the stream of events was made anew; starting at its first message"
        );
        metrics::counter!("conversation_incidents_total", "kind" => "stream_recreated")
            .increment(1);
        return Start::All;
    }
    let next = cursor.last_sequence + 1;
    if state.first_sequence > next {
        tracing::error!(
            cursor.sequence = cursor.last_sequence,
            stream.first_sequence = state.first_sequence,
            missed = state.first_sequence - next,
            remedy = "the worker was away for longer than events are kept; the gateway's catch-up \
                      is what can still find those messages",
            "events have left the stream before they were taken in"
        );
        metrics::counter!("conversation_incidents_total", "kind" => "events_missed").increment(1);
    }
    Start::Sequence(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(created: u64, first: u64, last: u64) -> StreamState {
        StreamState {
            created_unix_ms: created,
            first_sequence: first,
            last_sequence: last,
            messages: last.saturating_sub(first) + 1,
            bytes: 0,
        }
    }

    fn cursor(last_sequence: u64) -> Cursor {
        Cursor { last_sequence, stream_created_unix_ms: 7 }
    }

    #[test]
    fn the_consumer_starts_right_behind_the_cursor() {
        assert_eq!(start(None, &state(7, 1, 50)), Start::All);
        assert_eq!(start(Some(cursor(40)), &state(7, 1, 50)), Start::Sequence(41));
        assert_eq!(start(Some(cursor(50)), &state(7, 1, 50)), Start::Sequence(51));
    }

    #[test]
    fn a_stream_that_was_made_anew_is_read_from_its_first_message() {
        assert_eq!(start(Some(cursor(40)), &state(8, 1, 50)), Start::All);
        assert_eq!(start(Some(cursor(40)), &state(7, 1, 3)), Start::All);
    }

    #[test]
    fn events_that_have_left_the_stream_do_not_stop_the_rest() {
        assert_eq!(start(Some(cursor(40)), &state(7, 45, 50)), Start::Sequence(41));
    }
}
