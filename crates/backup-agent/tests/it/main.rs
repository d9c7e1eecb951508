//! The agent against real databases, files, sockets and far sides.
#![expect(clippy::unwrap_used, reason = "what helpers of a test cannot do fails the test")]

mod dav;
mod house;
mod life;
mod offsite;
mod restoring;
