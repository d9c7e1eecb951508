//! Discord and the model providers on loopback, faithful on the wire, with a page to chat in.
//!
//! This crate owns a world of users, guilds, channels and messages, the REST and Gateway edges
//! that show it to any Discord library, and the control API that tests and people drive it with.
//! It never talks to Discord, keeps nothing on disk, and imports no other crate of this project.

pub mod cli;
pub mod commands;
pub mod config;
mod connection;
pub mod control;
pub mod events;
pub mod faults;
mod files;
pub mod gateway;
mod healthcheck;
pub mod ledger;
pub mod limits;
pub mod models;
pub mod nonce;
pub mod page;
pub mod rest;
mod server;
pub mod shape;
pub mod state;
pub mod world;

pub use crate::config::{Config, Preset};
pub use crate::server::{RunningSimulator, Simulator};
pub use crate::state::State;
