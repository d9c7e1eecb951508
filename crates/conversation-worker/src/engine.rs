//! The engine: each conversation's turns one after the other, different conversations side by side.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bus::Bus;
use chassis::Check;
use contracts::command::FailureClass;
use contracts::id::TurnId;
use llm::Client;
use llm::estimate::Correction;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::answer;
use crate::beginnings::Beginnings;
use crate::clock::{now_unix_ms, today};
use crate::config::Config;
use crate::persona::Personas;
use crate::publisher::Publisher;
use crate::store::{Claim, Claiming, History, NextAttempt, Store, StoreError};

/// A claim outlives its turn's deadline by this much, for the commit.
const LEASE_MARGIN: Duration = Duration::from_mins(1);
/// How long a lane rests after a step was refused for a reason that will not go away by itself.
const REFUSED_DELAY: Duration = Duration::from_secs(5);
/// What an answer is taken to need until the first ones have shown it.
const OUTPUT_TOKENS_GUESS: f64 = 400.0;
const OUTPUT_TOKENS_ALPHA: f64 = 0.1;

/// The engine; clones share it.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

/// What the engine stands on.
pub struct Parts {
    /// The settings.
    pub config: Config,
    /// Where turns are kept.
    pub store: Store,
    /// Where drafts go.
    pub bus: Bus,
    /// Who answers.
    pub client: Client,
    /// Where commands go.
    pub publisher: Publisher,
    /// Who the bot is.
    pub personas: Personas,
    /// Says how the model is doing.
    pub check: Check,
}

struct Inner {
    parts: Parts,
    lanes: Mutex<HashMap<i64, Lane>>,
    calls: Arc<Semaphore>,
    learned: Mutex<Learned>,
    beginnings: Beginnings,
    tasks: TaskTracker,
    /// No new turns are begun.
    stopping: CancellationToken,
    /// Running turns are left to the database.
    leaving: CancellationToken,
}

/// A conversation that is being worked at.
struct Lane {
    /// Something has happened since: look again.
    again: bool,
    interrupt: watch::Sender<Option<(TurnId, Interrupt)>>,
}

/// Why a running turn is to end at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// All that it answers was deleted.
    Unasked,
    /// Discord will not let us answer there.
    Refused(FailureClass),
}

/// What the answers so far have taught.
struct Learned {
    correction: Correction,
    output_tokens: f64,
}

/// What a running turn is handed.
pub(crate) struct Running<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) interrupt: watch::Receiver<Option<(TurnId, Interrupt)>>,
    pub(crate) leaving: &'a CancellationToken,
    pub(crate) engine: &'a Engine,
}

enum Next {
    Look,
    Rest,
}

impl Engine {
    /// An engine that has nothing to do yet.
    pub fn new(parts: Parts) -> Self {
        let calls = Arc::new(Semaphore::new(parts.config.calls_max));
        Self {
            inner: Arc::new(Inner {
                parts,
                lanes: Mutex::default(),
                calls,
                learned: Mutex::new(Learned {
                    correction: Correction::default(),
                    output_tokens: OUTPUT_TOKENS_GUESS,
                }),
                beginnings: Beginnings::default(),
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
                leaving: CancellationToken::new(),
            }),
        }
    }

    /// Takes up everything that the database holds unfinished.
    pub async fn resume(&self) -> Result<usize, StoreError> {
        let rows = self.inner.parts.store.outbox().await?;
        self.inner.parts.publisher.push(rows);
        let open = self.inner.parts.store.open_conversations().await?;
        let count = open.len();
        for conversation in open {
            self.wake(conversation);
        }
        Ok(count)
    }

    /// The conversation may have a turn to run.
    pub fn wake(&self, conversation: i64) {
        if self.inner.stopping.is_cancelled() {
            return;
        }
        let mut lanes = self.lanes();
        match lanes.get_mut(&conversation) {
            Some(lane) => lane.again = true,
            None => self.open(&mut lanes, conversation, false),
        }
    }

    /// Like [`Engine::wake`], for a turn that is not on disk yet; `is_first` where nothing was said
    /// there before. True: nobody was at work there, and a claim follows at once.
    pub fn begin(&self, conversation: i64, is_first: bool) -> bool {
        if self.inner.stopping.is_cancelled() || self.inner.calls.available_permits() == 0 {
            return false;
        }
        let mut lanes = self.lanes();
        let is_free = !lanes.contains_key(&conversation);
        if is_free {
            self.open(&mut lanes, conversation, is_first);
        }
        is_free
    }

    fn open(&self, lanes: &mut HashMap<i64, Lane>, conversation: i64, is_first: bool) {
        let (interrupt, _) = watch::channel(None);
        lanes.insert(conversation, Lane { again: false, interrupt });
        let engine = self.clone();
        self.inner.tasks.spawn(async move { engine.work(conversation, is_first).await });
    }

    /// A turn that may be running is to end at once.
    pub fn interrupt(&self, conversation: i64, turn: TurnId, why: Interrupt) {
        if let Some(lane) = self.lanes().get(&conversation) {
            lane.interrupt.send_replace(Some((turn, why)));
        }
    }

    /// How many conversations are being worked at.
    pub fn busy(&self) -> usize {
        self.lanes().len()
    }

    /// Begins no more turns, waits for those that run, and after `grace` leaves them to the next
    /// start. Nothing is said in Discord about it.
    pub async fn drain(&self, grace: Duration) {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout(grace, self.inner.tasks.wait()).await.is_err() {
            tracing::info!(lanes = self.busy(), "running turns are left to the next start");
            self.inner.leaving.cancel();
            self.inner.tasks.wait().await;
        }
    }

    /// Stops at once, as a crash would.
    pub fn leave(&self) {
        self.inner.stopping.cancel();
        self.inner.leaving.cancel();
    }

    async fn work(&self, conversation: i64, mut is_first: bool) {
        loop {
            match self.next(conversation, std::mem::take(&mut is_first)).await {
                Ok(Next::Look) => continue,
                Ok(Next::Rest) => {}
                Err(StoreError::Fenced) => {
                    tracing::info!(conversation, "another process goes on with the turn");
                }
                Err(error) => {
                    tracing::error!(conversation, %error, "lane rests");
                    tokio::select! {
                        () = self.inner.stopping.cancelled() => {}
                        () = tokio::time::sleep(REFUSED_DELAY) => {}
                    }
                    if !matches!(error, StoreError::Closed) && !self.inner.stopping.is_cancelled() {
                        continue;
                    }
                }
            }
            let mut lanes = self.lanes();
            match lanes.get_mut(&conversation) {
                Some(lane) if lane.again && !self.inner.stopping.is_cancelled() => {
                    lane.again = false;
                }
                _ => {
                    lanes.remove(&conversation);
                    return;
                }
            }
        }
    }

    /// Claims the lane's next turn and answers it. Where it is the first, there is no history.
    async fn next(&self, conversation: i64, is_first: bool) -> Result<Next, StoreError> {
        let permit = tokio::select! {
            () = self.inner.stopping.cancelled() => return Ok(Next::Rest),
            permit = self.permit() => permit,
        };
        let parts = &self.inner.parts;
        let history = if is_first {
            Arc::<History>::default()
        } else {
            parts.store.history(conversation, self.history_tokens_max()).await?
        };
        let now = now_unix_ms();
        let lease = parts.config.turn_time_max + LEASE_MARGIN;
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let claiming = Claiming {
            conversation,
            owner: parts.config.instance.clone(),
            now_unix_ms: now,
            lease_until_unix_ms: now.saturating_add(lease_ms),
            day: today(&parts.config.time_zone),
            caps: parts.config.caps,
            attempt: self.next_attempt(history.tokens()),
        };
        let interrupt = match self.lanes().get(&conversation) {
            Some(lane) => lane.interrupt.subscribe(),
            None => watch::channel(None).1,
        };
        let claimed = parts.store.persist(claiming, &self.inner.stopping).await?;
        parts.publisher.push(claimed.rows);
        let running = Running { parts, interrupt, leaving: &self.inner.leaving, engine: self };
        match claimed.claim {
            Claim::Idle => Ok(Next::Rest),
            Claim::Again => Ok(Next::Look),
            Claim::Answer(turn) => {
                let span = turn_span(turn.at.id);
                answer::answer(running, *turn, &history, permit).instrument(span).await?;
                Ok(Next::Look)
            }
            Claim::CutShort(turn, reason) => {
                drop(permit);
                let span = turn_span(turn.at.id);
                answer::cut_short(&running, *turn, reason).instrument(span).await?;
                Ok(Next::Look)
            }
        }
    }

    /// Leave to have one model speak.
    pub(crate) async fn permit(&self) -> OwnedSemaphorePermit {
        let calls = Arc::clone(&self.inner.calls);
        calls.acquire_owned().await.expect("the semaphore is never closed")
    }

    /// The row for a request whose prompt takes about `input_tokens`.
    pub(crate) fn next_attempt(&self, input_tokens: u64) -> NextAttempt {
        let config = &self.inner.parts.config.model;
        let learned = self.learned();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an average of counts is a small positive number"
        )]
        let expected = (learned.output_tokens * 1.2).ceil() as u64;
        NextAttempt {
            provider: config.provider.clone(),
            model: config.name.clone(),
            input_tokens: learned
                .correction
                .expected(input_tokens)
                .min(config.limits.context_tokens),
            output_tokens: expected.min(config.limits.output_tokens),
        }
    }

    /// What the model's tokenizer makes of our estimates, as far as it has shown.
    pub(crate) fn correction(&self) -> Correction {
        self.learned().correction
    }

    /// More history than this, in tokens as we estimate them, fits into no prompt.
    fn history_tokens_max(&self) -> u64 {
        let window = self.inner.parts.config.model.limits.context_tokens;
        window.saturating_mul(window) / self.correction().expected(window).max(1)
    }

    /// Where the conversations' last prompts began.
    pub(crate) fn beginnings(&self) -> &Beginnings {
        &self.inner.beginnings
    }

    /// Learns from an answer whose tokens were counted.
    pub(crate) fn learn(&self, estimated: u64, usage: llm::Usage) {
        let mut learned = self.learned();
        learned.correction.observe(estimated, usage.input_tokens);
        #[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 52 bits")]
        let output = usage.output_tokens as f64;
        learned.output_tokens += OUTPUT_TOKENS_ALPHA * (output - learned.output_tokens);
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.inner.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<i64, Lane>> {
        self.inner.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is logged on behalf of a turn carries its id, and the trace of its question.
fn turn_span(turn: TurnId) -> tracing::Span {
    let span = tracing::info_span!("turn", turn.id = %turn);
    bus::join_trace(&span, &contracts::trace::of_turn(turn));
    span
}
