//! Publishes the outbox: in order within a conversation, side by side across them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Outgoing, PublishError, Stored};
use contracts::command::{CommandResult, FailureClass, Outcome};
use contracts::stream::DISCORD_RESULTS;
use contracts::{envelope, subject};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::now_unix_ms;
use crate::store::{MarkPublished, OutboxRow, RecordResults, Store};

/// How long marks are gathered before they are written: being late with them only means that a
/// row is published twice after a crash, under the same id.
const MARKS_WAIT: Duration = Duration::from_millis(50);
const MARKS_MAX: usize = 512;

/// Where committed rows are handed in.
#[derive(Debug, Clone)]
pub struct Publisher {
    rows: mpsc::UnboundedSender<Vec<OutboxRow>>,
}

/// The publisher's work, to be run as a task of its own.
pub struct Publishing {
    store: Store,
    bus: Bus,
    rows: mpsc::UnboundedReceiver<Vec<OutboxRow>>,
    around: Around,
}

/// What the publisher tells others, and who ends it.
#[derive(Debug, Clone)]
pub struct Around {
    /// Rung when something is to be removed from the bus.
    pub erasing: Arc<Notify>,
    /// Told of conversations whose turn has ended because the bus will not take its command.
    pub ended: mpsc::UnboundedSender<i64>,
    /// Takes no more rows, and ends the publisher once those it has are published.
    pub finish: CancellationToken,
    /// Ends the publisher even though something is left to publish.
    pub stop: CancellationToken,
}

type Mark = (OutboxRow, u64);

/// A conversation's commands keep their order; its records of use must not delay them.
type Line = (i64, bool);

impl Publisher {
    /// A publisher and its work.
    pub fn new(store: Store, bus: Bus, around: Around) -> (Self, Publishing) {
        let (sender, rows) = mpsc::unbounded_channel();
        (Self { rows: sender }, Publishing { store, bus, rows, around })
    }

    /// Hands rows in that are committed.
    pub fn push(&self, rows: Vec<OutboxRow>) {
        if !rows.is_empty() && self.rows.send(rows).is_err() {
            tracing::debug!("rows left to the next start");
        }
    }
}

impl Publishing {
    /// Publishes until told to finish and nothing is left, or until told to stop.
    pub async fn run(mut self) {
        let (marks, marked) = mpsc::unbounded_channel();
        let marking = tokio::spawn(mark(self.store.clone(), marked, self.around.clone()));
        self.publish_all(&marks).await;
        drop(marks);
        if let Err(error) = marking.await {
            tracing::warn!(%error, "marking what was published");
        }
    }

    async fn publish_all(&mut self, marks: &mpsc::UnboundedSender<Mark>) {
        let mut lines: HashMap<Line, VecDeque<OutboxRow>> = HashMap::new();
        let mut running: JoinSet<(OutboxRow, Result<Stored, PublishError>)> = JoinSet::new();
        let mut open = true;
        while open || !running.is_empty() {
            tokio::select! {
                () = self.around.stop.cancelled() => return,
                () = self.around.finish.cancelled(), if open && !self.rows.is_closed() => {
                    self.rows.close();
                }
                rows = self.rows.recv(), if open => match rows {
                    None => open = false,
                    Some(rows) => for row in rows {
                        let line = (row.conversation, row.is_usage());
                        if let Some(waiting) = lines.get_mut(&line) {
                            waiting.push_back(row);
                        } else {
                            lines.insert(line, VecDeque::new());
                            self.start(&mut running, row);
                        }
                    },
                },
                Some(done) = running.join_next() => {
                    let Ok((row, outcome)) = done else { continue };
                    let line = (row.conversation, row.is_usage());
                    self.done(row, outcome, marks).await;
                    match lines.get_mut(&line).and_then(VecDeque::pop_front) {
                        Some(next) => self.start(&mut running, next),
                        None => drop(lines.remove(&line)),
                    }
                }
            }
        }
    }

    fn start(
        &self,
        running: &mut JoinSet<(OutboxRow, Result<Stored, PublishError>)>,
        row: OutboxRow,
    ) {
        let (bus, stop) = (self.bus.clone(), self.around.stop.clone());
        running.spawn(async move {
            let message = Outgoing {
                subject: row.subject.clone(),
                id: Some(row.id.clone()),
                headers: vec![(contracts::trace::HEADER, contracts::trace::of_turn(row.turn))],
                payload: row.payload.clone().into(),
            };
            let outcome = bus.publish_until_stored(&message, &stop).await;
            (row, outcome)
        });
    }

    async fn done(
        &self,
        row: OutboxRow,
        outcome: Result<Stored, PublishError>,
        marks: &mpsc::UnboundedSender<Mark>,
    ) {
        match outcome {
            Ok(stored) => {
                metrics::counter!("conversation_outbox_published_total").increment(1);
                if stored.duplicate {
                    self.take_up_old_answer(&row).await;
                }
                if marks.send((row, stored.sequence)).is_err() {
                    tracing::debug!("mark left to the next start");
                }
            }
            Err(PublishError::Cancelled) => {}
            Err(error) => {
                tracing::error!(outbox.id = row.id, %error, "row cannot be published");
                self.give_up(row, &error, marks).await;
            }
        }
    }

    /// A command that the bus had already may have been answered to a database that is no more: one
    /// that was brought back from a copy of before. Nobody answers it again, so that the answer is
    /// looked up. Where it is still to come, it comes.
    async fn take_up_old_answer(&self, row: &OutboxRow) {
        let Ok(command) = row.id.parse() else { return };
        let (stream, subject) = (DISCORD_RESULTS.name, subject::result(command));
        let result = match self.bus.newest_on(stream, &subject).await {
            Ok(None) => return,
            Ok(Some(payload)) => {
                envelope::decode::<CommandResult>(&payload).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match result {
            Ok(result) => self.record(result).await,
            Err(error) => {
                tracing::warn!(outbox.id = row.id, error, "what was answered cannot be looked up");
            }
        }
    }

    /// What the bus will never take counts as refused, so that its turn does not wait for ever.
    async fn give_up(
        &self,
        row: OutboxRow,
        error: &PublishError,
        marks: &mpsc::UnboundedSender<Mark>,
    ) {
        let Ok(command) = row.id.parse() else {
            drop(marks.send((row, 0)));
            return;
        };
        let outcome =
            Outcome::Failed { class: FailureClass::Invalid, code: None, reason: error.to_string() };
        self.record(CommandResult { command, outcome }).await;
    }

    async fn record(&self, result: CommandResult) {
        let step = RecordResults { results: vec![result].into(), now_unix_ms: now_unix_ms() };
        match self.store.persist(step, &self.around.stop).await {
            Ok(recorded) => {
                for ended in recorded.ended {
                    if self.around.ended.send(ended.conversation).is_err() {
                        tracing::debug!("lane left to the next start");
                    }
                }
            }
            Err(error) => tracing::error!(%error, "recording what became of a command"),
        }
    }
}

async fn mark(store: Store, mut marked: mpsc::UnboundedReceiver<Mark>, around: Around) {
    let mut marks = Vec::new();
    while marked.recv_many(&mut marks, MARKS_MAX).await > 0 {
        tokio::time::sleep(MARKS_WAIT).await;
        while marks.len() < MARKS_MAX
            && let Ok(mark) = marked.try_recv()
        {
            marks.push(mark);
        }
        let step = MarkPublished(std::mem::take(&mut marks));
        match store.persist(step, &around.stop).await {
            Ok(true) => around.erasing.notify_one(),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "marks left to the next start"),
        }
    }
}
