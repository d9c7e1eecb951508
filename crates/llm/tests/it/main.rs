//! The crate against real sockets: every way an answer can arrive, break, stall or be refused.

mod cancel;
mod clocks;
mod connection;
mod cuts;
mod real_model;
mod refusals;
mod secure;
mod server;
mod streaming;
