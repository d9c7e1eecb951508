//! Holds the Discord session: dispatches become events on the bus; commands on the bus become
//! Discord calls.
//!
//! This crate owns everything that is Discord's: its sessions and logins, its rate limits, its
//! 2,000 characters, its nonces. It is the only one that knows the bot's token. It never talks to
//! a model, keeps no database, and publishes people's words only where they concern the bot.

pub mod config;

mod clock;
mod directory;
mod filter;
mod forward;
mod frame;
mod lanes;
mod lookup;
mod outbound;
mod render;
mod rest;
mod service;
mod session;
mod settings;
mod sort;
mod status;
mod token;

pub use config::Config;
pub use service::{Parts, run, serve};
