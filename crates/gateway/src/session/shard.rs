//! One shard: connects, resumes or identifies, receives, and comes back after every loss.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bus::Bucket;
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use twilight_gateway::error::ReceiveMessageErrorType;
use twilight_gateway::{CloseFrame, Config, ConfigBuilder, Message, Session, Shard, ShardId};

use crate::config::Limits;
use crate::directory::Directory;
use crate::forward::{Checkpoint, Forwarder, Reached};
use crate::frame::{self, Header};
use crate::session::gate::Gate;
use crate::session::intake::{Intake, Kinds, Position, Taken};
use crate::session::policy::{self, Backoff, Refusal};
use crate::session::report::Report;
use crate::session::saver::{ResumeUrls, Saver};
use crate::session::store::{Saved, Store};

/// How long a connection may take from its start to a session, waits for a login aside.
const ESTABLISH_TIMEOUT: Duration = Duration::from_mins(1);
/// How long we wait for the other side to answer our close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a session must have stood for the next wait to start small again.
const STOOD: Duration = Duration::from_secs(10);
/// How often the same frame may be unreadable before we ask for the ones after it.
const UNREADABLE_MAX: u32 = 3;

/// Why a shard's task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was told to.
    Stopped,
    /// Discord refused the login, and refusals end the process here.
    Refused(Refusal),
}

/// What all shards share.
#[derive(Debug, Clone)]
pub(crate) struct Wiring {
    /// The token, intents and identify queue.
    pub config: Config<Gate>,
    /// Counts logins.
    pub gate: Gate,
    /// Where sessions are kept.
    pub store: Store,
    /// What is known of Discord.
    pub directory: Arc<Directory>,
    /// The way to the bus.
    pub forwarder: Forwarder,
    /// Where live switches are kept.
    pub settings: Bucket,
    /// The limits.
    pub limits: Limits,
    /// Whether a refused login ends the task.
    pub refusal_ends: bool,
    /// Cancelled when sessions are to be paused for good.
    pub stop: CancellationToken,
    /// How long what was received may take to be dealt with at the end.
    pub grace: Duration,
}

/// How one connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    Paused,
    Lost { stood: bool },
    Invalid,
    Refused(Refusal),
}

/// One shard's task.
pub(crate) struct ShardTask {
    wiring: Wiring,
    id: ShardId,
    intake: Intake,
    report: Report,
    position: Option<Position>,
    unreadable: (u64, u32),
}

/// A connection in the course of which things happen.
struct Connection {
    shard: Shard<Gate>,
    established: Option<Instant>,
    deadline: Instant,
    closing: Option<End>,
}

impl ShardTask {
    /// Prepares a shard that resumes `saved` where it can.
    pub(crate) fn new(wiring: Wiring, id: ShardId, report: Report, saved: Option<Saved>) -> Self {
        let saved = saved.filter(|saved| saved.shards == id.total());
        let urls = ResumeUrls::default();
        let position = saved.map(|saved| {
            let session: Arc<str> = saved.session.into();
            urls.note(&session, &saved.resume_url);
            wiring.directory.note_bot(saved.bot);
            Position { session, sequence: saved.sequence, resume_url: Some(saved.resume_url) }
        });
        let reached = position
            .as_ref()
            .map(|at| Reached { session: Arc::clone(&at.session), sequence: at.sequence });
        let intake = Intake {
            shard: id.number(),
            directory: Arc::clone(&wiring.directory),
            forwarder: wiring.forwarder.clone(),
            checkpoint: Checkpoint::resume(reached),
            urls,
            settings: wiring.settings.clone(),
            kinds: Kinds::find(),
        };
        Self { wiring, id, intake, report, position, unreadable: (0, 0) }
    }

    /// Runs until told to stop, and saves the checkpoint at the end.
    pub(crate) async fn run(mut self) -> Ended {
        let saver = Saver {
            shard: self.id.number(),
            shards: self.id.total(),
            store: self.wiring.store.clone(),
            checkpoint: self.intake.checkpoint.clone(),
            directory: Arc::clone(&self.wiring.directory),
            urls: self.intake.urls.clone(),
            every: self.wiring.limits.checkpoint_every,
        };
        let dealt_with = CancellationToken::new();
        let saving = tokio::spawn(saver.run(dealt_with.clone()));
        let ended = self.connections().await;
        let drained = self.wiring.forwarder.drained();
        if tokio::time::timeout(self.wiring.grace, drained).await.is_err() {
            tracing::warn!("not everything received was stored in time; Discord will replay it");
        }
        dealt_with.cancel();
        if let Err(error) = saving.await {
            tracing::error!(%error, "saving the checkpoint ended in a panic");
        }
        ended
    }

    async fn connections(&mut self) -> Ended {
        let stop = self.wiring.stop.clone();
        let mut backoff = Backoff::new(self.wiring.limits.reconnect_delay_max);
        while !stop.is_cancelled() {
            self.wait_for_leave_to_connect().await;
            if stop.is_cancelled() {
                break;
            }
            let end = self.connection().await;
            self.report.disconnected();
            let wait = match end {
                End::Stopped => break,
                End::Paused => {
                    self.report.paused();
                    Duration::ZERO
                }
                End::Lost { stood } => backoff.after(stood),
                End::Invalid => policy::after_invalid_session(),
                End::Refused(refusal) => {
                    self.refused(refusal).await;
                    if self.wiring.refusal_ends {
                        return Ended::Refused(refusal);
                    }
                    Duration::ZERO
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                break;
            }
        }
        Ended::Stopped
    }

    async fn refused(&self, refusal: Refusal) {
        tracing::error!(
            shard.id = self.id.number(),
            close.code = refusal.code,
            remedy = refusal.remedy().0,
            remedy_ja = refusal.remedy().1,
            "Discord refuses the login"
        );
        self.report.refused(refusal);
        self.wiring.gate.refused(refusal).await;
    }

    /// Waits while the bus takes too little, and while logins must wait.
    async fn wait_for_leave_to_connect(&mut self) {
        let mut pressure = self.wiring.forwarder.pressure();
        if *pressure.borrow_and_update() {
            tracing::warn!(shard.id = self.id.number(), "paused: the bus takes too little");
            let relieved = pressure.wait_for(|pressure| !pressure);
            if let Some(Err(error)) = self.wiring.stop.run_until_cancelled(relieved).await {
                tracing::error!(%error, "the forwarder is gone");
            }
            self.back_to_checkpoint();
        }
        self.wiring.gate.wait_after_refusal(Some(&self.report)).await;
        if self.position.is_none() {
            self.wiring.gate.wait_before_identify(self.id.number(), &self.report).await;
        }
    }

    /// Resumes from what is dealt with: what is still held is replayed, and stored once.
    fn back_to_checkpoint(&mut self) {
        let reached = self.intake.checkpoint.reached();
        if let (Some(position), Some(reached)) = (&mut self.position, reached)
            && position.session == reached.session
        {
            position.sequence = reached.sequence;
        }
    }

    fn open(&self) -> Connection {
        let mut builder = ConfigBuilder::from(self.wiring.config.clone());
        if let Some(position) = &self.position {
            builder =
                builder.session(Session::new(position.sequence, position.session.to_string()));
            if let Some(url) = &position.resume_url {
                builder = builder.resume_url(url.trim_end_matches('/').to_owned());
            }
            metrics::counter!("gateway_resumes_total").increment(1);
            tracing::info!(
                shard.id = self.id.number(),
                session.sequence = position.sequence,
                "resuming"
            );
        }
        Connection {
            shard: Shard::with_config(self.id, builder.build()),
            established: None,
            deadline: Instant::now() + ESTABLISH_TIMEOUT,
            closing: None,
        }
    }

    async fn connection(&mut self) -> End {
        let mut connection = self.open();
        let mut pressure: watch::Receiver<bool> = self.wiring.forwarder.pressure();
        let stop = self.wiring.stop.clone();
        loop {
            let is_open = connection.closing.is_none();
            let is_bounded = !is_open || connection.established.is_none();
            tokio::select! {
                biased;
                () = stop.cancelled(), if is_open => {
                    if let Some(end) = connection.close(End::Stopped) {
                        return end;
                    }
                }
                () = raised(&mut pressure), if is_open => {
                    if let Some(end) = connection.close(End::Paused) {
                        return end;
                    }
                }
                () = tokio::time::sleep_until(connection.deadline), if is_bounded => {
                    return connection.timed_out();
                }
                item = connection.shard.next() => {
                    if let Some(end) = self.received(&mut connection, item) {
                        return end;
                    }
                }
            }
        }
    }

    fn received(
        &mut self,
        connection: &mut Connection,
        item: Option<Result<Message, twilight_gateway::error::ReceiveMessageError>>,
    ) -> Option<End> {
        match item {
            Some(Ok(Message::Text(text))) => self.frame(connection, text),
            Some(Ok(Message::Close(close))) => {
                Some(self.closed(connection, close.map(|close| close.code)))
            }
            Some(Err(error)) => self.failed(connection, error),
            None => Some(connection.lost()),
        }
    }

    fn frame(&mut self, connection: &mut Connection, text: String) -> Option<End> {
        let (op, sequence, kind) = match Header::scan(&text) {
            Some(header) => (header.op, header.sequence, header.kind.map(Cow::into_owned)),
            None => return None,
        };
        if op == frame::INVALID_SESSION {
            let resumable = frame::data::<bool>(&text).unwrap_or(false);
            if !resumable {
                self.drop_session();
                // The library has queued its close; it goes out as we read on.
                connection.closing = Some(End::Invalid);
                connection.deadline = Instant::now() + CLOSE_TIMEOUT;
            }
            return None;
        }
        let (frame::DISPATCH, Some(sequence), Some(kind)) = (op, sequence, kind) else {
            self.report.latency(connection.shard.latency().recent().first().copied());
            return None;
        };
        if connection.established.is_none() && connection.closing.is_none() {
            // A long replay is progress.
            connection.deadline = Instant::now() + ESTABLISH_TIMEOUT;
        }
        let taken = self.intake.dispatch(&mut self.position, text, kind, sequence);
        if taken == Taken::Established {
            connection.established = Some(Instant::now());
            self.report.connected();
            tracing::info!(shard.id = self.id.number(), "in session");
            // In the background: nothing may hold up the connection's heartbeats.
            let gate = self.wiring.gate.clone();
            tokio::spawn(async move { gate.succeeded().await });
        }
        None
    }

    fn closed(&mut self, connection: &Connection, code: Option<u16>) -> End {
        if let Some(end) = connection.closing {
            return end;
        }
        tracing::info!(shard.id = self.id.number(), close.code = code, "connection closed");
        if let Some(refusal) = code.and_then(Refusal::from_close_code) {
            return End::Refused(refusal);
        }
        if code.is_some_and(policy::ends_session) {
            self.drop_session();
        }
        connection.lost()
    }

    fn failed(
        &mut self,
        connection: &mut Connection,
        error: twilight_gateway::error::ReceiveMessageError,
    ) -> Option<End> {
        let shard = self.id.number();
        // The error's own words would quote the frame, which may hold someone's text.
        match error.into_parts() {
            (ReceiveMessageErrorType::Deserializing { event }, _) => {
                tracing::warn!(shard.id = shard, "a frame cannot be read");
                self.intake.unreadable(self.position.as_ref(), event, "its head cannot be read");
                None
            }
            (ReceiveMessageErrorType::Reconnect, cause) => {
                let cause = cause.map(|cause| cause.to_string()).unwrap_or_default();
                tracing::warn!(shard.id = shard, cause, "Discord's gateway is not reached");
                if let Some(position) = &mut self.position {
                    // Its own address may be gone while the session still stands elsewhere.
                    position.resume_url = None;
                }
                Some(connection.lost())
            }
            _ => {
                tracing::warn!(shard.id = shard, "a frame cannot be decompressed");
                self.skip_if_hopeless();
                Some(connection.lost())
            }
        }
    }

    /// A frame that stays unreadable after every resume would keep us from all that follow it.
    fn skip_if_hopeless(&mut self) {
        let Some(position) = &mut self.position else { return };
        let (sequence, count) = &mut self.unreadable;
        if *sequence == position.sequence {
            *count += 1;
        } else {
            (*sequence, *count) = (position.sequence, 1);
        }
        if *count >= UNREADABLE_MAX {
            position.sequence += 1;
            let skipped = Position { sequence: position.sequence, ..position.clone() };
            let text = format!(r#"{{"t":null,"s":{},"op":0,"d":null}}"#, skipped.sequence);
            self.intake.unreadable(
                Some(&skipped),
                text,
                "the frame is not UTF-8 or not compressed as agreed",
            );
            let ticket = self.intake.checkpoint.begin(&skipped.session, skipped.sequence);
            ticket.done();
        }
    }

    fn drop_session(&mut self) {
        if let Some(position) = self.position.take() {
            tracing::warn!(shard.id = self.id.number(), "the session is over; a new one follows");
            self.intake.checkpoint.forget(position.session);
        }
    }
}

/// Waits until more is held than memory allows.
async fn raised(pressure: &mut watch::Receiver<bool>) {
    if pressure.wait_for(|pressure| *pressure).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Connection {
    /// Closes so that the session survives. An end is returned where nothing was open.
    fn close(&mut self, end: End) -> Option<End> {
        if matches!(self.shard.state(), twilight_gateway::ShardState::Disconnected { .. }) {
            return Some(end);
        }
        self.shard.close(CloseFrame::RESUME);
        self.closing = Some(end);
        self.deadline = Instant::now() + CLOSE_TIMEOUT;
        None
    }

    fn timed_out(&self) -> End {
        self.closing.unwrap_or_else(|| {
            tracing::warn!("no session came about in time");
            self.lost()
        })
    }

    fn lost(&self) -> End {
        let stood = self.established.is_some_and(|since| since.elapsed() >= STOOD);
        self.closing.unwrap_or(End::Lost { stood })
    }
}
