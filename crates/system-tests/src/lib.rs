//! Stories told to the whole system, on real processes and real wires.
//!
//! This crate is the house that the stories play in: a nats-server, the simulator, and the
//! services as operating-system processes that a story may pause, kill and start again. The
//! stories stand under `tests/`. It never looks into a service: what it knows comes over the wire,
//! from the ledger, or from the database file.

pub mod discord;
pub mod house;
mod keys;
pub mod service;
pub mod small_disk;
pub mod wait;

pub use crate::discord::Discord;
pub use crate::house::{House, Options};
pub use crate::service::Service;
pub use crate::small_disk::SmallDisk;
pub use crate::wait::{until, until_within};
