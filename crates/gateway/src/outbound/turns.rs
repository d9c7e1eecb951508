//! The turns that are being worked on: one writer at a time for each, and finals go first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contracts::id::TurnId;

use crate::outbound::record::{Phase, Records, TurnRecord};

/// How long a turn is kept in memory after it was last touched. Its record stays in the bucket.
const KEPT_FOR: Duration = Duration::from_mins(10);
const KEPT_FINISHED_FOR: Duration = Duration::from_mins(1);

/// A turn in memory.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Its record, once loaded.
    pub(super) record: Option<TurnRecord>,
    /// The text that the first message shows, where we know it.
    pub(super) shown: Option<String>,
    /// Whether a write to the first message ended without an answer, so that it may yet take
    /// effect after a later one.
    pub(super) unsure: bool,
    /// Whether drafts are pointless here, because the message refused one.
    pub(super) undraftable: bool,
    touched: Option<Instant>,
}

impl Turn {
    /// The record, loaded on first use. None: we were told to stop.
    pub(super) async fn load(
        &mut self,
        turn: TurnId,
        records: &Records,
    ) -> Option<&mut TurnRecord> {
        self.touched = Some(Instant::now());
        if self.record.is_none() {
            let loaded = records.get(turn).await?;
            // What another process wrote to this message before it died may still be under way.
            self.unsure |= loaded.as_ref().is_some_and(|record| record.phase == Phase::Open);
            self.record = Some(loaded.unwrap_or_default());
        }
        self.record.as_mut()
    }
}

/// A turn and who waits to write to it.
#[derive(Debug, Default)]
pub(super) struct Cell {
    /// Whoever holds this is the only one with a request under way to the turn's messages.
    pub(super) turn: tokio::sync::Mutex<Turn>,
    urgent: AtomicUsize,
}

/// While this lives, drafts stand back.
pub(super) struct Urgent<'a>(&'a Cell);

impl Cell {
    /// Makes drafts stand back.
    pub(super) fn urgent(&self) -> Urgent<'_> {
        self.urgent.fetch_add(1, Ordering::SeqCst);
        Urgent(self)
    }

    /// Whether a command waits or works here.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Urgent<'_> {
    fn drop(&mut self) {
        self.0.urgent.fetch_sub(1, Ordering::SeqCst);
    }
}

/// All turns in memory.
#[derive(Debug, Default)]
pub(super) struct Turns {
    cells: Mutex<HashMap<TurnId, Arc<Cell>>>,
}

impl Turns {
    /// A turn's cell, made where it is missing.
    pub(super) fn cell(&self, turn: TurnId) -> Arc<Cell> {
        Arc::clone(self.lock().entry(turn).or_default())
    }

    /// Forgets turns that nobody touched for a while.
    pub(super) fn forget_idle(&self, now: Instant) {
        self.lock().retain(|_, cell| {
            if Arc::strong_count(cell) > 1 {
                return true;
            }
            let Ok(turn) = cell.turn.try_lock() else { return true };
            let finished = turn.record.as_ref().is_some_and(|r| r.phase == Phase::Finished);
            let kept_for = if finished { KEPT_FINISHED_FOR } else { KEPT_FOR };
            turn.touched.is_some_and(|touched| touched + kept_for > now)
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TurnId, Arc<Cell>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_turns_are_forgotten_and_those_in_use_are_not() {
        let turns = Turns::default();
        let held = turns.cell(TurnId(1));
        turns.cell(TurnId(2));
        turns.cell(TurnId(3)).turn.try_lock().unwrap().touched = Some(Instant::now());
        turns.forget_idle(Instant::now());
        assert_eq!(turns.lock().len(), 2);
        turns.forget_idle(Instant::now() + KEPT_FOR);
        assert_eq!(turns.lock().len(), 1);
        drop(held);
    }

    #[test]
    fn drafts_stand_back_while_a_command_waits() {
        let cell = Cell::default();
        assert!(!cell.is_urgent());
        let urgent = cell.urgent();
        assert!(cell.is_urgent());
        drop(urgent);
        assert!(!cell.is_urgent());
    }
}
