//! Answers one turn: asks the model, shows the words as they come, and commits how it ended.

mod attempt;
mod failure;

use std::time::Duration;

use contracts::command::FailureClass;
use contracts::usage::UsageOutcome;
use llm::{Request, Stop};
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::clock::now_unix_ms;
use crate::drafts::Drafts;
use crate::engine::{Interrupt, Running};
use crate::prompt::{self, Limits, Material, Prompt};
use crate::store::{Abandon, AttemptEnd, Commit, History, Settlement, StoreError};
use crate::texts::{self, Trouble};
use crate::turn::{Ending, Turn};
use attempt::{Attempt, Outcome};
use failure::Failure;

/// How often a turn's model is asked at most.
const RETRIES: llm::retry::Policy = llm::retry::Policy {
    retries_max: 2,
    base: Duration::from_millis(500),
    cap: Duration::from_secs(8),
};

/// What has become visible of an answer.
pub(crate) struct Written {
    /// What the attempt at hand has said.
    text: String,
    /// The longest that any attempt of this turn has said.
    best: String,
    /// Whether a reply stands in Discord, or is about to.
    opened: bool,
}

impl Written {
    fn new(turn: &Turn) -> Self {
        Self {
            text: String::new(),
            best: turn.opened_with.clone().unwrap_or_default(),
            opened: turn.opened_with.is_some(),
        }
    }

    /// Keeps what a failed attempt had said and starts over.
    fn keep_best(&mut self) {
        let text = std::mem::take(&mut self.text);
        if text.trim().chars().count() > self.best.trim().chars().count() {
            self.best = text;
        }
    }
}

/// Answers a turn whose first request is booked. Returns when the outcome is committed, or when
/// the turn is left to the next start.
pub(crate) async fn answer(
    mut running: Running<'_>,
    mut turn: Turn,
    history: &History,
    permit: OwnedSemaphorePermit,
) -> Result<(), StoreError> {
    let config = &running.parts.config;
    let deadline = Instant::now() + config.turn_time_max;
    let mut limits = config.model.limits;
    let mut written = Written::new(&turn);
    let mut drafts = Drafts::new(&running.parts.bus, &turn);
    let mut permit = Some(permit);
    let mut failed = 0;
    let mut trimmed = false;
    loop {
        let prompt = material(&running, &turn, history, limits);
        let request = request(&running, &turn, &prompt, deadline);
        if permit.is_none() {
            permit = Some(running.engine.permit().await);
        }
        let mut attempt = Attempt { running: &mut running, turn: &turn, drafts: &mut drafts };
        let outcome = attempt.run(&request, &prompt, &mut written).await?;
        let (failure, settlement) = match outcome {
            Outcome::Whole { stop, settlement } => {
                return finish(&running, &turn, &written, stop, settlement).await;
            }
            Outcome::Interrupted { why, settlement } => {
                return interrupted(&running, &turn, written, why, settlement).await;
            }
            // The database holds everything that the next start needs.
            Outcome::Left => return Ok(()),
            Outcome::Failed { failure, settlement } => (failure, settlement),
        };
        failed += 1;
        written.keep_best();
        let left = deadline.saturating_duration_since(Instant::now());
        let seed = turn.at.id.0 ^ u64::from(turn.attempt);
        let smaller = failure.smaller_window(limits.context_tokens).filter(|_| !trimmed);
        let wait = if let Some(window) = smaller {
            trimmed = true;
            limits.context_tokens = window;
            Some(Duration::ZERO)
        } else {
            failure.wait(&RETRIES, failed, left, seed)
        };
        let Some(wait) = wait else {
            return give_up(&running, &turn, &written, &failure, settlement).await;
        };
        tracing::warn!(
            turn.id = %turn.at.id,
            attempt = turn.attempt,
            error = %failure,
            "asking once more"
        );
        // Others may speak while this one waits.
        drop(permit.take());
        rest(&mut running, &turn, wait).await;
        continue_settled(&running, &mut turn, settlement, &prompt).await?;
    }
}

/// Brings a reply to its end whose question is gone, or which cannot be made.
pub(crate) async fn cut_short(
    running: &Running<'_>,
    turn: Turn,
    reason: &'static str,
) -> Result<(), StoreError> {
    let text = turn.opened_with.clone().unwrap_or_default();
    let gone = turn.messages.is_empty();
    let notice = (!gone).then(|| texts::notice(Trouble::Down, turn.language).to_owned());
    let commit = partial(&turn, &text, notice, reason.to_owned(), None);
    settle(running, commit).await
}

fn material(running: &Running<'_>, turn: &Turn, history: &History, limits: Limits) -> Prompt {
    let persona = running.parts.personas.get(turn.language);
    let beginnings = running.engine.beginnings();
    let material = Material {
        persona: &persona,
        language: turn.language,
        history,
        begin_with: beginnings.get(turn.at.conversation),
        asked: &turn.messages,
    };
    let prompt = prompt::build(&material, limits, &running.engine.correction());
    beginnings.set(turn.at.conversation, prompt.begins_with);
    prompt
}

fn request(running: &Running<'_>, turn: &Turn, prompt: &Prompt, deadline: Instant) -> Request {
    let config = &running.parts.config.model;
    let mut request = Request::new(config.name.clone(), prompt.system.clone());
    request.messages.clone_from(&prompt.messages);
    request.max_output_tokens = u32::try_from(config.limits.output_tokens).unwrap_or(u32::MAX);
    // A provider may tell people apart, but not learn who they are in Discord.
    let digest = Sha256::digest(format!("kotonoha user {}", turn.user));
    request.user_hash = Some(hex::encode(&digest[..16]));
    request.deadline = Some(deadline.saturating_duration_since(Instant::now()));
    request
}

/// Waits before the next attempt, but not longer than until something has happened that the
/// attempt will meet at once.
async fn rest(running: &mut Running<'_>, turn: &Turn, wait: Duration) {
    let leaving = running.leaving;
    tokio::select! {
        () = leaving.cancelled() => {}
        _ = attempt::interruption(&mut running.interrupt, turn.at.id) => {}
        () = tokio::time::sleep(wait) => {}
    }
}

/// Closes the books on the last attempt and opens them for the next.
async fn continue_settled(
    running: &Running<'_>,
    turn: &mut Turn,
    settlement: Settlement,
    prompt: &Prompt,
) -> Result<(), StoreError> {
    let step = AttemptEnd {
        turn: turn.at,
        settlement,
        next: running.engine.next_attempt(prompt.tokens),
        now_unix_ms: now_unix_ms(),
    };
    let (attempt, rows) = running.parts.store.persist(step, running.leaving).await?;
    turn.attempt = attempt;
    running.parts.publisher.push(rows);
    Ok(())
}

async fn finish(
    running: &Running<'_>,
    turn: &Turn,
    written: &Written,
    stop: Stop,
    settlement: Settlement,
) -> Result<(), StoreError> {
    let mut text = written.text.trim().to_owned();
    if stop == Stop::MaxTokens {
        text.push_str(texts::length_mark(turn.language));
    }
    let commit = Commit {
        turn: turn.at,
        place: turn.place.clone(),
        settlement: Some(settlement),
        ending: Ending::Answer,
        text,
        notice: None,
        reason: None,
        now_unix_ms: now_unix_ms(),
    };
    running.parts.store.count_rows(1);
    settle(running, commit).await
}

/// The model has failed for good: what there is stays, and the person is told.
async fn give_up(
    running: &Running<'_>,
    turn: &Turn,
    written: &Written,
    failure: &Failure,
    settlement: Settlement,
) -> Result<(), StoreError> {
    tracing::error!(turn.id = %turn.at.id, error = %failure, "the model gives no answer");
    let notice = texts::notice(failure.trouble(), turn.language).to_owned();
    let reason = failure.word().to_owned();
    settle(running, partial(turn, &written.best, Some(notice), reason, Some(settlement))).await
}

async fn interrupted(
    running: &Running<'_>,
    turn: &Turn,
    mut written: Written,
    why: Interrupt,
    settlement: Settlement,
) -> Result<(), StoreError> {
    written.keep_best();
    let reason = match why {
        Interrupt::Unasked if written.opened => {
            let reason = "question deleted".to_owned();
            let commit = partial(turn, &written.best, None, reason, Some(settlement));
            return settle(running, commit).await;
        }
        Interrupt::Unasked => "question deleted",
        Interrupt::Refused(FailureClass::Gone) => "gone",
        Interrupt::Refused(FailureClass::Forbidden) => "forbidden",
        Interrupt::Refused(FailureClass::Invalid) => "invalid",
    };
    let cancelled = matches!(why, Interrupt::Unasked | Interrupt::Refused(FailureClass::Gone));
    tracing::info!(turn.id = %turn.at.id, reason, "turn is given up");
    let state = if cancelled { "cancelled" } else { "dead" };
    metrics::counter!("conversation_turns_total", "state" => state).increment(1);
    let step = Abandon {
        turn: turn.at,
        cancelled,
        reason: reason.to_owned(),
        settlement: Some(settlement),
        now_unix_ms: now_unix_ms(),
    };
    let rows = running.parts.store.persist(step, running.leaving).await?;
    running.parts.publisher.push(rows);
    Ok(())
}

fn partial(
    turn: &Turn,
    text: &str,
    notice: Option<String>,
    reason: String,
    settlement: Option<Settlement>,
) -> Commit {
    let text = text.trim();
    let (ending, text) = if text.is_empty() {
        (Ending::Notice, String::new())
    } else {
        (Ending::Partial, format!("{text}{}", texts::cut_mark(turn.language)))
    };
    Commit {
        turn: turn.at,
        place: turn.place.clone(),
        settlement,
        ending,
        text,
        notice,
        reason: Some(reason),
        now_unix_ms: now_unix_ms(),
    }
}

async fn settle(running: &Running<'_>, commit: Commit) -> Result<(), StoreError> {
    let rows = running.parts.store.persist(commit, running.leaving).await?;
    running.parts.publisher.push(rows);
    Ok(())
}

/// The books of an attempt that ended like this.
fn settlement(outcome: UsageOutcome, attempt: &llm::Answer) -> Settlement {
    Settlement {
        input_tokens: None,
        output_tokens: 0,
        estimated: true,
        first_text_ms: attempt.first_text_after().map(milliseconds),
        duration_ms: milliseconds(attempt.elapsed()),
        outcome,
        error: None,
        cost_nano_usd: None,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
