//! The books: one row for each request to a model, and its record on the bus once it has ended.

use contracts::envelope;
use contracts::id::{GuildId, UserId};
use contracts::subject;
use contracts::usage::{UsageOutcome, UsageRecorded};
use sqlx::SqliteConnection;

use super::outbox::{self, New};
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
        let attempt: Option<u32> = sqlx::query_scalar(
            "UPDATE turns SET attempts = attempts + 1 WHERE id = ? AND epoch = ? \
             AND state IN ('prompting', 'streaming') RETURNING attempts",
        )
        .bind(id(self.turn.id.0))
        .bind(self.turn.epoch)
        .fetch_optional(&mut *connection)
        .await?;
        let attempt = attempt.ok_or(StoreError::Fenced)?;
        let rows = close(connection, &self.turn, Some(&self.settlement), self.now_unix_ms).await?;
        open(connection, &self.turn, attempt, &self.next, self.now_unix_ms).await?;
        Ok((attempt, rows))
    }
}

/// Writes the row of a request that is about to leave.
pub(super) async fn open(
    connection: &mut SqliteConnection,
    turn: &TurnRef,
    attempt: u32,
    next: &NextAttempt,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO attempts (turn_id, generation, attempt, provider, model, input_tokens, \
         output_tokens, started_unix_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id(turn.id.0))
    .bind(turn.generation)
    .bind(attempt)
    .bind(&next.provider)
    .bind(&next.model)
    .bind(next.input_tokens.cast_signed())
    .bind(next.output_tokens.cast_signed())
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct OpenAttempt {
    attempt: u32,
    provider: String,
    model: String,
    input_tokens: i64,
    output_tokens: i64,
    started_unix_ms: i64,
    user_id: i64,
    guild_id: Option<i64>,
}

/// Closes the turn's open attempts: with how they ended or, after a crash, at their estimates.
pub(super) async fn close(
    connection: &mut SqliteConnection,
    turn: &TurnRef,
    settlement: Option<&Settlement>,
    now: i64,
) -> Result<Vec<OutboxRow>, StoreError> {
    let open: Vec<OpenAttempt> = sqlx::query_as(
        "SELECT attempt, provider, model, input_tokens, output_tokens, started_unix_ms, user_id, \
         guild_id FROM attempts JOIN turns ON turns.id = turn_id \
         WHERE turn_id = ? AND outcome IS NULL",
    )
    .bind(id(turn.id.0))
    .fetch_all(&mut *connection)
    .await?;
    let mut rows = Vec::new();
    for attempt in open {
        let record = record(turn, &attempt, settlement, now);
        book(connection, turn, attempt.attempt, &record).await?;
        let new = New {
            id: format!("usage:{}", record.attempt),
            purpose: "usage",
            subject: subject::usage(&record.provider),
            payload: envelope::encode(&record),
        };
        rows.extend(outbox::insert(connection, turn, new, now).await?);
    }
    Ok(rows)
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

async fn book(
    connection: &mut SqliteConnection,
    turn: &TurnRef,
    attempt: u32,
    record: &UsageRecorded,
) -> Result<(), StoreError> {
    let outcome = match record.outcome {
        UsageOutcome::Completed => "completed",
        UsageOutcome::Failed => "failed",
        UsageOutcome::Cancelled => "cancelled",
        UsageOutcome::Interrupted => "interrupted",
    };
    sqlx::query(
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
    .bind(&record.error)
    .bind(record.cost_nano_usd.map(u64::cast_signed))
    .bind(id(turn.id.0))
    .bind(turn.generation)
    .bind(attempt)
    .execute(connection)
    .await?;
    Ok(())
}
