//! The integration tests of this crate.
#![expect(clippy::unwrap_used, reason = "what helpers of a test cannot do fails the test")]

mod children;
mod disks;
mod lives;
mod log_faults;
mod log_file;
mod log_past;
mod logs;
mod probes;
mod redaction;
mod settings;
mod surroundings;
