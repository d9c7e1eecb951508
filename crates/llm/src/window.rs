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
    let mut start = range.start;
    let mut tokens = tokens;
    if tokens > share(room, HIGH_PERCENT) {
        while tokens > share(room, LOW_PERCENT) && start + 1 < range.end {
            start += 1;
            tokens = sum(&turns[start..range.end]);
        }
    }
    (start, tokens)
}

/// Divided first, so that no window is too large for it; a few tokens do not matter here.
fn share(room: &Room, percent: u64) -> u64 {
    let whole = room.for_turns();
    whole / 100 * percent + whole % 100 * percent / 100
}

fn kept(turns: &[u64], start: usize, room: &Room) -> Kept {
    let tokens = sum(&turns[start..]);
    Kept { turns: start..turns.len(), tokens, fits: tokens <= room.for_turns() }
}

fn sum(turns: &[u64]) -> u64 {
    turns.iter().fold(0, |total, tokens| total.saturating_add(*tokens))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn room(for_turns: u64) -> Room {
        Room { window: for_turns + 300, reserve_output: 200, system: 100 }
    }

    #[test]
    fn a_short_conversation_is_kept_whole() {
        assert_eq!(fit(&[10, 20, 30], &room(100)), Kept { turns: 0..3, tokens: 60, fits: true });
        assert_eq!(fit(&[], &room(100)), Kept { turns: 0..0, tokens: 0, fits: true });
    }

    #[test]
    fn past_eighty_percent_it_is_cut_to_sixty_and_then_left_alone() {
        let turns = [10; 20];
        // 9 turns pass 80, so 6 stay; 2 more fit before the next cut.
        for (count, start) in [(8, 0), (9, 3), (10, 3), (11, 3), (12, 6), (14, 6), (15, 9)] {
            assert_eq!(fit(&turns[..count], &room(100)).turns, start..count, "{count} turns");
        }
    }

    #[test]
    fn the_newest_turn_stays_even_where_it_does_not_fit() {
        let kept = fit(&[10, 10, 500], &room(100));
        assert_eq!(kept, Kept { turns: 2..3, tokens: 500, fits: false });
        let nothing = Room { window: 10, reserve_output: 200, system: 0 };
        assert_eq!(fit(&[1, 1], &nothing), Kept { turns: 1..2, tokens: 1, fits: false });
    }

    #[test]
    fn a_remembered_beginning_that_is_gone_means_all() {
        assert_eq!(fit_from(&[10, 10], 7, &room(100)).turns, 0..2);
        assert_eq!(fit_from(&[10, 10, 10], 1, &room(100)).turns, 1..3);
    }

    proptest! {
        #[test]
        fn what_is_kept_fits_and_is_the_newest(
            turns in prop::collection::vec(0_u64..200, 0..60), size in 0_u64..1_000
        ) {
            let room = room(size);
            let kept = fit(&turns, &room);
            prop_assert_eq!(kept.turns.end, turns.len());
            prop_assert!(turns.is_empty() || !kept.turns.is_empty());
            prop_assert_eq!(kept.tokens, turns[kept.turns.clone()].iter().sum::<u64>());
            prop_assert_eq!(kept.fits, kept.tokens <= room.for_turns());
            // More than one turn is kept only below the upper mark.
            prop_assert!(kept.turns.len() <= 1 || kept.tokens <= room.for_turns() * 80 / 100);
        }

        #[test]
        fn a_longer_conversation_begins_where_the_shorter_did_or_later(
            turns in prop::collection::vec(1_u64..100, 1..80), size in 100_u64..1_000
        ) {
            let room = room(size);
            let mut start = 0;
            let mut tokens_since_cut = 0;
            for end in 1..=turns.len() {
                let kept = fit(&turns[..end], &room);
                // Going on from the remembered beginning is the same as playing it again.
                prop_assert_eq!(&fit_from(&turns[..end], start, &room), &kept);
                tokens_since_cut += turns[end - 1];
                if kept.turns.start > start {
                    // Between two cuts lies at least the step, less the turn that overstepped.
                    let first = start == 0;
                    prop_assert!(first || tokens_since_cut + 100 >= room.for_turns() * 20 / 100);
                    tokens_since_cut = 0;
                }
                prop_assert!(kept.turns.start >= start);
                start = kept.turns.start;
            }
        }

        #[test]
        fn no_numbers_overflow(
            turns in prop::collection::vec(any::<u64>(), 0..10), window in any::<u64>(),
            reserve_output in any::<u64>(), system in any::<u64>(), start in any::<usize>()
        ) {
            let room = Room { window, reserve_output, system };
            fit(&turns, &room);
            fit_from(&turns, start, &room);
        }
    }
}
