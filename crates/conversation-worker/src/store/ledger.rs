//! The books: one row for each request to a model, and its record on the bus once it has ended.

use contracts::envelope;
use contracts::id::{GuildId, UserId};
use contracts::subject;
use contracts::usage::{UsageOutcome, UsageRecorded};
use sqlx::SqliteConnection;

use super::outbox::{self, New, Written};
use super::script::{At, Script};
use super::{OutboxRow, Step, StoreError, id};
use crate::turn::TurnRef;

/// A request that is about to leave.
#[derive(Debug, Clone)]
pub struct NextAttempt {
    /// The provider's name in our settings.
    pub provider: String,
    /// The model that is asked.
    pub model: String,
    /// The prompt's tokens, estimated.
    pub input_tokens: u64,
    /// The answer's likely tokens: what is booked if we die before we know better.
    pub output_tokens: u64,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Tokens of the prompt; none leaves the estimate.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Whether these are our own estimate.
    pub estimated: bool,
    /// From request to first text, in milliseconds.
    pub first_text_ms: Option<u64>,
    /// From request to end, in milliseconds.
    pub duration_ms: u64,
    /// How it ended.
    pub outcome: UsageOutcome,
    /// The kind of error, where it failed.
    pub error: Option<String>,
    /// What it cost, where prices are configured.
    pub cost_nano_usd: Option<u64>,
}

/// Closes the attempt that failed and opens the next one.
#[derive(Debug, Clone)]
pub struct AttemptEnd {
    /// The turn.
    pub turn: TurnRef,
    /// How the last attempt ended.
    pub settlement: Settlement,
    /// The next one.
    pub next: NextAttempt,
    /// Now, in milliseconds since the Unix epoch.
    pub now_unix_ms: i64,
}

impl Step for AttemptEnd {
    /// The number of the next attempt, and what is to be published.
    type Output = (u32, Vec<OutboxRow>);

    async fn run(self, connection: &mut SqliteConnection) -> Result<Self::Output, StoreError> {
        let mut look = Script::default();
        look.add(
            "UPDATE turns SET attempts = attempts + 1 WHERE id = ? AND epoch = ? \
             AND state IN ('prompting', 'streaming') RETURNING attempts",
        )
        .bind(id(self.turn.id.0))
        .bind(self.turn.epoch);
        let held = look.at();
        let open_attempts = find_open(&mut look, &self.turn);
        let found = look.run(connection).await?;
        let attempt: Option<(u32,)> = found[held].first()?;
        let (attempt,) = attempt.ok_or(StoreError::Fenced)?;
        let mut script = Script::default();
        let open_attempts: Vec<OpenAttempt> = found[open_attempts].all()?;
        let closed = close(
            &mut script,
            &self.turn,
            (open_attempts, Some(&self.settlement)),
            self.now_unix_ms,
        );
        open(&mut script, &self.turn, attempt, &self.next, self.now_unix_ms);
        let answers = script.run(connection).await?;
        Ok((attempt, outbox::rows(closed, &answers)?))
    }
}

/// Writes the row of a request that is about to leave.
pub(super) fn open(
    script: &mut Script,
    turn: &TurnRef,
    attempt: u32,
    next: &NextAttempt,
    now: i64,
) {
    script
        .add(
            "INSERT INTO attempts (turn_id, generation, attempt, provider, model, input_tokens, \
             output_tokens, started_unix_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(id(turn.id.0))
        .bind(turn.generation)
        .bind(attempt)
        .bind(next.provider.clone())
        .bind(next.model.clone())
        .bind(next.input_tokens.cast_signed())
        .bind(next.output_tokens.cast_signed())
        .bind(now);
}

/// An attempt whose end is not in the books.
#[derive(sqlx::FromRow)]
pub(super) struct OpenAttempt {
    attempt: u32,
    provider: String,
    model: String,
    input_tokens: i64,
    output_tokens: i64,
    started_unix_ms: i64,
    user_id: i64,
    guild_id: Option<i64>,
}

/// Looks for the turn's attempts whose end is not in the books.
pub(super) fn find_open(script: &mut Script, turn: &TurnRef) -> At {
    script
        .add(
            "SELECT attempt, provider, model, input_tokens, output_tokens, started_unix_ms, \
             user_id, guild_id FROM attempts JOIN turns ON turns.id = turn_id \
             WHERE turn_id = ? AND outcome IS NULL",
        )
        .bind(id(turn.id.0));
    script.at()
}

/// Closes open attempts: with how they ended or, after a crash, at their estimates.
pub(super) fn close(
    script: &mut Script,
    turn: &TurnRef,
    (open, settlement): (Vec<OpenAttempt>, Option<&Settlement>),
    now: i64,
) -> Vec<Written> {
    let mut written = Vec::new();
    for attempt in open {
        let record = record(turn, &attempt, settlement, now);
        book(script, turn, attempt.attempt, &record);
        let new = New {
            id: format!("usage:{}", record.attempt),
            purpose: "usage",
            subject: subject::usage(&record.provider),
            payload: envelope::encode(&record),
        };
        written.push(outbox::insert(script, turn, new, now));
    }
    written
}

fn record(
    turn: &TurnRef,
    open: &OpenAttempt,
    settlement: Option<&Settlement>,
    now: i64,
) -> UsageRecorded {
    let estimate = open.input_tokens.cast_unsigned();
    let interrupted = Settlement {
        input_tokens: None,
        output_tokens: open.output_tokens.cast_unsigned(),
        estimated: true,
        first_text_ms: None,
        duration_ms: now.saturating_sub(open.started_unix_ms).max(0).cast_unsigned(),
        outcome: UsageOutcome::Interrupted,
        error: None,
        cost_nano_usd: None,
    };
    let settlement = settlement.unwrap_or(&interrupted);
    UsageRecorded {
        attempt: format!("{}.{}.{}", turn.id, turn.generation, open.attempt),
        turn: turn.id,
        user_id: UserId(open.user_id.cast_unsigned()),
        guild_id: open.guild_id.map(|guild| GuildId(guild.cast_unsigned())),
        provider: open.provider.clone(),
        model: open.model.clone(),
        input_tokens: settlement.input_tokens.unwrap_or(estimate),
        output_tokens: settlement.output_tokens,
        estimated: settlement.estimated,
        first_text_ms: settlement.first_text_ms,
        duration_ms: settlement.duration_ms,
        outcome: settlement.outcome,
        error: settlement.error.clone(),
        cost_nano_usd: settlement.cost_nano_usd,
        at_unix_ms: now.max(0).cast_unsigned(),
    }
}

fn book(script: &mut Script, turn: &TurnRef, attempt: u32, record: &UsageRecorded) {
    let outcome = match record.outcome {
        UsageOutcome::Completed => "completed",
        UsageOutcome::Failed => "failed",
        UsageOutcome::Cancelled => "cancelled",
        UsageOutcome::Interrupted => "interrupted",
    };
    script
        .add(
            "UPDATE attempts SET input_tokens = ?, output_tokens = ?, estimated = ?, \
             first_text_ms = ?, duration_ms = ?, outcome = ?, error = ?, cost_nano_usd = ? \
             WHERE turn_id = ? AND generation = ? AND attempt = ?",
        )
        .bind(record.input_tokens.cast_signed())
        .bind(record.output_tokens.cast_signed())
        .bind(record.estimated)
        .bind(record.first_text_ms.map(u64::cast_signed))
        .bind(record.duration_ms.cast_signed())
        .bind(outcome)
        .bind(record.error.clone())
        .bind(record.cost_nano_usd.map(u64::cast_signed))
        .bind(id(turn.id.0))
        .bind(turn.generation)
        .bind(attempt);
}
