//! Queues by channel: each has one worker at a time, and all together a weight in bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Queues by lane. A lane exists while something waits in it or is being worked on.
#[derive(Debug)]
pub(crate) struct Lanes<T> {
    queues: Mutex<HashMap<u64, VecDeque<(T, usize)>>>,
    held_bytes: AtomicUsize,
    emptied: Notify,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { queues: Mutex::default(), held_bytes: AtomicUsize::new(0), emptied: Notify::new() }
    }
}

impl<T> Lanes<T> {
    /// Puts an item at the end of its lane. True: the lane is new and needs a worker; beside it
    /// how many bytes are held now.
    pub(crate) fn push(&self, lane: u64, item: T, bytes: usize) -> (bool, usize) {
        let held = self.held_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let mut queues = self.lock();
        let is_new = !queues.contains_key(&lane);
        queues.entry(lane).or_default().push_back((item, bytes));
        (is_new, held)
    }

    /// The next item for the lane's worker. None: the lane is gone, and so is the work.
    pub(crate) fn next(&self, lane: u64) -> Option<(T, usize)> {
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

    /// Notes that an item is no longer held. Returns how many bytes still are.
    pub(crate) fn release(&self, bytes: usize) -> usize {
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed) - bytes
    }

    /// How many bytes are held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
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

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, VecDeque<(T, usize)>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_has_one_worker_and_keeps_its_order() {
        let lanes = Lanes::default();
        assert_eq!(lanes.push(1, 'a', 10), (true, 10));
        assert_eq!(lanes.push(1, 'b', 5), (false, 15));
        assert_eq!(lanes.push(2, 'c', 1), (true, 16));
        assert_eq!(lanes.next(1), Some(('a', 10)));
        assert_eq!(lanes.release(10), 6);
        assert_eq!(lanes.push(1, 'd', 1), (false, 7));
        assert_eq!(lanes.next(1), Some(('b', 5)));
        assert_eq!(lanes.next(1), Some(('d', 1)));
        assert_eq!(lanes.next(1), None);
        assert!(lanes.push(1, 'e', 1).0);
    }
}
