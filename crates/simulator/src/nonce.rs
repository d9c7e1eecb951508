//! Which nonces were used lately, so that a repeated request sends no second message.

use std::collections::{HashMap, VecDeque};

use crate::world::id::Id;

/// How long Discord is taken to remember a nonce ("the past few minutes").
const WINDOW_MS: u64 = 180_000;

/// A nonce belongs to its author and channel.
type Key = (Id, Id, String);

/// The nonces of the window, by author and channel.
#[derive(Debug)]
pub struct Nonces {
    /// How long a nonce is remembered.
    pub window_ms: u64,
    used: HashMap<Key, (Id, u64)>,
    order: VecDeque<(Key, u64)>,
}

impl Default for Nonces {
    fn default() -> Self {
        Self { window_ms: WINDOW_MS, used: HashMap::new(), order: VecDeque::new() }
    }
}

impl Nonces {
    /// The message that was sent with this nonce within the window.
    pub fn find(&mut self, author: Id, channel: Id, nonce: &str, now_ms: u64) -> Option<Id> {
        self.expire(now_ms);
        let (message, at_ms) = self.used.get(&(author, channel, nonce.to_owned()))?;
        (now_ms < at_ms + self.window_ms).then_some(*message)
    }

    /// Remembers the message a nonce was used for.
    pub fn remember(&mut self, key: (Id, Id), nonce: &str, message: Id, now_ms: u64) {
        let key = (key.0, key.1, nonce.to_owned());
        self.order.push_back((key.clone(), now_ms));
        self.used.insert(key, (message, now_ms));
    }

    fn expire(&mut self, now_ms: u64) {
        while let Some((key, at_ms)) = self.order.front() {
            if now_ms < at_ms + self.window_ms {
                break;
            }
            if self.used.get(key).is_some_and(|(_, used_ms)| used_ms == at_ms) {
                self.used.remove(key);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_known_within_its_window_and_channel_only() {
        let mut nonces = Nonces { window_ms: 100, ..Nonces::default() };
        nonces.remember((Id(1), Id(2)), "n", Id(9), 1000);
        assert_eq!(nonces.find(Id(1), Id(2), "n", 1099), Some(Id(9)));
        assert_eq!(nonces.find(Id(1), Id(3), "n", 1099), None);
        assert_eq!(nonces.find(Id(1), Id(2), "n", 1100), None);
        assert!(nonces.used.is_empty());
    }
}
