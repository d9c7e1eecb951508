//! The trace that a message's way belongs to, known from its id alone.
//!
//! A turn outlives the process that began it: it may be received before a crash and answered
//! after it, by another process. Its trace is therefore not handed on but derived, the same by
//! everybody: what the gateway forwards, what the worker does for the turn and what is sent to
//! Discord carry the same trace id in their logs and headers.

use crate::id::{MessageId, TurnId};

/// The header's name. Source: W3C recommendation "Trace Context", in lower case; names in NATS
/// headers are case-sensitive.
pub const HEADER: &str = "traceparent";

/// The `traceparent` of everything that concerns a message: `00-<trace id>-<span id>-01`, both
/// ids in lower-case hexadecimal (16 and 8 bytes, never zero), sampled.
pub fn of_message(message: MessageId) -> String {
    let high = scattered(message.0);
    let low = scattered(high);
    // The parent that nobody is: whoever continues the trace needs one.
    let parent = scattered(low);
    format!("00-{high:016x}{low:016x}-{:016x}-01", parent.max(1))
}

/// The `traceparent` of a turn: that of the oldest message it answers.
pub fn of_turn(turn: TurnId) -> String {
    of_message(MessageId(turn.0))
}

/// Spreads a number over all bits; 0 for one number only (the finaliser of `SplitMix64`).
const fn scattered(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_turn_and_its_oldest_message_share_one_trace() {
        let trace = of_message(MessageId(1_234_567_890_123_456_789));
        assert_eq!(trace, of_turn(TurnId(1_234_567_890_123_456_789)));
        assert_eq!(trace, "00-9904eee77e231db2073e857a776f4770-a46ad6402aebbb0f-01");
    }

    proptest! {
        #[test]
        fn every_trace_has_the_shape_of_the_recommendation(one: u64, other: u64) {
            let trace = of_message(MessageId(one));
            let parts: Vec<&str> = trace.split('-').collect();
            prop_assert_eq!((parts.len(), parts[0], parts[3]), (4, "00", "01"));
            prop_assert_eq!((parts[1].len(), parts[2].len()), (32, 16));
            prop_assert!(trace.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-')));
            prop_assert!(parts[1].bytes().any(|byte| byte != b'0'));
            prop_assert!(parts[2].bytes().any(|byte| byte != b'0'));
            prop_assert_eq!(one == other, trace == of_message(MessageId(other)));
        }
    }
}
