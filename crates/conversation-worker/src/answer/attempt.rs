//! One request to the model: its words become the reply's first text and then drafts.

use std::time::Duration;

use contracts::id::TurnId;
use contracts::usage::UsageOutcome;
use llm::{Answer, CancellationToken, Error, Event, Request, Stop, Usage, estimate};
use tokio::sync::watch;

use super::failure::Failure;
use super::{Written, settlement};
use crate::clock::now_unix_ms;
use crate::drafts::Drafts;
use crate::engine::{Interrupt, Running};
use crate::prompt::Prompt;
use crate::store::{FirstText, Settlement, StoreError};
use crate::turn::Turn;

/// One request to the model.
pub(super) struct Attempt<'a, 'b> {
    pub(super) running: &'a mut Running<'b>,
    pub(super) turn: &'a Turn,
    pub(super) drafts: &'a mut Drafts<'b>,
}

/// How it ended.
pub(super) enum Outcome {
    Whole {
        stop: Stop,
        settlement: Settlement,
    },
    Failed {
        failure: Failure,
        settlement: Settlement,
    },
    Interrupted {
        why: Interrupt,
        settlement: Settlement,
    },
    /// The service stops: what was said is left to the next start.
    Left,
}

enum Happened {
    Event(Option<Result<Event, Error>>),
    Interrupt(Interrupt),
    DraftDue,
    Leaving,
}

impl Attempt<'_, '_> {
    /// Asks, and follows the answer to its end.
    pub(super) async fn run(
        &mut self,
        request: &Request,
        prompt: &Prompt,
        written: &mut Written,
    ) -> Result<Outcome, StoreError> {
        let cancel = CancellationToken::new();
        let mut answer = self.running.parts.client.stream(request, &cancel);
        self.note_request();
        loop {
            let happened = tokio::select! {
                biased;
                () = self.running.leaving.cancelled() => Happened::Leaving,
                why = interruption(&mut self.running.interrupt, self.turn.at.id) => {
                    Happened::Interrupt(why)
                }
                event = answer.next() => Happened::Event(event),
                () = self.drafts.due(written.opened) => Happened::DraftDue,
            };
            match happened {
                Happened::Event(Some(Ok(Event::Text(text)))) => {
                    written.text.push_str(&text);
                    self.show(written).await?;
                }
                Happened::Event(Some(Ok(Event::Done { stop, usage }))) => {
                    return Ok(self.whole((stop, usage), &answer, prompt, written));
                }
                Happened::Event(Some(Err(error))) => {
                    return Ok(self.failed(error, &answer, prompt, written));
                }
                Happened::Event(Some(Ok(_))) => {}
                Happened::Interrupt(why) => {
                    let mut settlement = settlement(UsageOutcome::Cancelled, &answer);
                    self.bill(&mut settlement, answer.usage(), (prompt, &written.text));
                    return Ok(Outcome::Interrupted { why, settlement });
                }
                Happened::DraftDue => {
                    let text = if written.opened { written.text.trim_end() } else { "" };
                    self.drafts.send(text).await;
                }
                // An answer always says how it ended, so `None` is never met.
                Happened::Leaving | Happened::Event(None) => return Ok(Outcome::Left),
            }
        }
    }

    /// Opens the reply with its first text; after that, a draft will show the rest.
    async fn show(&mut self, written: &mut Written) -> Result<(), StoreError> {
        if written.text.trim().is_empty() {
            return Ok(());
        }
        if written.opened {
            self.drafts.grown();
            return Ok(());
        }
        let step = FirstText {
            turn: self.turn.at,
            place: self.turn.place.clone(),
            text: written.text.trim_start().to_owned(),
            now_unix_ms: now_unix_ms(),
        };
        let rows = self.running.parts.store.persist(step, self.running.leaving).await?;
        self.running.parts.publisher.push(rows);
        written.opened = true;
        self.drafts.opened();
        record_since("conversation_first_text_seconds", self.turn.received_unix_ms);
        Ok(())
    }

    fn whole(
        &self,
        (stop, usage): (Stop, Option<Usage>),
        answer: &Answer,
        prompt: &Prompt,
        written: &Written,
    ) -> Outcome {
        let mut settlement = settlement(UsageOutcome::Completed, answer);
        self.bill(&mut settlement, usage, (prompt, &written.text));
        if let Some(usage) = usage {
            self.running.engine.learn(prompt.tokens, usage);
        }
        if written.text.trim().is_empty() {
            // Nothing to show is no answer, whatever the provider calls it.
            let failure = Failure::Silent(stop);
            settlement.error = Some(failure.word().to_owned());
            return Outcome::Failed { failure, settlement };
        }
        self.running.parts.check.ok();
        record_since("conversation_final_seconds", self.turn.received_unix_ms);
        Outcome::Whole { stop, settlement }
    }

    fn failed(&self, error: Error, answer: &Answer, prompt: &Prompt, written: &Written) -> Outcome {
        let mut settlement = settlement(UsageOutcome::Failed, answer);
        settlement.error = Some(error.kind().as_str().to_owned());
        let usage = error.partial_usage().or_else(|| answer.usage());
        if usage.is_none() && answer.head().is_none_or(|head| head.status != 200) {
            // Refused or never reached: nothing was read, so nothing is billed.
            settlement.input_tokens = Some(0);
        } else {
            self.bill(&mut settlement, usage, (prompt, &written.text));
        }
        self.tell(&error);
        Outcome::Failed { failure: error.into(), settlement }
    }

    /// Shows the failure on `/health`, and each limit in the log, where operators search for it.
    fn tell(&self, error: &Error) {
        if matches!(error.kind(), llm::ErrorKind::RateLimited) {
            let wait_ms = error.retry_after().map(|wait| wait.as_millis());
            tracing::warn!(
                model.provider = error.provider(),
                wait_ms,
                "rate limit of the model's provider was reached"
            );
        }
        let check = &self.running.parts.check;
        let reason = (error.to_string(), format!("モデルの提供元: {error}"));
        if error.needs_operator() {
            let remedy = (
                error.kind().hint(),
                "MODEL_API_KEY・MODEL_NAME・MODEL_BASE_URL と、提供元の残高や上限を確認してください",
            );
            check.failing(reason, remedy);
        } else {
            let remedy = (
                "wait; if it lasts, look at the provider's status",
                "お待ちください。長く続くときは、提供元の状況をご覧ください",
            );
            check.degraded(reason, remedy);
        }
    }

    /// What the provider counted or, where it says nothing, our estimate, flagged.
    fn bill(
        &self,
        settlement: &mut Settlement,
        usage: Option<Usage>,
        (prompt, text): (&Prompt, &str),
    ) {
        settlement.estimated = usage.is_none();
        let usage = usage.unwrap_or_else(|| {
            let correction = self.running.engine.correction();
            Usage {
                input_tokens: correction.expected(prompt.tokens),
                output_tokens: correction.expected(estimate::text_tokens(text)),
                ..Usage::default()
            }
        });
        settlement.input_tokens = Some(usage.input_tokens);
        settlement.output_tokens = usage.output_tokens;
        let prices = self.running.parts.config.model.prices;
        settlement.cost_nano_usd = prices.map(|prices| prices.cost_nano_usd(&usage));
    }

    fn note_request(&self) {
        record_since("conversation_request_seconds", self.turn.received_unix_ms);
        metrics::counter!("conversation_model_requests_total").increment(1);
    }
}

/// Waits until the turn is to end at once.
pub(super) async fn interruption(
    interrupt: &mut watch::Receiver<Option<(TurnId, Interrupt)>>,
    turn: TurnId,
) -> Interrupt {
    let mine = |why: &Option<(TurnId, Interrupt)>| match why {
        Some((which, why)) if *which == turn => Some(*why),
        _ => None,
    };
    let wanted =
        interrupt.wait_for(|why| mine(why).is_some()).await.ok().and_then(|why| mine(&why));
    match wanted {
        Some(why) => why,
        // Nobody is left who could interrupt.
        None => std::future::pending().await,
    }
}

/// Records how long ago the question was received.
fn record_since(name: &'static str, received_unix_ms: u64) {
    let age_ms = now_unix_ms().saturating_sub(received_unix_ms.cast_signed()).max(0);
    let age = Duration::from_millis(age_ms.cast_unsigned());
    metrics::histogram!(name).record(age.as_secs_f64());
}
