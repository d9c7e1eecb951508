//! Since when nothing could be stored, over all publishers of a process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A stall, if there is one. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stall(Arc<Mutex<Option<Stalled>>>);

#[derive(Debug)]
struct Stalled {
    since: Instant,
    told: bool,
}

impl Stall {
    /// Since when it lasts.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.stalled().as_ref().map(|stalled| stalled.since)
    }

    /// Something was not stored that should have been.
    pub(crate) fn begin(&self) {
        self.stalled().get_or_insert_with(|| Stalled { since: Instant::now(), told: false });
    }

    /// Something was stored.
    pub(crate) fn end(&self) {
        *self.stalled() = None;
    }

    /// Whether somebody told of this stall before; from now on somebody has.
    pub(crate) fn told(&self) -> bool {
        self.stalled().as_mut().is_some_and(|stalled| std::mem::replace(&mut stalled.told, true))
    }

    fn stalled(&self) -> MutexGuard<'_, Option<Stalled>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
