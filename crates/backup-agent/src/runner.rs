//! The runner does one heavy job at a time, by the clock or because somebody asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::heartbeats::Heartbeats;
use crate::job::Job;
use crate::record::{Cause, Record, RecordFile};
use crate::schedule::Schedule;

/// How many people may wait for their turn.
const ASKED_MAX: usize = 8;
/// How nice the heavy thread is to everybody else. Linux derives the share of the disk from it
/// too: 19 is the last of the best-effort class (`ioprio_set(2)`).
const NICE: i32 = 19;

/// Told to long work, which looks at it between two steps.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Says that the work is to end.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the work is to end.
    pub fn is_told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a job did: lines for people, the same as data for programs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Done {
    /// What was done, a line each.
    pub lines: Vec<String>,
    /// The same as JSON.
    pub report: serde_json::Value,
}

/// Does a job; it blocks. Says how far it is through the last argument.
pub type Work = dyn Fn(Job, &Stop, &dyn Fn(&str)) -> anyhow::Result<Done> + Send + Sync;

/// How a job that was asked for ended; the error is in words.
pub type Ended = Result<Done, String>;

struct Asked {
    job: Job,
    progress: mpsc::UnboundedSender<String>,
    ended: oneshot::Sender<Ended>,
}

/// What ran when, and what runs now; clones share it.
#[derive(Debug, Clone)]
pub struct Journal {
    file: Arc<Mutex<RecordFile>>,
    running: Arc<Mutex<Option<(Job, Timestamp)>>>,
}

impl Journal {
    /// The journal over a record that was read.
    pub fn new(file: RecordFile) -> Self {
        Self { file: Arc::new(Mutex::new(file)), running: Arc::default() }
    }

    /// What ran when.
    pub fn record(&self) -> Record {
        self.lock().record.clone()
    }

    /// The job that runs now and when it began.
    pub fn running(&self) -> Option<(Job, Timestamp)> {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the record and writes it. A record that cannot be written is no reason not to back
    /// up: it is logged, and at worst a job runs once more than it had to.
    fn note(&self, change: impl FnOnce(&mut Record)) {
        let mut file = self.lock();
        change(&mut file.record);
        if let Err(error) = file.save() {
            tracing::error!(%error, "cannot note what ran");
        }
    }

    fn set_running(&self, running: Option<(Job, Timestamp)>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }

    fn lock(&self) -> MutexGuard<'_, RecordFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the runner for a job; clones ask the same one.
#[derive(Debug, Clone)]
pub struct Counter(mpsc::Sender<Asked>);

impl std::fmt::Debug for Asked {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Asked").field("job", &self.job).finish_non_exhaustive()
    }
}

impl Counter {
    /// Asks for a job and waits for its end; `progress` hears how far it is.
    ///
    /// # Errors
    /// In words: too many wait, the agent stops, or the job failed.
    pub async fn ask(&self, job: Job, progress: mpsc::UnboundedSender<String>) -> Ended {
        let (ended, end) = oneshot::channel();
        self.0.try_send(Asked { job, progress, ended }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                format!("{ASKED_MAX} others wait for their turn already; ask again later")
            }
            mpsc::error::TrySendError::Closed(_) => "the agent is stopping".to_owned(),
        })?;
        end.await.unwrap_or_else(|_gone| Err("the agent stopped before it was done".to_owned()))
    }
}

/// The runner itself.
pub struct Runner {
    schedule: Schedule,
    journal: Journal,
    heartbeats: Heartbeats,
    work: Arc<Work>,
    asked: mpsc::Receiver<Asked>,
    look_every: Duration,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Runner").field("journal", &self.journal).finish_non_exhaustive()
    }
}

impl Runner {
    /// A runner, and the counter at which jobs are asked for.
    pub fn new(
        schedule: Schedule,
        journal: Journal,
        heartbeats: Heartbeats,
        work: Arc<Work>,
        look_every: Duration,
    ) -> (Self, Counter) {
        let (counter, asked) = mpsc::channel(ASKED_MAX);
        (Self { schedule, journal, heartbeats, work, asked, look_every }, Counter(counter))
    }

    /// Runs what is due and what is asked for, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let now = Timestamp::now();
            if let Some((job, cause)) = self.schedule.due(&self.journal.record(), now) {
                let ended = self.one(job, cause, None, &stop).await;
                if stop.is_cancelled() {
                    return;
                }
                drop(ended);
                continue;
            }
            let wait = self.wait(now);
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                asked = self.asked.recv() => asked,
                () = tokio::time::sleep(wait) => continue,
            };
            let Some(Asked { job, progress, ended }) = asked else { return };
            let outcome = self.one(job, Cause::Asked, Some(progress), &stop).await;
            if ended.send(outcome).is_err() {
                tracing::debug!(job = job.word(), "whoever asked did not wait");
            }
        }
    }

    /// How long nothing is due. Never long: a clock may be set, a machine may have slept.
    fn wait(&self, now: Timestamp) -> Duration {
        let next = self.schedule.next_of_all(&self.journal.record(), now);
        let left = next.map(|next| next.duration_since(now).unsigned_abs());
        left.unwrap_or(self.look_every).min(self.look_every)
    }

    async fn one(
        &self,
        job: Job,
        cause: Cause,
        progress: Option<mpsc::UnboundedSender<String>>,
        stop: &CancellationToken,
    ) -> Ended {
        let begun = Timestamp::now();
        let before = self.journal.record().of(job).clone();
        self.journal.note(|record| record.begins(job, begun, cause));
        self.journal.set_running(Some((job, begun)));
        let next = self.schedule.next(job, &self.journal.record(), begun);
        self.heartbeats.begun(job, begun, next);
        tracing::info!(job = job.word(), ?cause, "job begins");
        let outcome = self.heavy(job, progress, stop).await;
        let now = Timestamp::now();
        self.journal.set_running(None);
        match &outcome {
            Ok(done) => {
                self.journal.note(|record| record.succeeds(job, now));
                let elapsed_ms = now.duration_since(begun).as_millis();
                tracing::info!(job = job.word(), elapsed_ms, "{}", done.lines.join("; "));
            }
            // To be told to stop is no failure: the job is due again at the next start.
            Err(_told) if stop.is_cancelled() => {
                self.journal.note(|record| record.called_off(job, before));
                return outcome;
            }
            Err(error) => {
                self.journal.note(|record| record.fails(job, now, error.clone()));
                tracing::error!(job = job.word(), "failed to do the job: {error}");
            }
        }
        let next = self.schedule.next(job, &self.journal.record(), now);
        self.heartbeats.ended(job, begun, next, outcome.as_ref().err().map(String::as_str));
        outcome
    }

    /// Does the work on a thread of its own that gives way to everybody else.
    async fn heavy(
        &self,
        job: Job,
        progress: Option<mpsc::UnboundedSender<String>>,
        stop: &CancellationToken,
    ) -> Ended {
        let (work, told) = (Arc::clone(&self.work), Stop::default());
        let (ended, mut end) = oneshot::channel();
        let stopping = told.clone();
        let spawned = std::thread::Builder::new().name(format!("job-{job}")).spawn(move || {
            give_way();
            let say = |text: &str| {
                tracing::debug!(job = job.word(), "{text}");
                if let Some(progress) = &progress
                    && progress.send(text.to_owned()).is_err()
                {
                    tracing::trace!("nobody listens to the progress");
                }
            };
            let outcome = work(job, &stopping, &say).map_err(|error| format!("{error:#}"));
            if ended.send(outcome).is_err() {
                tracing::debug!(job = job.word(), "the job ended after the agent had");
            }
        });
        if let Err(error) = spawned {
            return Err(format!("cannot start a thread: {error}"));
        }
        let ended = tokio::select! {
            ended = &mut end => ended,
            () = stop.cancelled() => {
                told.now();
                end.await
            }
        };
        // Its sender is only dropped unsent by a panic, which the hook has logged.
        ended.unwrap_or_else(|_panicked| Err("the job panicked; this is a bug".to_owned()))
    }
}

/// Makes this thread nice: on Linux it is the thread, not the process, that `nice` is about.
fn give_way() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "this thread cannot be made nice");
    }
}

#[cfg(test)]
mod tests;
