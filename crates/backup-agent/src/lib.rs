//! Copies, verifies, prunes and restores every database and volume of the system.
#![forbid(unsafe_code)]

pub mod archive;
pub mod checks;
pub mod command;
pub mod config;
pub mod control;
pub mod copies;
pub mod exports;
pub mod follow;
pub mod heartbeats;
pub mod job;
pub mod offsite;
pub mod record;
pub mod runner;
pub mod schedule;
mod service;
pub mod sheet;
pub mod verify;
pub mod watch;
pub mod work;

pub use config::Config;
pub use service::run;
