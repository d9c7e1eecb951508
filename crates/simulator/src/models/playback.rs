//! An answer on its way out: its frames, when each is due, and how the connection ends.

use std::io;
use std::iter::Peekable;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::models::frames::Envelope;
use crate::models::record::{OpenRecord, Outcome, now_us};
use crate::models::script::{End, Reply};

/// A text cut into chunks, and the pace they are sent at.
pub(super) struct Score {
    pub(super) envelope: Envelope,
    pub(super) reply: Reply,
    pub(super) pieces: Vec<String>,
    pub(super) finish_reason: String,
    /// The usage chunk, when one is sent.
    pub(super) usage: Option<Value>,
}

impl Score {
    /// From the request to chunk `index`.
    pub(super) fn due(&self, index: usize) -> Duration {
        let first = self.reply.first_token_ms.unwrap_or(0);
        let index = index as u64;
        let ms = match self.reply.total_ms {
            Some(total) => {
                let gaps = (self.pieces.len() as u64).saturating_sub(1).max(1);
                first + total.saturating_sub(first) * index / gaps
            }
            None => first + self.reply.per_chunk_ms.unwrap_or(0) * index,
        };
        Duration::from_millis(ms)
    }

    /// From the request to the end of the text.
    pub(super) fn last_due(&self) -> Duration {
        self.due(self.pieces.len().saturating_sub(1))
    }

    /// How many chunks are sent before the stream ends or fails early, and the frames then.
    fn cues(mut self) -> impl Iterator<Item = Cue> + Send {
        let format = Format::of(&self.reply);
        let early_end = self.reply.end_after_chunks.filter(|count| *count <= self.pieces.len());
        let error = self.reply.error_frame.take();
        let error_after =
            error.as_ref().map(|_| self.reply.error_after_chunks.unwrap_or(usize::MAX));
        let sent = early_end.into_iter().chain(error_after).min().unwrap_or(usize::MAX);
        let last_due = self.due(sent.min(self.pieces.len()).saturating_sub(1));
        let mut tail = vec![Cue::At(last_due)];
        match error {
            Some(error) if early_end.is_none_or(|end| error_after.is_some_and(|at| at <= end)) => {
                tail.push(Cue::ErrorFrame(format.error(&error)));
            }
            _ if early_end.is_some() => tail.extend(Cue::ending(self.reply.end, None)),
            _ => {
                tail.push(Cue::frame(format.data(&self.envelope.finish(&self.finish_reason))));
                if let Some(usage) = &self.usage {
                    tail.push(Cue::frame(format.data(&self.envelope.usage(usage))));
                }
                let done = Cue::frame(format.frame("", "[DONE]"));
                tail.extend(Cue::ending(self.reply.end, Some(done)));
            }
        }
        let head = [Cue::At(self.due(0)), Cue::frame(format.data(&self.envelope.role()))];
        let dues: Vec<Duration> = (0..self.pieces.len()).map(|index| self.due(index)).collect();
        let envelope = self.envelope;
        let texts = self.pieces.into_iter().zip(dues).take(sent).flat_map(move |(text, due)| {
            let bytes = format.data(&envelope.text(&text));
            [Cue::At(due), Cue::Frame { bytes, text }]
        });
        head.into_iter().chain(texts).chain(tail)
    }
}

/// One step of an answer.
enum Cue {
    /// Nothing more before so long after the request.
    At(Duration),
    /// Bytes to write, and the text they carry.
    Frame { bytes: Bytes, text: String },
    /// The frame that reports a failure in the middle.
    ErrorFrame(Bytes),
    /// The connection breaks.
    Abort,
    /// Nothing ever comes.
    Stall,
}

impl Cue {
    fn frame(bytes: Bytes) -> Self {
        Self::Frame { bytes, text: String::new() }
    }

    fn ending(end: End, done: Option<Self>) -> Option<Self> {
        match end {
            End::Done => done,
            End::CleanEof => None,
            End::Abort => Some(Self::Abort),
            End::Stall => Some(Self::Stall),
        }
    }
}

/// How frames are written.
#[derive(Clone, Copy)]
struct Format {
    newline: &'static str,
    comment: bool,
    error_event: bool,
}

impl Format {
    fn of(reply: &Reply) -> Self {
        Self {
            newline: if reply.crlf { "\r\n" } else { "\n" },
            comment: reply.comments,
            error_event: reply.error_event,
        }
    }

    fn data(self, value: &Value) -> Bytes {
        self.frame("", &value.to_string())
    }

    fn error(self, error: &Value) -> Bytes {
        let body =
            if error.get("error").is_some() { error.clone() } else { json!({"error": error}) };
        self.frame(if self.error_event { "error" } else { "" }, &body.to_string())
    }

    fn frame(self, event: &str, data: &str) -> Bytes {
        let Self { newline, comment, .. } = self;
        let comment = if comment { format!(": ping{newline}{newline}") } else { String::new() };
        let event =
            if event.is_empty() { String::new() } else { format!("event: {event}{newline}") };
        format!("{comment}{event}data: {data}{newline}{newline}").into()
    }
}

/// The body of a streamed answer. Dropped early, it means that the client hung up.
struct Playback<I: Iterator<Item = Cue>> {
    cues: Peekable<I>,
    started: Instant,
    split_bytes: Option<usize>,
    carried: BytesMut,
    record: OpenRecord,
    shutdown: CancellationToken,
}

/// Plays `score` from `started` on, and keeps `record` until the end.
pub(super) fn play(
    score: Score,
    started: Instant,
    record: OpenRecord,
    shutdown: CancellationToken,
) -> Body {
    let split_bytes = score.reply.split_bytes.map(|count| count.max(1));
    let playback = Playback {
        cues: score.cues().peekable(),
        started,
        split_bytes,
        carried: BytesMut::new(),
        record,
        shutdown,
    };
    Body::from_stream(futures_util::stream::unfold(Some(playback), |playback| async {
        let mut playback = playback?;
        let piece = playback.next().await?;
        // After an error the body is over, and the record is closed at once.
        let rest = piece.is_ok().then_some(playback);
        Some((piece, rest))
    }))
}

impl<I: Iterator<Item = Cue>> Playback<I> {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(piece) = self.full_piece() {
                // Each piece goes to the socket alone.
                tokio::task::yield_now().await;
                return Some(Ok(piece));
            }
            let carries = !self.carried.is_empty();
            match self.cues.peek() {
                Some(Cue::At(offset)) => {
                    let due = self.started + *offset;
                    if due > Instant::now() {
                        if carries {
                            return Some(Ok(self.flush()));
                        }
                        tokio::select! {
                            () = tokio::time::sleep_until(due) => {}
                            () = self.shutdown.cancelled() => return Some(Err(self.cut())),
                        }
                    }
                    self.cues.next();
                }
                Some(Cue::Frame { .. } | Cue::ErrorFrame(_)) => {
                    if let Some(bytes) = self.take_frame() {
                        return Some(Ok(bytes));
                    }
                }
                None | Some(Cue::Abort | Cue::Stall) if carries => return Some(Ok(self.flush())),
                Some(Cue::Abort) => {
                    // Lets the connection write what it has before it breaks.
                    tokio::task::yield_now().await;
                    return Some(Err(self.cut()));
                }
                Some(Cue::Stall) => {
                    self.shutdown.cancelled().await;
                    return Some(Err(self.cut()));
                }
                None => {
                    self.complete();
                    return None;
                }
            }
        }
    }

    /// Takes the next frame: into the pieces when they are cut, else to be written as it is.
    fn take_frame(&mut self) -> Option<Bytes> {
        let bytes = match self.cues.next()? {
            Cue::Frame { bytes, text } => {
                self.note(&text);
                bytes
            }
            Cue::ErrorFrame(bytes) => {
                self.note("");
                self.record.note(|record| record.outcome = Outcome::Failed);
                bytes
            }
            Cue::At(_) | Cue::Abort | Cue::Stall => return None,
        };
        if self.split_bytes.is_some() {
            self.carried.extend_from_slice(&bytes);
            return None;
        }
        if self.cues.peek().is_none() {
            self.complete();
        }
        Some(bytes)
    }

    fn full_piece(&mut self) -> Option<Bytes> {
        let count = self.split_bytes?;
        (self.carried.len() >= count).then(|| self.carried.split_to(count).freeze())
    }

    fn flush(&mut self) -> Bytes {
        if self.cues.peek().is_none() {
            self.complete();
        }
        self.carried.split().freeze()
    }

    fn note(&self, text: &str) {
        let now = now_us();
        self.record.note(|record| {
            record.first_byte_at_us.get_or_insert(now);
            if !text.is_empty() {
                record.first_text_at_us.get_or_insert(now);
                record.last_text_at_us = Some(now);
                record.reply.push_str(text);
            }
        });
    }

    fn complete(&self) {
        self.record.note(|record| {
            if record.outcome == Outcome::Running {
                record.outcome = Outcome::Answered;
            }
        });
    }

    fn cut(&self) -> io::Error {
        self.record.note(|record| record.outcome = Outcome::Cut);
        io::ErrorKind::ConnectionAborted.into()
    }
}
