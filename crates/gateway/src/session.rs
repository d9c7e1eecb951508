//! The sessions with Discord: logins, resumes, and what is received in them.

mod budget;
mod gate;
mod intake;
mod policy;
mod report;
mod saver;
mod shard;
mod store;

pub(crate) use gate::{Gate, GatewayInfo};
pub(crate) use policy::Refusal;
pub(crate) use report::{Report, Snapshot};
pub(crate) use shard::{Ended, ShardTask, Wiring};
pub(crate) use store::{Saved, Store};
