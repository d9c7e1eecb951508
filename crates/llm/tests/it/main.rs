//! The crate against real sockets: every way an answer can arrive, break, stall or be refused.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cancel;
mod clocks;
mod connection;
mod cuts;
mod real_model;
mod refusals;
mod secure;
mod server;
mod streaming;
