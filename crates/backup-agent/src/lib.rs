//! Copies, verifies, prunes and restores every database and volume of the system.
#![forbid(unsafe_code)]

pub mod archive;
pub mod checks;
pub mod command;
pub mod config;
pub mod control;
pub mod copies;
pub mod exports;
pub mod heartbeats;
pub mod job;
pub mod offsite;
pub mod record;
pub mod runner;
pub mod schedule;
pub mod sheet;
pub mod verify;
pub mod watch;

pub use config::Config;
