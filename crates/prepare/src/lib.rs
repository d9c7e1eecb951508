//! Makes the ground the services stand on: folders, secrets, users of the bus, streams.
//!
//! The crate owns what must be there before a service starts and what needs more rights than a
//! service has: it runs as root without a network (`folders`), or as the bus's admin (`streams`),
//! and ends at once. It never touches anything outside the four folders it is given, never
//! overwrites what a person or an earlier run has made (but for `users.conf`, which is worked out
//! anew), and never speaks to Discord or a model.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod config;
mod config_folder;
mod env_copy;
mod folder;
pub mod folders;
pub mod probe;
pub mod report;
pub mod run;
pub mod secrets;
pub mod streams;
pub mod users;

pub use config::Config;
pub use folder::Owner;
