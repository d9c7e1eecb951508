//! The headers of a dead letter; its payload is the message as it came.

/// What was wrong, in a sentence.
pub const ERROR: &str = "Kotonoha-Error";
/// The subject that the message came on.
pub const SUBJECT: &str = "Kotonoha-Subject";
/// The stream that it came from.
pub const STREAM: &str = "Kotonoha-Stream";
/// Its sequence in that stream.
pub const STREAM_SEQUENCE: &str = "Kotonoha-Stream-Sequence";
