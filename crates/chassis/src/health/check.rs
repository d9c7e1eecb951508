//! A check is one part of a service and how it is doing.

use std::sync::{Arc, Mutex, PoisonError};

use crate::words::Words;

/// How a part of the service is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Ok,
    /// It works, though not as it should; the service counts as healthy.
    Degraded {
        /// What is not as it should be.
        reason: Words,
        /// What to do about it.
        remedy: Words,
    },
    /// It does not work; the service counts as unhealthy.
    Failing {
        /// What does not work.
        reason: Words,
        /// What to do about it.
        remedy: Words,
    },
}

impl Outcome {
    /// A failing outcome.
    pub fn failing(reason: impl Into<Words>, remedy: impl Into<Words>) -> Self {
        Self::Failing { reason: reason.into(), remedy: remedy.into() }
    }

    /// A degraded outcome.
    pub fn degraded(reason: impl Into<Words>, remedy: impl Into<Words>) -> Self {
        Self::Degraded { reason: reason.into(), remedy: remedy.into() }
    }

    /// Whether the part does not work.
    pub fn is_failing(&self) -> bool {
        matches!(self, Self::Failing { .. })
    }

    pub(super) fn status(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded { .. } => "degraded",
            Self::Failing { .. } => "failing",
        }
    }

    pub(super) fn explanation(&self) -> Option<(&Words, &Words)> {
        match self {
            Self::Ok => None,
            Self::Degraded { reason, remedy } | Self::Failing { reason, remedy } => {
                Some((reason, remedy))
            }
        }
    }
}

/// The current outcome of a settable check; `None` until it is first set.
pub(super) type Slot = Arc<Mutex<Option<Outcome>>>;
type Compute = Arc<dyn Fn() -> Outcome + Send + Sync>;

/// One line of the registry.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) slot: Option<Slot>,
    compute: Option<Compute>,
}

impl Entry {
    pub(super) fn settable(name: &str, slot: Slot) -> Self {
        Self { name: name.to_owned(), slot: Some(slot), compute: None }
    }

    pub(super) fn computed(name: &str, compute: Compute) -> Self {
        Self { name: name.to_owned(), slot: None, compute: Some(compute) }
    }

    pub(super) fn outcome(&self) -> Outcome {
        if let Some(compute) = &self.compute {
            return compute();
        }
        let outcome = self.slot.as_ref().and_then(current);
        outcome.unwrap_or_else(|| {
            Outcome::failing(
                ("starting", "起動中です"),
                (
                    "wait; if this lasts, read the service's log",
                    "しばらくお待ちください。長く続くときは、ログをご覧ください",
                ),
            )
        })
    }
}

/// The handle by which a part of a service says how it is doing; clones speak for the same part.
#[derive(Debug, Clone)]
pub struct Check {
    name: String,
    slot: Slot,
}

impl Check {
    pub(super) fn new(name: &str, slot: Slot) -> Self {
        Self { name: name.to_owned(), slot }
    }

    /// It works.
    pub fn ok(&self) {
        self.set(Outcome::Ok);
    }

    /// It works, though not as it should.
    pub fn degraded(&self, reason: impl Into<Words>, remedy: impl Into<Words>) {
        self.set(Outcome::degraded(reason, remedy));
    }

    /// It does not work.
    pub fn failing(&self, reason: impl Into<Words>, remedy: impl Into<Words>) {
        self.set(Outcome::failing(reason, remedy));
    }

    /// Sets the outcome. A change is logged once, a repetition is not.
    pub fn set(&self, outcome: Outcome) {
        let status = outcome.status();
        let explanation =
            outcome.explanation().map(|(reason, remedy)| (reason.clone(), remedy.clone()));
        let before = {
            let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.replace(outcome)
        };
        if before.as_ref().map(Outcome::status) == Some(status) {
            return;
        }
        let check = self.name.as_str();
        match explanation {
            None => tracing::info!(check.name = check, "check is ok"),
            Some((reason, remedy)) => {
                tracing::warn!(check.name = check, %reason, %remedy, "check is {status}");
            }
        }
    }

    /// The outcome last set; `None` while the part is still starting.
    pub fn outcome(&self) -> Option<Outcome> {
        current(&self.slot)
    }
}

fn current(slot: &Slot) -> Option<Outcome> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
