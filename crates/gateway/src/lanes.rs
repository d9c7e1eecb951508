//! Queues by channel: each has one worker at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Queues by lane. A lane exists while something waits in it or is being worked on.
#[derive(Debug)]
pub(crate) struct Lanes<T> {
    queues: Mutex<HashMap<u64, VecDeque<T>>>,
    emptied: Notify,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { queues: Mutex::default(), emptied: Notify::new() }
    }
}

impl<T> Lanes<T> {
    /// Puts an item at the end of its lane. True: the lane is new and needs a worker.
    pub(crate) fn push(&self, lane: u64, item: T) -> bool {
        let mut queues = self.lock();
        let is_new = !queues.contains_key(&lane);
        queues.entry(lane).or_default().push_back(item);
        is_new
    }

    /// The next item for the lane's worker. None: the lane is gone, and so is the work.
    pub(crate) fn next(&self, lane: u64) -> Option<T> {
        let mut queues = self.lock();
        let item = queues.get_mut(&lane).and_then(VecDeque::pop_front);
        if item.is_none() {
            queues.remove(&lane);
            if queues.is_empty() {
                self.emptied.notify_waiters();
            }
        }
        item
    }

    /// Waits until there is no lane.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.lock().is_empty() {
                return;
            }
            emptied.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, VecDeque<T>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_has_one_worker_and_keeps_its_order() {
        let lanes = Lanes::default();
        assert!(lanes.push(1, 'a'));
        assert!(!lanes.push(1, 'b'));
        assert!(lanes.push(2, 'c'));
        assert_eq!(lanes.next(1), Some('a'));
        assert!(!lanes.push(1, 'd'));
        assert_eq!(lanes.next(1), Some('b'));
        assert_eq!(lanes.next(1), Some('d'));
        assert_eq!(lanes.next(1), None);
        assert!(lanes.push(1, 'e'));
    }
}
