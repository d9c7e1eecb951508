//! The nonce that makes Discord keep one message of several identical requests.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::id::TurnId;

/// What a message with a nonce is, as far as doubling goes.
///
/// An answer and an apology of the same turn are different messages: with one nonce for both, the
/// apology would swallow the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoncePurpose {
    /// A part of the reply, drafts and final text alike.
    Answer,
    /// A notice beside the reply.
    Notice,
}

/// A nonce of at most 25 characters, which is Discord's limit for `nonce`.
///
/// It leaves the generation out, so that the draft and the final text of a part share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Nonce(String);

impl Nonce {
    /// The nonce of one part of a turn's reply or notice.
    pub fn derive(turn: TurnId, part: u16, purpose: NoncePurpose) -> Self {
        let word = match purpose {
            NoncePurpose::Answer => "answer",
            NoncePurpose::Notice => "notice",
        };
        let digest = Sha256::digest(format!("{turn}.{part}.{word}"));
        // 12 bytes are 24 characters; the letter keeps it from ever being read as a number.
        Self(format!("k{}", hex::encode(&digest[..12])))
    }

    /// The text as it goes over the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
