//! Databases as real files: their revisions, and the accidents that happen to them.
#![expect(clippy::unwrap_used, reason = "what helpers of a test cannot do fails the test")]

mod accidents;
mod changes;
mod ground;
mod running;
