//! What of a conversation fits into a model's context window.

use std::ops::Range;

/// When the turns take more than this share of their room, they are cut …
const HIGH_PERCENT: u64 = 80;
/// … down to this share. Cutting one turn at a time would change the prompt's beginning with
/// every message, and with it lose every provider's prompt cache.
const LOW_PERCENT: u64 = 60;

/// The room of one prompt, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The model's whole context window.
    pub window: u64,
    /// Kept free for the answer (thinking included): `max_output_tokens`.
    pub reserve_output: u64,
    /// Taken by what is always sent: the system text, pinned memory, the summary.
    pub system: u64,
}

/// The turns to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Indices of the kept turns; always reaches to the newest.
    pub turns: Range<usize>,
    /// Their tokens.
    pub tokens: u64,
    /// Whether they fit. `false` only where the newest turn alone is too long: shorten it, or
    /// tell the person so.
    pub fits: bool,
}

impl Room {
    /// What is left for turns.
    pub fn for_turns(&self) -> u64 {
        self.window.saturating_sub(self.reserve_output).saturating_sub(self.system)
    }
}

/// The newest whole turns of `turns` (tokens of each, oldest first) that fit into `room`.
///
/// The beginning moves in big steps: it is found by playing the conversation from `turns[0]` on
/// and cutting to 60 % of the room whenever 80 % is passed, so the same history gives the same
/// beginning, and one more turn mostly leaves it where it was. That holds as long as `turns`
/// begins at the same turn each time; a caller that loads only the newest part of a long history
/// remembers where the last prompt began and uses [`fit_from`].
///
/// A turn is never split: one question with its answer goes or stays as a whole.
pub fn fit(turns: &[u64], room: &Room) -> Kept {
    let mut start = 0;
    let mut tokens = 0_u64;
    for end in 1..=turns.len() {
        tokens = tokens.saturating_add(turns[end - 1]);
        (start, tokens) = cut(turns, start..end, tokens, room);
    }
    kept(turns, start, room)
}

/// As [`fit`], going on from the turn the last prompt began with.
///
/// A `start` past the end (its turn was deleted) means all of them.
pub fn fit_from(turns: &[u64], start: usize, room: &Room) -> Kept {
    let start = if start < turns.len() { start } else { 0 };
    let tokens = sum(&turns[start..]);
    let (start, _) = cut(turns, start..turns.len(), tokens, room);
    kept(turns, start, room)
}

/// Moves the beginning when the range takes too much; the newest turn always stays.
fn cut(turns: &[u64], range: Range<usize>, tokens: u64, room: &Room) -> (usize, u64) {
    let share = |percent| u64::try_from(u128::from(room.for_turns()) * percent / 100);
    let high = share(u128::from(HIGH_PERCENT)).unwrap_or(u64::MAX);
    let low = share(u128::from(LOW_PERCENT)).unwrap_or(u64::MAX);
    let (mut start, mut tokens) = (range.start, tokens);
    if tokens > high {
        while tokens > low && start + 1 < range.end {
            start += 1;
            tokens = sum(&turns[start..range.end]);
        }
    }
    (start, tokens)
}

fn kept(turns: &[u64], start: usize, room: &Room) -> Kept {
    let tokens = sum(&turns[start..]);
    Kept { turns: start..turns.len(), tokens, fits: tokens <= room.for_turns() }
}

fn sum(turns: &[u64]) -> u64 {
    turns.iter().fold(0, |total, tokens| total.saturating_add(*tokens))
}
