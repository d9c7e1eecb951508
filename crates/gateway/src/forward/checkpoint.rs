//! The checkpoint: the highest sequence below which everything received is dealt with.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How far a session has been dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The session.
    pub session: Arc<str>,
    /// The sequence to resume from.
    pub sequence: u64,
}

/// Follows what was received, in order of arrival, until it is dealt with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checkpoint {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    first: u64,
    entries: VecDeque<Entry>,
    reached: Option<Reached>,
    dead: Option<Arc<str>>,
}

#[derive(Debug)]
struct Entry {
    session: Arc<str>,
    sequence: u64,
    done: bool,
}

/// One dispatch that was received and is not dealt with yet.
///
/// Dropping it leaves it so: the checkpoint will not pass it.
#[derive(Debug)]
#[must_use = "the checkpoint waits until it is done"]
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    number: u64,
}

impl Checkpoint {
    /// Begins where an earlier process left off.
    pub(crate) fn resume(reached: Option<Reached>) -> Self {
        let inner = Inner { reached, ..Inner::default() };
        let shared = Shared { inner: Mutex::new(inner), moved: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Notes that a dispatch was received.
    pub(crate) fn begin(&self, session: &Arc<str>, sequence: u64) -> Ticket {
        let mut inner = self.shared.lock();
        inner.entries.push_back(Entry { session: Arc::clone(session), sequence, done: false });
        let number = inner.first + inner.entries.len() as u64 - 1;
        Ticket { shared: Arc::clone(&self.shared), number }
    }

    /// How far everything received is dealt with.
    pub(crate) fn reached(&self) -> Option<Reached> {
        self.shared.lock().reached.clone()
    }

    /// Forgets how far a session had come that Discord ended, so that it is not resumed again.
    pub(crate) fn forget(&self, session: Arc<str>) {
        let mut inner = self.shared.lock();
        inner.reached = None;
        inner.dead = Some(session);
        self.shared.moved.notify_one();
    }

    /// How many dispatches were received beyond it.
    pub(crate) fn lag(&self) -> usize {
        self.shared.lock().entries.len()
    }

    /// Waits until it has moved since the last time this was awaited.
    pub(crate) async fn moved(&self) {
        self.shared.moved.notified().await;
    }
}

impl Ticket {
    /// Published, filtered on purpose, or dead-lettered: the checkpoint may pass it.
    pub(crate) fn done(self) {
        let mut inner = self.shared.lock();
        let index = usize::try_from(self.number - inner.first).unwrap_or(usize::MAX);
        if let Some(entry) = inner.entries.get_mut(index) {
            entry.done = true;
        }
        if inner.advance() {
            self.shared.moved.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn advance(&mut self) -> bool {
        let mut moved = false;
        while self.entries.front().is_some_and(|entry| entry.done) {
            let Some(entry) = self.entries.pop_front() else { break };
            self.first += 1;
            if self.dead.as_ref() == Some(&entry.session) {
                continue;
            }
            match &mut self.reached {
                // What is replayed after a resume has been dealt with before.
                Some(reached) if reached.session == entry.session => {
                    reached.sequence = reached.sequence.max(entry.sequence);
                }
                reached => {
                    let Entry { session, sequence, .. } = entry;
                    *reached = Some(Reached { session, sequence });
                }
            }
            moved = true;
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(session: &Arc<str>, sequence: u64) -> Reached {
        Reached { session: Arc::clone(session), sequence }
    }

    #[test]
    fn it_waits_for_the_oldest_and_then_passes_all_that_is_done() {
        let session: Arc<str> = "a".into();
        let checkpoint = Checkpoint::default();
        let first = checkpoint.begin(&session, 1);
        let second = checkpoint.begin(&session, 2);
        let third = checkpoint.begin(&session, 3);
        second.done();
        assert_eq!((checkpoint.reached(), checkpoint.lag()), (None, 3));
        first.done();
        assert_eq!((checkpoint.reached(), checkpoint.lag()), (Some(at(&session, 2)), 1));
        drop(third);
        assert_eq!(checkpoint.reached(), Some(at(&session, 2)));
    }

    #[test]
    fn a_new_session_takes_over_only_when_the_old_one_is_dealt_with() {
        let (old, new): (Arc<str>, Arc<str>) = ("old".into(), "new".into());
        let checkpoint = Checkpoint::resume(Some(at(&old, 7)));
        let last_of_old = checkpoint.begin(&old, 8);
        checkpoint.begin(&new, 1).done();
        assert_eq!(checkpoint.reached(), Some(at(&old, 7)));
        last_of_old.done();
        assert_eq!(checkpoint.reached(), Some(at(&new, 1)));
    }

    #[test]
    fn a_replay_never_moves_it_back() {
        let session: Arc<str> = "a".into();
        let checkpoint = Checkpoint::resume(Some(at(&session, 50)));
        checkpoint.begin(&session, 40).done();
        assert_eq!(checkpoint.reached(), Some(at(&session, 50)));
    }

    #[test]
    fn a_session_that_discord_ended_is_never_reached_again() {
        let (old, new): (Arc<str>, Arc<str>) = ("old".into(), "new".into());
        let checkpoint = Checkpoint::resume(Some(at(&old, 7)));
        let last_of_old = checkpoint.begin(&old, 8);
        checkpoint.forget(Arc::clone(&old));
        last_of_old.done();
        assert_eq!(checkpoint.reached(), None);
        checkpoint.begin(&new, 1).done();
        assert_eq!(checkpoint.reached(), Some(at(&new, 1)));
    }

    proptest! {
        #[test]
        fn it_is_always_the_end_of_the_done_prefix(order in Just((0..40usize).collect::<Vec<_>>()).prop_shuffle()) {
            let session: Arc<str> = "a".into();
            let checkpoint = Checkpoint::default();
            let mut tickets: Vec<Option<Ticket>> =
                (1..=40).map(|sequence| Some(checkpoint.begin(&session, sequence))).collect();
            let mut done = [false; 40];
            for index in order {
                tickets[index].take().unwrap().done();
                done[index] = true;
                let prefix = done.iter().take_while(|done| **done).count() as u64;
                let expected = (prefix > 0).then_some(prefix);
                prop_assert_eq!(checkpoint.reached().map(|reached| reached.sequence), expected);
            }
            prop_assert_eq!(checkpoint.lag(), 0);
        }
    }
}
