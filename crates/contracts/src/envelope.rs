//! The envelope round every body that one service sends another: a schema version and the body.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The schema version that this build writes.
///
/// A build reads its own version and the one before it, so that a rollout can replace one service
/// at a time.
pub const SCHEMA: u16 = 1;

/// The oldest schema version that this build still reads.
pub const OLDEST_SCHEMA: u16 = if SCHEMA > 1 { SCHEMA - 1 } else { 1 };

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not the JSON of this body.
    #[error("the body cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The body was written by a service that is too new or too old for this one.
    #[error(
        "schema {found} cannot be read here (this build reads {OLDEST_SCHEMA} to {SCHEMA}); \
         bring all services to the same release"
    )]
    Schema {
        /// The version that the body carries.
        found: u16,
    },
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    schema: u16,
    #[serde(flatten)]
    body: T,
}

#[derive(Deserialize)]
struct Version {
    schema: u16,
}

/// The body as JSON bytes with its schema version in front.
///
/// # Panics
///
/// Never for the bodies of this crate: all their keys are strings.
pub fn encode<T: Serialize>(body: &T) -> Vec<u8> {
    serde_json::to_vec(&Envelope { schema: SCHEMA, body })
        .expect("bodies of this crate have string keys and no fallible serialisers")
}

/// Reads a body that [`encode`] wrote, of this schema version or the one before.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let Version { schema } = serde_json::from_slice(bytes)?;
    if !(OLDEST_SCHEMA..=SCHEMA).contains(&schema) {
        return Err(DecodeError::Schema { found: schema });
    }
    Ok(serde_json::from_slice::<Envelope<T>>(bytes)?.body)
}
