//! Opens a service's SQLite file safely and keeps its tables at the service's revision.
//!
//! Every service that owns a database opens it here, so that all of them are durable in the same
//! way and are migrated by the same rules. The crate knows no table of any service and writes no
//! row that people said; what a service keeps is its own business.
#![forbid(unsafe_code)]

mod error;
mod open;

use sqlx::migrate::Migrator;

pub use error::OpenError;
pub use open::{Opened, open};

/// What makes a file the database of one service.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The service that owns the database, e.g. `conversation-worker`.
    pub service: &'static str,
    /// Its mark in the file's header, as the first revision sets it (`PRAGMA application_id`).
    pub application_id: u32,
    /// Its revisions, each with a way back.
    pub migrations: &'static Migrator,
}
