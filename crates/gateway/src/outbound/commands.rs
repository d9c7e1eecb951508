//! Consumes commands: in order for each target channel, channels in parallel, none ever lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bus::{Bus, BusError, ConsumerSpec, Deliveries, Delivery, Outgoing, Start};
use contracts::command::{Command, CommandResult, Outcome};
use contracts::{dead_letter, envelope, stream, subject};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::lanes::Lanes;
use crate::outbound::Stop;
use crate::outbound::execute::Executor;

/// How many commands may be under way or waiting for their channel at once.
const IN_FLIGHT_MAX: usize = 2_048;
const RETRY: Duration = Duration::from_millis(500);
const POSTPONED_FOR: Duration = Duration::from_secs(5);
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// The consumer of commands.
#[derive(Debug, Clone)]
pub(crate) struct Commands {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bus: Bus,
    executor: Executor,
    lanes: Lanes<Job>,
    telling: TaskTracker,
    held: Mutex<HashMap<u64, Arc<Delivery>>>,
    stop: Stop,
    ack_wait: Duration,
}

#[derive(Debug)]
struct Job {
    delivery: Arc<Delivery>,
    command: Command,
}

impl Commands {
    pub(super) fn new(bus: Bus, executor: Executor, stop: Stop, ack_wait: Duration) -> Self {
        let inner = Inner {
            bus,
            executor,
            lanes: Lanes::default(),
            telling: TaskTracker::new(),
            held: Mutex::default(),
            stop,
            ack_wait,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Consumes until told to stop; then hands back what was not done.
    pub(crate) async fn run(self) {
        let stop = self.inner.stop.soon.clone();
        let keeping = tokio::spawn(Arc::clone(&self.inner).keep_held());
        while !stop.is_cancelled() {
            match stop.run_until_cancelled(self.inner.consume()).await {
                None => break,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    tracing::warn!(%error, "commands cannot be consumed; trying again");
                    stop.run_until_cancelled(tokio::time::sleep(RETRY)).await;
                }
            }
        }
        self.inner.lanes.empty().await;
        self.inner.telling.close();
        self.inner.telling.wait().await;
        keeping.abort();
        self.inner.hand_back().await;
    }
}

impl Inner {
    async fn consume(self: &Arc<Self>) -> Result<(), BusError> {
        let spec = ConsumerSpec {
            stream: stream::DISCORD_COMMANDS.name,
            durable: contracts::access::GATEWAY_DURABLE,
            filters: Vec::new(),
            start: Start::All,
            fresh: false,
            ack_wait: self.ack_wait,
            in_flight_max: IN_FLIGHT_MAX,
            deliver_max: None,
        };
        let mut deliveries: Deliveries = self.bus.consume(&spec).await?;
        loop {
            let delivery = deliveries.next().await?;
            self.take(delivery).await;
        }
    }

    async fn take(self: &Arc<Self>, delivery: Delivery) {
        let sequence = delivery.stream_sequence;
        let command: Command = match envelope::decode(&delivery.payload) {
            Ok(command) => command,
            Err(error) => return self.bury(&delivery, &error.to_string()).await,
        };
        let delivery = Arc::new(delivery);
        let was_held = self.lock().insert(sequence, Arc::clone(&delivery)).is_some();
        if was_held {
            // Delivered again while it waits here: answering the newer delivery is enough.
            return;
        }
        let lane = command.place.target().0;
        if self.lanes.push(lane, Job { delivery, command }) {
            tokio::spawn(Arc::clone(self).run_lane(lane));
        }
    }

    async fn run_lane(self: Arc<Self>, lane: u64) {
        while let Some(job) = self.lanes.next(lane) {
            if self.stop.soon.is_cancelled() {
                continue;
            }
            let id = job.command.id;
            let span = tracing::info_span!("command", command.id = %id);
            job.delivery.continue_trace(&span);
            let begun = Instant::now();
            let outcome = self.executor.execute(&job.command).instrument(span.clone()).await;
            let inner = Arc::clone(&self);
            // Its record is kept: whatever comes after it in its channel need not wait until the
            // worker was told of it.
            self.telling
                .spawn(async move { inner.tell(job, outcome, begun).await }.instrument(span));
        }
    }

    /// Tells what became of a command, and takes it off the stream.
    async fn tell(&self, job: Job, outcome: Option<Outcome>, begun: Instant) {
        let Some(outcome) = outcome else {
            return self.postpone(job.delivery.stream_sequence).await;
        };
        let word = match &outcome {
            Outcome::Done { .. } => "done",
            Outcome::Failed { .. } => "failed",
        };
        let id = job.command.id;
        if let Outcome::Failed { class, code, reason } = &outcome {
            tracing::warn!(class = ?class, code, reason, "Discord will not do a command");
        }
        let result = CommandResult { command: id, outcome };
        let outgoing = Outgoing {
            subject: subject::result(id),
            id: Some(format!("result:{id}")),
            headers: Vec::new(),
            payload: envelope::encode(&result).into(),
        };
        if self.bus.publish_until_stored(&outgoing, &self.stop.now).await.is_err() {
            return;
        }
        self.answer(job.delivery.stream_sequence).await;
        let purpose = id.purpose.word();
        metrics::counter!("gateway_commands_total", "do" => purpose, "outcome" => word)
            .increment(1);
        metrics::histogram!("gateway_command_seconds", "do" => purpose)
            .record(begun.elapsed().as_secs_f64());
    }

    /// Acknowledges a command by its newest delivery.
    async fn answer(&self, sequence: u64) {
        let Some(delivery) = self.lock().remove(&sequence) else { return };
        if let Err(error) = delivery.ack().await {
            // It comes again, and is then answered from its record.
            tracing::warn!(%error, "a command's acknowledgement was not sent");
        }
    }

    /// Asks for a command again that was not brought to its end.
    async fn postpone(&self, sequence: u64) {
        if self.stop.soon.is_cancelled() {
            return;
        }
        tracing::error!("a command stopped half-way; it is tried again");
        let Some(delivery) = self.lock().remove(&sequence) else { return };
        if let Err(error) = delivery.nak(Some(POSTPONED_FOR)).await {
            tracing::warn!(%error, "a command was not asked for again; it will time out");
        }
    }

    /// Keeps what cannot be read as a dead letter, and takes it off the stream.
    async fn bury(&self, delivery: &Delivery, error: &str) {
        tracing::error!(subject = delivery.subject, error, "a command cannot be read");
        metrics::counter!("gateway_commands_dead_total").increment(1);
        let stream = stream::DISCORD_COMMANDS.name;
        let sequence = delivery.stream_sequence;
        let error: String =
            error.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).take(300).collect();
        let outgoing = Outgoing {
            subject: subject::dead("gateway", "undecodable"),
            id: Some(format!("dead:{stream}:{sequence}")),
            headers: vec![
                (dead_letter::ERROR, error.clone()),
                (dead_letter::SUBJECT, delivery.subject.clone()),
                (dead_letter::STREAM, stream.to_owned()),
                (dead_letter::STREAM_SEQUENCE, sequence.to_string()),
            ],
            payload: delivery.payload.clone(),
        };
        if self.bus.publish_until_stored(&outgoing, &self.stop.now).await.is_ok()
            && let Err(error) = delivery.term(&error).await
        {
            tracing::warn!(%error, "an unreadable command was not taken off the stream");
        }
    }

    /// Tells the bus that held commands are being worked on, until told to stop.
    async fn keep_held(self: Arc<Self>) {
        let mut sweep = Instant::now();
        let stop = &self.stop.now;
        while stop.run_until_cancelled(tokio::time::sleep(self.ack_wait / 3)).await.is_some() {
            let held: Vec<Arc<Delivery>> = self.lock().values().cloned().collect();
            for delivery in held {
                if let Err(error) = delivery.in_progress().await {
                    tracing::debug!(%error, "a command may be delivered twice");
                }
            }
            if sweep.elapsed() >= SWEEP_EVERY {
                sweep = Instant::now();
                self.executor.turns.forget_idle(sweep);
            }
        }
    }

    /// Hands back what was not done, so that the next process need not wait for it.
    async fn hand_back(&self) {
        let held: Vec<Arc<Delivery>> = self.lock().drain().map(|(_, delivery)| delivery).collect();
        for delivery in held {
            if let Err(error) = delivery.nak(None).await {
                tracing::debug!(%error, "a command was not handed back; it will time out");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Delivery>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
